"""One Socket.IO client of the chat: a session like any other, asked by events."""

import itertools
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import attrs
import msgspec
import structlog
import trio

from chatd.commands.dispatch import dispatch, dispatch_now
from chatd.commands.parts import Parts
from chatd.core.errors import Closing, Refusal
from chatd.core.outbox import Cork
from chatd.core.ratelimit import TokenBucket
from chatd.core.session import Session
from chatd.transports.engineio.packets import SEPARATOR
from chatd.transports.intake import Intake, Rates
from chatd.transports.sessions import LiveSessions
from protocol.codes import CloseCode, ErrorCode
from protocol.decode import BadRequest, request_of
from protocol.frames import Error, Frame
from protocol.requests import Request

from .connection import NamespacePlace
from .dialect import SocketIoDialect
from .objects import OWN_CLIENT_ID
from .packets import Packet, SocketioKind
from .recovery import RECOVERABLE, Recovery, ResendLog
from .wire import Wire

log = structlog.get_logger("chatd.socketio")


@attrs.frozen(kw_only=True)
class SharedParts:
    """Parts that all clients share. `rates`, `user_bucket`: as in `Intake`, asked anew for each client."""

    parts: Parts
    cork: Cork
    sessions: LiveSessions
    recovery: Recovery
    rates: Callable[[], Rates | None]
    user_bucket: Callable[[], Callable[[str], TokenBucket] | None]


MIN_WAIT_S = 0.001
"""Seconds, at least, of a wait for the rate: a smaller one may be nothing on the clock."""

CLOCK_CHECK_S = 3600.0
"""Seconds between two looks at a credential's end: the machine's clock may be set."""


class EventRefused(Exception):
    """A request got an error."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


def bad(message: str) -> EventRefused:
    """Return the refusal of data that makes no sense."""
    return EventRefused(Error(code=ErrorCode.BAD_REQUEST, message=message))


def not_found(what: str) -> EventRefused:
    """Return the refusal of what isn't there, or is none of the caller's business."""
    return EventRefused(Error(code=ErrorCode.NOT_FOUND, message=f"no such {what}"))


class Waiter:
    """A request whose `ok` somebody waits for."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.frame: Frame | None = None

    def sent(self, message: msgspec.Raw) -> bytes:  # noqa: ARG002
        """Raise AssertionError: a message is sent by a request of its own kind."""
        raise AssertionError("a message was sent by nobody")

    def answered(self, frame: Frame) -> bytes:
        """Take the answer."""
        self.frame = frame
        self.done.set()
        return b""


