"""Gives memory back to the system after a flood: the C library keeps it otherwise."""

import ctypes
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import trio

TRIM_EVERY_S: Final = 2.0
GROWN_BYTES: Final = 16 * 1024 * 1024
"""Less is not worth a look at the heap, which may take 20 ms."""
CONNECTION_BYTES: Final = 32 * 1024
"""Bytes that a connection holds besides, more or less."""
CALM_BYTES: Final = 1024 * 1024
"""Growth between two looks that is no flood any more."""
STATM: Final = Path("/proc/self/statm")


class Trimmer:
    """Calls `trim` once memory has grown by `GROWN_BYTES` since the last time, and hardly grows any more.

    `resident`: bytes of memory that the process has now; `held`: those of them that are surely in use, for a while.
    These don't count: once they are free, the process has as much as before, and nothing else would tell.
    """

    def __init__(
        self, resident: Callable[[], int], trim: Callable[[], Awaitable[None]], held: Callable[[], int] = lambda: 0
    ) -> None:
        self._resident = resident
        self._trim = trim
        self._held = held

    async def run(self) -> None:
        """Look every two seconds, until cancelled."""
        before = self._resident()
        least = before - self._held()
        while True:
            await trio.sleep(TRIM_EVERY_S)
            now, held = self._resident(), self._held()
            if now - held >= least + GROWN_BYTES and now - before < CALM_BYTES:
                await self._trim()
                now, held = self._resident(), self._held()
                least = now - held  # what is left is in use
            least = min(least, now - held)
            before = now


def resident_bytes() -> int:
    """Return the memory of this process, 0 where the system doesn't tell (proc(5), statm)."""
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


async def trim_malloc() -> None:
    """Have glibc return what is free at any place of its heap; elsewhere nothing happens."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        await trio.to_thread.run_sync(trim, 0)  # ctypes lets go of the GIL
