"""An engine: the table of Engine.IO sessions, and the requests and WebSockets that belong to them."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qsl

import attrs
import structlog
import trio

from chatd.core.identity import Carried
from chatd.net.head import Head

from .application import EngineApplication, Receiver
from .packets import BrokenPacket, EngineKind, decode_payload
from .polling import Poll, Polls
from .session import POLLING, WEBSOCKET, EngineSession
from .settings import (
    BadQuery,
    EngineSettings,
    bad_method,
    bad_request,
    overloaded,
    unknown_session,
    unknown_transport,
    unsupported_version,
)

log = structlog.get_logger("chatd.engineio")

SID_BYTES: Final = 18
"""Random bytes in a session's id."""

LAST_WORDS_S: Final = 10.0
"""Seconds for which what a closed session still has to say waits for a poll."""

MAX_FIELDS: Final = 32
"""Fields of a query; the client sends five, and what its `query` option adds."""


@attrs.frozen
class EngineQuery:
    """A request's query. `stamp`: the client's `t`, different for each request of its own."""

    transport: str
    sid: str | None
    stamp: str | None


class Hosted:
    """A session with its receiver, its polls, and one task at a time that reads."""

    def __init__(self, session: EngineSession, receiver: Receiver, owner: bytes) -> None:
        self.session = session
        self.receiver = receiver
        self.owner = owner
        self.polls = Polls(session)
        self.over = trio.Event()
        self._reading = trio.Lock()

    async def receive(self, kind: EngineKind, data: str | bytes) -> None:
        """Take a packet, and wait until it is served. Raises BrokenPacket."""
        async with self._reading:
            if not self.take(kind, data):
                await self.serve()

    def take(self, kind: EngineKind, data: str | bytes) -> bool:
        """Take a packet; False: `serve` is to be called. Raises BrokenPacket."""
        session = self.session
        message = session.receive(kind, data) if session.closed is None else None
        return message is None or self.receiver.take(message)

    async def serve(self) -> None:
        """Serve the message that `take` left. Raises BrokenPacket."""
        self.session.busy = True
        try:
            await self.receiver.serve()
        finally:
            self.session.busy = False


