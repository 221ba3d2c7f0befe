"""A WebSocket of an Engine.IO session: it begins one, or takes one over from polling."""

import socket
from typing import Final

import attrs
import structlog
import trio

from chatd.core.errors import Closing
from chatd.core.outbox import Cork, Outbox, Transport
from chatd.net.head import Head
from chatd.net.poller import Poller
from chatd.net.unfinished import MemoryShares, Turnstile, Unfinished
from chatd.net.writers import SocketTransport, StreamTransport
from chatd.transports.websocket.ending import finish, log_failure
from chatd.transports.websocket.engine import MakeEngine, PeerLeft
from chatd.transports.websocket.strangers import inbound_of_stranger, trust
from protocol.codes import CloseCode

from .engine import EngineServer, Hosted
from .packets import ANSWERED_PROBE, PROBE, BrokenPacket, EngineKind, decode, frames
from .session import WEBSOCKET, EngineSession
from .settings import BadQuery, bad_request

log = structlog.get_logger("chatd.engineio")

CONFIRM_S: Final = 0.1
"""Seconds from the answer to a probe until the poll under way is ended."""


@attrs.frozen
class LinkParts:
    """Parts that a daemon's links share. `poller`: None where there is none; `limited`: whether control frames are."""

    cork: Cork
    shares: MemoryShares
    make_engine: MakeEngine
    poller: Poller | None
    limited: bool


