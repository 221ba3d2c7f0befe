"""One HTTP connection of the daemon over memory streams, and a client that reads its answers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import attrs
import h11
import trio
from starlette.types import ASGIApp, Receive, Scope, Send
from trio.testing import memory_stream_pair

from chatd.net.front import serve
from chatd.net.head import Head
from chatd.testing import Server

UPGRADE = (
    b"GET /ws?v=1 HTTP/1.1\r\nHost: clinic\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
GET = b"GET /one HTTP/1.1\r\nHost: clinic\r\n\r\n"
CHUNKED = b"POST /two HTTP/1.1\r\nHost: clinic\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"


def hostile(random: Random, *right: bytes) -> bytes:
    """Random bytes: pure, behind a valid start, or strewn into valid requests."""
    scripts = right or (GET, CHUNKED, UPGRADE)
    noise = random.randbytes(random.randrange(200))
    if random.random() < 0.3:
        return noise
    script = bytearray(random.choice(scripts) + random.choice([*scripts, noise]))
    for _ in range(random.randrange(4)):
        script[random.randrange(len(script))] = random.choice(b"\r\n\x00 :,;9\xff" + noise)
    return bytes(script[: random.randrange(len(script) * 2)])


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """The client's end of a connection: raw bytes go out, `answer` parses what comes back, one answer at a time."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._rest = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def answer(self, method: str = "GET") -> Answer:
        """Read the answer to a request by `method`, interim answers included in none but their own call."""
        conn = h11.Connection(h11.CLIENT)
        conn.send(h11.Request(method=method, target="/", headers=[("Host", "clinic")]))
        conn.send(h11.EndOfMessage())
        if self._rest:
            conn.receive_data(self._rest)
        head: h11.Response | h11.InformationalResponse | None = None
        body = b""
        while not isinstance(event := conn.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                conn.receive_data(bytes(await self.stream.receive_some()))
            elif isinstance(event, h11.InformationalResponse):
                head = event
                break
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                raise AssertionError(f"no answer but {event}")
        assert head is not None
        self._rest = conn.trailing_data[0]
        return Answer(head.status_code, {key.decode(): value.decode() for key, value in head.headers}, body)

    async def ask(self, method: str, target: str, body: bytes = b"", host: str = "clinic", **headers: str) -> Answer:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return await self.answer(method)

    async def is_closed(self) -> bool:
        """Wait for the server's next bytes; true if there are none but the end."""
        return not self._rest and not await self.stream.receive_some()


@asynccontextmanager
async def calling(server: Server, peer: tuple[str, int] = ("127.0.0.1", 5000)) -> AsyncIterator[Client]:
    """An HTTP connection to a daemon in the test that comes from this address."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.daemon.server.serve_stream, theirs, None, peer)
        yield Client(ours)
        await ours.aclose()


@attrs.define
class Upgrades:
    """Takes WebSocket handshakes, and reads each connection to its end."""

    taken: list[tuple[Head, bytes]] = attrs.field(factory=list)

    async def __call__(self, head: Head, raw: bytes, stream: trio.abc.Stream) -> None:
        async for data in stream:
            raw += data
        self.taken.append((head, raw))


@asynccontextmanager
async def served(
    app: ASGIApp,
    on_websocket: Callable[[Head, bytes, trio.abc.Stream], Any] | None = None,
    *,
    pair: Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]] = memory_stream_pair,
    accepting: Callable[[], bool] = lambda: True,
    **options: Any,
) -> AsyncIterator[Client]:
    """Serve one connection as the daemon does; at the end the client leaves, and then the server must be done."""
    ours, theirs = pair()

    async def connection() -> None:
        async with theirs:
            await serve(theirs, app, on_websocket or Upgrades(), accepting=accepting, **options)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection)
        yield Client(ours)
        await trio.aclose_forcefully(ours)
        nursery.cancel_scope.deadline = trio.current_time() + 120
    assert not nursery.cancel_scope.cancelled_caught, "the connection did not end with its client"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer by the path, and the body if there is one."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": scope["path"].encode() + b" " + body})


class Resetting(trio.abc.Stream):
    """Gives `data` in pieces of `size` bytes; is reset by the peer after them, or on write number `writes`."""

    def __init__(self, data: bytes, size: int, writes: int) -> None:
        self._pieces = [data[start : start + size] for start in range(0, len(data), size)]
        self._writes = writes

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self._pieces:
            raise trio.BrokenResourceError
        return self._pieces.pop(0)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        if self._writes == 0:
            raise trio.BrokenResourceError
        self._writes -= 1

    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        raise NotImplementedError
