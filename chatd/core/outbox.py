"""The outbox of one connection: straight to the socket while nothing waits, else queued for a writer task.

Only live events count against the bound: a client that doesn't read is cut, and syncs when it is back. Replies that
may be large, and catch-up, are made one at a time when the outbox is empty.
"""

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

import trio

WRITE_BYTES = 65_536
"""Bytes joined for one write."""

FEW_FRAMES = 64
"""Frames of a queue that is looked at as a whole; a longer one is gone through up to WRITE_BYTES."""

UNREAD_BURST_FACTOR = 8
"""Multiple of the bound that may be queued while the peer still reads, and only the writer task had no turn yet."""


class Transport(Protocol):
    """The socket or stream that bytes leave by."""

    @property
    def busy(self) -> bool:
        """Return True if something that was taken has not left yet."""
        ...

    def try_write(self, data: bytes) -> int:
        """Take what goes without waiting, and say how many bytes. Raises OSError where the peer is gone."""
        ...

    def blocked(self) -> bool:
        """Return True if what waits waits for the peer to read, and not for a turn of the writer task."""
        ...

    async def writable(self) -> None:
        """Wait until `try_write` would take more. Raises OSError or trio.BrokenResourceError."""
        ...


class Gatherer(Protocol):
    """Something in front of an outbox that gathers, too."""

    def flush(self) -> None:
        """Give what was gathered to the outbox."""
        ...


class Cork:
    """Holds back the writes of outboxes while it is on; when it comes off, each leaves in one write."""

    def __init__(self) -> None:
        self.on = False
        self._gathered: list[Outbox] = []
        self._first: list[Gatherer] = []

    def gather(self, outbox: "Outbox") -> None:
        self._gathered.append(outbox)

    def gather_first(self, gathers: Gatherer) -> None:
        """Have it flushed before the outboxes are."""
        self._first.append(gathers)

    def __enter__(self) -> None:
        self.on = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if self._first:
                first, self._first = self._first, []
                for each in first:
                    each.flush()
        finally:
            self.on = False
            gathered, self._gathered = self._gathered, []
            for outbox in gathered:
                outbox.flush()


def _nothing(reason: str) -> None:
    """Do nothing."""


class Outbox:
    """One connection's way out. `limit`: bytes of live events that may wait; `stalled`: s without any progress.

    `on_cut(reason)` is called once, synchronously, when the connection must end: "too slow", "stalled" or "gone".
    """

    def __init__(
        self, transport: Transport, cork: Cork, *, limit: int, stalled: float, on_cut: Callable[[str], None]
    ) -> None:
        self._transport = transport
        self._cork = cork
        self.limit = limit
        self._stalled = stalled
        self._on_cut = on_cut
        self._queue: deque[tuple[bytes, bool]] = deque()  # a frame, and whether it counts
        self._offset = 0  # bytes of the first frame that have left
        self._counted = 0
        self._gathering = False
        self._cut = False
        self._wake = trio.Event()
        self._empty = trio.Event()
        self._empty.set()

    @property
    def queued(self) -> int:
        """Bytes of live events that wait."""
        return self._counted

    def push(self, data: bytes, *, counts: bool = True) -> None:
        """Queue whole frames; never waits. After a cut it does nothing."""
        if self._cut or not data:
            return
        queue = self._queue
        queue.append((data, counts))
        if counts:
            self._counted += len(data)
        if self._cork.on:
            if not self._gathering:
                self._gathering = True
                self._cork.gather(self)
        elif len(queue) == 1:
            self.flush()
        if self._counted > self.limit:
            self.flush()
            if self._counted > self.limit * UNREAD_BURST_FACTOR or (
                self._counted > self.limit and self._transport.blocked()
            ):
                self.cut("too slow")

    def flush(self) -> None:
        """Give the transport what it takes at once; the writer task sees to the rest."""
        self._gathering = False
        while self._queue and not self._transport.busy:
            data, frames = self._next()
            try:
                taken = self._transport.try_write(data)
            except OSError:
                self.cut("gone")
                return
            if taken < len(data):
                self._took(taken)
                break
            self._took_frames(frames)
        if self._queue or self._transport.busy:
            if self._empty.is_set():
                self._empty = trio.Event()
            self._wake.set()
        else:
            self._empty.set()

    def _next(self) -> tuple[bytes, int]:
        """Return the next bytes to write, several small frames joined, and how many frames end with them."""
        queue = self._queue
        first = queue[0][0]
        if self._offset:
            return first[self._offset :], 1
        if len(queue) == 1 or len(first) >= WRITE_BYTES:
            return first, 1
        if len(queue) <= FEW_FRAMES:
            parts = [data for data, _ in queue]
            if sum(map(len, parts)) <= WRITE_BYTES:
                return b"".join(parts), len(parts)
        size, parts = 0, []
        for data, _ in queue:
            size += len(data)
            if size > WRITE_BYTES and parts:
                break
            parts.append(data)
        return b"".join(parts), len(parts)

    def _took_frames(self, frames: int) -> None:
        self._offset = 0
        queue = self._queue
        if frames == len(queue):  # mostly
            queue.clear()
            self._counted = 0
            return
        for _ in range(frames):
            data, counts = queue.popleft()
            if counts:
                self._counted -= len(data)

    def _took(self, taken: int) -> None:
        taken += self._offset
        while self._queue and taken >= len(self._queue[0][0]):
            data, counts = self._queue.popleft()
            taken -= len(data)
            if counts:
                self._counted -= len(data)
        self._offset = taken

    async def run(self) -> None:
        """The writer task: drains what the transport did not take at once."""
        while True:
            while not (self._queue or self._transport.busy):
                self._wake = trio.Event()
                await self._wake.wait()
            try:
                with trio.move_on_after(self._stalled) as waiting:
                    await self._transport.writable()
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                self.cut("gone")
                return
            if waiting.cancelled_caught:
                self.cut("stalled")
                return
            self.flush()

    async def drained(self) -> None:
        """Wait until nothing is queued (or the outbox was cut)."""
        while not self._empty.is_set():
            await self._empty.wait()

    @property
    def is_cut(self) -> bool:
        """Return True if nothing new will leave any more."""
        return self._cut

    def cut(self, reason: str) -> None:
        """End the connection: drop what waits, but for the rest of a frame that has left in part."""
        if self._cut:
            return
        self._cut = True
        rest = self._queue[0][0][self._offset :] if self._queue and self._offset else b""
        self._queue.clear()
        self._offset = self._counted = 0
        if reason == "gone":
            rest = b""
        on_cut, self._on_cut = self._on_cut, _nothing  # it would hold its connection until the collector comes by
        on_cut(reason)
        if rest:
            self._queue.append((rest, False))
        self._empty.set()
        self._wake.set()

    def say_last(self, last: bytes) -> None:
        """A close frame: behind what is queued, and also after a cut, for a peer that may read on."""
        self._queue.append((last, False))
        self.flush()
