"""Which pages may open a WebSocket. A browser sends cookies and reaches this machine from any page: only its `Origin`
and `Host` tell."""

import ipaddress
from urllib.parse import urlsplit

from .head import Head


class Origins:
    """In development mode anybody is whoever they say: so only pages of this machine, under a name of this machine.

    `exposed`: any host name is taken, and pages of that same host.
    """

    def __init__(self, *, development: bool, exposed: bool) -> None:
        self._development = development
        self._exposed = exposed

    def refusal(self, head: Head) -> str | None:
        """Why the handshake is refused, or None."""
        host = (head.get(b"host") or b"").decode("latin-1")
        origin = head.get(b"origin")
        if self._development and not self._exposed and not _is_local(_name(f"//{host}")):
            return "development mode serves this machine only, by its loopback address or localhost"
        if origin is None:
            return None  # not a browser's page
        page = _name(origin.decode("latin-1"))
        if _is_local(page) and self._development:
            return None
        if page and urlsplit(origin.decode("latin-1")).netloc.lower() == host.lower():
            return None
        return "the page's origin is not allowed"


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_local(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