class EngineServer:
    """All sessions of one application. `nursery`: where they live, whatever becomes of the request that began them."""

    def __init__(
        self, application: EngineApplication, settings: EngineSettings, *, nursery: Callable[[], trio.Nursery | None]
    ) -> None:
        self.application = application
        self.settings = settings
        self._nursery = nursery
        self._sessions: dict[str, Hosted] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def knows(self, head: Head) -> bool:
        """Return True if the request belongs to a session that is there, and shows nobody else's credentials."""
        try:
            asked = self.asked(head)
            return asked.sid is not None and self.find(asked.sid, head) is not None
        except BadQuery:
            return False

    def asked(self, head: Head) -> EngineQuery:
        """Return what a request's query says. Raises BadQuery."""
        try:
            query = dict(parse_qsl(head.query.decode("ascii"), max_num_fields=MAX_FIELDS, keep_blank_values=True))
        except ValueError:
            raise bad_request() from None
        transport = query.get("transport", "")
        if transport not in (POLLING, WEBSOCKET):
            raise unknown_transport()
        if query.get("EIO") != "4":
            raise unsupported_version()
        return EngineQuery(transport, query.get("sid"), query.get("t"))

    def find(self, sid: str, head: Head) -> Hosted:
        """Return the session of this id. Raises BadQuery, also where another's credentials are shown."""
        live = self._sessions.get(sid)
        owner = self.application.owner(head)
        if live is None or (owner and live.owner and not secrets.compare_digest(live.owner, owner)):
            raise unknown_session()
        live.session.tick()  # a timer that is due may not have had its turn
        return live

    # -- polling --

    async def get(self, head: Head, address: str | None, shown: Carried, gone: Callable[[], Awaitable[None]]) -> bytes:
        """Answer a GET: the first opens a session. `gone` waits until the client leaves. Raises BadQuery."""
        asked = self._polling(head)
        if asked.sid is None:
            return self.begin(head, address, shown, POLLING)[1]
        live = self.find(asked.sid, head)
        if live.session.transport != POLLING:
            raise bad_request()
        poll = live.polls.begin(asked.stamp)
        return await self._wait(live, poll, gone)

    async def _wait(self, live: Hosted, poll: Poll, gone: Callable[[], Awaitable[None]]) -> bytes:
        if not poll.done.is_set():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_watch, gone, live, poll)
                await poll.done.wait()
                nursery.cancel_scope.cancel()
        if live.session.closed is not None and live.session.is_empty:
            self._forget(live)
        return poll.result()

    async def post(self, head: Head, body: bytes) -> bytes:
        """Take a POST's packets, one after the other. Raises BadQuery."""
        asked = self._polling(head)
        if asked.sid is None:
            raise bad_method()
        live = self.find(asked.sid, head)
        if live.session.transport != POLLING or live.session.closed is not None:
            raise bad_request()
        with live.polls.posting(asked.stamp) as fresh:
            if fresh:
                await self._take_all(live, body)
        return b"ok"

    async def _take_all(self, live: Hosted, body: bytes) -> None:
        try:
            for kind, data in decode_payload(body):
                await live.receive(kind, data)
        except BrokenPacket:
            live.session.close("parse error")
            raise bad_request() from None

    def _polling(self, head: Head) -> EngineQuery:
        asked = self.asked(head)
        if asked.transport != POLLING:
            raise bad_request()
        return asked

    def refused_method(self, head: Head) -> BadQuery:
        """Return the refusal of a method that is neither GET nor POST."""
        try:
            asked = self.asked(head)
        except BadQuery as error:
            return error
        return bad_method() if asked.sid is None else bad_request()

    # -- sessions --

    def begin(self, head: Head, address: str | None, shown: Carried | None, transport: str) -> tuple[Hosted, bytes]:
        """Open a session; return it and its first packet. Raises BadQuery."""
        nursery = self._nursery()
        if nursery is None or nursery.cancel_scope.cancel_called or len(self._sessions) >= self.settings.max_sessions:
            raise overloaded()
        session = EngineSession(secrets.token_urlsafe(SID_BYTES), self.settings, clock=trio.current_time)
        receiver = self.application.open(session, head, address, shown)
        live = Hosted(session, receiver, self.application.owner(head))
        session.on_close = lambda reason: self._closed(live, reason)
        self._sessions[session.sid] = live
        nursery.start_soon(self._live, live)
        return live, session.open_packet(transport)

    async def _live(self, live: Hosted) -> None:
        """Be the session's life: its heartbeat, and what its receiver does besides."""
        session = live.session
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(live.receiver.run)
                nursery.start_soon(_beat, session)
                await live.over.wait()
                nursery.cancel_scope.cancel()
        except* Exception as group:
            log.error("session failed", exc_info=group)
        finally:
            session.close("server error")
        if session.transport == POLLING and not session.is_empty:
            await trio.sleep(LAST_WORDS_S)
        self._forget(live)

    def _closed(self, live: Hosted, reason: str) -> None:
        live.over.set()
        live.receiver.left(reason)
        if live.session.transport != POLLING or live.session.is_empty:
            self._forget(live)

    def _forget(self, live: Hosted) -> None:
        self._sessions.pop(live.session.sid, None)


async def _beat(session: EngineSession) -> None:
    while session.closed is None:
        await trio.sleep_until(session.due)
        session.tick()


async def _watch(gone: Callable[[], Awaitable[None]], live: Hosted, poll: Poll) -> None:
    """End the session whose client leaves while it polls: it takes that for the end, too."""
    await gone()
    if not poll.done.is_set():
        live.session.close("transport close")
