"""One WebSocket connection of a client: requests out, frames in, in order; and how it came about and ended."""

import itertools
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import attrs
import trio
import trio_websocket
from wsproto.utilities import ProtocolError

from protocol.codes import may_come_back
from protocol.decode import Malformed, decode_frame
from protocol.encode import encode
from protocol.frames import Error, Frame, GoingAway, Ok
from protocol.requests import Request
from protocol.types import RequestId

MAX_FRAME = 1024 * 1024
"""Bytes that a frame from the server may have."""

NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"})
"""OpenSSL's reasons where the peer speaks something else than TLS."""

QUEUE = 64
"""Requests that wait for the network, and frames that wait to be read."""


class RequestFailed(Exception):
    """The server said no. `temporary`: the same may succeed later, in `retry_after` s where that is given."""

    def __init__(self, error: Error) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.code = error.code
        self.message = error.message
        self.temporary = error.temporary
        self.retry_after = error.retry_after


class LinkLost(Exception):
    """The connection ended before the answer came."""


class Over(Exception):
    """The end of a connection.

    `wait`: s that the server asked for; `fatal`: don't come back; `cause`: what broke it, of TLS or the network.
    """

    def __init__(
        self,
        reason: str,
        *,
        code: int | None = None,
        wait: float | None = None,
        fatal: bool = False,
        cause: BaseException | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.wait = wait
        self.fatal = fatal
        self.cause = cause

    @classmethod
    def by(cls, error: BaseException) -> "Over":
        """Return the end that one of `FAILURES` means."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, Over):
            return error
        if isinstance(error, trio_websocket.ConnectionRejected):
            # An answer of HTTP: 408, 429 and what the server is to blame for may pass.
            status = error.status_code
            final = 400 <= status < 500 and status not in (408, 429)
            return cls(f"the server answered {status}{_words(error)}", fatal=final)
        if isinstance(error, trio.TooSlowError):
            return cls("the server doesn't answer")
        if isinstance(error, ssl.SSLCertVerificationError):
            return cls(f"the server's certificate is not trusted here: {error.verify_message}", cause=error)
        if isinstance(error, ssl.SSLError):
            plain = error.reason in NO_TLS
            return cls("it answers without TLS: is its address http://?" if plain else str(error), cause=error)
        if isinstance(error, OSError):
            return cls(_words_of(error), cause=error)
        return cls(str(error) or type(error).__name__)


def _words_of(error: OSError) -> str:
    """Return why there is no connection, for people."""
    if isinstance(error, socket.gaierror):
        return f"its name is not known here ({error.strerror})"
    tried = error.__cause__  # Trio's, of several addresses
    while isinstance(tried, BaseExceptionGroup):
        tried = tried.exceptions[0]
    if isinstance(tried, OSError):
        error = tried
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there (connection refused)"
    return error.strerror or str(error) or type(error).__name__


def _words(answer: trio_websocket.ConnectionRejected) -> str:
    """Return the body in one line, where it is meant for people, as by a server that speaks TLS only."""
    headers = {name.lower(): value for name, value in answer.headers}
    if not headers.get(b"content-type", b"").startswith(b"text/plain"):
        return ""
    line = (answer.body or b"")[:200].decode(errors="replace").partition("\n")[0].strip()
    return f": {line}" if line else ""


FAILURES = (
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
    trio_websocket.HandshakeError,
    ProtocolError,
    Malformed,
)
"""What ends a connection without an `Over`."""


@attrs.define(eq=False)
class Asked:
    """A request on its way. `reply` is None when the connection was lost."""

    request: Request
    done: trio.Event = attrs.Factory(trio.Event)
    reply: Ok | Error | None = None

    async def answer(self) -> Ok:
        """Raises RequestFailed or LinkLost."""
        await self.done.wait()
        if self.reply is None:
            raise LinkLost
        if isinstance(self.reply, Error):
            raise RequestFailed(self.reply)
        return self.reply


class Watched(trio.abc.Stream):
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
                raise Over("the server hung up") from None
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class Link:
    """One connection. `take` gets each frame but errors, an `ok` with its request and before the asker."""

    def __init__(
        self,
        websocket: trio_websocket.WebSocketConnection,
        stream: Watched,
        take: Callable[[Frame, Request | None], None],
    ) -> None:
        self._websocket = websocket
        self._stream = stream
        self._take = take
        self._ids = itertools.count(1)
        self._asked: dict[RequestId, Asked] = {}
        self._types: dict[RequestId, str] = {}
        self._out, self._queue = trio.open_memory_channel[str](QUEUE)
        self._reconnect_in: float | None = None
        self.ended = trio.Event()

    @classmethod
    async def over(
        cls,
        stream: trio.abc.Stream,
        target: "Target",
        nursery: trio.Nursery,
        take: Callable[[Frame, Request | None], None],
    ) -> "Link":
        """Shake hands over a stream; what runs in the nursery ends it with an `Over` or one of `FAILURES`."""
        watched = Watched(stream)
        websocket = await trio_websocket.wrap_client_stream(
            nursery,
            watched,  # type: ignore[arg-type]  # any stream does
            target.netloc,
            target.resource,
            subprotocols=["chat.v1.json"],
            message_queue_size=QUEUE,
            max_message_size=MAX_FRAME + 1,
        )
        watched.shaking_hands = False
        return cls(websocket, watched, take)

    @property
    def heard(self) -> float:
        """When the last bytes came, pings of the server included."""
        return self._stream.heard

    async def start(self, request: Request) -> Asked:
        """Send a request. Raises LinkLost."""
        id = next(self._ids)
        asked = Asked(copy(request, id=id))
        self._asked[id] = asked
        self._types[id] = request.TYPE
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._out.send(encode(asked.request).decode())
            return asked
        await self.ended.wait()  # who repeats at once must find that this link is gone
        raise LinkLost

    async def ask(self, request: Request) -> Ok:
        """Raises RequestFailed or LinkLost."""
        return await (await self.start(request)).answer()

    async def write(self) -> None:
        """Send what is queued; nobody else may, as a send that is cancelled leaves half a frame."""
        async with self._queue:
            async for text in self._queue:
                try:
                    await self._websocket.send_message(text)
                except trio_websocket.ConnectionClosed:
                    return  # the reader says how

    async def read(self) -> None:
        """Take frames in until the end. Raises Over or Malformed."""
        try:
            while True:
                text = await self._websocket.get_message()
                if not isinstance(text, str):
                    raise Malformed("a binary frame")
                self._receive(decode_frame(text, self._types))
        except trio_websocket.ConnectionClosed as closed:
            raise self._end(closed.reason) from None
        finally:
            self.ended.set()
            self._out.close()
            for asked in self._asked.values():
                asked.done.set()

    async def goodbye(self) -> None:
        """The closing handshake; waits for the peer without limit."""
        await self._websocket.aclose()

    def _receive(self, frame: Frame) -> None:
        asked = None
        if isinstance(frame, Ok | Error) and frame.re is not None:
            asked = self._asked.pop(frame.re, None)
            self._types.pop(frame.re, None)
        if isinstance(frame, GoingAway):
            self._reconnect_in = frame.reconnect_in
        if not isinstance(frame, Error):
            self._take(frame, asked.request if asked else None)
        if asked is not None and isinstance(frame, Ok | Error):
            asked.reply = frame
            asked.done.set()

    def _end(self, reason: trio_websocket.CloseReason | None) -> Over:
        code = reason.code if reason else None
        said = (reason.reason if reason else None) or "the connection broke"
        return Over(said, code=code, wait=self._reconnect_in, fatal=not may_come_back(code))


@attrs.frozen
class Target:
    """The server that a URL names. `netloc`: as in the `Host` header; `resource`: path and query."""

    host: str
    port: int
    tls: bool
    netloc: str
    resource: str

    @classmethod
    def of(cls, url: str) -> "Target":
        """Raises ValueError for what is no URL of a server."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
            raise ValueError(f"{url!r} is no URL of a server: expected one like http://127.0.0.1:3001")
        tls = parts.scheme in ("https", "wss")
        path = parts.path if parts.path not in ("", "/") else "/ws"
        resource = f"{path}?{parts.query}" if parts.query else path
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls, parts.netloc.rpartition("@")[2], resource)

    async def dial(self, context: ssl.SSLContext | None = None) -> trio.abc.Stream:
        """Connect; `context`: how a server's certificate is judged, where not by the system's rules. Raises OSError."""
        stream = await trio.open_tcp_stream(self.host, self.port)
        stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        if not self.tls:
            return stream
        context = context or ssl.create_default_context()
        encrypted = trio.SSLStream(stream, context, server_hostname=self.host, https_compatible=True)
        try:
            await encrypted.do_handshake()
        except trio.BrokenResourceError as error:
            await trio.aclose_forcefully(stream)
            if isinstance(error.__cause__, ssl.SSLError):  # an OSError that says why, of a certificate above all
                raise error.__cause__ from None
            raise
        return encrypted


def copy(request: Request, **changed: Any) -> Request:
    """The request with other fields."""
    evolve: Any = attrs.evolve  # mypy doesn't know the protocol's classes as attrs'
    made: Request = evolve(request, **changed)
    return made
