"""A client of Engine.IO and Socket.IO that says just what a test wants it to, over memory streams."""

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import attrs
import h11
import trio
from trio.testing import memory_stream_pair

from chatd.client.raw import BINARY, Ended, RawClient, frame, upgrade

Serve = Callable[[trio.abc.Stream], Coroutine[Any, Any, None]]
Dial = Callable[[], trio.abc.Stream]
Headers = dict[str, str]


@attrs.frozen
class Response:
    """An answer over HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def packets(self) -> list[str]:
        return self.text.split("\x1e")


def dialling(serve: Serve, nursery: trio.Nursery) -> Dial:
    """Return what opens connections to a server."""

    def connect() -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        nursery.start_soon(serve, theirs)
        return ours

    return connect


class Wire:
    """Makes requests and WebSockets to one server; each request has a connection of its own."""

    def __init__(self, connect: Dial, path: str = "/socket.io/") -> None:
        self.connect = connect
        self.path = path

    async def ask(
        self, method: str, target: str, body: bytes = b"", headers: Headers | None = None, stream: Any = None
    ) -> Response:
        """Make one request."""
        stream = stream or self.connect()
        conn = h11.Connection(h11.CLIENT)
        lines = [("Host", "localhost"), ("Content-Length", str(len(body))), *(headers or {}).items()]
        head = conn.send(h11.Request(method=method, target=target, headers=lines))
        data = conn.send(h11.Data(data=body)) if body else b""
        await stream.send_all((head or b"") + (data or b"") + (conn.send(h11.EndOfMessage()) or b""))
        response: h11.Response | None = None
        received = b""
        while True:
            event = conn.next_event()
            if event is h11.NEED_DATA:
                conn.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                received += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                raise AssertionError(f"the connection ended: {event}")
        assert response is not None
        await trio.aclose_forcefully(stream)
        names = {name.decode(): value.decode() for name, value in response.headers}
        return Response(response.status_code, names, received)

    def target(self, **query: str) -> str:
        """Return the path with a query; a client of version 4 unless said otherwise."""
        fields = {"EIO": "4", **query}
        return self.path + "?" + "&".join(f"{name}={value}" for name, value in fields.items() if value)

    async def get(self, sid: str = "", headers: Headers | None = None, **query: str) -> Response:
        """Poll."""
        return await self.ask("GET", self.target(transport="polling", sid=sid, **query), headers=headers)

    async def post(self, sid: str, body: str | bytes, headers: Headers | None = None, **query: str) -> Response:
        """Send packets."""
        data = body.encode() if isinstance(body, str) else body
        return await self.ask("POST", self.target(transport="polling", sid=sid, **query), data, headers)

    async def begin(self, headers: Headers | None = None) -> str:
        """Open a session over polling, and return its id."""
        response = await self.get(headers=headers)
        assert response.status == 200, response
        sid: str = json.loads(response.text[1:])["sid"]
        return sid

    @asynccontextmanager
    async def websocket(
        self, sid: str = "", *, headers: Headers | None = None, **query: str
    ) -> AsyncIterator["Socket"]:
        """Open a WebSocket. Raises HandshakeRefused."""
        target = self.target(transport="websocket", sid=sid, **query)
        client = RawClient(self.connect())
        await client.upgrade(upgrade(target, *(f"{name}: {value}" for name, value in (headers or {}).items())))
        yield Socket(client)
        await trio.aclose_forcefully(client.stream)


class Socket:
    """A WebSocket whose messages are read one by one."""

    def __init__(self, client: RawClient) -> None:
        self._client = client

    async def say(self, *messages: str | bytes) -> None:
        """Send messages. Raises trio.BrokenResourceError where the server is gone."""
        for message in messages:
            sent = frame(message.encode()) if isinstance(message, str) else frame(message, BINARY)
            await self._client.send(sent)

    async def hear(self) -> str | bytes:
        """Return the next message. Raises Ended."""
        with trio.fail_after(60):
            return await self._client.message()

    async def packet(self) -> str | bytes:
        """Return the next message that is no ping."""
        while (message := await self.hear()) == "2":
            await self.say("3")
        return message

    async def end(self) -> int:
        """Read on until the server closes; return its code."""
        try:
            while True:
                await self.hear()
        except Ended as ended:
            return ended.code
