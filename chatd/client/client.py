"""The client itself: its connection's life, its requests, and what it tells its owner."""

import functools
import itertools
import random
import secrets
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from weakref import WeakSet

import trio

from protocol.codes import CloseCode, ErrorCode
from protocol.frames import ChangeOk, Frame, HelloOk, Ok, SyncOk
from protocol.objects import Limits, Message, User
from protocol.requests import ConversationGet, Hello, MessageSend, Ping, Request, SetTyping, Sync

from .asking import ClientRequests
from .files import FileTransfers
from .line import FAILURES, Line, LineOver
from .link import Link, LinkLost, RequestFailed, copy
from .mailbox import Closed, Connected, Disconnected, Events, PresenceChanged, TypingChanged, UserChanged
from .polling import PollingLine
from .replica import Conversation, Effect, Replica
from .sending import Sending
from .sign_in import FINAL_STATUSES, SignInFailed
from .target import ServerAddress
from .ways import Ways
from .websocket import WebSocketLine, works

CONNECT_TIMEOUT_S = 10.0
"""Seconds for each step of connecting: the network, the handshake, `hello`."""

PONG_TIMEOUT_S = 10.0
"""Seconds for a sign of life after a `ping`."""

BACKOFF_FIRST, BACKOFF_MOST = 0.25, 30.0
"""Bounds of the wait before coming back, s; the wait itself is anything below (full jitter)."""

PROBE_FIRST, PROBE_MOST = 60.0, 600.0
"""Bounds of the time between two tries of WebSocket while polling, s; doubled each time."""

STEADY_AFTER_S = 30.0
"""Seconds after which a connection was a good one, and the backoff begins anew."""

MAX_IN_FLIGHT = 32
"""Messages of one conversation that may be on their way at once."""

TYPING_EVERY_S = 3.0
"""Seconds between two `typing` of one conversation."""

Dial = Callable[[], Awaitable[trio.abc.Stream]]
Token = str | Callable[[], Awaitable[str]]


