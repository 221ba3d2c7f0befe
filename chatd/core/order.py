"""The order of what leaves on one connection. Sans-I/O: no clock, no tasks; frames go to a sink.

Per connection and conversation the client is live, or behind some rev. While it is behind, events are only marked,
because they will be read from the store, and `ok`s wait for their turn. While a reply is read from the store, all else
that leaves is held, so that the reply takes its place in rev order.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import attrs

from protocol.frames import Change, Frame
from storage.records import ChangesSince, with_gone

from .event import Dialect, Event
from .sink import Sink


@attrs.define
class Queued:
    """Something that waits for its turn in a conversation: an `ok` or, while the store is read, an event."""

    from_rev: int
    rev: int
    data: bytes
    is_ok: bool

    @property
    def place(self) -> int:
        """The lowest rev at which a snapshot is guaranteed to contain the change."""
        return place_of(self.from_rev, self.rev)


def place_of(from_rev: int, rev: int) -> int:
    """Return the lowest rev at which a snapshot is guaranteed to contain a change.

    Settings changes don't advance rev (`from_rev == rev`), so a snapshot as of the same rev may be older: rev + 1.
    """
    return rev if from_rev < rev else rev + 1


@attrs.define(eq=False)
class Lag:
    """A conversation that the client is behind in. `rev`: what it has; `reading`: a read is under way.

    `seq`: the newest message at `rev`, for dialects that tell new messages from changed ones; None where nobody said.
    `moved`: users who came or went, as far as was read; `gone`: participants since `rev` whose rows somebody deleted.
    """

    rev: int
    reading: bool = False
    seq: int | None = None
    waiting: list[Queued] = attrs.Factory(list)
    size: int = 0  # bytes of events that came during this read; beyond the sink's limit they are only marked
    moved: set[str] = attrs.Factory(set)
    gone: set[str] = attrs.Factory(set)

    @contextmanager
    def being_read(self) -> Iterator[None]:
        """Keep events while the store is read: they may be newer than what is read."""
        self.waiting = [waiting for waiting in self.waiting if waiting.is_ok]
        self.reading, self.size = True, 0
        try:
            yield
        finally:
            self.reading = False

    def continues(self, rev: int, limit: int) -> bool:
        """Return True if everything that came during the read is kept, and follows on a read as of `rev`.

        It does not where another daemon of the same store wrote in between: then another read is needed.
        """
        for waiting in self.waiting:
            if waiting.place > rev:
                if waiting.from_rev > rev:
                    return False
                rev = max(rev, waiting.rev)
        return self.size <= limit


@attrs.define
class Hold:
    """Payloads that left while a reply was being read, in order, with conversation and place; and the reply.

    `revs`: the conversations that the reply shows, and as of which rev. `first`: nothing may come before the reply.
    """

    first: bool = False
    held: list[tuple[str | None, int, bytes]] = attrs.Factory(list)
    revs: Mapping[str, int] = attrs.Factory(dict)
    reply: Frame | None = None
    size: int = 0  # bytes held


def _empty(conversation: str, from_rev: int, rev: int) -> Change:
    return Change(conversation=conversation, from_rev=from_rev, rev=rev)


class Order:
    """Decides, for one connection, what leaves when; a conversation in `behind` is fed from the store."""

    def __init__(self, sink: Sink, dialect: Dialect) -> None:
        self.sink = sink
        self.dialect = dialect
        self.delivered = 0  # events
        self.behind: dict[str, Lag] = {}
        self._gathered: dict[str, tuple[int, int]] = {}  # conversation -> from, rev of what is still to be told
        self._hold: Hold | None = None

    # -- what leaves --

    def send(self, frame: Frame, *, counts: bool = True) -> None:
        """Send a frame that has no place in a conversation's order."""
        self._leave(None, 0, self.dialect.reply(frame), counts=counts)

    def notify(self, event: Event) -> None:
        """Send an event that has no place in a conversation's order."""
        self.delivered += 1
        self._leave(None, 0, event.bytes_for(self.dialect))

    def deliver(self, conversation: str, from_rev: int, rev: int, event: Event) -> None:
        """Send a `change` in its conversation's order; where the client is behind, only while that is read."""
        self.delivered += 1
        if self._gathered:
            self.tell_gathered(conversation)
        lag = self.behind.get(conversation)
        if lag is None:
            self._leave(conversation, place_of(from_rev, rev), event.bytes_for(self.dialect))
        elif lag.reading:
            data = event.bytes_for(self.dialect)
            lag.size += len(data)
            if lag.size <= self.sink.limit:
                lag.waiting.append(Queued(from_rev, rev, data, is_ok=False))

    def ok(self, conversation: str, from_rev: int, rev: int, data: bytes) -> None:
        """Send an encoded `ok` in its conversation's order; where the client is behind, it waits for its turn."""
        if self._gathered:
            self.tell_gathered(conversation)
        lag = self.behind.get(conversation) if self.behind else None
        if lag is not None:
            lag.waiting.append(Queued(from_rev, rev, data, is_ok=True))
        elif self._hold is None:  # as `_leave` does: the hot path
            self.sink.push(data)
        else:
            self._leave(conversation, rev, data)

    def gather(self, change: Change) -> None:
        """Merge a `change` with nothing in it but its revs with those that follow.

        It leaves by `tell_gathered`, or before anything else of the conversation.
        """
        conversation, from_rev, rev = change.conversation, change.from_rev, change.rev
        if self._hold is not None or conversation in self.behind:
            # Each at its own place: between two of them may be the place of what is being read.
            self.deliver(conversation, from_rev, rev, Event(change))
        else:
            first, _ = self._gathered.get(conversation, (from_rev, rev))
            self._gathered[conversation] = (first, rev)

    def tell_gathered(self, conversation: str) -> None:
        """Send what was gathered of the conversation, if anything."""
        gathered = self._gathered.pop(conversation, None)
        if gathered is not None:
            self._leave(conversation, gathered[1], self.dialect.reply(_empty(conversation, *gathered)))

    def start_anew(self, conversation: str) -> Lag | None:
        """Forget any lag, and return it: the next event of the conversation stands for all before it.

        The `ok`s that follow on what the client has leave now. The others come by `release`, behind that event: in
        front of it they would be above the cursor.
        """
        self._gathered.pop(conversation, None)
        lag = self.behind.pop(conversation, None)
        if lag is not None:
            oks = [waiting for waiting in lag.waiting if waiting.is_ok]
            while oks and oks[0].from_rev <= lag.rev:
                ok = oks.pop(0)
                self._leave(conversation, ok.rev, ok.data)
                lag.rev = max(lag.rev, ok.rev)
            lag.waiting = oks
        return lag

    def release(self, conversation: str, lag: Lag, rev: int) -> None:
        """Send the `ok`s that `start_anew` left over, now that the event as of `rev` was sent."""
        for waiting in lag.waiting:
            self._leave(conversation, max(rev, waiting.rev), waiting.data)

    def fall_behind(self, conversation: str, rev: int, seq: int | None = None) -> Lag:
        """Mark the client as having the conversation up to `rev`, message `seq`; somebody must feed it."""
        gathered = self._gathered.pop(conversation, None)
        if gathered is not None:
            rev = min(rev, gathered[0])
        lag = self.behind.get(conversation)
        if lag is None:
            lag = self.behind[conversation] = Lag(rev, seq=seq)
        lag.rev = min(lag.rev, rev)
        if seq is not None:
            lag.seq = seq if lag.seq is None else min(lag.seq, seq)
        return lag

    def _leave(self, conversation: str | None, rev: int, data: bytes, *, counts: bool = True) -> None:
        if self._hold is not None:
            self._hold.held.append((conversation, rev, data))
            self._hold.size += len(data)
            if self._hold.size > self.sink.limit:
                self.sink.cut("too slow")
                self._hold.held.clear()
        else:
            self.sink.push(data, counts=counts)

    # -- replies that are read from the store --

    @contextmanager
    def hold(self, *, first: bool = False) -> Iterator[Hold]:
        """Hold what leaves. At the end leave: what is no newer than the reply, the reply, the rest.

        With `first`, what the reply shows already is left out instead of coming before it.
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
                    self.sink.push(data)
                elif not (hold.first and shown):
                    later.append(data)
            if hold.reply is not None:
                self.sink.push(self.dialect.reply(hold.reply), counts=False)
            for data in later:
                self.sink.push(data)

    # -- catching up: what was read of a conversation that the client is behind in --

    def read_since(self, conversation: str, lag: Lag, since: ChangesSince) -> None:
        """Send the changes from `lag.rev` to `since.through`, with the `ok`s at their turn; live again at the end."""
        if since.through == since.room.conversation.rev:
            since = with_gone(since, lag.gone)
        live = since.through == since.room.conversation.rev and lag.continues(since.through, self.sink.limit)
        ready = [w for w in lag.waiting if w.is_ok and w.place <= since.through]
        for data in self.dialect.missed(conversation, lag.rev, lag.seq, since, ready):
            self.sink.push(data, counts=False)
        if lag.seq is not None:
            lag.seq = max((lag.seq, *(message.seq for message in since.messages)))
        self._caught_up(conversation, lag, since.through, live=live)

    def read_whole(self, conversation: str, lag: Lag, event: Change) -> None:
        """Send the whole conversation as of `event.rev`, then the `ok`s that it contains: above no cursor."""
        self.sink.push(self.dialect.reply(event), counts=False)
        for waiting in lag.waiting:
            if waiting.is_ok and waiting.place <= event.rev:
                self.sink.push(waiting.data)
        self._caught_up(conversation, lag, event.rev, live=lag.continues(event.rev, self.sink.limit))

    def _caught_up(self, conversation: str, lag: Lag, rev: int, *, live: bool) -> None:
        lag.rev = rev
        lag.waiting = [w for w in lag.waiting if w.place > rev and (live or w.is_ok)]
        if live:
            del self.behind[conversation]
            for waiting in lag.waiting:
                self.sink.push(waiting.data)
