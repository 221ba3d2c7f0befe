"""The client behind a proxy. X-Forwarded headers count only from a trusted peer: anybody can send them."""

import ipaddress
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Final, Literal

import attrs

from .head import Head

Scheme = Literal["http", "https"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

SCHEMES: Final[dict[bytes, Scheme]] = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}
"""Schemes that proxies write into X-Forwarded-Proto; some name WebSockets' own."""

_WITH_PORT: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::(\d{1,5}))?", re.ASCII)


@attrs.frozen
class PeerClient:
    """A client, and the scheme that it uses.

    `address`: host and port, 0 where the port isn't known; None: there is none.
    """

    address: tuple[str, int] | None
    scheme: Scheme


class Proxies:
    """`trusted`: addresses and networks of proxies, like "10.0.0.0/8". Raises ValueError for anything else."""

    def __init__(self, trusted: Collection[str]) -> None:
        self._trusted = [ipaddress.ip_network(network, strict=False) for network in trusted]

    def client(self, head: Head, peer: tuple[str, int] | None, scheme: Scheme) -> PeerClient:
        """Return the client behind a request that came from `peer` by `scheme`.

        The last address in X-Forwarded-For that is no trusted proxy; what stands before it, anybody may have written.
        Where an entry makes no sense, the proxy that wrote it is the client.
        """
        if peer is None or not self._is_trusted(_address(peer[0])):
            return PeerClient(peer, scheme)
        client = peer
        for entry in _backwards(head, b"x-forwarded-for"):
            parsed = _parsed(entry)
            if parsed is None:
                break
            client = (str(parsed[0]), parsed[1])
            if not self._is_trusted(parsed[0]):
                break
        # Only the last is surely the trusted proxy's own word.
        said = next(_backwards(head, b"x-forwarded-proto"), b"").lower()
        return PeerClient(client, SCHEMES.get(said, scheme))

    def trusts(self, peer: str) -> bool:
        """Return True if this peer is a trusted proxy."""
        return self._is_trusted(_address(peer))

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def _backwards(head: Head, name: bytes) -> Iterator[bytes]:
    """The items of a list-valued header, over all its lines, the last one first."""
    for value in reversed(head.all(name)):
        for item in reversed(value.split(b",")):
            yield item.strip()


def _parsed(entry: bytes) -> tuple[Address, int] | None:
    """Address and port of "192.0.2.1", "192.0.2.1:5", "2001:db8::1" or "[2001:db8::1]:5"; 0 where there is no port."""
    text = entry.decode("latin-1")
    match = _WITH_PORT.fullmatch(text)
    host, port = (match[1] or match[2], int(match[3] or 0)) if match else (text, 0)
    address = _address(host)
    return (address, port) if address is not None and port < 65536 else None


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    with suppress(ValueError):
        address = ipaddress.ip_address(text)
        if isinstance(address, ipaddress.IPv6Address):
            return None if address.scope_id else address.ipv4_mapped or address
        return address
    return None
