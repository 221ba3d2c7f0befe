"""One WebSocket connection: reader, writer, heartbeat, feeder, and a bounded end whatever the peer does.

An engine (`own.py`, `library.py`) turns bytes into messages. Everything that leaves, its pongs and close frames
included, goes through the outbox, in order.
"""

import socket
from collections.abc import Callable

import attrs
import structlog
import trio

from chatd.auth.offered import carried
from chatd.commands.parts import Parts
from chatd.core.errors import Closing
from chatd.core.outbox import Cork, Outbox, Transport
from chatd.core.ratelimit import TokenBucket
from chatd.core.session import Session
from chatd.net.head import Head
from chatd.net.poller import Poller
from chatd.net.unfinished import MemoryShares, Unfinished
from chatd.net.writers import SocketTransport, StreamTransport
from protocol.codes import CloseCode
from protocol.frames import Frame
from protocol.requests import Hello

from ..intake import Intake, Rates
from .ending import finish, log_failure
from .engine import MakeEngine, PeerLeft
from .framing import PING, WebSocketJson
from .strangers import inbound_of_stranger, trust

log = structlog.get_logger("chatd.connection")

SUBPROTOCOL = "chat.v1.json"


@attrs.frozen
class Times:
    """Seconds: for the handshake, until `hello`, between pings, without progress, for closing."""

    handshake: float
    hello: float
    heartbeat: float
    write: float
    close: float


def _ended(code: CloseCode, reason: str) -> None:
    """Do nothing: the connection has ended."""


