"""Limits by address: how many connections one may have, and how fast it may ask."""

import ipaddress
from collections import Counter
from collections.abc import Callable
from functools import lru_cache

import trio

from chatd.core.ratelimit import Buckets

IPV6_PREFIX_BITS = 64
"""A household or office has a network of its own: a limit for single addresses would limit nobody."""


@lru_cache(maxsize=4096)
def source_of(address: str) -> str:
    """Return what stands for an address in the limits: itself, or its network of IPv6."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, IPV6_PREFIX_BITS), strict=False))


class Addresses:
    """`connections`: of one address; `rate`, `burst`: of its requests and, apart from them, its new connections.

    `rate` None: as many as it likes.
    """

    def __init__(
        self,
        *,
        connections: int,
        rate: float | None,
        burst: float,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._clock = clock
        self._open: Counter[str] = Counter()
        self.replace(connections=connections, rate=rate, burst=burst)

    def replace(self, *, connections: int, rate: float | None, burst: float) -> None:
        """Go by other limits; those connected stay."""
        self._most = connections
        self._buckets = None if rate is None else Buckets(rate, burst, self._clock)
        self._new = None if rate is None else Buckets(rate, burst, self._clock)  # connections

    def enter(self, address: str) -> bool:
        """Count a connection; False: the address has or makes as many as it may, and this one was not counted."""
        source = source_of(address)
        if self._open[source] >= self._most or (self._new and self._new.of(source).take()):
            return False
        self._open[source] += 1
        return True

    def leave(self, address: str) -> None:
        """Count one less."""
        source = source_of(address)
        self._open[source] -= 1
        if not self._open[source]:
            del self._open[source]

    def wait(self, address: str) -> float:
        """Take a request of this address: 0, or the seconds until it may ask again."""
        return 0.0 if self._buckets is None else self._buckets.of(source_of(address)).take()
