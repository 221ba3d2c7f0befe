"""One connection as the rooms see it: who is there, and in which order frames leave. No I/O.

Per connection and conversation the state is live, or behind some rev. While behind, events are only marked (the feeder
in `catchup.py` reads them from the store) and `ok`s wait for their turn. While a reply is being read, everything else
that leaves is held, so that the reply takes its place in rev order.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import attrs
import trio

from protocol.codes import CloseCode
from protocol.frames import Change, Frame
from storage.records import User

from .event import Codec, Event
from .outbox import Outbox


@attrs.define
class Waiting:
    """Something that waits for its turn in a conversation: an `ok` or, while the store is read, an event."""

    from_rev: int
    rev: int
    data: bytes
    is_ok: bool

    @property
    def place(self) -> int:
        """Its place among reads: one as of this rev shows it."""
        return _place(self.from_rev, self.rev)


@attrs.define(eq=False)
class Lag:
    """A conversation that this connection is behind in. `rev`: what the client has; `reading`: a read is under way.

    `moved`: who came or went, as far as was read.
    """

    rev: int
    reading: bool = False
    waiting: list[Waiting] = attrs.Factory(list)
    size: int = 0  # bytes of events that came during this read; beyond the outbox's limit they are only marked
    moved: set[str] = attrs.Factory(set)

    @contextmanager
    def being_read(self) -> Iterator[None]:
        """While the store is read, events are kept: they may be newer than what is read."""
        self.waiting = [waiting for waiting in self.waiting if waiting.is_ok]
        self.reading, self.size = True, 0
        try:
            yield
        finally:
            self.reading = False


@attrs.define
class Hold:
    """What left while a reply was being read, in order, with its conversation and place; then the reply itself.

    `revs`: the conversations that the reply shows, and as of which rev. `first`: nothing may come before the reply.
    """

    first: bool = False
    held: list[tuple[str | None, int, bytes]] = attrs.Factory(list)
    revs: Mapping[str, int] = attrs.Factory(dict)
    reply: bytes | None = None
    size: int = 0  # bytes held


def _place(from_rev: int, rev: int) -> int:
    """As of which rev a read surely shows a change: settings take no rev, so one as of the same may be older."""
    return rev if from_rev < rev else rev + 1


def _empty(conversation: str, from_rev: int, rev: int) -> Change:
    return Change(conversation=conversation, from_rev=from_rev, rev=rev)


class Session:
    """See the module's text. `user` is None until `hello`."""

    def __init__(self, id: str, outbox: Outbox, codec: Codec) -> None:
        self.id = id
        self.outbox = outbox
        self.codec = codec
        self._user: User | None = None
        self.user_id = ""  # the signed-in user's
        self.offered: str | None = None  # the token that the connection came with, until `hello`
        self.jti: str | None = None  # of the token that signed in
        self.expires_at: int | None = None  # ms; the connection ends then
        self.stop: Callable[[CloseCode, str], None]  # of the connection: close it
        self.focus: str | None = None
        self.delivered = 0  # events
        self.typing_in: set[str] = set()  # conversations whose rooms must hear when this connection is lost
        self.behind: dict[str, Lag] = {}
        self.feed: Callable[[Mapping[str, int]], None]  # of the connection's feeder
        self._gathered: dict[str, tuple[int, int]] = {}  # conversation -> from, rev of what is still to be told
        self._hold: Hold | None = None
        self._turn = trio.Lock()
        self._unanswered = 0
        self._quiet: trio.Event | None = None

    @property
    def user(self) -> User | None:
        """Who has signed in."""
        return self._user

    @user.setter
    def user(self, user: User) -> None:
        self._user = user
        self.user_id = user.id

    # -- what leaves --

    def send(self, frame: Frame, *, counts: bool = True) -> None:
        """A frame that has no place in a conversation's order."""
        self._leave(None, 0, self.codec.encode(frame), counts=counts)

    def notify(self, event: Event) -> None:
        """The same, for a frame that many get."""
        self.delivered += 1
        self._leave(None, 0, event.bytes_for(self.codec))

    def deliver(self, conversation: str, from_rev: int, rev: int, event: Event) -> None:
        """A `change` in its conversation's order."""
        self.delivered += 1
        if self._gathered:
            self.tell_gathered(conversation)
        lag = self.behind.get(conversation)
        if lag is None:
            self._leave(conversation, _place(from_rev, rev), event.bytes_for(self.codec))
        elif lag.reading:
            data = event.bytes_for(self.codec)
            lag.size += len(data)
            if lag.size <= self.outbox.limit:
                lag.waiting.append(Waiting(from_rev, rev, data, is_ok=False))

    def answer(self, conversation: str, from_rev: int, rev: int, data: bytes) -> None:
        """An `ok`, encoded, in its conversation's order."""
        if self._gathered:
            self.tell_gathered(conversation)
        lag = self.behind.get(conversation) if self.behind else None
        if lag is None:
            self._leave(conversation, rev, data)
        else:
            lag.waiting.append(Waiting(from_rev, rev, data, is_ok=True))

    def gather(self, conversation: str, from_rev: int, rev: int) -> None:
        """A `change` with nothing in it but the revs: told as one with those that follow, by `tell_gathered` or before
        anything else of the conversation.
        """
        if self._hold is not None or conversation in self.behind:
            # Each at its own place: between two of them may be the place of what is being read.
            self.deliver(conversation, from_rev, rev, Event(_empty(conversation, from_rev, rev)))
        else:
            first, _ = self._gathered.get(conversation, (from_rev, rev))
            self._gathered[conversation] = (first, rev)

    def tell_gathered(self, conversation: str) -> None:
        """Tell what was gathered of the conversation, if anything."""
        gathered = self._gathered.pop(conversation, None)
        if gathered is not None:
            self._leave(conversation, gathered[1], self.codec.encode(_empty(conversation, *gathered)))

    def start_anew(self, conversation: str) -> None:
        """The next event of the conversation stands for all before it: forget any lag."""
        self._gathered.pop(conversation, None)
        lag = self.behind.pop(conversation, None)
        for waiting in lag.waiting if lag else ():
            if waiting.is_ok:
                self._leave(conversation, waiting.rev, waiting.data)

    def fall_behind(self, conversation: str, rev: int) -> Lag:
        """From now on the client has the conversation up to `rev`; somebody must feed it."""
        gathered = self._gathered.pop(conversation, None)
        if gathered is not None:
            rev = min(rev, gathered[0])
        lag = self.behind.get(conversation)
        if lag is None:
            lag = self.behind[conversation] = Lag(rev)
        lag.rev = min(lag.rev, rev)
        return lag

    def _leave(self, conversation: str | None, rev: int, data: bytes, *, counts: bool = True) -> None:
        if self._hold is not None:
            self._hold.held.append((conversation, rev, data))
            self._hold.size += len(data)
            if self._hold.size > self.outbox.limit:
                self.outbox.cut("too slow")
                self._hold.held.clear()
        else:
            self.outbox.push(data, counts=counts)

    # -- reads --

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """For what may be large: one at a time, and only when the outbox is empty."""
        async with self._turn:
            await self.outbox.drained()
            yield

    @contextmanager
    def hold(self, *, first: bool = False) -> Iterator[Hold]:
        """Hold what leaves. At the end: what is no newer than the reply, the reply, the rest.

        Where the reply is to come first, what it shows already is left out instead.
        """
        for gathered in list(self._gathered):
            self.tell_gathered(gathered)
        hold = self._hold = Hold(first=first)
        try:
            yield hold
        finally:
            self._hold = None
            later = list[bytes]()
            for conversation, rev, data in hold.held:
                shown = conversation is not None and rev <= hold.revs.get(conversation, 0)
                newer = bool(later) if conversation is None else conversation in hold.revs and not shown
                if hold.reply is None or not (hold.first or newer):
                    self.outbox.push(data)
                elif not (hold.first and shown):
                    later.append(data)
            if hold.reply is not None:
                self.outbox.push(hold.reply, counts=False)
            for data in later:
                self.outbox.push(data)

    # -- requests under way in rooms --

    def asked(self) -> None:
        """A request of this connection went to a room."""
        self._unanswered += 1

    def answered(self) -> None:
        """It was answered, or needs no answer."""
        self._unanswered -= 1
        if not self._unanswered and self._quiet is not None:
            self._quiet.set()
            self._quiet = None

    async def quiet(self) -> None:
        """Wait until every request that went to a room is answered: a read comes after what was asked before it."""
        while self._unanswered:
            if self._quiet is None:
                self._quiet = trio.Event()
            await self._quiet.wait()
