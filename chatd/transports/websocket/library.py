"""The engine that is trio-websocket: the handshake, frames, and the state of closing are its own.

Each guard here, and around it in `connection.py`, answers something that was seen to break it (`docs/decisions/0001`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio
import trio_websocket

from chatd.core.errors import Closing
from chatd.core.outbox import Outbox
from chatd.net.head import Head
from chatd.net.inbound import Inbound
from protocol.codes import CloseCode

from .engine import PeerLeft
from .framing import CLOSE, PONG, close_frame
from .handshake import BadHandshake, accept_key

QUEUED_MESSAGES = 8
"""Messages that it may have parsed ahead: fewer switches between its task and ours."""

FRAGMENT_BYTES = 64
"""Bytes that the library keeps of a fragment beside its text, until the message is complete."""

ABNORMAL_CLOSURE = 1006
"""Code that the library reports where no close frame was seen (RFC 6455, section 7.4.1)."""


class GuardedStream(trio.abc.Stream):
    """The stream that trio-websocket works on. Its writes, pongs and close frames too, go by the outbox."""

    def __init__(self, inbound: Inbound, outbox: Outbox, held: Callable[[], int]) -> None:
        self._inbound = inbound
        self._outbox = outbox
        self._held = held
        self._closed = False
        self._after_head: bytes | None = None
        self.accepted = trio.Event()
        self.said_goodbye = False  # a close frame has left
        self.closing: Closing | None = None  # why the stream broke, where that was our doing

    async def receive_some(self, _max_bytes: int | None = None) -> bytes:
        if self._closed:
            raise trio.ClosedResourceError
        if self._after_head is None:
            # Bytes in one packet with the handshake would stay unread until the next packet.
            head, end, self._after_head = (await self._inbound.receive()).partition(b"\r\n\r\n")
            return head + end
        await self.accepted.wait()
        if self._after_head:
            rest, self._after_head = self._after_head, b""
            return rest
        with self._guard():
            self._inbound.unfinished.hold(self._held())
            return await self._inbound.receive()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        # Before anything else, as what fails in trio-websocket's reader meanwhile cancels whoever waits here.
        self._outbox.push(bytes(data))
        self.said_goodbye |= data[:1] == CLOSE
        if data[:1] == PONG:
            with self._guard():
                self._inbound.take_spare(1)
        await trio.lowlevel.checkpoint()

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Break the stream where the peer is to be closed: any other exception would end trio-websocket's nursery."""
        try:
            yield
        except Closing as closing:
            self.closing = closing
            raise trio.BrokenResourceError from None

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self._closed = True
        await trio.lowlevel.checkpoint()


class LibraryEngine:
    """An `Engine` on trio-websocket. `subprotocol`: chosen where the client proposes it."""

    def __init__(self, head: Head, inbound: Inbound, outbox: Outbox, *, max_message: int, subprotocol: str) -> None:
        self._head = head
        self._inbound = inbound
        self._outbox = outbox
        self._stream = GuardedStream(inbound, outbox, self._held)
        self._websocket: trio_websocket.WebSocketConnection | None = None
        self._max_message = max_message
        self._subprotocol = subprotocol

    @property
    def heard(self) -> float:
        return self._inbound.heard

    def _held(self) -> int:
        if self._websocket is None:
            return 0
        parts = self._websocket._message_parts  # nothing public tells
        return self._websocket._message_size + FRAGMENT_BYTES * len(parts)

    async def shake_hands(self, nursery: trio.Nursery) -> bool:
        try:
            accept_key(self._head)  # or it would answer by itself, and then wait for a handshake
        except BadHandshake as error:
            self._outbox.push(error.answer(), counts=False)
            return False
        request = await trio_websocket.wrap_server_stream(
            nursery, self._stream, message_queue_size=QUEUED_MESSAGES, max_message_size=self._max_message
        )
        chosen = self._subprotocol if self._subprotocol in request.proposed_subprotocols else None
        self._websocket = await request.accept(subprotocol=chosen)
        self._stream.accepted.set()
        return True

    def expect(self, max_message: int) -> None:
        assert self._websocket is not None
        self._websocket._max_message_size = max_message  # it has no way to change it

    def discard(self) -> None:
        self._websocket = None

    async def receive(self, take: Callable[[str | bytes], bool]) -> None:
        while take(await self._next()):
            pass

    async def _next(self) -> str | bytes:
        assert self._websocket is not None
        try:
            message = await self._websocket.get_message()
        except trio_websocket.ConnectionClosed as closed:
            if self._stream.closing is not None:
                raise self._stream.closing from None
            code = closed.reason.code if closed.reason is not None else ABNORMAL_CLOSURE
            if code != ABNORMAL_CLOSURE and not self._stream.said_goodbye:
                # A frame that breaks the protocol: it reports that as the peer's close, and answers nothing.
                self._outbox.push(close_frame(code, "broken frame"), counts=False)
                raise PeerLeft(clean=False) from None
            raise PeerLeft(clean=code not in (ABNORMAL_CLOSURE, CloseCode.TOO_LARGE)) from None
        self._inbound.complete()
        return message

    async def say_goodbye(self, code: CloseCode, reason: str) -> bool:
        if self._outbox.is_cut:
            self._outbox.say_last(close_frame(code, reason))
        assert self._websocket is not None
        await self._websocket.aclose(code, reason)
        if not self._stream.said_goodbye:  # the peer broke the protocol meanwhile, and it has closed by itself
            self._outbox.push(close_frame(code, reason), counts=False)
        return self._stream.said_goodbye
