"""How a connection may show a token before it says anything: in the headers of its handshake."""

from chatd.net.head import Head

COOKIE = b"chatd_session"


def offered(head: Head) -> str | None:
    """The token of `Authorization: Bearer`, else of the cookie.

    Browsers send cookies along whoever asks them to, so one counts only where the handshake says from which origin it
    comes: then that was checked.
    """
    scheme, _, bearer = (head.get(b"authorization") or b"").strip().partition(b" ")
    if scheme.lower() == b"bearer" and bearer.strip():
        return bearer.strip().decode("latin-1")
    if head.get(b"origin") is None:
        return None
    for header in (value for name, value in head.headers if name == b"cookie"):
        for part in header.split(b";"):
            name, _, value = part.strip().partition(b"=")
            if name == COOKIE and value:
                return value.strip(b'"').decode("latin-1")
    return None
