"""The engine that is trio-websocket: the handshake, frames, and the state of closing are its own.

Each guard here, and around it in `connection.py`, answers something that was seen to break it (`docs/decisions/0001`).
"""

from collections.abc import Callable

import trio
import trio_websocket

from chatd.core.outbox import Outbox
from chatd.net.head import Head
from chatd.net.inbound import Inbound
from protocol.codes import CloseCode

from .engine import PeerLeft
from .framing import CLOSE, close_frame

QUEUE = 8
"""Messages that it may have parsed ahead: fewer switches between its task and ours."""

GONE = 1006
"""What it reports where no close frame was seen (RFC 6455, section 7.4.1)."""


class GuardedStream(trio.abc.Stream):
    """What trio-websocket reads from and writes to. What it writes, its pongs and close frames, goes by the outbox."""

    def __init__(self, inbound: Inbound, outbox: Outbox) -> None:
        self._inbound = inbound
        self._outbox = outbox
        self._closed = False
        self.said_goodbye = False  # a close frame has left

    async def receive_some(self, _max_bytes: int | None = None) -> bytes:
        if self._closed:
            raise trio.ClosedResourceError
        return await self._inbound.receive()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        # Before anything else, as what fails in trio-websocket's reader meanwhile cancels whoever waits here.
        self._outbox.push(bytes(data))
        self.said_goodbye |= data[:1] == CLOSE
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self._closed = True
        await trio.lowlevel.checkpoint()


class LibraryEngine:
    """An `Engine` on trio-websocket. `subprotocol`: chosen where the client proposes it."""

    def __init__(self, head: Head, inbound: Inbound, outbox: Outbox, *, max_message: int, subprotocol: str) -> None:
        del head  # it reads the handshake again, from the bytes
        self._inbound = inbound
        self._outbox = outbox
        self._stream = GuardedStream(inbound, outbox)
        self._max_message = max_message
        self._subprotocol = subprotocol

    @property
    def heard(self) -> float:
        return self._inbound.heard

    async def shake_hands(self, nursery: trio.Nursery) -> bool:
        request = await trio_websocket.wrap_server_stream(
            nursery, self._stream, message_queue_size=QUEUE, max_message_size=self._max_message
        )
        chosen = self._subprotocol if self._subprotocol in request.proposed_subprotocols else None
        self._websocket = await request.accept(subprotocol=chosen)
        return True

    async def receive(self, take: Callable[[str | bytes], bool]) -> None:
        while take(await self._next()):
            pass

    async def _next(self) -> str | bytes:
        try:
            message = await self._websocket.get_message()
        except trio_websocket.ConnectionClosed as closed:
            code = closed.reason.code if closed.reason is not None else GONE
            if code != GONE and not self._stream.said_goodbye:
                # A frame that breaks the protocol: it reports that as the peer's close, and answers nothing.
                self._outbox.push(close_frame(code, "broken frame"), counts=False)
                raise PeerLeft(clean=False) from None
            raise PeerLeft(clean=code not in (GONE, CloseCode.TOO_LARGE)) from None
        self._inbound.complete()
        return message

    async def say_goodbye(self, code: CloseCode, reason: str) -> bool:
        if self._outbox.is_cut:
            self._outbox.say_last(close_frame(code, reason))
        await self._websocket.aclose(code, reason)
        if not self._stream.said_goodbye:  # the peer broke the protocol meanwhile, and it has closed by itself
            self._outbox.push(close_frame(code, reason), counts=False)
        return self._stream.said_goodbye