class WebSocketLink:
    """The life of one WebSocket."""

    def __init__(
        self, engine: EngineServer, wiring: LinkParts, raw: trio.abc.Stream, sock: socket.socket | None
    ) -> None:
        self._engine = engine
        self._wiring = wiring
        self._raw = raw
        self._socket = sock
        settings = engine.settings
        transport: Transport = StreamTransport(raw) if sock is None else SocketTransport(sock)
        self._outbox = Outbox(
            transport, wiring.cork, limit=settings.outbox_bytes, stalled=settings.write_timeout, on_cut=self._on_cut
        )
        self._unfinished = Unfinished(wiring.shares.strangers)
        self._body = trio.CancelScope()
        self._live: Hosted | None = None
        self._closing: CloseCode | None = None
        self._clean = False
        self._mistake: BrokenPacket | None = None
        self._turns: Turnstile | None = wiring.shares.turns  # until `trust`

    # -- what the session asks of it --

    @property
    def queued(self) -> int:
        """Bytes that wait."""
        return self._outbox.queued

    def push(self, payload: bytes, *, counts: bool) -> None:
        """Send a payload's packets; never waits."""
        self._outbox.push(frames(payload), counts=counts)

    async def drained(self) -> None:
        """Wait until nothing waits to leave."""
        await self._outbox.drained()

    def end(self, reason: str) -> None:
        """Close it, after what waits to leave; never waits."""
        if self._closing is None:
            self._closing = CloseCode.TOO_SLOW if reason == "too slow" else CloseCode.DONE
            self._body.cancel()

    def trust(self) -> None:
        """Take from somebody who is signed in what the settings allow."""
        wiring = self._wiring
        max_message = self._engine.settings.max_payload
        trust(self._inbound, max_message=max_message, limited=wiring.limited, memory=wiring.shares.known)
        self._turns = None

    # -- its life --

    async def run(self, head: Head, replay: bytes, address: str | None) -> None:
        """Serve until either side ends it. Raises nothing."""
        settings, wiring = self._engine.settings, self._wiring
        self._inbound = inbound_of_stranger(
            self._raw,
            self._socket,
            replay,
            max_message=settings.max_payload,
            unfinished=self._unfinished,
            limited=wiring.limited,
            turns=wiring.shares.turns,
            poller=wiring.poller,
        )
        self._frames = wiring.make_engine(
            head, self._inbound, self._outbox, max_message=settings.max_payload, subprotocol="engine.io"
        )
        try:
            async with trio.open_nursery() as nursery:
                self._whole = nursery.cancel_scope
                nursery.start_soon(self._outbox.run)
                try:
                    async with trio.open_nursery() as frames_nursery:
                        await self._serve(head, address, frames_nursery)
                        frames_nursery.cancel_scope.cancel()
                except* Exception as group:
                    log_failure(log, group)
                seconds = settings.close_timeout
                self._hurry()
                await finish(self._raw, self._outbox, clean=self._clean, seconds=seconds, turns=self._turns)
                nursery.cancel_scope.cancel()
        except* Exception as group:
            log_failure(log, group)
        finally:
            self._frames.discard()
            self._unfinished.release()
            self._outbox.cut("gone")
            self._detach()
            wiring.shares.ends.over(self._whole)
            await trio.aclose_forcefully(self._raw)

    async def _serve(self, head: Head, address: str | None, nursery: trio.Nursery) -> None:
        try:
            live = self._admit(head)
        except BadQuery as refused:
            self._outbox.push(refused.answer(), counts=False)
            return
        with trio.move_on_after(self._engine.settings.handshake_timeout) as handshake:
            if not await self._frames.shake_hands(nursery):
                return
        if handshake.cancelled_caught:
            return
        self._frames.expect(self._engine.settings.max_payload)
        with self._body:
            if live is None:
                await self._read_from_start(head, address)
            else:
                await self._read_probe(live, nursery)
        self._detach()
        await self._say_goodbye()

    def _admit(self, head: Head) -> Hosted | None:
        """Return the session that the WebSocket wants to take over; None: it begins one. Raises BadQuery."""
        asked = self._engine.asked(head)
        if asked.transport != WEBSOCKET:
            raise bad_request()
        return None if asked.sid is None else self._engine.find(asked.sid, head)

    async def _read_from_start(self, head: Head, address: str | None) -> None:
        try:
            self._live, packet = self._engine.begin(head, address, None, WEBSOCKET)
        except BadQuery:
            return
        self._live.session.attach(self)
        self._live.session.push(packet, counts=False)
        await self._read(self._live)

    async def _read_probe(self, live: Hosted, nursery: trio.Nursery) -> None:
        """Let the client try the WebSocket, and take the session over. Anything else than that ends it alone."""
        session = live.session
        if not session.probe(self):
            return
        self._live = live
        with trio.move_on_after(self._engine.settings.upgrade_timeout):
            if await self._next() != (EngineKind.PING, PROBE):
                return
            self._outbox.push(frames(ANSWERED_PROBE), counts=False)
            nursery.start_soon(self._end_poll, session)
            if (await self._next())[0] is not EngineKind.UPGRADE or session.probing is not self:
                return
            session.upgrade()
        if session.link is self:
            await self._read(live)

    async def _end_poll(self, session: EngineSession) -> None:
        """End the poll under way, after a moment: most clients have none, or one that is answered anyway."""
        await trio.sleep(CONFIRM_S)
        if session.probing is self:
            session.confirm()

    async def _next(self) -> tuple[EngineKind, str | bytes]:
        """Return one packet. One that is broken is a NOOP: whoever sends it is not what waits for."""
        found: list[str | bytes] = []

        def take(message: str | bytes) -> bool:
            found.append(message)
            return False

        try:
            await self._frames.receive(take)
            return decode(found[0])
        except (BrokenPacket, PeerLeft, Closing, trio.BrokenResourceError, trio.ClosedResourceError):
            return EngineKind.NOOP, ""

    async def _read(self, live: Hosted) -> None:
        session = live.session

        def take(message: str | bytes) -> bool:
            try:
                return live.take(*decode(message))
            except BrokenPacket as error:
                self._mistake = error
                return False

        reason = "transport close"
        try:
            while self._mistake is None:
                await self._frames.receive(take)
                if self._mistake is None:
                    await live.serve()
        except PeerLeft as left:
            self._clean = left.clean
        except Closing as closing:
            self._closing = self._closing or closing.code
            reason = "transport error"
        except BrokenPacket as error:
            self._mistake = error
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        session.close("parse error" if self._mistake is not None else reason)

    async def _say_goodbye(self) -> None:
        if self._clean or self._closing is None:
            self._closing = self._closing or CloseCode.DONE
        if self._clean:
            return
        self._hurry()
        with trio.move_on_after(self._engine.settings.close_timeout):
            await self._outbox.drained()
            self._clean = await self._frames.say_goodbye(self._closing, "")

    def _hurry(self) -> None:
        """Leave little time from now on, where nobody has signed in."""
        if self._turns is not None:
            self._wiring.shares.ends.begin(self._whole, self._engine.settings.close_timeout)

    def _detach(self) -> None:
        if self._live is not None:
            session = self._live.session
            if session.link is self:
                session.close("transport close")
            else:
                session.give_up_probe(self)

    def _on_cut(self, reason: str) -> None:
        if self._live is not None and self._live.session.link is self:
            self._live.session.close("transport close" if reason == "gone" else "too slow")
        self._body.cancel()
