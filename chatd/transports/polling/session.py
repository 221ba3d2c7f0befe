"""One session that is polled: its frames come numbered, and what it is told is kept until it is acknowledged.

It lives as long as somebody asks for it, and 60 s more. Its end is said to whoever asks next.
"""

import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import attrs
import structlog
import trio

from chatd.commands.parts import Parts
from chatd.core.errors import Closing
from chatd.core.identity import Carried
from chatd.core.native import NativeJson
from chatd.core.numbered import Gap, NumberedInput, NumberedSink
from chatd.core.ratelimit import TokenBucket
from chatd.core.session import Session
from chatd.net.unfinished import Unfinished, UnfinishedBudget
from protocol.codes import CloseCode
from protocol.frames import Frame
from protocol.requests import Hello

from ..intake import Intake, Rates

log = structlog.get_logger("chatd.connection")

IDLE_S: Final = 60.0
"""Seconds that a session lives after its last request."""

ROOM_S: Final = 5.0
"""Seconds that frames wait for their turn to be taken, where too many of the session's wait already."""

SETTLED_BYTES: Final = 65_536
"""Bytes that may be unacknowledged when something large is made: so a stream need not end for each of them."""


@attrs.frozen
class SessionTerms:
    """Terms that all sessions have in common. Seconds: until `hello`, and for the last frames to be fetched.

    `kept_bytes`: of live events that wait; `user_bucket`: the rate of a user over all sessions, None: any.
    """

    kept_bytes: int
    hello_s: float
    close_s: float
    rates: Rates | None
    user_bucket: Callable[[str], TokenBucket] | None
    memory: UnfinishedBudget


@attrs.define(eq=False)
class Fetch:
    """A request for events. `superseded`: another one came after it."""

    superseded: bool = False
    _waiting: trio.CancelScope | None = None

    async def wait(self, work: Callable[[], Awaitable[None]], seconds: float) -> bool:
        """Wait for `work`, until somebody calls `wake`, or so long; return whether time was up."""
        with trio.move_on_after(seconds) as self._waiting:
            await work()
        return self._waiting.cancelled_caught and trio.current_time() >= self._waiting.deadline

    def wake(self) -> None:
        """End the wait, if there is one."""
        if self._waiting is not None:
            self._waiting.cancel()


