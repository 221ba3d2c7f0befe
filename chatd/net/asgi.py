"""Answers one HTTP/1.1 request by an ASGI 3 application: h11 below, Trio around, no lifespan."""

from collections.abc import Callable
from re import IGNORECASE, sub
from traceback import walk_tb
from typing import Final
from urllib.parse import unquote

import h11
import structlog
import trio
from starlette.types import ASGIApp, Message, Scope

from .bounds import Bounds
from .framing import GO_ON, Framing
from .head import Head
from .linger import LINGER_S, linger
from .problem import plain_answer
from .proxies import PeerClient
from .quick import QuickStream

STREAM_CHUNK_BYTES: Final = 64 * 1024
"""Bytes read or written at once."""
CHUNK_OVERHEAD_BYTES: Final = 8
"""Times its bytes that a body may take on its way: chunks of one byte take six; what is more are extensions."""
MIN_BODY_BYTES_PER_S: Final = 1024
"""Rate below which a request's body uses up the patience with it."""
READ_WHOLE: Final = (h11.DONE, h11.MIGHT_SWITCH_PROTOCOL)  # type: ignore[attr-defined]  # documented, but not exported
"""States of a peer whose request was read whole; the second where it asked for an upgrade, and gets none."""
PEER_GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError)

log = structlog.get_logger("chatd.front")


def split_target(target: bytes) -> tuple[str, bytes, bytes]:
    """Split a request's target, which may be a whole URL (RFC 9112, 3.2.2), into path, raw path and query."""
    raw_path, _, query = sub(rb"^https?://[^/?]*", b"", target, flags=IGNORECASE).partition(b"?")
    raw_path = raw_path or b"/"
    return unquote(raw_path.decode("ascii")), raw_path, query


async def write(stream: trio.abc.Stream, data: bytes, patience: float) -> None:
    """Send `data`, each chunk of it within `patience` seconds.

    Raises trio.TooSlowError if the peer does not read, trio.BrokenResourceError if it is gone. After these, and after
    a cancellation, part of a chunk may be out: write nothing more.
    """
    done = stream.send_now(data[:STREAM_CHUNK_BYTES]) if isinstance(stream, QuickStream) else 0
    for start in range(done, len(data), STREAM_CHUNK_BYTES):
        with trio.fail_after(patience):
            await stream.send_all(data[start : start + STREAM_CHUNK_BYTES])


