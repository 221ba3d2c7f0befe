"""Origins whose pages may ask for anything. A browser sends cookies and reaches this machine from any page: only its
`Origin` and `Host` tell."""

import ipaddress
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from .head import Head

DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


class Origins:
    """Origins are compared as browsers send them (RFC 6454, section 6.2), byte by byte; what differs is refused.

    `allowed`: origins of other sites. `hosts`: names under which this server's own pages are known; a name that an
    attacker's DNS points here is not among them. In development mode anybody is whoever they say: so this server
    answers to names of this machine only, and to its pages. `exposed`: any name is taken, and pages of that same host.
    """

    def __init__(
        self,
        *,
        development: bool = False,
        exposed: bool = False,
        allowed: Collection[str] = (),
        hosts: Collection[str] = (),
    ) -> None:
        self._development = development
        self._exposed = exposed
        self._allowed = frozenset(allowed)
        self._hosts = frozenset(hosts)

    def refusal(self, head: Head, scheme: str) -> str | None:
        """Return the reason to refuse the handshake, or None. `scheme`: by which the browser reached us."""
        for name in (b"host", b"origin"):
            if len(head.all(name)) > 1:
                return f"two {name.decode()} headers"
        host = (head.get(b"host") or b"").decode("latin-1")
        found = head.get(b"origin")
        if self._development and not self._exposed and not _is_local(_name(f"//{host}")):
            return "development mode serves this machine only, by its loopback address or localhost"
        if found is None or self._allows(found.decode("latin-1"), host, scheme):
            return None  # without an origin it is not a browser's page
        return "the page's origin is not allowed"

    def allows(self, head: Head, scheme: str) -> bool:
        """Return whether the request comes from a page of an allowed origin; one without an origin does not."""
        return head.get(b"origin") is not None and self.refusal(head, scheme) is None

    def _allows(self, origin: str, host: str, scheme: str) -> bool:
        if origin in self._allowed:
            return True
        return self._is_of_development(origin, host) if self._development else self._is_own(origin, host, scheme)

    def _is_own(self, origin: str, host: str, scheme: str) -> bool:
        shown = host.removesuffix(DEFAULT_PORTS[scheme])  # browsers leave it out, some proxies put it in
        return origin == f"{scheme}://{shown}" and _without_port(host) in self._hosts

    def _is_of_development(self, origin: str, host: str) -> bool:
        page = _name(origin)
        return _is_local(page) or bool(page and urlsplit(origin).netloc.lower() == host.lower())


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isascii() and port.isdigit() else host


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def has_local_host(head: Head) -> bool:
    """Return whether the request was addressed to a name of this machine alone."""
    hosts = head.all(b"host")
    return len(hosts) == 1 and _is_local(_name(f"//{hosts[0].decode('latin-1')}"))


def _is_local(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
