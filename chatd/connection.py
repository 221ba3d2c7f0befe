"""One WebSocket connection, and the one place that knows trio-websocket: reader, writer, heartbeat, feeder.

trio-websocket keeps the protocol's state and reads; everything that leaves, its own pongs and close frames included,
goes through the outbox, in order. Each guard here answers something that was seen to break it (`docs/decisions/`).
"""

import socket
from collections.abc import Callable

import attrs
import structlog
import trio
import trio_websocket
from wsproto.utilities import ProtocolError

from protocol.codes import CloseCode, ErrorCode
from protocol.decode import BadRequest, Malformed, decode_request
from protocol.types import RequestId

from .catchup import Feeder
from .dispatch import dispatch
from .errors import Closing, Refusal
from .limits import TokenBucket
from .outbox import Cork, Outbox, Transport
from .services import Services
from .session import Session
from .transport import SocketTransport, StreamTransport
from .wire import PING, WebSocketJson, close_frame

log = structlog.get_logger("chatd.connection")

SUBPROTOCOL = "chat.v1.json"
RECEIVE = 16_384
"""Bytes read at once."""

QUEUE = 8
"""Messages that trio-websocket may have parsed ahead: fewer switches between its task and ours."""

LINGER_BYTES = 4 * 1024 * 1024
"""What a peer may still send after our close frame, so that it reads the frame instead of a reset."""

CLOSE = b"\x88"
"""How a close frame begins."""

GONE = 1006
"""What stands for a connection that ended without a close frame."""

PATIENCE = 100
"""Requests over the rate limit in a row before the connection is closed."""


PEERS_DOING = (
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio_websocket.ConnectionClosed,
    trio_websocket.HandshakeError,
    ProtocolError,
)
"""What a peer can make trio-websocket and the stream raise."""


@attrs.frozen
class Times:
    """Seconds: for the handshake, until `hello`, between pings, without progress, for closing."""

    handshake: float
    hello: float
    heartbeat: float
    write: float
    close: float


@attrs.frozen
class Rates:
    """Token buckets of one connection: tokens a second, and how many are saved up. None: no limit."""

    per_second: float
    burst: float


class GuardedStream(trio.abc.Stream):
    """What trio-websocket reads from and writes to: replays the handshake, counts, and sends by the outbox."""

    def __init__(
        self, raw: trio.abc.Stream, sock: socket.socket | None, replay: bytes, outbox: Outbox, flood: int
    ) -> None:
        self._raw = raw
        self._socket = sock
        self._replay = replay
        self._outbox = outbox
        self._flood = flood
        self._closed = False
        self.heard = trio.current_time()
        self.pending = 0  # bytes since the last complete message
        self.said_goodbye = False  # a close frame has left

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._closed:
            raise trio.ClosedResourceError
        if self._replay:
            data, self._replay = self._replay[:max_bytes], self._replay[max_bytes or len(self._replay) :]
            await trio.lowlevel.checkpoint()
            return data
        data = await self._receive(max_bytes)
        now = trio.current_time()
        # Fragments pin far more memory than they have bytes; a kilobyte a second is left to pings and pongs.
        self.pending = max(0, self.pending - int((now - self.heard) * 1024)) + len(data)
        self.heard = now
        if self.pending > self._flood:
            raise trio.BrokenResourceError("too many bytes without a complete message")
        return data

    async def _receive(self, max_bytes: int | None) -> bytes:
        if self._socket is None:
            return bytes(await self._raw.receive_some(max_bytes))
        while True:
            # Trio's stream asks the kernel first, mostly in vain; this is a third cheaper.
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(max_bytes or RECEIVE)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                raise trio.BrokenResourceError from error

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


