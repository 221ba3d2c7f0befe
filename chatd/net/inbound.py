"""The bytes from a peer, counted: what every engine reads from."""

import select
import socket
from collections.abc import Callable

import trio

from chatd.core.errors import Closing
from chatd.core.ratelimit import TokenBucket
from protocol.codes import CloseCode

from .poller import Poller
from .unfinished import Turnstile, Unfinished, UnfinishedBudget

READ_BYTES = 16_384
"""Bytes read at once."""

STRANGERS_READ_BYTES = 2_048
"""Bytes read at once from peers that are not signed in: they may hold 300 frames. More within one large frame."""


class Inbound:
    """Reads a stream, or its socket where there is one. `replay`: bytes read already. `flood`: see `receive`.

    `spare`: the rate of frames that are no message of their own, None: any. `turns`: to take before each read, until
    `trust`; from then on `poller` watches the socket, where there is one. `lacking`: bytes of the frame under way that
    have not come, for whoever knows frames to say.
    """

    def __init__(
        self,
        raw: trio.abc.Stream,
        sock: socket.socket | None,
        replay: bytes,
        flood: int,
        unfinished: Unfinished,
        spare: TokenBucket | None = None,
        turns: Turnstile | None = None,
        poller: Poller | None = None,
    ) -> None:
        self._raw = raw
        self._socket = sock
        self._replay = replay
        self.flood = flood
        self.unfinished = unfinished
        self._spare = spare
        self._turns = turns
        self._chunk = READ_BYTES if turns is None else STRANGERS_READ_BYTES
        self._poller = poller
        self._frugal = turns is not None and spare is not None  # a stranger, where frames are limited
        self._pending = 0  # bytes since the last complete message, of a stranger since the beginning
        self.lacking = 0
        self.heard = trio.current_time()

    @property
    def of_stranger(self) -> bool:
        """Return True if nobody has signed in."""
        return self._turns is not None

    async def receive(self) -> bytes:
        """Some bytes, b"" at the end. Raises trio.BrokenResourceError, Closing at `flood` bytes without a message."""
        if self._replay:
            data, self._replay = self._replay, b""
            await trio.lowlevel.checkpoint()
            return data
        data = await self._receive()
        self._count(data)
        return data

    def trust(self, *, flood: int, spare: TokenBucket | None, memory: UnfinishedBudget) -> None:
        """Read what somebody who is signed in sends: with these limits, and without waiting for a turn."""
        self.flood, self._spare, self._turns, self._chunk = flood, spare, None, READ_BYTES
        self._frugal, self._pending = False, 0
        self.unfinished.move(memory)

    async def read(self, take: Callable[[bytes], bool]) -> None:
        """Give what comes to `take`, b"" at the end, until that returns False. Raises what `receive` and `take` do."""
        while self._turns is not None or self._replay:
            if not take(await self.receive()):
                return
        if self._poller is None or self._socket is None:
            while take(await self.receive()):
                pass
            return
        sock = self._socket

        def take_now() -> bool:
            data = _read_now(sock)
            if data is None:
                return True
            self._count(data)
            return take(data)

        await self._poller.attend(sock, take_now)

    def _count(self, data: bytes) -> None:
        now = trio.current_time()
        # Fragments pin far more memory than they have bytes; a kilobyte a second is left to pings and pongs.
        self._pending = max(0, self._pending - int((now - self.heard) * 1024)) + len(data)
        self.heard = now
        if self._pending > self.flood:
            if self._frugal:
                raise Closing(CloseCode.TOO_MANY, "too many bytes without signing in")
            raise Closing(CloseCode.TOO_LARGE, "too many bytes without a complete message")

    def complete(self) -> None:
        """A message is complete: count anew."""
        if not self._frugal:
            self._pending = 0
        self.unfinished.complete()

    def take_spare(self, frames: int) -> None:
        """Count pings, pongs and fragments, which no rate of requests counts. Raises Closing where it is a flood."""
        if self._spare is not None and self._spare.take(frames):
            raise Closing(CloseCode.TOO_MANY, "too many control frames or fragments")

    async def _receive(self) -> bytes:
        if self._socket is None:
            found = bytes(await self._raw.receive_some(self._next_bytes()))
            if self._turns is not None:
                await self._turns.wait()
            return found
        data = None
        while data is None:
            # Trio's stream asks the kernel first, mostly in vain; this is a third cheaper.
            await trio.lowlevel.wait_readable(self._socket)
            if self._turns is not None:
                await self._turns.wait()
                if _has_left(self._socket):
                    return b""
            data = _read_now(self._socket, self._next_bytes())
        return data

    def _next_bytes(self) -> int:
        """Return how many bytes to read: a large frame's come with fewer turns, as they cost no more than a few."""
        return max(self._chunk, min(self.lacking, READ_BYTES))


def _has_left(sock: socket.socket) -> bool:
    """Return True if the peer has ended or reset the connection, though what it sent before may be unread.

    After a flood that is megabytes of hundreds of connections, whose answers nobody would get. Only where the system
    tells.
    """
    if not hasattr(select, "POLLRDHUP"):
        return False
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))


def _read_now(sock: socket.socket, size: int = READ_BYTES) -> bytes | None:
    """Return the bytes that have come, b"" at the end, None for nothing yet. Raises trio.BrokenResourceError."""
    try:
        return sock.recv(size)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError as error:
        raise trio.BrokenResourceError from error
