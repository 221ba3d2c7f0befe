"""Credentials in the headers of a request or of a WebSocket handshake."""

from chatd.core.identity import Carried
from chatd.net.head import Head

SESSION_COOKIE = b"chatd_session"


def carried(head: Head) -> Carried:
    """Return what a handshake shows.

    A browser sends cookies along whoever makes it, so the cookie counts only where the handshake says from which origin
    it comes: then that was checked.
    """
    return shown(head, cookies=head.get(b"origin") is not None)


def shown(head: Head, *, cookies: bool) -> Carried:
    """Return the token of `Authorization: Bearer` and, where `cookies` count, the session cookie and the others."""
    if not cookies:
        return Carried(bearer=_bearer(head))
    own, others = _cookies(head)
    return Carried(bearer=_bearer(head), cookie=own, cookies=others)


def _bearer(head: Head) -> str | None:
    scheme, _, bearer = (head.get(b"authorization") or b"").strip().partition(b" ")
    if scheme.lower() == b"bearer" and bearer.strip():
        return bearer.strip().decode("latin-1")
    return None


def _cookies(head: Head) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """Return the session cookie, and the others; of one name the first counts, as it does for web apps."""
    found: dict[bytes, str] = {}
    for header in head.all(b"cookie"):
        for part in header.split(b";"):
            name, _, value = part.strip().partition(b"=")
            if name and value:
                found.setdefault(name, value.strip(b'"').decode("latin-1"))
    own = found.pop(SESSION_COOKIE, None)
    return own, tuple((name.decode("latin-1"), value) for name, value in found.items())
