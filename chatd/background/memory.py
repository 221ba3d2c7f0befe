"""Gives memory back to the system after many connections have left: the C library keeps it otherwise."""

import ctypes
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import trio

INTERVAL_S: Final = 2.0
MANY_CONNECTIONS: Final = 100
"""Fewer don't hold enough to look for it."""


class Trimmer:
    """Calls `trim`, which may take 20 ms, when fewer than half of many connections are left. `connections`: now."""

    def __init__(self, connections: Callable[[], int], trim: Callable[[], Awaitable[None]]) -> None:
        self._connections = connections
        self._trim = trim

    async def run(self) -> None:
        """Look every two seconds, until cancelled."""
        most = 0
        while True:
            await trio.sleep(INTERVAL_S)
            now = self._connections()
            if most >= MANY_CONNECTIONS and now < most / 2:
                await self._trim()
                most = now
            most = max(most, now)


async def trim_malloc() -> None:
    """Have glibc return what is free at any place of its heap; elsewhere nothing happens."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        await trio.to_thread.run_sync(trim, 0)  # ctypes lets go of the GIL
