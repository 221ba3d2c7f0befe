"""Frames over a WebSocket."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import trio
import trio_websocket

from protocol.decode import Malformed

from .http import Dial
from .line import FAILURES, MAX_FRAME_BYTES, QUEUED_ITEMS, LineEnded, LineOver
from .target import ServerAddress


class WatchedStream(trio.abc.Stream):
    """Notes when something was heard, and tells when the peer goes in the middle of the handshake."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.heard = trio.current_time()
        self.shaking_hands = True

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        with self._impatient():
            data = bytes(await self._stream.receive_some(max_bytes))
            if not data and self.shaking_hands:
                raise trio.BrokenResourceError
        self.heard = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with self._impatient():
            await self._stream.send_all(data)

    @contextmanager
    def _impatient(self) -> Iterator[None]:
        """A peer that is gone before it shook hands ends the connection: trio-websocket would wait on."""
        try:
            yield
        except trio.BrokenResourceError:
            if self.shaking_hands:
                raise LineOver("the server hung up") from None
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class WebSocketLine:
    """Frames over a WebSocket."""

    def __init__(self, websocket: trio_websocket.WebSocketConnection, stream: WatchedStream) -> None:
        self._websocket = websocket
        self._stream = stream

    @classmethod
    async def over(
        cls,
        stream: trio.abc.Stream,
        target: ServerAddress,
        nursery: trio.Nursery,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> "WebSocketLine":
        """Shake hands over a stream; what runs in the nursery ends it with an `LineOver` or one of `FAILURES`."""
        watched = WatchedStream(stream)
        websocket = await trio_websocket.wrap_client_stream(
            nursery,
            watched,  # type: ignore[arg-type]  # any stream does
            target.netloc,
            target.resource,
            subprotocols=["chat.v1.json"],
            extra_headers=[*headers],
            message_queue_size=QUEUED_ITEMS,
            max_message_size=MAX_FRAME_BYTES + 1,
        )
        watched.shaking_hands = False
        return cls(websocket, watched)

    @property
    def heard(self) -> float:
        """Time at which the last bytes came, pings of the server included."""
        return self._stream.heard

    async def send(self, text: str) -> None:
        """Send a frame. Raises LineEnded."""
        try:
            await self._websocket.send_message(text)
        except trio_websocket.ConnectionClosed as closed:
            raise _ended(closed) from None

    async def receive(self) -> str:
        """Return the next frame. Raises LineEnded or Malformed."""
        try:
            text = await self._websocket.get_message()
        except trio_websocket.ConnectionClosed as closed:
            raise _ended(closed) from None
        if not isinstance(text, str):
            raise Malformed("a binary frame")
        return text

    async def goodbye(self) -> None:
        """Shake hands in closing; waits for the peer without limit."""
        await self._websocket.aclose()


def _ended(closed: trio_websocket.ConnectionClosed) -> LineEnded:
    reason = closed.reason
    return LineEnded(reason.code if reason else None, reason.reason if reason else None)


async def works(dial: Dial, target: ServerAddress, patience: float) -> bool:
    """Return whether a frame gets through in time, and its answer back; the server tells strangers to say hello."""
    answered = False
    try:
        with trio.fail_after(patience):
            stream = await dial()
            try:
                async with trio.open_nursery() as nursery:
                    line = await WebSocketLine.over(stream, target, nursery)
                    await line.send('{"type":"ping","id":0}')
                    await line.receive()
                    answered = True
                    nursery.cancel_scope.cancel()
            finally:
                await trio.aclose_forcefully(stream)
    except* (LineOver, LineEnded, *FAILURES):
        pass
    return answered