class Client(ClientRequests):
    """A client, made by `connect`. `replica`: the copy of the conversations; only to be read. `files`: up and down."""

    def __init__(
        self,
        url: str,
        greeting: Hello,
        token: Token | None,
        dial: Dial | None,
        ssl_context: ssl.SSLContext | None,
        rng: random.Random,
        polling: bool,
    ) -> None:
        self._ways = Ways(allowed=polling)
        self.replica = Replica()
        self._target = ServerAddress.of(url)
        self._dial = dial or functools.partial(self._target.dial, ssl_context)
        self._greeting = greeting
        self._token = token
        self._rng = rng
        self.files = FileTransfers(self._target.netloc, self._dial, self._signed)
        self._limits = Limits()
        self._link: Link | None = None
        self._moved = trio.Event()  # a connection came, or none will any more
        self._closed: Closed | None = None
        self._reached = self._greeted = False  # of the connection there is
        self._events: WeakSet[Events] = WeakSet()
        self._lanes: dict[str, deque[Sending]] = {}
        self._nursery: trio.Nursery | None = None
        self._to_sync: set[str] = set()
        self._syncing: set[str] = set()
        self._to_get: set[str] = set()
        self._gap = trio.Event()
        self._typing = trio.Event()
        self._typed: dict[str, float] = {}

    # -- what programs use --

    @property
    def connected(self) -> bool:
        """Return True if there is a connection now."""
        return self._link is not None

    @property
    def user(self) -> User | None:
        """The signed-in user; None before the first `hello`."""
        return self.replica.user

    def conversation(self, id: str) -> Conversation | None:
        """Return the copy of a conversation, if there is one."""
        return self.replica.conversations.get(id)

    def events(self) -> Events:
        """All that happens from now on, for one consumer: to be iterated over. Iterating raises Closed at the end."""
        events = Events()
        if self._closed is not None:
            events.close(self._closed)
        self._events.add(events)
        return events

    async def ask(self, request: Request) -> Ok:
        """Send any request and wait for its `ok`; without a connection, as soon as there is one.

        Where a connection is lost before the answer, the request is repeated on the next. Raises RequestFailed, Closed.
        """
        while True:
            link = await self._linked()
            try:
                return await link.ask(request)
            except LinkLost:
                continue

    def post(
        self,
        conversation: str,
        body: str,
        *,
        reply_to: int | None = None,
        client_id: str | None = None,
        attachments: Sequence[str] = (),
    ) -> Sending:
        """Send a message without waiting: in order, now or as soon as there is a connection. Raises Closed.

        `attachments`: ids of `files.upload`.
        """
        if self._closed is not None:
            raise self._closed.again()
        assert self._nursery is not None
        request = MessageSend(
            conversation=conversation,
            client_id=client_id or secrets.token_hex(16),
            body=body,
            reply_to=reply_to,
            attachments=list(attachments) or None,
        )
        sending = Sending(request)
        lane = self._lanes.get(conversation)
        if lane is None:
            lane = self._lanes[conversation] = deque()
            self._nursery.start_soon(self._work_off, conversation, lane)
        lane.append(sending)
        self._typed.pop(conversation, None)
        return sending

    async def send(
        self,
        conversation: str,
        body: str,
        *,
        reply_to: int | None = None,
        client_id: str | None = None,
        attachments: Sequence[str] = (),
    ) -> Message:
        """Send a message, and wait until it is kept for good; who stops waiting doesn't stop the message.

        Raises RequestFailed (it was refused), Closed.
        """
        return await self.post(
            conversation, body, reply_to=reply_to, client_id=client_id, attachments=attachments
        ).acknowledged()

    def unacknowledged(self) -> tuple[Sending, ...]:
        """The messages still on their way, oldest first within a conversation."""
        return tuple(sending for lane in self._lanes.values() for sending in lane)

    async def typing(self, conversation: str, *, active: bool = True) -> None:
        """Say that the user types (as often as you like), or stopped; forgotten where there is no connection."""
        now = trio.current_time()
        if self._link is None or (active and now < self._typed.get(conversation, -TYPING_EVERY_S) + TYPING_EVERY_S):
            await trio.lowlevel.checkpoint()
            return
        if active:
            self._typed[conversation] = now
        else:
            self._typed.pop(conversation, None)
        try:
            await self._link.start(SetTyping(conversation=conversation, active=active))
        except LinkLost:
            return

    # -- asking --

    async def _linked(self) -> Link:
        while self._link is None:
            if self._closed is not None:
                raise self._closed.again()
            await self._moved.wait()
        return self._link

    async def _work_off(self, conversation: str, lane: deque[Sending]) -> None:
        """Send a conversation's messages: in order, each until it is answered."""
        attempt = 0
        while lane:
            try:
                wait = await self._send_some(await self._linked(), lane)
            except LinkLost:
                continue
            except Closed as closed:
                for sending in lane:
                    sending.fail(closed)
                lane.clear()
                break
            if wait is None:
                attempt = 0
            else:
                await trio.sleep(wait or self._backoff(attempt))
                attempt += 1
        del self._lanes[conversation]

    async def _send_some(self, link: Link, lane: deque[Sending]) -> float | None:
        """One window of messages. Those that failed for now stay; then s to wait (0: any), else None."""
        window = list(itertools.islice(lane, MAX_IN_FLIGHT))
        started = [(sending, await link.start(sending.request)) for sending in window]
        wait: float | None = None
        for sending, asked in started:
            try:
                ok = await asked.answer()
            except RequestFailed as error:
                if error.temporary:
                    wait = max(wait or 0.0, error.retry_after or 0.0)
                    continue
                sending.fail(error)
            else:
                assert isinstance(ok, ChangeOk)
                assert ok.messages
                sending.succeed(ok.messages[0])
            lane.remove(sending)
        return wait

    # -- what comes in --

    def _take(self, frame: Frame, request: Request | None) -> None:
        if isinstance(frame, HelloOk):
            self._limits = frame.limits
            self._to_sync.clear()
            self._syncing.clear()
        elif isinstance(frame, SyncOk) and isinstance(request, Sync):
            self._syncing -= request.revs.keys()
        effect = self.replica.apply(frame, request, now=trio.current_time())
        self._publish(effect)
        self._to_sync |= effect.sync - self._syncing
        self._to_get |= effect.get
        if self._to_sync or self._to_get:
            self._gap.set()
        if effect.typing:
            self._typing.set()

    def _publish(self, effect: Effect) -> None:
        replica = self.replica
        for events in self._events:
            for id in effect.dropped:
                gathered = events.gather(id)
                gathered.messages.clear()
                gathered.dropped = True
            for id, messages in effect.messages.items():
                events.gather(id).add(messages, restarted=id in effect.restarted)
            for id, user in effect.typing:
                held = replica.conversations.get(id)
                active = held is not None and user in held.typing
                events.put(TypingChanged(id, user, active), id, user)
            for user in effect.presence:
                events.put(PresenceChanged(user, replica.online(user)), user)
            for user in effect.users & replica.users.keys():
                events.put(UserChanged(replica.users[user]), user)

    def _announce(self, event: Connected | Disconnected) -> None:
        for events in self._events:
            events.put(event)

    async def _expire_typing(self) -> None:
        while True:
            self._typing = trio.Event()
            with trio.move_on_at(self.replica.typing_until()):
                await self._typing.wait()
            self._publish(self.replica.expire_typing(trio.current_time()))

    # -- coming back --

    async def _run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep a connection until told not to come back, or cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._expire_typing)
            task_status.started()
            attempt = 0
            while True:
                began = trio.current_time()
                over = await self._connection()
                steady = trio.current_time() - began > STEADY_AFTER_S
                over = self._ways.ended(over, reached=self._reached, greeted=self._greeted, steady=steady)
                if over.fatal or (over.code == CloseCode.TOKEN_EXPIRED and not callable(self._token)):
                    break
                if steady:
                    attempt = 0
                wait = self._backoff(attempt) if over.wait is None else over.wait
                attempt += 1
                self._announce(Disconnected(over.reason, wait, over.cause))
                await trio.sleep(wait)
            self._closed = Closed(over.reason, over.code)
            for events in self._events:
                events.close(self._closed)
            self._wake()
            await trio.sleep_forever()

    def _backoff(self, attempt: int) -> float:
        return self._rng.uniform(0, min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** min(attempt, 10)))

    def _wake(self) -> None:
        self._moved.set()
        self._moved = trio.Event()

    async def _connection(self) -> LineOver:
        """The life of one connection."""
        over: LineOver | None = None
        self._reached = self._greeted = False
        try:
            async with trio.open_nursery() as nursery:
                if self._ways.polling:
                    await self._talk(nursery, await self._poll(nursery), None)
                else:
                    await self._over_websocket(nursery)
        except* LineOver as group:
            over = LineOver.by(group)
        except* FAILURES as group:
            over = over or LineOver.by(group)
        assert over is not None
        return over

    async def _over_websocket(self, nursery: trio.Nursery) -> None:
        with trio.fail_after(CONNECT_TIMEOUT_S):
            stream = await self._dial()
        self._reached = True
        try:
            with trio.fail_after(CONNECT_TIMEOUT_S):
                line = await WebSocketLine.over(stream, self._target, nursery)
            await self._talk(nursery, line, self._fresh_token)
        finally:
            await trio.aclose_forcefully(stream)

    async def _poll(self, nursery: trio.Nursery) -> PollingLine:
        """Open a polled session; each of its requests is signed in. Raises LineOver, or one of `FAILURES`."""
        headers = await self._signed()
        self._reached = True
        with trio.fail_after(CONNECT_TIMEOUT_S):
            line = await PollingLine.open(self._target.netloc, self._dial, headers, nursery)
        nursery.start_soon(self._probe, line)
        return line

    async def _probe(self, line: PollingLine) -> None:
        """Try now and then whether WebSocket works. Raises LineOver where it does."""
        pause = PROBE_FIRST
        while True:
            await trio.sleep(pause * self._rng.uniform(0.75, 1.25))
            if await works(self._dial, self._target, CONNECT_TIMEOUT_S):
                self._ways.back()
                with trio.move_on_after(1):
                    await line.goodbye()
                raise LineOver("WebSocket works again", wait=0, carried=True)
            pause = min(2 * pause, PROBE_MOST)

    async def _talk(self, nursery: trio.Nursery, line: Line, token: Callable[[], Awaitable[str | None]] | None) -> None:
        """Greet, and take frames in until the end; `token`: what `hello` shows, None where the line is signed in."""
        link = Link(line, self._take)
        nursery.start_soon(link.write)
        nursery.start_soon(self._greet, link, nursery, token)
        try:
            await link.read()
        finally:
            self._link = None
            self._typed.clear()

    async def _signed(self) -> dict[str, str]:
        """Return the headers that sign a request of HTTP in. Raises LineOver."""
        token = await self._fresh_token()
        return {"X-Chatd-User": self._greeting.user or ""} if token is None else {"Authorization": f"Bearer {token}"}

    async def _fresh_token(self) -> str | None:
        """Return the token, fetched where it is fetched. Raises LineOver."""
        if self._token is None or isinstance(self._token, str):
            return self._token
        try:
            return await self._token()
        except SignInFailed as error:
            raise LineOver(str(error), fatal=error.status in FINAL_STATUSES, carried=True) from None
        except (*FAILURES,) as error:
            raise LineOver(LineOver.by(error).reason, carried=True) from None

    async def _greet(
        self, link: Link, nursery: trio.Nursery, fetch: Callable[[], Awaitable[str | None]] | None
    ) -> None:
        revs = dict(itertools.islice(self.replica.revs().items(), self._limits.max_revs))
        token = await fetch() if fetch is not None else None
        greeting = copy(self._greeting, token=token, epoch=self.replica.epoch, revs=revs or None)
        try:
            with trio.fail_after(CONNECT_TIMEOUT_S):
                ok = await link.ask(greeting)
        except RequestFailed as error:
            stale = error.code == ErrorCode.UNAUTHORIZED and not callable(self._token)
            fatal = stale or not error.temporary
            wait = None if error.retry_after is None else error.retry_after + self._backoff(0)
            raise LineOver(error.message, wait=wait, fatal=fatal, carried=True) from None
        except LinkLost:
            return  # the reader says how
        if link.ended.is_set():
            return
        assert isinstance(ok, HelloOk)
        self._link = link
        self._greeted = True
        self._announce(Connected(ok.user))
        self._wake()
        nursery.start_soon(self._heartbeat, link, ok.heartbeat)
        nursery.start_soon(self._mend, link)

    async def _heartbeat(self, link: Link, interval: float) -> None:
        """Notice a dead link: the server's own pings are heard, too, so mostly there is nothing to ask."""
        while True:
            await trio.sleep_until(link.heard + interval)
            if trio.current_time() < link.heard + interval:
                continue
            asked = trio.current_time()
            with trio.move_on_at(asked + PONG_TIMEOUT_S), suppress(RequestFailed, LinkLost):  # any answer will do
                await link.ask(Ping())
            if link.heard < asked:
                raise LineOver("the server is silent")

    async def _mend(self, link: Link) -> None:
        """Ask for what is missing."""
        attempt = 0
        while True:
            if not (self._to_sync or self._to_get):
                self._gap = trio.Event()
                await self._gap.wait()
            try:
                await self._sync_some(link)
                await self._get_one(link)
                attempt = 0
            except RequestFailed as error:
                await trio.sleep(error.retry_after or self._backoff(attempt))
                attempt += 1
            except LinkLost:
                return

    async def _sync_some(self, link: Link) -> None:
        held = self.replica.revs()
        revs = {id: held[id] for id in itertools.islice(sorted(self._to_sync), self._limits.max_revs) if id in held}
        self._to_sync &= held.keys()
        if not revs:
            return
        self._to_sync -= revs.keys()
        self._syncing |= revs.keys()
        try:
            await link.ask(Sync(epoch=self.replica.epoch or "", revs=revs))
        except RequestFailed:
            self._syncing -= revs.keys()
            self._to_sync |= revs.keys()
            raise

    async def _get_one(self, link: Link) -> None:
        self._to_get -= self.replica.conversations.keys()
        if not self._to_get:
            return
        id = min(self._to_get)
        try:
            await link.ask(ConversationGet(conversation=id))
        except RequestFailed as error:
            if error.temporary:
                raise
            self._publish(self.replica.drop(id))
        self._to_get.discard(id)

    async def _goodbye(self) -> None:
        """Close the connection in good order, where that is quick."""
        if self._link is not None:
            with trio.move_on_after(1):
                await self._link.goodbye()
