"""A client for Python programs: keeps a connection, and a copy of the conversations that is always on its way to the truth.

    async with chatd.client.connect("http://127.0.0.1:3001", user="bot-1", role="staff") as client:
        async for event in client.events():
            ...

It comes back by itself, resumes where it was, closes gaps, and repeats what was not acknowledged; nothing is sent twice.
"""

import itertools
import random
import secrets
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit
from weakref import WeakSet

import attrs
import trio
import trio_websocket
from wsproto.utilities import ProtocolError

from protocol.codes import CloseCode, ErrorCode, may_come_back
from protocol.decode import Malformed, decode_frame
from protocol.encode import encode
from protocol.frames import (
    ChangeOk,
    Error,
    Frame,
    GetOk,
    GoingAway,
    HelloOk,
    HistoryOk,
    ListOk,
    Ok,
    PresenceOk,
    SyncOk,
    UserListOk,
)
from protocol.objects import Limits, Message, PresenceState, Role, User
from protocol.requests import (
    ConversationGet,
    ConversationLeave,
    ConversationList,
    ConversationOpen,
    Hello,
    MessageHistory,
    MessageSend,
    Ping,
    PresenceGet,
    Receipt,
    Request,
    SetTyping,
    Sync,
    UserList,
)
from protocol.types import RequestId

from .replica import Conversation, Effect, Replica

CONNECT = 10.0
"""Seconds for each step of connecting: the network, the handshake, `hello`."""

ANSWER = 10.0
"""Seconds for a sign of life after a `ping`."""

BACKOFF_FIRST, BACKOFF_MOST = 0.25, 30.0
"""Bounds of the wait before coming back, s; the wait itself is anything below (full jitter)."""

STEADY = 30.0
"""Seconds after which a connection was a good one, and the backoff begins anew."""

WINDOW = 32
"""Messages of one conversation that may be on their way at once."""

MAX_LISTED = 1000
"""Messages that wait for a slow consumer of events, of one conversation; after that it is told to look itself."""

MAX_FRAME = 1024 * 1024
"""Bytes that a frame from the server may have."""

QUEUE = 64
"""Requests that wait for the network."""

TYPING_EVERY = 3.0
"""Seconds between two `typing` of one conversation."""

PAGE = 200

Dial = Callable[[], Awaitable[trio.abc.Stream]]
Token = str | Callable[[], Awaitable[str]]
O = TypeVar("O", bound=Ok)  # noqa: E741


class RequestFailed(Exception):
    """The server said no. `temporary`: the same may succeed later, in `retry_after` s where that is given."""

    def __init__(self, error: Error) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.code = error.code
        self.message = error.message
        self.temporary = error.temporary
        self.retry_after = error.retry_after