class WebSocketConnection:
    """The life of one connection. `stop` ends it from outside."""

    transport = "websocket"

    def __init__(
        self,
        raw: trio.abc.Stream,
        parts: Parts,
        cork: Cork,
        times: Times,
        *,
        outbox_bytes: int,
        rates: Rates | None,
        user_bucket: Callable[[str], TokenBucket] | None,
        make_engine: MakeEngine,
        shares: MemoryShares,
        sock: socket.socket | None = None,
        poller: Poller | None = None,
    ) -> None:
        self._make_engine = make_engine
        self._shares = shares
        self._unfinished = Unfinished(shares.strangers)
        self._raw = raw
        self._socket = sock
        self._poller = poller
        self._parts = parts
        self._times = times
        transport: Transport = StreamTransport(raw) if sock is None else SocketTransport(sock)
        self.outbox = Outbox(transport, cork, limit=outbox_bytes, stalled=times.write, on_cut=self._on_cut)
        self.session = Session(parts.new_id(), self.outbox, WebSocketJson(), gate=parts.gate, stop=self.stop)
        self.ended = trio.Event()
        self._body = trio.CancelScope()
        self._closing: Closing | None = None
        self._receiving = False
        self._hello_until = float("inf")
        self._intake = Intake(parts, self.session, rates=rates, user_bucket=user_bucket)
        self._limited = rates is not None
        self._clean = False
        self._gone = False
        self._log = log.bind(session=self.session.id)
        self.logged = True  # the owner's word: strangers' connections beyond some are only counted

    async def run(self, head: Head, replay: bytes) -> None:
        """Serve until either side ends it. `replay`: what was read of the stream already. Raises nothing."""
        limits = self._parts.limits
        self._max_message = self._intake.max_bytes
        self.session.carried = carried(head)
        self._inbound = inbound_of_stranger(
            self._raw,
            self._socket,
            replay,
            max_message=self._max_message,
            unfinished=self._unfinished,
            limited=self._limited,
            turns=self._shares.turns,
            poller=self._poller,
        )
        self._engine = self._make_engine(
            head, self._inbound, self.outbox, max_message=limits.max_frame_bytes, subprotocol=SUBPROTOCOL
        )
        try:
            async with trio.open_nursery() as nursery:
                self._whole = nursery.cancel_scope
                nursery.start_soon(self.outbox.run)
                try:
                    async with trio.open_nursery() as engine:  # with tasks that the engine may have
                        if await self._shake_hands(engine):
                            engine.start_soon(self._heartbeat)
                            engine.start_soon(self.session.run)
                            with self._body:
                                await self._read()
                            if self._body.cancelled_caught and self._closing is None and not self._gone:
                                self._closing = Closing(CloseCode.TOKEN_EXPIRED, "the token has expired")
                            await self._say_goodbye()
                        engine.cancel_scope.cancel()
                except* Exception as group:
                    log_failure(self._log, group)
                self._let_go()
                turns = self._shares.turns if self._hurried() else None
                await finish(self._raw, self.outbox, clean=self._clean, seconds=self._times.close, turns=turns)
                nursery.cancel_scope.cancel()
        except* Exception as group:
            log_failure(self._log, group)
        finally:
            self._forget()
            self._let_go()
            self._shares.ends.over(self._whole)
            self.ended.set()
            self.session.stop = _ended  # no cycle: after a flood thousands would wait for the collector
            await trio.aclose_forcefully(self._raw)

    @property
    def delivered(self) -> int:
        """Events that the session was given."""
        return self.session.delivered

    @property
    def queued(self) -> int:
        """Bytes of live events that wait."""
        return self.outbox.queued

    def tell(self, frame: Frame) -> None:
        """Send a frame that belongs to no conversation."""
        self.session.send(frame)

    async def quiet(self) -> None:
        """Wait until all that was asked is answered."""
        await self.session.quiet()

    def stop(self, code: CloseCode, reason: str) -> None:
        """Close with this code, unless it is closing already."""
        if self._closing is None:
            self._closing = Closing(code, reason)
            if code == CloseCode.REVOKED:
                self.outbox.cut("revoked")  # nothing more is theirs to see, not even what waits
            self._body.cancel()

    # -- the parts of its life --

    async def _shake_hands(self, nursery: trio.Nursery) -> bool:
        with trio.move_on_after(self._times.handshake):
            done = await self._engine.shake_hands(nursery)
            if done:
                self._engine.expect(self._max_message)
                self._hello_until = trio.current_time() + self._times.hello
            return done
        return False

    async def _read(self) -> None:
        intake = self._intake
        try:
            while True:
                self._receiving = True
                if self.session.user is None:
                    with trio.move_on_at(self._hello_until):
                        await self._engine.receive(intake.take)
                else:
                    await self._engine.receive(intake.take)
                if intake.request is None:
                    raise Closing(CloseCode.NO_HELLO, "no hello")
                self._receiving = False
                is_hello = isinstance(intake.request, Hello)
                if await intake.serve():
                    self._trust()
                    self._log = self._log.bind(user=self.session.user_id)
                if is_hello:
                    self._body.deadline = intake.good_until()
        except Closing as closing:
            self._closing = Closing(closing.code, closing.reason)  # its traceback would hold what was read
        except PeerLeft as left:
            self._clean = left.clean
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._gone = True
        finally:
            self._receiving = True

    def _trust(self) -> None:
        """Take from somebody who is signed in what the protocol allows."""
        self._max_message = self._intake.max_bytes
        self._engine.expect(self._max_message)
        trust(self._inbound, max_message=self._max_message, limited=self._limited, memory=self._shares.known)

    async def _heartbeat(self) -> None:
        interval = self._times.heartbeat
        while True:
            await trio.sleep(interval)
            self._body.deadline = self._intake.good_until()  # the clock may have been set, or the machine have slept
            # While a request is being served nothing is read, and silence says nothing.
            if self._receiving and trio.current_time() - self._engine.heard >= 2 * interval:
                self.stop(CloseCode.SILENT, "silent")
                return
            self.outbox.push(PING)

    async def _say_goodbye(self) -> None:
        """Close with our code, if it is ours to close, and wait a bounded time for the peer's answer."""
        self._intake.deregister()  # no event may follow the close frame
        self._hurried()
        closing = self._closing
        try:
            if closing is not None:
                with trio.move_on_after(self._times.close):
                    self._clean = await self._engine.say_goodbye(closing.code, closing.reason)
        finally:
            code = int(closing.code) if closing else None
            by_peer = "reset by the peer" if self._gone else "by the peer"
            if self.logged or self.session.user is not None:
                self._log.info("closed", code=code, reason=closing.reason if closing else by_peer)

    def _hurried(self) -> bool:
        """Return True if nobody was signed in: then little time is left from now on."""
        if self.session.user is None:
            self._shares.ends.begin(self._whole, self._times.close)
        return self.session.user is None

    def _on_cut(self, reason: str) -> None:
        if reason == "gone":
            self._gone = True
            self._body.cancel()
            return
        if reason != "revoked":
            self._parts.metrics.drop("too_slow")
            self._log.warning("cut", reason=reason)
        self.stop(CloseCode.TOO_SLOW, "too slow")

    def _let_go(self) -> None:
        """Free unfinished input, which would be held until the garbage collector comes by."""
        self._engine.discard()
        self._unfinished.release()

    def _forget(self) -> None:
        self.outbox.cut("gone")
        self._intake.deregister()