class ChatMember:
    """A client in a namespace of the chat. `handle(member, packet)`: serves an event, at once where it returns True.

    `sid`, `pid`: how the client knows this session, in public and to come back to it.
    """

    transport = "socketio"

    def __init__(
        self,
        place: NamespacePlace,
        dialect: SocketIoDialect,
        shared: SharedParts,
        handle: "Handle",
        *,
        sid: str,
        pid: str,
    ) -> None:
        parts = shared.parts
        self.sid = sid
        self.pid = pid
        self.place = place
        self.dialect = dialect
        self.shared = shared
        self.parts = parts
        self._handle = handle
        recovers = bool(shared.recovery.seconds)
        self.wire = Wire(place.session, ResendLog(shared.recovery.budget) if recovers else None, shared.cork)
        self.session = Session(parts.new_id(), self.wire, dialect, gate=parts.gate, stop=self.stop)
        self.session.came_by = lambda: f"socketio over {self.place.session.transport}"
        self.session.address = place.address
        self.session.carried = place.carried
        self.ended = trio.Event()
        self._intake = Intake(parts, self.session, rates=None, user_bucket=None)
        rates = shared.rates()
        self._bucket = TokenBucket(rates.per_second, rates.burst, trio.current_time) if rates else None
        self._user_bucket = shared.user_bucket()
        self._ids = itertools.count(1)
        self._left: Packet | None = None
        self._stopped = False
        self._own = OWN_CLIENT_ID + sha256(pid.encode()).hexdigest()[:20]
        self._log = log.bind(session=self.session.id)

    @property
    def user_id(self) -> str:
        """The id of the signed-in user."""
        return self.session.user_id

    # -- a live session, for the table of all --

    @property
    def delivered(self) -> int:
        """Events that the session was given."""
        return self.session.delivered

    @property
    def queued(self) -> int:
        """Bytes of live events that wait."""
        return self.wire.queued

    def tell(self, frame: Frame) -> None:
        """Send a frame that belongs to no conversation."""
        self.session.send(frame)

    async def quiet(self) -> None:
        """Wait until all that was asked is answered."""
        await self.session.quiet()

    def stop(self, code: CloseCode, reason: str) -> None:
        """End it. A user who is shut out is told so, and stays away; everybody else comes back by themselves."""
        if self._stopped:
            return
        self._stopped = True
        self._log.info("stopped", code=int(code), reason=reason)
        if self.shared.recovery.find(self.pid) is self:
            self.shared.recovery.drop(self)
        elif code == CloseCode.REVOKED:
            self.place.disconnect()
        else:
            self.place.close("too slow" if code == CloseCode.TOO_SLOW else "forced close")

    # -- packets --

    def take(self, packet: Packet) -> bool:
        """Serve an event, if that needs no waiting. One over the rate waits its turn, and is never refused by it."""
        if packet.kind is SocketioKind.ACK:
            return True
        if self._over_rate() or not self._handle(self, packet):
            self._left = packet
            return False
        return True

    async def serve(self) -> None:
        """Serve the event that `take` left."""
        packet, self._left = self._left, None
        assert packet is not None
        while wait := self._debt:
            self._debt = 0.0
            await trio.sleep(max(wait, MIN_WAIT_S))
            if not self._over_rate():
                break
        await self._handle.wait(self, packet)

    _debt = 0.0

    def _over_rate(self) -> bool:
        """Take a request from the rates; True: only after `_debt` seconds."""
        wait = self._bucket.take() if self._bucket is not None else 0.0
        if not wait and self._user_bucket is not None:
            wait = self._user_bucket(self.user_id).take()
        self._debt = wait
        return bool(wait)

    # -- asking --

    def request(self, type: str, fields: Mapping[str, Any]) -> Request:
        """Return a request of the native protocol, with the next id. Raises EventRefused."""
        return self.request_of({name: value for name, value in fields.items() if value is not None}, type)

    def request_of(self, asked: dict[str, Any], type: str = "message.send") -> Request:
        """The same of fields that are all there, which get the id besides."""
        asked["id"] = next(self._ids)
        try:
            return request_of(type, asked, self.parts.limits)
        except BadRequest as error:
            raise bad(error.message) from None

    async def ask(self, type: str, **fields: Any) -> Frame:
        """Run a request, and return its `ok`. Raises EventRefused."""
        request = self.request(type, {name.rstrip("_"): value for name, value in fields.items()})
        assert request.id is not None
        waiter = self.dialect.asked[request.id] = Waiter()
        try:
            await dispatch(self.parts, self.session, request)
            await waiter.done.wait()
        except Closing as closing:
            if waiter.frame is None:
                raise EventRefused(Error(code=ErrorCode.UNAUTHORIZED, message=closing.reason)) from None
        finally:
            self.dialect.asked.pop(request.id, None)
        if isinstance(waiter.frame, Error):
            raise EventRefused(waiter.frame)
        assert waiter.frame is not None
        return waiter.frame

    def run_now(self, request: Request) -> bool:
        """Run a request without waiting; False: `run_later` it."""
        return dispatch_now(self.parts, self.session, request)

    async def run_later(self, request: Request) -> None:
        """Run a request whose answer goes its own way."""
        await dispatch(self.parts, self.session, request)

    def client_id(self, ack: int | None) -> str:
        """Return a client id for a message without one: by the acknowledgement's id, where there is one."""
        return f"{self._own}.{self.parts.new_id() if ack is None else ack}"[:64]

    def status_of(self, conversation: str, seq: int, sender: str | None) -> str:
        """Return the status of a message, as far as its room knows."""
        room = self.parts.rooms.loaded(conversation)
        return "SENT" if room is None else room.status_of(seq, sender).upper()

    # -- answers --

    def ack(self, id: int | None, fields: Mapping[str, Any]) -> None:
        """Acknowledge an event, if it asks for it."""
        if id is not None:
            self.wire.push(self.dialect.words.ack(self.place.namespace, id, fields))

    def fail(self, id: int | None, error: Error) -> None:
        """Refuse an event: by its acknowledgement or, where it asks for none, by `error`."""
        self._log.debug("refused", user=self.user_id, code=error.code)
        self.wire.push(self.failure(id, error))

    def failure(self, id: int | None, error: Error) -> bytes:
        """Return the packet that refuses an event."""
        if id is None:
            return self.dialect.error(error)
        return self.dialect.words.nack(self.place.namespace, id, error)

    def refuse(self, id: int | None, refusal: Refusal) -> None:
        """Refuse an event."""
        self.fail(id, refusal.frame(None))

    def emit(self, event: str, data: Any) -> None:
        """Send an event to this client."""
        self.wire.push(SEPARATOR.join(self.dialect.emit(event, data)))

    # -- its life --

    async def run(self) -> None:
        """Be the client's life in the namespace, until it leaves."""
        with self.shared.sessions.holding(self):
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.session.run)
                    await self._end_with_credential()
            finally:
                self.ended.set()

    async def _end_with_credential(self) -> None:
        """Close once the credential has expired: the client comes back with a fresh one."""
        while (until := self._intake.good_until()) > trio.current_time():  # noqa: ASYNC110  # a fresh sign-in moves it
            await trio.sleep_until(min(until, trio.current_time() + CLOCK_CHECK_S))
        self._log.info("expired")
        self.place.close("forced close")
        await trio.sleep_forever()

    def left(self, reason: str) -> None:
        """The client is gone: for good, or it may come back."""
        self._log.info("left", reason=reason, user=self.user_id or None)
        self.shared.recovery.left(self)
        self.wire.detach()
        if reason in RECOVERABLE and not self._stopped and not self.wire.is_cut and self.wire.log is not None:
            self.parts.rooms.lost(self.session)
            last = self.parts.registry.park(self.user_id, self.session)
            if self.shared.recovery.park(self):
                if last:
                    self.parts.presence.depart(self.user_id)
                return
            self.parts.registry.unpark(self.user_id, self.session)
        self._end()

    def give_up(self) -> None:
        """The client will not come back."""
        self._end()

    async def wait(self) -> None:
        """Be kept up to date while the client is gone."""
        await self.session.run()

    def resume(self, place: NamespacePlace) -> None:
        """Go on with a client that is back. `resend` sends the packets that it hasn't got."""
        self.place = place
        self.ended = trio.Event()
        self.session.address, self.session.carried = place.address, place.carried
        self.wire.attach(place.session)

    def _end(self) -> None:
        self._intake.deregister()
        self.wire.cut("gone")


class Handle:
    """Serves events. A call returns True where the event is served; else `wait` is to be called with it."""

    def __call__(self, member: ChatMember, packet: Packet) -> bool:
        """Serve an event at once, if that is possible."""
        raise NotImplementedError

    async def wait(self, member: ChatMember, packet: Packet) -> None:
        """Serve an event."""
        raise NotImplementedError