class Closed(Exception):
    """The client is over and does not come back: refused, or told not to. `code`: of the close frame, if there was one."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


# -- events --


@attrs.frozen
class Connected:
    """The server said hello; what was missed is on its way."""

    user: User


@attrs.frozen
class Disconnected:
    """The connection was lost, or there was none to be had; the next attempt is in `retry_in` s."""

    reason: str
    retry_in: float


@attrs.frozen
class ConversationChanged:
    """Something durable changed since the last event of this conversation, however much that was.

    `messages`: those new or changed, by seq. `reload`: they are not all, or the conversation began anew: what is held is
    in the replica, and older messages come by `history`. `dropped`: it is not the user's any more.
    """

    conversation: str
    messages: tuple[Message, ...] = ()
    reload: bool = False
    dropped: bool = False


@attrs.frozen
class TypingChanged:
    """Somebody types, or stopped."""

    conversation: str
    user: str
    active: bool


@attrs.frozen
class PresenceChanged:
    """Somebody came or went."""

    user: str
    online: bool


@attrs.frozen
class UserChanged:
    """Somebody is new to this client, or has another name, role or picture."""

    user: User


Event = Connected | Disconnected | ConversationChanged | TypingChanged | PresenceChanged | UserChanged


@attrs.define
class _Gathered:
    """What a `ConversationChanged` will say when it is taken."""

    messages: dict[int, Message] = attrs.Factory(dict)
    reload: bool = False
    dropped: bool = False

    def add(self, messages: dict[int, Message], *, restarted: bool) -> None:
        if restarted:
            self.messages.clear()
        self.dropped = False
        self.messages |= messages
        self.reload = self.reload or restarted or len(self.messages) > MAX_LISTED
        if len(self.messages) > MAX_LISTED:
            self.messages.clear()

    def event(self, conversation: str) -> ConversationChanged:
        messages = tuple(self.messages[seq] for seq in sorted(self.messages))
        return ConversationChanged(conversation, messages, self.reload, self.dropped)


class Events:
    """What happened, oldest first, for one consumer. Where it is slow, what belongs together becomes one event.

    So it holds no more than one event for each thing that can change, and nothing durable is lost.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, ...], Event | _Gathered] = {}
        self._news = trio.Event()
        self._closed: Closed | None = None

    def __aiter__(self) -> "Events":
        return self

    async def __anext__(self) -> Event:
        """Raises Closed after the last one."""
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            if self._closed is not None:
                raise self._closed
            self._news = trio.Event()
            await self._news.wait()
        key = next(iter(self._waiting))
        event = self._waiting.pop(key)
        return event.event(key[1]) if isinstance(event, _Gathered) else event

    def put(self, event: Event, *about: str) -> None:
        self._waiting[type(event).__name__ if about else "connection", *about] = event
        self._news.set()

    def gather(self, conversation: str) -> _Gathered:
        gathered = self._waiting.setdefault(("conversation", conversation), _Gathered())
        assert isinstance(gathered, _Gathered)
        self._news.set()
        return gathered

    def close(self, closed: Closed) -> None:
        self._closed = closed
        self._news.set()


# -- one connection --


class _LinkLost(Exception):
    """The connection ended before the answer came."""


