"""Requests of this machine itself."""

import ipaddress

from chatd.net.head import Head


def is_local(head: Head, client: tuple[str, int] | None) -> bool:
    """Return whether a program of this machine asks for itself: a proxy that passes requests on says so in a header."""
    passed_on = any(name in (b"forwarded", b"via") or name.startswith(b"x-forwarded-") for name, _ in head.headers)
    return client is not None and not passed_on and ipaddress.ip_address(client[0].partition("%")[0]).is_loopback
