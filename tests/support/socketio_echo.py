"""The plain test server that the published protocol suites of Engine.IO and Socket.IO expect.

    python tests/support/socketio_echo.py PORT

Engine.IO alone, at /engine.io/, echoes every message. Socket.IO, at /socket.io/, greets with `auth`, answers `message`
with `message-back`, and acknowledges `message-with-ack`; in the main namespace and in /custom.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, Generic, TypeVar
from urllib.parse import parse_qsl

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatd.core.identity import NOTHING, Carried
from chatd.core.outbox import Cork
from chatd.net import front
from chatd.net.bounds import Bounds
from chatd.net.head import Head
from chatd.net.unfinished import MemoryShares
from chatd.transports.engineio.answers import answer
from chatd.transports.engineio.application import Receiver
from chatd.transports.engineio.engine import EngineServer
from chatd.transports.engineio.link import LinkParts, WebSocketLink
from chatd.transports.engineio.packets import message
from chatd.transports.engineio.session import EngineSession
from chatd.transports.engineio.settings import EngineSettings
from chatd.transports.socketio.connection import Namespace, NamespaceMember, NamespacePlace, SocketioConnection
from chatd.transports.socketio.packets import Packet, SocketioKind
from chatd.transports.websocket.engine import MakeEngine
from chatd.transports.websocket.own import OwnEngine

SETTINGS: Final = EngineSettings(ping_interval=0.3, ping_timeout=0.2, max_payload=1_000_000)
CONNECT_TIMEOUT_S: Final = 1.0
NAMESPACES: Final = ("/", "/custom")

Received = TypeVar("Received")


class Echo(Generic[Received]):
    """A session or a member that only answers: `answer` is called with all that comes."""

    def __init__(self, answer: Callable[[Received], None]) -> None:
        self._answer = answer

    def take(self, received: Received, /) -> bool:
        self._answer(received)
        return True

    async def serve(self) -> None:
        raise AssertionError("nothing is left")

    async def run(self) -> None:
        await trio.sleep_forever()

    def left(self, reason: str, /) -> None:
        pass


class EchoEngine:
    """Engine.IO alone."""

    def owner(self, head: Head) -> bytes:
        return b""

    def open(self, session: EngineSession, head: Head, address: str | None, shown: Carried | None) -> Receiver:
        return Echo[str | bytes](lambda data: session.push(message(data)))


def answer_event(place: NamespacePlace, packet: Packet) -> None:
    """Echo an event's arguments, or acknowledge it with them."""
    if packet.kind is not SocketioKind.EVENT:
        return
    event, *arguments = packet.data
    if event == "message":
        place.send(Packet(SocketioKind.EVENT, place.namespace, ["message-back", *arguments]))
    elif event == "message-with-ack" and packet.id is not None:
        place.send(Packet(SocketioKind.ACK, place.namespace, arguments, packet.id))


class EchoNamespace:
    """Takes everybody."""

    async def join(self, place: NamespacePlace, auth: dict[str, Any]) -> NamespaceMember:
        await trio.lowlevel.checkpoint()
        place.welcome(place.session.sid[::-1])
        place.send(Packet(SocketioKind.EVENT, place.namespace, ["auth", auth]))
        return Echo(partial(answer_event, place))


class EchoSocketIo:
    """Socket.IO."""

    def owner(self, head: Head) -> bytes:
        return b""

    def open(self, session: EngineSession, head: Head, address: str | None, shown: Carried | None) -> Receiver:
        def find(name: str) -> Namespace | None:
            return EchoNamespace() if name in NAMESPACES else None

        query = dict(parse_qsl(head.query.decode("ascii")))
        return SocketioConnection(
            session, find, connect_timeout=CONNECT_TIMEOUT_S, carried=NOTHING, query=query, address=address
        )


class EchoServer:
    """Both engines behind the daemon's own HTTP front. `nursery`: where sessions live."""

    def __init__(self, nursery: trio.Nursery, make_engine: MakeEngine = OwnEngine) -> None:
        def there() -> trio.Nursery:
            return nursery

        self.engines = {
            "/engine.io": EngineServer(EchoEngine(), SETTINGS, nursery=there),
            "/socket.io": EngineServer(EchoSocketIo(), SETTINGS, nursery=there),
        }
        self._wiring = LinkParts(Cork(), MemoryShares(), make_engine, None, limited=False)

    def _engine(self, path: str) -> EngineServer | None:
        return self.engines.get(path.rstrip("/"))

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application: polling."""
        engine = self._engine(scope["path"])
        request = Request(scope, receive)
        response = Response(status_code=404) if engine is None else await answer(engine, request)
        await response(scope, receive, send)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection."""

        async def on_websocket(head: Head, replay: bytes, raw: trio.abc.Stream) -> None:
            engine = self._engine(head.path)
            assert engine is not None
            await WebSocketLink(engine, self._wiring, raw, None).run(head, replay, None)

        try:
            await front.serve(
                stream,
                self.app,
                on_websocket,
                websocket_paths=[path + slash for path in self.engines for slash in ("", "/")],
                bounds=lambda head: Bounds(body_bytes=SETTINGS.max_payload),
                accepting=lambda: True,
            )
        finally:
            await trio.aclose_forcefully(stream)


async def main(port: int, started: Callable[[int], None] = print) -> None:
    """Serve on a port of this machine until cancelled; 0 takes any free one."""
    async with trio.open_nursery() as nursery:
        server = EchoServer(nursery)
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        bound = listeners[0].socket.getsockname()[1]
        with suppress(OSError):  # a machine without IPv6
            listeners += await trio.open_tcp_listeners(bound, host="::1")  # `localhost` may be either
        started(bound)

        await trio.serve_listeners(server.serve, listeners)


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]))