class _Over(Exception):
    """How a connection ended. `wait`: s that the server asked for; `fatal`: for good."""

    def __init__(self, reason: str, *, code: int | None = None, wait: float | None = None, fatal: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.wait = wait
        self.fatal = fatal


@attrs.define(eq=False)
class _Asked:
    """A request on its way. `reply` is None when the connection was lost."""

    request: Request
    done: trio.Event = attrs.Factory(trio.Event)
    reply: Ok | Error | None = None

    async def answer(self) -> Ok:
        """Raises RequestFailed or _LinkLost."""
        await self.done.wait()
        if self.reply is None:
            raise _LinkLost
        if isinstance(self.reply, Error):
            raise RequestFailed(self.reply)
        return self.reply


class _Watched(trio.abc.Stream):
    """Notes when something was heard, and says so when the peer goes in the middle of the handshake."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.heard = trio.current_time()
        self.shaking_hands = True

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await self._stream.receive_some(max_bytes))
        self.heard = trio.current_time()
        if not data and self.shaking_hands:
            raise _Over("the server hung up")  # trio-websocket would wait on
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Link:
    """One WebSocket connection: requests out, frames in, in order."""

    def __init__(
        self, websocket: trio_websocket.WebSocketConnection, take: Callable[[Frame, Request | None], None]
    ) -> None:
        self.websocket = websocket
        self._take = take
        self._ids = itertools.count(1)
        self._asked: dict[RequestId, _Asked] = {}
        self._types: dict[RequestId, str] = {}
        self._out, self._queue = trio.open_memory_channel[str](QUEUE)
        self._reconnect_in: float | None = None

    async def start(self, request: Request) -> _Asked:
        """Send a request. Raises _LinkLost."""
        id = next(self._ids)
        asked = _Asked(_with_id(request, id))
        self._asked[id] = asked
        self._types[id] = request.TYPE
        try:
            await self._out.send(encode(asked.request).decode())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise _LinkLost from None
        return asked

    async def ask(self, request: Request) -> Ok:
        """Raises RequestFailed or _LinkLost."""
        return await (await self.start(request)).answer()

    async def write(self) -> None:
        """Send what is queued; nobody else may, as a send that is cancelled leaves half a frame."""
        async with self._queue:
            async for text in self._queue:
                await self.websocket.send_message(text)

    async def read(self) -> None:
        """Take frames in until the end, which is an _Over."""
        try:
            while True:
                text = await self.websocket.get_message()
                if not isinstance(text, str):
                    raise Malformed("a binary frame")
                self._receive(decode_frame(text, self._types))
        except trio_websocket.ConnectionClosed as closed:
            raise self._end(closed.reason) from None

    def _receive(self, frame: Frame) -> None:
        asked = None
        if isinstance(frame, Ok | Error) and frame.re is not None:
            asked = self._asked.pop(frame.re, None)
            self._types.pop(frame.re, None)
        if isinstance(frame, GoingAway):
            self._reconnect_in = frame.reconnect_in
        if not isinstance(frame, Error):
            self._take(frame, asked.request if asked else None)
        if asked is not None and isinstance(frame, Ok | Error):
            asked.reply = frame
            asked.done.set()

    def _end(self, reason: trio_websocket.CloseReason | None) -> _Over:
        code = reason.code if reason else None
        said = (reason.reason if reason else None) or "the connection broke"
        return _Over(said, code=code, wait=self._reconnect_in, fatal=not may_come_back(code))

    def lost(self) -> None:
        """Whoever waits for an answer must ask again."""
        self._out.close()
        for asked in self._asked.values():
            asked.done.set()


# -- the client --


class Sending:
    """A message on its way; it is repeated until the server has answered."""

    def __init__(self, request: MessageSend) -> None:
        self.conversation = request.conversation
        self.client_id = request.client_id
        self.body = request.body
        self.request = request
        self._done = trio.Event()
        self._message: Message | None = None
        self._error: RequestFailed | Closed | None = None

    @property
    def done(self) -> bool:
        """Whether the server has answered, or never will."""
        return self._done.is_set()

    async def acknowledged(self) -> Message:
        """Wait until the message is kept for good. Raises RequestFailed (it was refused) or Closed."""
        await self._done.wait()
        if self._error is not None:
            raise self._error
        assert self._message is not None
        return self._message

    def succeed(self, message: Message) -> None:
        self._message = message
        self._done.set()

    def fail(self, error: RequestFailed | Closed) -> None:
        self._error = error
        self._done.set()


class Client:
    """See the module's text; made by `connect`. `replica`: all that is known, kept up to date; only to be read."""

    def __init__(self, url: str, greeting: Hello, token: Token | None, dial: Dial | None, rng: random.Random) -> None:
        self.replica = Replica()
        self._target = _Target.of(url)
        self._dial = dial or self._target.dial
        self._greeting = greeting
        self._token = token
        self._rng = rng
        self._limits = Limits()
        self._link: _Link | None = None
        self._moved = trio.Event()  # a connection came, or none will any more
        self._closed: Closed | None = None
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
        """Whether there is a connection now."""
        return self._link is not None

    @property
    def user(self) -> User | None:
        """Who is signed in; None before the first `hello`."""
        return self.replica.user

    def conversation(self, id: str) -> Conversation | None:
        """What is held of a conversation."""
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
            except _LinkLost:
                continue

    async def open(self, user: str) -> Conversation:
        """The one direct conversation with a user, new if need be. Raises RequestFailed (`not_found`), Closed."""
        ok = await self._ask(ConversationOpen(other=user), ChangeOk)
        return await self._held(ok.conversation)

    async def get(self, conversation: str) -> Conversation:
        """Load a conversation. Raises RequestFailed (`not_found`), Closed."""
        await self._ask(ConversationGet(conversation=conversation), GetOk)
        return await self._held(conversation)

    async def list(self, *, archived: bool = False) -> list[Conversation]:
        """All conversations, as the server orders them. Raises RequestFailed, Closed."""
        found: dict[str, None] = {}
        cursor: str | None = None
        while True:
            page = await self._ask(ConversationList(archived=archived, limit=PAGE, cursor=cursor), ListOk)
            found |= dict.fromkeys(_summary_id(summary) for summary in page.conversations)
            cursor = page.cursor
            if cursor is None:
                return [held for id in found if (held := self.conversation(id)) is not None]

    async def history(
        self, conversation: str, *, before: int | None = None, after: int | None = None, limit: int = 50
    ) -> tuple[list[Message], bool]:
        """A page of messages, ascending, and whether there are more further on. Raises RequestFailed, Closed."""
        request = MessageHistory(conversation=conversation, before=before, after=after, limit=limit)
        page = await self._ask(request, HistoryOk)
        return [message for message in page.messages if isinstance(message, Message)], page.more

    def post(
        self, conversation: str, body: str, *, reply_to: int | None = None, client_id: str | None = None
    ) -> Sending:
        """Send a message without waiting: in order, now or as soon as there is a connection. Raises Closed."""
        if self._closed is not None:
            raise self._closed
        assert self._nursery is not None
        request = MessageSend(
            conversation=conversation, client_id=client_id or secrets.token_hex(16), body=body, reply_to=reply_to
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
        self, conversation: str, body: str, *, reply_to: int | None = None, client_id: str | None = None
    ) -> Message:
        """Send a message, and wait until it is kept for good; who stops waiting doesn't stop the message.

        Raises RequestFailed (it was refused), Closed.
        """
        return await self.post(conversation, body, reply_to=reply_to, client_id=client_id).acknowledged()

    def unacknowledged(self) -> tuple[Sending, ...]:
        """The messages still on their way, oldest first within a conversation."""
        return tuple(sending for lane in self._lanes.values() for sending in lane)

    async def receipt(self, conversation: str, *, delivered: int | None = None, read: int | None = None) -> None:
        """Say up to which seq messages have come, or were read. Raises RequestFailed, Closed."""
        await self._ask(Receipt(conversation=conversation, delivered=delivered, read=read), ChangeOk)

    async def typing(self, conversation: str, *, active: bool = True) -> None:
        """Say that the user types (as often as you like), or stopped; forgotten where there is no connection."""
        now = trio.current_time()
        if self._link is None or (active and now < self._typed.get(conversation, 0) + TYPING_EVERY):
            await trio.lowlevel.checkpoint()
            return
        if active:
            self._typed[conversation] = now
        else:
            self._typed.pop(conversation, None)
        try:
            await self._link.start(SetTyping(conversation=conversation, active=active))
        except _LinkLost:
            return

    async def leave(self, conversation: str) -> None:
        """Leave a conversation. Raises RequestFailed, Closed."""
        await self._ask(ConversationLeave(conversation=conversation), ChangeOk)

    async def users(self, query: str | None = None, *, role: Role | None = None) -> list[User]:
        """All users who can be reached, by name. Raises RequestFailed, Closed."""
        found: list[User] = []
        cursor: str | None = None
        while True:
            page = await self._ask(UserList(query=query, role=role, limit=PAGE, cursor=cursor), UserListOk)
            found += page.users
            cursor = page.cursor
            if cursor is None:
                return found

    async def presence(self, users: Iterable[str]) -> dict[str, PresenceState]:
        """Who of these is online, as far as they share a conversation. Raises RequestFailed, Closed."""
        ok = await self._ask(PresenceGet(users=[*users]), PresenceOk)
        return {state.user: state for state in ok.presence}

    # -- asking --

    async def _ask(self, request: Request, kind: type[O]) -> O:
        ok = await self.ask(request)
        assert isinstance(ok, kind)  # the decoder's word
        return ok

    async def _linked(self) -> _Link:
        while self._link is None:
            if self._closed is not None:
                raise self._closed
            await self._moved.wait()
        return self._link

    async def _held(self, conversation: str) -> Conversation:
        held = self.conversation(conversation)
        while held is None:  # dropped or reset within the same breath
            await self._ask(ConversationGet(conversation=conversation), GetOk)
            held = self.conversation(conversation)
        return held

    async def _work_off(self, conversation: str, lane: deque[Sending]) -> None:
        """Send a conversation's messages: in order, each until it is answered."""
        attempt = 0
        while lane:
            try:
                wait = await self._send_some(await self._linked(), lane)
            except _LinkLost:
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

    async def _send_some(self, link: _Link, lane: deque[Sending]) -> float | None:
        """One window of messages. Where one failed for now it and those after it stay: s to wait (0: any), else None."""
        window = list(itertools.islice(lane, WINDOW))
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

    async def run(self) -> None:
        """Keep a connection until told not to come back, or cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._expire_typing)
            attempt = 0
            while True:
                began = trio.current_time()
                over = await self._connection()
                if over.fatal:
                    break
                if trio.current_time() - began > STEADY:
                    attempt = 0
                wait = self._backoff(attempt) if over.wait is None else over.wait
                attempt += 1
                self._announce(Disconnected(over.reason, wait))
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

    async def _connection(self) -> _Over:
        """The life of one connection."""
        over: BaseException | None = None
        try:
            with trio.fail_after(CONNECT):
                stream = await self._dial()
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            return _over_from(error)
        try:
            async with trio.open_nursery() as nursery:
                await self._talk(nursery, _Watched(stream))
        except* _Over as group:
            over = _first(group)
        except* _FAILURES as group:
            over = over or _first(group)
        finally:
            await trio.aclose_forcefully(stream)
        assert over is not None
        return _over_from(over)

    async def _talk(self, nursery: trio.Nursery, stream: _Watched) -> None:
        with trio.fail_after(CONNECT):
            websocket = await trio_websocket.wrap_client_stream(
                nursery,
                stream,  # type: ignore[arg-type]  # any stream does
                self._target.netloc,
                self._target.resource,
                subprotocols=["chat.v1.json"],
                message_queue_size=QUEUE,
                max_message_size=MAX_FRAME + 1,
            )
        stream.shaking_hands = False
        link = _Link(websocket, self._take)
        nursery.start_soon(link.write)
        nursery.start_soon(self._greet, link, stream, nursery)
        try:
            await link.read()
        finally:
            if self._link is link:
                self._link = None
            self._typed.clear()
            link.lost()

    async def _greet(self, link: _Link, stream: _Watched, nursery: trio.Nursery) -> None:
        revs = dict(itertools.islice(self.replica.revs().items(), self._limits.max_revs))
        token = self._token if self._token is None or isinstance(self._token, str) else await self._token()
        # Outside development mode a token may come from the transport; then there is none here.
        greeting = _evolve(self._greeting, token=token, epoch=self.replica.epoch, revs=revs or None)
        try:
            with trio.fail_after(CONNECT):
                ok = await link.ask(greeting)
        except RequestFailed as error:
            stale = error.code == ErrorCode.UNAUTHORIZED and not callable(self._token)
            fatal = stale or not error.temporary
            wait = None if error.retry_after is None else error.retry_after + self._backoff(0)
            raise _Over(error.message, wait=wait, fatal=fatal) from None
        except _LinkLost:
            return  # the reader says how
        assert isinstance(ok, HelloOk)
        self._link = link
        self._announce(Connected(ok.user))
        self._wake()
        nursery.start_soon(self._heartbeat, link, stream, ok.heartbeat)
        nursery.start_soon(self._mend, link)

    async def _heartbeat(self, link: _Link, stream: _Watched, interval: float) -> None:
        """Notice a dead link: the server's own pings are heard, too, so mostly there is nothing to ask."""
        while True:
            await trio.sleep_until(stream.heard + interval)
            if trio.current_time() < stream.heard + interval:
                continue
            asked = trio.current_time()
            with trio.move_on_at(asked + ANSWER):
                await link.ask(Ping())
                continue
            if stream.heard < asked:
                raise _Over("the server is silent")

    async def _mend(self, link: _Link) -> None:
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
            except _LinkLost:
                return

    async def _sync_some(self, link: _Link) -> None:
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

    async def _get_one(self, link: _Link) -> None:
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

    async def goodbye(self) -> None:
        """Close the connection in good order, where that is quick."""
        if self._link is not None:
            with trio.move_on_after(1):
                await self._link.websocket.aclose()


def connect(
    url: str,
    *,
    user: str | None = None,
    name: str | None = None,
    role: Role | None = None,
    token: Token | None = None,
    device: str | None = None,
    dial: Dial | None = None,
    rng: random.Random | None = None,
) -> AbstractAsyncContextManager[Client]:
    """A client of the server at `url` (http, https, ws or wss), for the length of an `async with`.

    It is entered at once: requests wait for the connection, and `events` tell of it. Sign in by `user` (development
    mode) or `token`, which may be a function that fetches a fresh one. `dial` opens a stream to the server in place of
    the network. At the end of the block what isn't acknowledged is forgotten (see `Client.unacknowledged`).

    Raises ValueError for a URL of another kind.
    """
    greeting = Hello(id=0, user=user, name=name, role=role, device=device)
    return _connect(Client(url, greeting, token, dial, rng or random.Random()))


@asynccontextmanager
async def _connect(client: Client) -> AsyncIterator[Client]:
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        await trio.lowlevel.checkpoint()
        try:
            yield client
        except Exception as error:  # kept out of the nursery, which would wrap it into a group
            failure = error
        await client.goodbye()
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


_FAILURES = (
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
    trio_websocket.HandshakeError,
    trio_websocket.ConnectionClosed,
    ProtocolError,
    Malformed,
)
"""What ends a connection, but not the client."""


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _over_from(error: BaseException) -> _Over:
    if isinstance(error, _Over):
        return error
    if isinstance(error, trio_websocket.ConnectionRejected):
        # An answer of HTTP: 408, 429 and what the server is to blame for may pass.
        status = error.status_code
        return _Over(f"the server answered {status}", fatal=400 <= status < 500 and status not in (408, 429))
    if isinstance(error, trio.TooSlowError):
        return _Over("the server doesn't answer")
    return _Over(str(error) or type(error).__name__)


@attrs.frozen
class _Target:
    """Where a URL leads."""

    host: str
    port: int
    tls: bool
    netloc: str
    resource: str

    @classmethod
    def of(cls, url: str) -> "_Target":
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
            raise ValueError(f"{url!r} is no URL of a server: expected one like http://127.0.0.1:3001")
        tls = parts.scheme in ("https", "wss")
        path = parts.path if parts.path not in ("", "/") else "/ws"
        resource = f"{path}?{parts.query}" if parts.query else path
        netloc = parts.netloc.rpartition("@")[2]
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls, netloc, resource)

    async def dial(self) -> trio.abc.Stream:
        stream = await trio.open_tcp_stream(self.host, self.port)
        stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        if not self.tls:
            return stream
        return trio.SSLStream(
            stream, ssl.create_default_context(), server_hostname=self.host, https_compatible=True
        )


def _evolve(value: Any, **changed: Any) -> Any:
    evolve: Any = attrs.evolve  # mypy doesn't know the protocol's classes as attrs'
    return evolve(value, **changed)


def _with_id(request: Request, id: int) -> Request:
    made: Request = _evolve(request, id=id)
    return made


def _summary_id(summary: Any) -> str:
    id: str = summary.conversation
    return id
