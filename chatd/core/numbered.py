"""Both directions of a session without a socket of its own: numbered, kept until acknowledged, repeated on demand.

Long polling, server-sent events and Socket.IO's recovery stand on these.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

import trio

T = TypeVar("T")


class Gap(Exception):
    """Frames are missing between the last one taken and those that came; `expected`: the number to go on with."""

    def __init__(self, expected: int) -> None:
        super().__init__(f"the next frame is number {expected}")
        self.expected = expected


class NotSent(ValueError):
    """A number was acknowledged that no payload has yet."""


class NumberedSink:
    """A sink that numbers payloads from 1, and keeps each until it is acknowledged.

    `limit`: bytes of live events that may wait; `on_cut(reason)` is called once, synchronously, beyond it.
    `settled`: bytes that may be kept where it counts as drained.
    """

    def __init__(self, *, limit: int, on_cut: Callable[[str], None], settled: int = 0) -> None:
        self.limit = limit
        self._on_cut = on_cut
        self._settled = settled
        self._size = 0  # bytes kept
        self._draining = 0  # tasks that wait for it to be drained
        self._kept: deque[tuple[bytes, bool]] = deque()  # a payload, and whether it counts
        self._first = 1  # the number of the oldest one kept
        self._counted = 0
        self._cut = False
        self._changed = trio.Event()

    @property
    def last(self) -> int:
        """The number of the newest payload; 0 where there was none yet."""
        return self._first + len(self._kept) - 1

    @property
    def queued(self) -> int:
        """Bytes of live events that wait."""
        return self._counted

    @property
    def held_up(self) -> bool:
        """Return True if an acknowledgement is wanted: somebody waits for one, or half of what may wait does."""
        return (self._draining > 0 and self._size > self._settled) or self._counted > self.limit // 2

    @property
    def is_empty(self) -> bool:
        """Return True if all payloads are acknowledged, or dropped."""
        return not self._kept

    @property
    def is_cut(self) -> bool:
        """Return True if nothing new will leave any more."""
        return self._cut

    def push(self, data: bytes, *, counts: bool = True) -> None:
        """Keep a payload under the next number; never waits. After a cut nothing happens."""
        if self._cut or not data:
            return
        self._kept.append((data, counts))
        self._size += len(data)
        if counts:
            self._counted += len(data)
        self._tell()
        if self._counted > self.limit:
            self.cut("too slow")

    def acknowledge(self, number: int) -> None:
        """Forget the payloads up to `number`; one that is forgotten already changes nothing. Raises NotSent."""
        if number > self.last:
            raise NotSent(f"nothing has number {number} yet")
        while self._first <= number:
            data, counts = self._kept.popleft()
            self._first += 1
            self._size -= len(data)
            if counts:
                self._counted -= len(data)
        if self._size <= self._settled:
            self._tell()

    def take(self, after: int) -> list[tuple[int, bytes]]:
        """Acknowledge up to `after`; return what is kept behind it, with its numbers. Raises NotSent."""
        self.acknowledge(after)
        return self.behind(after)

    def behind(self, number: int) -> list[tuple[int, bytes]]:
        """Return what is kept behind this number, with its numbers; nothing is acknowledged."""
        kept = enumerate(self._kept, self._first)
        return [(each, data) for each, (data, _) in kept if each > number]

    async def news(self, after: int) -> None:
        """Wait until there is a payload behind number `after`, or the sink is cut."""
        while self.last <= after and not self._cut:
            await self._changed.wait()

    async def attention(self, after: int) -> None:
        """Wait until there is a payload behind number `after`, an acknowledgement is wanted, or the sink is cut."""
        while self.last <= after and not self._cut and not self.held_up:
            await self._changed.wait()

    async def drained(self) -> None:
        """Wait until all but `settled` bytes are acknowledged, or the sink was cut."""
        self._draining += 1
        if self.held_up:
            self._tell()  # whoever streams can have the acknowledgement made
        try:
            while self._size > self._settled and not self._cut:
                await self._changed.wait()
        finally:
            self._draining -= 1

    def cut(self, reason: str) -> None:
        """End the session: drop what waits."""
        if not self._cut:
            self._cut = True
            self._first += len(self._kept)
            self._kept.clear()
            self._counted = self._size = 0
            self._on_cut(reason)
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class NumberedInput:
    """Frames from a client that numbers them from 1: repeats are recognised, gaps refused."""

    def __init__(self) -> None:
        self.taken = 0
        """The number of the last frame taken."""

    def fresh(self, first: int, frames: Sequence[T]) -> Sequence[T]:
        """Return those of `frames`, numbered from `first`, that were not taken yet; they count as taken. Raises Gap."""
        if first > self.taken + 1:
            raise Gap(self.taken + 1)
        fresh = frames[self.taken + 1 - first :]
        self.taken += len(fresh)
        return fresh
