"""A Socket.IO client of the chat over memory streams: events by name, acknowledgements by a call."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from chatd.client.raw import Ended
from chatd.testing import Server

from .engineio import Headers, Socket, Wire

OFFSET_CHARS = 20


class ConnectError(Exception):
    """The namespace refused the client."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__(data["message"])
        self.data = data


class SioClient:
    """One client. `events`: what came, as name and arguments, without the place that ends each."""

    def __init__(self, socket: Socket, namespace: str) -> None:
        self._socket = socket
        self._within = "" if namespace == "/" else f"{namespace},"
        self._ids = itertools.count(0)
        self._acks: dict[int, Any] = {}
        self._news = trio.Event()
        self.events: list[tuple[str, Any]] = []
        self.sid = ""
        self.pid: str | None = None
        self.offset: str | None = None
        self.disconnected = False
        self.lost = trio.Event()

    async def join(self, auth: dict[str, Any] | None) -> None:
        """CONNECT. Raises ConnectError."""
        await self._socket.say("40" + self._within + ("" if auth is None else json.dumps(auth)))
        answer = str(await self._socket.packet())
        data = json.loads(answer[2:].removeprefix(self._within))
        if answer.startswith("44"):
            raise ConnectError(data)
        assert answer.startswith("40"), answer
        self.sid, self.pid = data["sid"], data.get("pid")

    async def read(self) -> None:
        """Take what comes, until the connection ends."""
        try:
            while True:
                self.take(str(await self._socket.packet()))
        except (Ended, trio.BrokenResourceError, trio.TooSlowError):
            self.lost.set()
            self._news.set()

    def take(self, packet: str) -> None:
        """Take a packet."""
        kind, rest = packet[:2], packet[2:].removeprefix(self._within)
        if kind == "41":
            self.disconnected = True
        elif kind == "42":
            name, *arguments = json.loads(rest)
            if self.pid is not None and len(arguments[-1]) == OFFSET_CHARS:
                self.offset = arguments.pop()
            self.events.append((name, arguments[0]))
        else:
            assert kind == "43", packet
            number, _, values = rest.partition("[")
            assert int(number) not in self._acks, "acknowledged twice"
            (self._acks[int(number)],) = json.loads("[" + values)
        self._news.set()
        self._news = trio.Event()

    async def emit(self, event: str, *data: Any) -> None:
        """Emit without acknowledgement."""
        await self._socket.say(f"42{self._within}" + json.dumps([event, *data]))

    async def ask(self, event: str, *data: Any) -> Any:
        """Emit, and return what acknowledges it."""
        number = next(self._ids)
        await self._socket.say(f"42{self._within}{number}" + json.dumps([event, *data]))
        with trio.fail_after(120):
            while number not in self._acks:
                assert not self.lost.is_set(), "the connection ended"
                await self._news.wait()
        return self._acks[number]

    async def next(self, name: str) -> Any:
        """Return the data of the next event of this name, and forget those before it."""
        with trio.fail_after(60):
            while True:
                for at, (found, data) in enumerate(self.events):
                    if found == name:
                        del self.events[: at + 1]
                        return data
                assert not self.lost.is_set(), f"the connection ended before {name}"
                await self._news.wait()

    def named(self, name: str) -> list[Any]:
        """Return the data of all events of this name that were not taken yet."""
        return [data for found, data in self.events if found == name]


@asynccontextmanager
async def sio(
    server: Server,
    auth: dict[str, Any] | None,
    *,
    path: str = "/socket.io/",
    namespace: str = "/",
    headers: Headers | None = None,
    **query: str,
) -> AsyncIterator[SioClient]:
    """Connect a client by WebSocket; at the end the connection is lost, without a word."""
    wire = Wire(server.dial, path)
    async with wire.websocket(headers=headers, **query) as socket:
        assert str(await socket.hear())[0] == "0"
        client = SioClient(socket, namespace)
        await client.join(auth)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.read)
            yield client
            nursery.cancel_scope.cancel()