class PollingSession:
    """The life of one session. `id`: what its client names it by; `user`: whose requests it takes.

    `transport`: by what its events are fetched, "polling" or "sse"; `closing`: why it ends, None before.
    """

    def __init__(
        self, id: str, parts: Parts, terms: SessionTerms, *, user: str, carried: Carried, address: str | None
    ) -> None:
        self.id = id
        self.user = user
        self.address = address
        self.transport = "polling"
        self.closing: Closing | None = None
        self.over = trio.Event()
        """Set when nothing is added to what it is told any more."""
        self.ended = trio.Event()
        self._parts = parts
        self._terms = terms
        self.sink = NumberedSink(limit=terms.kept_bytes, on_cut=self._on_cut, settled=SETTLED_BYTES)
        self.session = Session(parts.new_id(), self.sink, NativeJson(), gate=parts.gate, stop=self.stop)
        self.session.came_by = lambda: self.transport
        self.session.carried, self.session.bound_to, self.session.address = carried, user, address
        self._intake = Intake(parts, self.session, rates=terms.rates, user_bucket=terms.user_bucket)
        self._input = NumberedInput()
        self._frames: deque[bytes] = deque()  # those that were taken, and are not served yet
        self._frame_bytes = 0
        self._unfinished = Unfinished(terms.memory)
        self._moved = trio.Event()  # a frame came, or there is room for one
        self._life = trio.CancelScope()  # until nobody asks any more
        self._body = trio.CancelScope()  # until its credential expires
        self._asking = 0  # requests under way
        self._told = 0  # the number of the newest payload that has left in a whole answer
        self._quiet = trio.Event()  # no request is under way
        self._fetch = Fetch()
        self._log = log.bind(session=self.session.id)

    async def run(self) -> None:
        """Serve frames until the end, and a bounded time more for what is left. Raises nothing but trio.Cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.session.run)
                self._rest()
                with self._life, self._body:
                    await self._serve()
                nursery.cancel_scope.cancel()
        except* Exception as group:
            self._log.error("connection failed", exc_info=group)
            self.closing = self.closing or Closing(CloseCode.INTERNAL, "something went wrong here")
        finally:
            self._intake.deregister()
            self._end()
        try:
            with trio.move_on_after(self._terms.close_s):
                while self._asking or (self._told < self.sink.last and not self.sink.is_cut):
                    await self._quiet.wait()
        finally:
            self.ended.set()

    # -- one of all live sessions --

    @property
    def delivered(self) -> int:
        """Events that the session was given."""
        return self.session.delivered

    @property
    def queued(self) -> int:
        """Bytes of live events that wait."""
        return self.sink.queued

    def tell(self, frame: Frame) -> None:
        """Send a frame that belongs to no conversation."""
        self.session.send(frame)

    async def quiet(self) -> None:
        """Wait until all that was asked is answered."""
        await self.session.quiet()

    def stop(self, code: CloseCode, reason: str) -> None:
        """End with this code, unless it is ending already."""
        if self.closing is None:
            self.closing = Closing(code, reason)
            if code in (CloseCode.REVOKED, CloseCode.DONE):
                self.sink.cut("over")  # nothing more is theirs to see, not even what waits, or nobody is there
            self._body.cancel()

    # -- requests of its client --

    def is_finished(self) -> bool:
        """Return True if it is over, and nothing is left to be fetched."""
        return self.over.is_set() and (self.sink.is_empty)

    def begin(self) -> None:
        """Count a request that is under way: while there is one, and 60 s more, the session lives."""
        self._asking += 1
        self._life.deadline = math.inf

    def finish(self, told: int = 0) -> None:
        """Count it as answered, by an answer that held all payloads up to number `told`."""
        self._asking -= 1
        self._told = max(self._told, told)
        if not self._asking:
            self._rest()
            self._quiet.set()
            self._quiet = trio.Event()

    def fetch(self, transport: str) -> Fetch:
        """Begin a request for events, by this transport; the one before it ends."""
        self._fetch.superseded = True
        self._fetch.wake()
        self._fetch = Fetch()
        self.transport = transport
        return self._fetch

    async def news(self, after: int) -> None:
        """Wait for something behind number `after`.

        At a shutdown wait for the end, too: all answers are to be in this answer, as no other may get through.
        """
        if not self.over.is_set():
            await self.sink.news(after)
            if self.sink.is_cut or self._parts.draining():
                await self.over.wait()

    async def attention(self, after: int) -> None:
        """Wait for something behind number `after`, or until an acknowledgement is wanted."""
        if not self.over.is_set():
            await self.sink.attention(after)
            if self.sink.is_cut:
                await self.over.wait()

    async def take(self, first: int, frames: Sequence[bytes]) -> int:
        """Take those of the frames, numbered from `first`, that are new; return the number of the last one taken.

        Where many wait to be served, no more are taken than there is room for. Raises Gap.
        """
        if first > self._input.taken + 1:
            raise Gap(self._input.taken + 1)
        with trio.move_on_after(ROOM_S):
            while self.closing is None and (new := self._input.taken + 1 - first) < len(frames):
                frame = frames[new]
                if self._frames and self._frame_bytes + len(frame) > 2 * self._intake.max_bytes:
                    await self._moved.wait()
                    continue
                self._frames.extend(self._input.fresh(first + new, [frame]))
                self._hold(len(frame))
        return self._input.taken

    # -- the inside --

    async def _serve(self) -> None:
        hello_until = trio.current_time() + self._terms.hello_s
        try:
            while True:
                if self.session.user is not None:
                    await self._next()
                else:
                    with trio.move_on_at(hello_until):
                        await self._next()
                    if trio.current_time() >= hello_until:
                        raise Closing(CloseCode.NO_HELLO, "no hello")
                await self._serve_one(self._frames.popleft())
        except Closing as closing:
            self.stop(closing.code, closing.reason)

    async def _next(self) -> None:
        await trio.lowlevel.checkpoint()  # however many frames came at once, everybody else gets a turn
        while not self._frames:
            await self._moved.wait()

    async def _serve_one(self, frame: bytes) -> None:
        self._hold(-len(frame))
        self._unfinished.complete()
        most = self._intake.max_bytes
        if len(frame) > most:
            raise Closing(CloseCode.TOO_LARGE, f"a message may have {most} bytes")
        if self._intake.take(frame.decode()):
            return
        is_hello = isinstance(self._intake.request, Hello)
        if await self._intake.serve():
            self._log = self._log.bind(user=self.session.user_id)
        if is_hello:
            self._body.deadline = self._intake.good_until()

    def _hold(self, more: int) -> None:
        """Account for more or fewer bytes that wait; the session ends where the daemon has no room for them."""
        self._frame_bytes += more
        self._moved.set()
        self._moved = trio.Event()
        try:
            self._unfinished.hold(self._frame_bytes)
        except Closing as closing:
            self.stop(closing.code, closing.reason)

    def _rest(self) -> None:
        self._life.deadline = trio.current_time() + IDLE_S
        if self.session.user is not None:
            self._body.deadline = self._intake.good_until()  # the clock may have been set, or the machine have slept

    def _on_cut(self, reason: str) -> None:
        if self.closing is None:
            self._parts.metrics.drop("too_slow")
            self._log.warning("cut", reason=reason)
        self.stop(CloseCode.TOO_SLOW, "too slow")

    def _end(self) -> None:
        if self.closing is None:
            if self._life.cancelled_caught:
                self.closing = Closing(CloseCode.SILENT, "silent")
                self.sink.cut("silent")
            elif self._body.cancelled_caught:
                self.closing = Closing(CloseCode.TOKEN_EXPIRED, "the token has expired")
            else:
                self.closing = Closing(CloseCode.GOING_AWAY, "the server is shutting down")
        self._log.info("closed", code=int(self.closing.code), reason=self.closing.reason)
        self._unfinished.release()
        self._frames.clear()
        self.over.set()
        self._moved.set()
        self._fetch.wake()