class Connection:
    """The life of one connection. `stop` ends it from outside."""

    def __init__(
        self,
        raw: trio.abc.Stream,
        services: Services,
        cork: Cork,
        times: Times,
        *,
        outbox_bytes: int,
        rates: Rates | None,
        user_bucket: Callable[[str], TokenBucket] | None,
        sock: socket.socket | None = None,
    ) -> None:
        self._raw = raw
        self._socket = sock
        self._services = services
        self._times = times
        transport: Transport = StreamTransport(raw) if sock is None else SocketTransport(sock)
        self.outbox = Outbox(transport, cork, limit=outbox_bytes, stalled=times.write, on_cut=self._on_cut)
        self.session = Session(services.new_id(), self.outbox, WebSocketJson())
        self.feeder = Feeder(self.session, services.gate)
        self.session.feed = self.feeder.feed
        self.ended = trio.Event()
        self._body = trio.CancelScope()
        self._closing: Closing | None = None
        self._receiving = False
        self._bucket = TokenBucket(rates.per_second, rates.burst, trio.current_time) if rates else None
        self._user_bucket = user_bucket
        self._refused = 0
        self._clean = False
        self._log = log.bind(session=self.session.id)

    async def run(self, replay: bytes) -> None:
        """Serve until either side ends it. `replay`: what was read of the stream already. Raises nothing."""
        flood = 2 * self._services.limits.max_frame_bytes
        self._stream = GuardedStream(self._raw, self._socket, replay, self.outbox, flood)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.outbox.run)
                try:
                    async with trio.open_nursery() as engine:  # with trio-websocket's own reader
                        websocket = await self._shake_hands(engine)
                        if websocket is not None:
                            engine.start_soon(self._heartbeat)
                            engine.start_soon(self.feeder.run)
                            with self._body:
                                await self._read(websocket)
                            await self._say_goodbye(websocket)
                        engine.cancel_scope.cancel()
                except* Exception as group:
                    self._note_failure(group)
                await self._linger()
                nursery.cancel_scope.cancel()
        except* Exception as group:
            self._note_failure(group)
        finally:
            self._forget()
            self.ended.set()
            await trio.aclose_forcefully(self._raw)

    def stop(self, code: CloseCode, reason: str) -> None:
        """Close with this code, unless it is closing already."""
        if self._closing is None:
            self._closing = Closing(code, reason)
            self._body.cancel()

    # -- the parts of its life --

    async def _shake_hands(self, nursery: trio.Nursery) -> trio_websocket.WebSocketConnection | None:
        with trio.move_on_after(self._times.handshake):
            request = await trio_websocket.wrap_server_stream(
                nursery,
                self._stream,
                message_queue_size=QUEUE,
                max_message_size=self._services.limits.max_frame_bytes,
                receive_buffer_size=RECEIVE,
            )
            chosen = SUBPROTOCOL if SUBPROTOCOL in request.proposed_subprotocols else None
            return await request.accept(subprotocol=chosen)
        return None

    async def _read(self, websocket: trio_websocket.WebSocketConnection) -> None:
        deadline = trio.current_time() + self._times.hello
        try:
            while True:
                self._receiving = True
                if self.session.user is None:
                    message: str | bytes | None = None
                    with trio.move_on_at(deadline):
                        message = await websocket.get_message()
                    if message is None:
                        raise Closing(CloseCode.NO_HELLO, "no hello")
                else:
                    message = await websocket.get_message()
                self._receiving = False
                self._stream.pending = 0
                if isinstance(message, bytes):
                    raise Closing(CloseCode.BINARY, "text frames only")
                await self._serve(message)
        except Closing as closing:
            self._closing = closing
        except trio_websocket.ConnectionClosed as closed:
            code = closed.reason.code if closed.reason is not None else GONE
            if code != GONE and not self._stream.said_goodbye:
                # A frame that breaks the protocol: trio-websocket reports it as the peer's close, and answers nothing.
                self.outbox.push(close_frame(code, "broken frame"), counts=False)
            else:
                self._clean = code not in (GONE, CloseCode.TOO_LARGE)
        finally:
            self._receiving = True

    async def _serve(self, text: str) -> None:
        wait = self._over_limit()
        try:
            request = decode_request(text, self._services.limits)
        except Malformed as error:
            raise Closing(error.code, error.reason) from None
        except BadRequest as error:
            self._refuse(Refusal(ErrorCode.BAD_REQUEST, error.message), error.re, wait)
            return
        if wait:
            self._refuse(None, request.id, wait)
            return
        self._refused = 0
        known = self.session.user
        await dispatch(self._services, self.session, self.feeder, request)
        if known is None and self.session.user is not None:
            self._log = self._log.bind(user=self.session.user.id)
            self._log.info("signed in", connections=len(self._services.registry.of(self.session.user.id)))

    def _refuse(self, refusal: Refusal | None, re: RequestId | None, wait: float) -> None:
        """Answer with the refusal, or that there are too many requests; whoever goes on and on is cut off."""
        if wait:
            self._refused += 1
            if self._refused > PATIENCE:
                raise Closing(CloseCode.TOO_MANY, "too many requests")
            refusal = Refusal(ErrorCode.RATE_LIMITED, "too many requests", retry_after=round(wait, 3))
        assert refusal is not None
        self.session.send(refusal.frame(re))

    def _over_limit(self) -> float:
        wait = self._bucket.take() if self._bucket is not None else 0.0
        if not wait and self._user_bucket is not None and self.session.user is not None:
            wait = self._user_bucket(self.session.user.id).take()
        return wait

    async def _heartbeat(self) -> None:
        interval = self._times.heartbeat
        while True:
            await trio.sleep(interval)
            # While a request is being served nothing is read, and silence says nothing.
            if self._receiving and trio.current_time() - self._stream.heard >= 2 * interval:
                self.stop(CloseCode.SILENT, "silent")
                return
            self.outbox.push(PING)

    async def _say_goodbye(self, websocket: trio_websocket.WebSocketConnection) -> None:
        """Close with our code, if it is ours to close, and wait a bounded time for the peer's answer."""
        closing = self._closing
        if closing is not None:
            with trio.move_on_after(self._times.close):
                if self.outbox.is_cut:
                    self.outbox.part_with(close_frame(closing.code, closing.reason))
                await websocket.aclose(closing.code, closing.reason)
                self._clean = self._stream.said_goodbye
                if not self._clean:  # the peer broke the protocol meanwhile, and trio-websocket has closed by itself
                    self.outbox.push(close_frame(closing.code, closing.reason), counts=False)
        code = int(closing.code) if closing else None
        self._log.info("closed", code=code, reason=closing.reason if closing else "by the peer")

    async def _linger(self) -> None:
        """Let what is queued leave, and read on until the peer ends, a bounded time.

        Closing a socket with unread bytes sends a reset, and the close frame would be lost.
        """
        with trio.move_on_after(self._times.close):
            await self.outbox.drained()
            if self._clean:
                return
            if isinstance(self._raw, trio.abc.HalfCloseableStream):
                await self._raw.send_eof()
            taken = 0
            while taken < LINGER_BYTES:
                data = await self._raw.receive_some(RECEIVE)
                if not data:
                    return
                taken += len(data)

    def _note_failure(self, group: BaseExceptionGroup[Exception]) -> None:
        """The peer went away or broke the protocol, in the middle of closing perhaps; or it is a bug of ours."""
        ours = group.split(PEERS_DOING)[1]
        if ours is not None:
            self._log.error("connection failed", exc_info=ours)

    def _on_cut(self, reason: str) -> None:
        if reason != "gone":
            self._log.warning("cut", reason=reason)
        self.stop(CloseCode.TOO_SLOW, "too slow")

    def _forget(self) -> None:
        user = self.session.user
        self.outbox.cut("gone")
        if user is not None and self.session in self._services.registry.of(user.id):
            last = self._services.registry.remove(user.id, self.session)
            self._services.rooms.lost(self.session)
            if last:
                self._services.presence.depart(user.id)
