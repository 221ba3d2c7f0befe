"""Credentials in the headers of a request or of a WebSocket handshake."""

from chatd.core.identity import Carried
from chatd.net.head import Head

COOKIE = b"chatd_session"


def carried(head: Head) -> Carried:
    """Return what a handshake shows.

    A browser sends cookies along whoever makes it, so the cookie counts only where the handshake says from which origin
    it comes: then that was checked.
    """
    return shown(head, cookies=head.get(b"origin") is not None)


def shown(head: Head, *, cookies: bool) -> Carried:
    """Return the token of `Authorization: Bearer` and, where `cookies` count, the session cookie."""
    return Carried(bearer=_bearer(head), cookie=_cookie(head) if cookies else None)


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