class Exchange:
    """One request and its answer. `conn` has just returned `request`; the stream belongs to the exchange until it ends.

    `patience`, in seconds, is how long a peer may make no progress in reading or in sending.
    When `accepting()` is false as the answer starts, the connection ends with it.
    """

    def __init__(
        self,
        conn: h11.Connection,
        request: h11.Request,
        head: Head,
        stream: trio.abc.Stream,
        *,
        bounds: Bounds,
        patience: float,
        accepting: Callable[[], bool],
    ) -> None:
        self._conn = conn
        self._request = request
        self._head = head
        self._stream = stream
        self._bounds = bounds
        self._body_until = trio.current_time() + bounds.body_s
        self._accepting = accepting
        self._received = 0
        self._read_bytes = 0
        self._declared = 0  # bytes of the body, where it is not chunked
        self._patience = self._patience_left = patience
        self._start: Message | None = None  # held back until the first body message, to leave in one write with it
        self._continued = False  # the peer was told to send its body
        self._framing = Framing(
            bodyless=request.method == b"HEAD",
            chunks=request.http_version != b"1.0",
            closes=request.http_version == b"1.0" or head.has_token(b"connection", b"close"),
        )
        self._over = False  # nothing more is to be said: the peer is gone, or was refused
        self._listening = trio.CancelScope()

    @property
    def signed_in(self) -> bool:
        """Return True if the request had a credential, and nothing was wrong with it."""
        shown = self._head.get(b"authorization") or self._head.get(b"cookie")
        return shown is not None and 0 < self._framing.status < 400

    @property
    def _answered(self) -> bool:
        return self._framing.ended

    async def run(self, app: ASGIApp, client: PeerClient) -> bytes | None:
        """Answer by `app`, which finds the head in its state. Return what arrived behind the request.

        None if the connection is to be closed.

        Errors of `app` are logged, and answered by a 500 if nothing was sent. Raises trio.BrokenResourceError if the
        peer resets the connection after the answer.
        """
        head = self._head
        path = head.path
        _, _, query = split_target(self._request.target)
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},  # 2.4: send raises OSError once the peer is gone
            "http_version": self._request.http_version.decode(),
            "method": self._request.method.decode(),
            "scheme": client.scheme,
            "path": path,
            "raw_path": head.raw_path.encode(),
            "query_string": query,
            "root_path": "",
            "headers": head.headers,
            "client": client.address,
            "server": None,
            "state": {"head": head},
        }
        self._declared = int(head.get(b"content-length") or 0)
        if self._declared > self._bounds.body_bytes:
            await self._refuse_size()
            return await self._finish()
        try:
            await app(scope, self._receive, self._send)
            if not self._answered and not self._over:
                raise RuntimeError("the application returned before its answer was complete")
        except Exception as error:
            # Neither the error's text nor the query: both may hold what a patient wrote. Once the exchange is over,
            # an error is most often the application's way of noticing.
            report = log.debug if self._over else log.error
            where = [f"{frame.f_globals.get('__name__')}:{line}" for frame, line in walk_tb(error.__traceback__)]
            report("http_failed", method=scope["method"], path=path, error=type(error).__qualname__, where=where[-5:])
            if not self._answered:
                await self._refuse(500, "internal", "something went wrong here", temporary=True)
        return await self._finish()

    async def _receive(self) -> Message:
        """ASGI's receive: the body, then, once, that the peer left or was answered."""
        if not self._over and not self._answered:
            if self._conn.their_state is not h11.SEND_BODY:
                await self._departure()
            elif (event := await self._next_event()) is not None:
                if not isinstance(event, h11.Data):
                    return {"type": "http.request", "body": b"", "more_body": False}
                more = self._received < self._declared or not self._declared
                if not more:
                    self._conn.next_event()  # the end, which needs no more bytes
                return {"type": "http.request", "body": bytes(event.data), "more_body": more}
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        """ASGI's send. Raises ConnectionResetError once the exchange is over, Nonsense for what can't be sent."""
        if self._over:
            raise ConnectionResetError("the peer is gone")
        if message["type"] == "http.response.start":
            self._start = message
            return
        data = b""
        more = message.get("more_body", False)
        if self._start is not None:
            status, headers = self._start["status"], list(self._start.get("headers", ()))
            self._start = None
            bodyless = self._framing.bodyless or status in (204, 304)
            # A client that still waits for the 100 may send its body or not: only closing is unambiguous.
            waiting = self._conn.they_are_waiting_for_100_continue and not self._continued
            close = waiting or (bodyless and more) or not self._accepting()
            data += self._framing.head(status, headers, close=close)
        data += self._framing.body(message.get("body", b""))
        if self._framing.bodyless or not more:
            data += self._framing.end()
        await self._write(data)
        self._over |= self._framing.bodyless and more  # or HEAD would run a stream that has no end, that nobody gets
        if self._over:
            raise ConnectionResetError("the peer is gone")

    async def _next_event(self) -> h11.Data | h11.EndOfMessage | None:
        """Wait for the next piece of the body; None if there is none to expect any more."""
        waiting = self._conn.they_are_waiting_for_100_continue and not self._continued
        if waiting and not self._framing.started and not self._over:
            self._continued = True
            await self._write(GO_ON)
        try:
            while (event := self._conn.next_event()) is h11.NEED_DATA:
                if not (data := await self._read()):
                    self._over = True
                    return None
                self._conn.receive_data(data)
                self._read_bytes += len(data)
                if self._read_bytes > CHUNK_OVERHEAD_BYTES * self._received + 2 * STREAM_CHUNK_BYTES:
                    raise h11.RemoteProtocolError("chunks whose extensions are far longer than they")
        except h11.RemoteProtocolError:
            await self._refuse(400, "bad_request", "the body is malformed")
            return None
        if isinstance(event, h11.Data):
            self._received += len(event.data)
            if self._received > self._bounds.body_bytes:
                await self._refuse_size()
                return None
            return event
        assert isinstance(event, h11.EndOfMessage)
        return event

    async def _read(self) -> bytes:
        """Read some of the body; b"" if the peer is gone, or was too slow for too long."""
        asked = trio.current_time()
        data = b""
        try:
            with trio.move_on_at(min(asked + self._patience_left, self._body_until)):
                data = bytes(await self._stream.receive_some(STREAM_CHUNK_BYTES))
        except PEER_GONE:
            return b""
        left = self._patience_left - (trio.current_time() - asked) + len(data) / MIN_BODY_BYTES_PER_S
        self._patience_left = min(self._patience, left)
        return data

    async def _write(self, data: bytes) -> None:
        written = False
        try:
            await write(self._stream, data, self._patience)
            written = True
        except (trio.TooSlowError, *PEER_GONE):
            pass
        finally:
            # Cancelled by the application's own deadline, a write leaves the stream torn as well.
            self._over |= not written
            if self._answered or self._over:
                self._listening.cancel()

    async def _departure(self) -> None:
        """Wait until the peer leaves or is answered. Pipelined bytes are kept, up to a chunk or two."""
        with trio.CancelScope() as self._listening:
            while len(self._conn.trailing_data[0]) < STREAM_CHUNK_BYTES:
                try:
                    data = await self._stream.receive_some(STREAM_CHUNK_BYTES)
                except PEER_GONE:
                    return
                if not data:
                    return
                self._conn.receive_data(bytes(data))
            await trio.sleep_forever()

    async def _refuse(self, status: int, code: str, message: str, *, temporary: bool = False) -> None:
        """Answer in the application's place, if nothing was sent yet; either way the exchange is over."""
        if not self._framing.started and not self._over:
            bodyless = self._request.method == b"HEAD"
            self._over = True
            await self._write(plain_answer(status, code, message, temporary=temporary, bodyless=bodyless))
        self._over = True

    async def _refuse_size(self) -> None:
        await self._refuse(413, "too_large", f"a body has at most {self._bounds.body_bytes} bytes here")

    async def _finish(self) -> bytes | None:
        """Read what the application left of the body, so that the next request is found behind it."""
        if self._conn.their_state not in READ_WHOLE:
            with trio.move_on_after(LINGER_S):
                while self._conn.their_state is h11.SEND_BODY and await self._next_event() is not None:
                    pass
                if self._conn.their_state in (h11.SEND_BODY, h11.ERROR):
                    await linger(self._stream)
        closes = self._over or not self._framing.ended or self._framing.closes
        if closes or self._conn.their_state not in READ_WHOLE:
            return None
        return self._conn.trailing_data[0]
