"""Credentials in the headers of a request or of a WebSocket handshake."""

from chatd.core.identity import Carried
from chatd.net.head import Head

COOKIE = b"chatd_session"


def carried(head: Head) -> Carried:
    """Return the token of `Authorization: Bearer`, and the session cookie.

    A browser sends cookies along whoever makes it, so the cookie counts only where the handshake says from which origin
    it comes: then that was checked.
    """
    return Carried(bearer=_bearer(head), cookie=None if head.get(b"origin") is None else _cookie(head))


def _bearer(head: Head) -> str | None:
    scheme, _, bearer = (head.get(b"authorization") or b"").strip().partition(b" ")
    if scheme.lower() == b"bearer" and bearer.strip():
        return bearer.strip().decode("latin-1")
    return None


def _cookie(head: Head) -> str | None:
    for header in (value for name, value in head.headers if name == b"cookie"):
        for part in header.split(b";"):
            name, _, value = part.strip().partition(b"=")
            if name == COOKIE and value:
                return value.strip(b'"').decode("latin-1")
    return None
