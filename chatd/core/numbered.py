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
    """

    def __init__(self, *, limit: int, on_cut: Callable[[str], None]) -> None:
        self.limit = limit
        self._on_cut = on_cut
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
    def is_cut(self) -> bool:
        """Whether nothing new will leave any more."""
        return self._cut

    def push(self, data: bytes, *, counts: bool = True) -> None:
        """Keep a payload under the next number; never waits. After a cut nothing happens."""
        if self._cut or not data:
            return
        self._kept.append((data, counts))
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
            if counts:
                self._counted -= len(data)
        if not self._kept:
            self._tell()

    def take(self, after: int) -> list[tuple[int, bytes]]:
        """Acknowledge up to `after`; return what is kept behind it, with its numbers. Raises NotSent."""
        self.acknowledge(after)
        return [(number, data) for number, (data, _) in enumerate(self._kept, self._first)]

    async def news(self, after: int) -> None:
        """Wait until there is a payload behind number `after`, or the sink is cut."""
        while self.last <= after and not self._cut:
            await self._changed.wait()

    async def drained(self) -> None:
        """Wait until everything is acknowledged, or the sink was cut."""
        while self._kept and not self._cut:
            await self._changed.wait()

    def cut(self, reason: str) -> None:
        """End the session: drop what waits."""
        if not self._cut:
            self._cut = True
            self._first += len(self._kept)
            self._kept.clear()
            self._counted = 0
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
