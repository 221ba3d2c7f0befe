"""The one port: connections are accepted, decrypted, and given to the application or, as upgrades, to a handler."""

import math
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

import attrs
import structlog
import trio
from starlette.types import ASGIApp

from chatd.config import Config
from chatd.logs.counted import Counted, LimitedLine

from . import front, tls
from .addresses import Addresses
from .asgi import PEER_GONE, write
from .bounds import Bounds
from .head import Head
from .linger import linger
from .listen import COMPLAINT_EVERY_S, TooMany, accept_from
from .origins import Origins
from .problem import plain_answer
from .proxies import PeerClient, Proxies, Scheme
from .quick import QuickStream
from .unfinished import MemoryShares

log = structlog.get_logger("chatd.server")


@attrs.frozen
class Upgrade:
    """A WebSocket handshake from an allowed origin, not answered yet.

    `replay`: the bytes read so far, the head first. `socket`: None where the stream has none of its own, as under TLS.
    """

    head: Head
    replay: bytes
    stream: trio.abc.Stream
    socket: socket.socket | None
    client: PeerClient


class NetServer:
    """Serves connections until it is cancelled. No bug in serving one of them reaches the others.

    `nursery`: where connections accepted from listeners live; `accept` starts them there.
    """

    def __init__(
        self,
        app: ASGIApp,
        on_upgrade: Callable[[Upgrade], Awaitable[None]],
        *,
        bounds: Callable[[Head], Bounds],
        accepting: Callable[[], bool],
        dropped: Callable[[str], None],
        development: bool,
        exposed: bool,
        shares: MemoryShares,
        lines: Counted,
        websocket_paths: Collection[str] = ("/ws", "/"),
    ) -> None:
        self._shares = shares
        self._lines = lines
        self._websocket_paths = websocket_paths
        self._app = app
        self._on_upgrade = on_upgrade
        self._bounds = bounds
        self._accepting = accepting
        self._dropped = dropped
        self._development = development
        self._exposed = exposed
        self.nursery: trio.Nursery | None = None
        self.open = 0
        self._addresses = Addresses(connections=0, rate=None, burst=0)

    def apply(self, config: Config, encryption: ssl.SSLContext | None) -> None:
        """Serve new connections by these settings."""
        self._config = config
        self._encryption = encryption
        server, limits = config.server, config.limits
        self._addresses.replace(
            connections=limits.connections_per_address,
            rate=None if self._development else limits.address_requests_per_second,
            burst=limits.address_request_burst,
        )
        self._proxies = Proxies(server.trusted_proxies)
        self.origins = Origins(
            development=self._development,
            exposed=self._exposed,
            allowed={*server.allowed_origins, *filter(None, [server.public_url, server.app_url])},
            hosts=server.allowed_hosts,
        )

    @property
    def encrypted(self) -> bool:
        """Return True if new connections speak TLS."""
        return self._encryption is not None

    def wait(self, client: tuple[str, int] | None) -> float:
        """Take a request or handshake of this address: 0, or the seconds until it may ask again."""
        return self._addresses.wait(client[0]) if client is not None else 0.0

    async def accept(
        self,
        listeners: list[socket.socket],
        nursery: trio.Nursery,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept until cancelled; the connections live on in `nursery`."""
        self.nursery = nursery
        complaint = LimitedLine(COMPLAINT_EVERY_S, trio.current_time)
        async with trio.open_nursery() as accepting:
            for listener in listeners:
                accepting.start_soon(accept_from, listener, self._accepted, complaint)
            task_status.started()
            await trio.sleep_forever()

    def _accepted(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        """Take a connection. Raises TooMany; counted here and not in its task, which begins only later."""
        known = peer[0] if not self._development and not self._proxies.trusts(peer[0]) else None
        if self.open >= self._config.limits.connections or (known and not self._addresses.enter(known)):
            self._dropped("too_many_connections")
            raise TooMany
        self.open += 1
        assert self.nursery is not None
        stream = QuickStream(sock)
        self.nursery.start_soon(self._serve_accepted, stream, sock, peer, known)

    async def _serve_accepted(
        self, stream: trio.abc.Stream, sock: socket.socket, peer: tuple[str, int], known: str | None
    ) -> None:
        try:
            await self.serve_stream(stream, sock, peer)
        finally:
            self.open -= 1
            if known:
                self._addresses.leave(known)

    async def serve_stream(
        self, stream: trio.abc.Stream, sock: socket.socket | None = None, peer: tuple[str, int] | None = None
    ) -> None:
        """Serve one connection, and close it. Raises nothing but trio.Cancelled."""
        try:
            await self._serve(stream, sock, peer)
        except* Exception as group:  # a bug that surfaces during cancellation comes in a group with Cancelled
            log.error("connection crashed", exc_info=group)
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.abc.Stream, sock: socket.socket | None, peer: tuple[str, int] | None) -> None:
        timeouts = self._config.timeouts
        scheme: Scheme = "http"
        if self._encryption is not None and isinstance(stream, QuickStream) and sock is not None:
            secure = await tls.accept(
                stream.plain, sock, self._encryption, turns=self._shares.turns, patience=timeouts.handshake
            )
            if secure is None:
                return
            stream, sock, scheme = secure, None, "https"

        def client(head: Head) -> PeerClient:
            return self._proxies.client(head, peer, scheme)

        async def on_websocket(head: Head, replay: bytes, raw: trio.abc.Stream) -> None:
            await self._upgrade(Upgrade(head, replay, raw, sock, client(head)))

        await front.serve(
            stream,
            self._app,
            on_websocket,
            websocket_paths=self._websocket_paths,
            head_timeout=timeouts.handshake,
            keep_alive=timeouts.keep_alive,
            write_timeout=timeouts.write,
            bounds=self._bounds,
            client=client,
            accepting=self._accepting,
            shares=self._shares,
        )

    async def _upgrade(self, upgrade: Upgrade) -> None:
        """Hand the upgrade on, where its origin is allowed."""
        head, client = upgrade.head, upgrade.client
        refusal = self.origins.refusal(head, client.scheme)
        if refusal is None and (wait := self.wait(client.address)):
            self._dropped("rate_limited")
            retry = [(b"retry-after", b"%d" % max(1, math.ceil(wait)))]
            await self._refuse(
                upgrade, plain_answer(429, "rate_limited", "too many requests", temporary=True, headers=retry)
            )
            return
        if refusal is None:
            await self._on_upgrade(upgrade)
            return
        self._dropped("origin")
        asked = {name: (head.get(name.encode()) or b"").decode("latin-1") for name in ("origin", "host")}
        address = client.address[0] if client.address else None
        if self._lines.admit(address):
            log.warning("handshake refused", reason=refusal, scheme=client.scheme, **asked, address=address)
        await self._refuse(upgrade, plain_answer(403, "forbidden", "origin not allowed"))

    async def _refuse(self, upgrade: Upgrade, answer: bytes) -> None:
        with suppress(trio.TooSlowError, *PEER_GONE):
            await write(upgrade.stream, answer, self._config.timeouts.write)
            await linger(upgrade.stream)
