"""A conversation that somebody uses: one task that serialises its changes, typing and receipts.

The task takes all that waits in its inbox as one batch, has the gate commit it, and the gate publishes the outcomes:
only then does memory change, are requests answered, and is everyone told. While one batch commits the next gathers.
"""

from collections import deque
from collections.abc import Callable, Sequence

import attrs
import structlog
import trio

from protocol.frames import Ok, Typing
from storage import records
from storage.changes import (
    AdvanceReceipt,
    Changed,
    DeleteMessage,
    EditMessage,
    Leave,
    Outcome,
    React,
    Refused,
    SendMessage,
    Unchanged,
)
from storage.contract import Unavailable

from . import view
from .audience import Audience, PlainChange, bytes_of
from .committer import Ticket
from .errors import internal, not_found, unavailable
from .event import Event
from .gate import Gate
from .pending import PendingRequest, answer, refusal
from .presence import PresenceIndex
from .receipts import merge
from .registry import Registry
from .session import Session

log = structlog.get_logger("chatd.room")

TYPING_TIMEOUT_S = 6.0
"""Seconds after the last `typing` until it ends by itself."""

BATCH_CHARS = 65_536
"""Characters of new text in one batch, or little more: JSON makes at most six bytes of one, and a frame has 1 MiB."""

EVENT_BYTES = 512 * 1024
"""Bytes of messages in one event, or those of one message: with its reactions a changed one is larger than its text."""

ENVELOPE_CHARS = 150
"""Characters that a message has besides its text, in the same measure."""


TEXTS = (SendMessage, EditMessage)
"""Changes that bring text."""

GROWING = (EditMessage, DeleteMessage, React)
"""Changes of messages that may be larger than their text."""

SILENT = (SendMessage, Leave)
"""Changes after which their user no longer types."""


@attrs.define
class RoomParts:
    """The parts that rooms work with. `commit_timeout`, `idle`: s; `inbox`: commands that may wait in one room.

    `settings_listeners`: called with conversation and user where somebody's own settings changed, which take no rev.
    """

    gate: Gate
    registry: Registry
    presence: PresenceIndex
    commit_timeout: float
    idle: float
    inbox: int
    settings_listeners: list[Callable[[str, str], None]] = attrs.Factory(list)


class Room:
    """The state of one conversation that is loaded, and the task that alone changes it."""

    def __init__(self, row: records.Room, parts: RoomParts, on_idle: Callable[["Room"], bool]) -> None:
        self.id = row.conversation.id
        self._log = log.bind(conversation=self.id)
        self._parts = parts
        self._on_idle = on_idle
        self._inbox: deque[PendingRequest] = deque()
        self._batch: list[PendingRequest] = []
        self._wake = trio.Event()
        self._ticket: Ticket | None = None  # of the batch that is being committed, or has failed
        self._timer = trio.CancelScope()  # of the clock's watcher
        self._space = trio.Event()
        self._wanted = 0  # by so many
        self._typing: dict[str, tuple[float, Session]] = {}
        self._stale = False
        self._stopped = False
        self._clock = trio.lowlevel.current_clock().current_time  # without looking for it anew for each message
        self._used = self._looked = self._clock()
        self._audience = Audience(row, parts.registry)
        self.is_present = self._audience.is_present
        self.status_of = self._audience.status_of
        self._told = self.published  # everyone has surely been told up to here

    @property
    def rev(self) -> int:
        """The newest rev that was published."""
        return self._audience.rev

    @property
    def published(self) -> tuple[int, int]:
        """The newest rev that was published, and the newest message at it."""
        return self._audience.rev, self._audience.last_seq

    # -- the inbox --

    @property
    def waiting(self) -> int:
        """Requests that the room has not taken up yet."""
        return len(self._inbox)

    async def put(self, pending: PendingRequest) -> None:
        """Wait for a place in the inbox. Raises Refusal (`unavailable`) when there is none in time."""
        deadline = trio.current_time() + self._parts.commit_timeout
        self._wanted += 1
        try:
            with trio.move_on_at(deadline):
                while len(self._inbox) >= self._parts.inbox:
                    await self._space.wait()
        finally:
            self._wanted -= 1
        if not self.put_nowait(pending, deadline):
            raise unavailable()

    def put_nowait(self, pending: PendingRequest, deadline: float | None = None) -> bool:
        """Put it into the inbox, to be answered until the deadline; False: there is no place."""
        inbox, parts = self._inbox, self._parts
        if len(inbox) >= parts.inbox:
            return False
        pending.deadline = self._clock() + parts.commit_timeout if deadline is None else deadline
        if not inbox:
            self._expect(pending.deadline)
            if self._ticket is None:
                self._wake.set()
        inbox.append(pending)
        pending.caller.asked()
        return True

    def lost(self, session: Session) -> None:
        """A connection is gone: what it typed ends."""
        for user, (_, typist) in list(self._typing.items()):
            if typist is session:
                self._stop_typing(user)

    @property
    def idle(self) -> bool:
        """Return True if nobody would notice if the room were unloaded now."""
        busy = self._inbox or self._batch or self._typing or self._stale
        return not (busy or self._audience.gathered_until < float("inf"))

    @property
    def _unused(self) -> bool:
        return trio.current_time() >= self._used + self._parts.idle

    @property
    def used(self) -> float:
        """Time at which the room last had something to do."""
        return self._used

    # -- the task --

    async def run(self) -> None:
        """Serve the inbox until the room is idle for long enough to be unloaded."""
        async with trio.open_nursery() as nursery:  # the conversation's own
            nursery.start_soon(self._watch_the_clock)
            await self._serve()
            nursery.cancel_scope.cancel()

    async def _serve(self) -> None:
        while True:
            while not self._ready():
                self._wake = trio.Event()
                await self._wake.wait()
            if self._ticket is not None:
                self._give_up(self._ticket)
            if self._stale:
                await self._reload()
            if self._inbox:
                self._used = trio.current_time()
                self._commit(self._take())
            elif self._stopped or (self._unused and self.idle and self._on_idle(self)):
                return
            else:
                await trio.lowlevel.checkpoint()

    def _ready(self) -> bool:
        """Return True if there is something to do for the task: one batch is committed after the other."""
        if self._ticket is not None:
            return self._ticket.finished
        return bool(self._inbox or self._stale or self._stopped or (self._unused and self.idle))

    def _take(self) -> list[PendingRequest]:
        """Take all that waits, up to what one event to everybody may hold; the rest is the next batch."""
        size = 0
        batch, inbox = [], self._inbox
        while inbox and size < BATCH_CHARS:
            pending = inbox.popleft()
            batch.append(pending)
            change = pending.change
            if isinstance(change, TEXTS):
                size += len(change.body) + ENVELOPE_CHARS
        self._batch = batch
        self._tell_of_space()
        return batch

    def _tell_of_space(self) -> None:
        if self._wanted:
            self._space.set()
            self._space = trio.Event()

    def _commit(self, batch: list[PendingRequest]) -> None:
        merge(batch, self._audience.last_seq)
        changes = [p.change for p in batch if p.change is not None and p.leader is None]
        if changes:
            self._ticket = self._parts.gate.submit(
                changes, lambda outcomes: self._publish(batch, outcomes), self._settled
            )
        else:
            self._publish(batch, ())
            self._batch = []

    def _settled(self, ticket: Ticket) -> None:
        """A batch is over; what else there is to do, its failure say, is the task's."""
        if ticket is not self._ticket:
            return  # the task crashed meanwhile
        if ticket.error is None:
            self._ticket, self._batch = None, []
            if not self._ready():
                return
        self._wake.set()

    def _give_up(self, ticket: Ticket) -> None:
        self._ticket = None
        assert ticket.error is not None
        if not isinstance(ticket.error, Unavailable):
            raise ticket.error
        for pending in self._batch:
            pending.refuse(unavailable())
        self._batch = []

    # -- the clock: one deadline for all that is to happen at some time --

    async def _watch_the_clock(self) -> None:
        while True:
            with trio.CancelScope(deadline=self._next_due()) as self._timer:
                await trio.sleep_forever()
            now = trio.current_time()
            self._refuse_overdue(now)
            self._expire_typing(now)
            self._audience.tell_gathered()
            if now >= self._used + self._parts.idle:
                self._wake.set()
                self._looked = now

    def _next_due(self) -> float:
        waiting = [pending.deadline for pending in (*self._batch, *self._inbox) if not pending.done]
        typing = [when for when, _ in self._typing.values()]
        unused = max(self._used, self._looked) + self._parts.idle
        return min(*waiting, *typing, self._audience.gathered_until, unused)

    def _expect(self, when: float) -> None:
        """Something is to happen then, perhaps sooner than all else."""
        if when < self._timer.deadline:
            self._timer.deadline = when

    def _refuse_overdue(self, now: float) -> None:
        """Refuse the requests whose deadline has passed; a change that happens after all is told as an event."""
        for pending in (*self._batch, *self._inbox):
            if pending.deadline <= now:
                pending.refuse(unavailable())
        self._inbox = deque(pending for pending in self._inbox if not pending.done)

    async def _reload(self) -> None:
        self._stale = False
        store = self._parts.gate.store
        try:
            row = await self._parts.gate.read(lambda: store.room(self.id))
        except Unavailable:
            self._stale = True
            await trio.sleep(1)
            return
        if row is not None and row.conversation.rev >= self.rev:  # else it is gone, or the store is an older one
            before = self._audience.present
            if row.conversation.rev > self.rev:
                self._audience.fall_behind(*self.published)  # those who connected while it was read, too
            self._audience.lose(set(before).difference(p.user for p in row.participants))
            self._audience.adopt(row)
            now = self._audience.present
            self._parts.presence.moved(self.id, self.rev, frozenset(now))
            for user in set(now).difference(before):
                for session in self._parts.registry.of(user):
                    session.feed({self.id: 0})
        # Not before: what somebody else wrote since would be known here, and told to nobody.
        self.read_on()

    def stop(self) -> None:
        """Let an idle room's task end: its place is needed."""
        self._stopped = True
        self._wake.set()

    def crashed(self) -> None:
        """The task ended with a bug: nobody waits in vain, and everyone reads on from the store."""
        for pending in (*self._batch, *self._inbox):
            pending.refuse(internal())
        self._batch, self._inbox, self._ticket = [], deque(), None
        self._tell_of_space()
        for user in list(self._typing):
            self._stop_typing(user)
        self.resync(self._told)
        self.read_on()  # it takes a while until this room has read

    def resync(self, told: tuple[int, int] | None = None) -> None:
        """Have everyone catch up from the store: from what was published, or from `told`, a rev and its newest seq."""
        self._stale = True
        self._audience.fall_behind(*(told or self.published))
        self._wake.set()

    def read_on(self) -> None:
        """Start the catch-up of the sessions that are behind."""
        self._audience.read_on()

    def notice(self, rev: int) -> None:
        """The store is at `rev`: where that is newer than what was published, somebody else wrote."""
        if rev > self.rev:
            self.resync()

    # -- publishing: synchronous, in commit order --

    def _publish(self, batch: Sequence[PendingRequest], outcomes: Sequence[Outcome]) -> None:
        self._told = self.published
        run: list[PlainChange] = []
        following = iter(outcomes)
        merged: dict[PendingRequest, Outcome] = {}
        for pending in batch:
            if pending.change is None:
                self._audience.tell_run(run)
                self._set_typing(pending)
                continue
            if pending.leader is not None:
                self._audience.tell_run(run)
                self._answer_merged(pending, merged[pending.leader])
                continue
            outcome = next(following)
            if isinstance(pending.change, AdvanceReceipt):
                merged[pending] = outcome
            if isinstance(outcome, Changed):
                self._publish_change(pending, outcome, run)
            elif isinstance(outcome, Refused):
                pending.refuse(refusal(outcome))
                if outcome.what == "conversation" and self.is_present(pending.caller.user_id):
                    self._audience.tell_run(run)
                    self.resync()  # somebody else took the user out
            else:
                assert isinstance(outcome, Unchanged)
                self._audience.tell_run(run)
                self.notice(outcome.room.rev)
                answer(pending, self.id, view.unchanged_fields(outcome, pending.caller.user_id), outcome)
        self._audience.tell_run(run)
        self._expect(self._audience.gathered_until)

    def _answer_merged(self, pending: PendingRequest, outcome: Outcome) -> None:
        """Answer a receipt that another stood for: by now it changes nothing."""
        if isinstance(outcome, Refused):
            pending.refuse(refusal(outcome))
            return
        assert isinstance(outcome, Changed | Unchanged)
        room = attrs.evolve(outcome.room, rev=self.rev)
        unchanged = Unchanged(room=room, participants=outcome.participants)
        answer(pending, self.id, view.unchanged_fields(unchanged, pending.caller.user_id), unchanged)

    def _publish_change(self, pending: PendingRequest, outcome: Changed, run: list[PlainChange]) -> None:
        if outcome.from_rev != (run[-1].seen.outcome.rev if run else self.rev):
            self._audience.tell_run(run)
            self.resync()  # somebody else wrote in between
        seen = view.Seen(outcome, crowd=self._audience.crowd)
        typist = None
        if self._typing and isinstance(pending.change, SILENT) and pending.caller.user_id in self._typing:
            typist = pending.caller.user_id
        if seen.plain and typist is None:
            if isinstance(pending.change, GROWING) and bytes_of(run) + sum(map(len, seen.messages)) > EVENT_BYTES:
                self._audience.tell_run(run)  # a run fits one frame
            run.append(PlainChange(seen, pending))
            return
        self._audience.tell_run(run)
        self._stop_typing(typist)
        self.tell(seen, pending)

    def tell(self, seen: view.Seen, pending: PendingRequest | None) -> None:
        """Tell everyone of one change that isn't plain; who comes and who goes is known at once."""
        self._audience.tell(seen, pending)
        outcome = seen.outcome
        if outcome.entered or outcome.left:
            self._note_movement(outcome)
        if outcome.rev == outcome.from_rev:
            for membership in outcome.memberships:
                for listener in self._parts.settings_listeners:
                    listener(self.id, membership.user)

    def _note_movement(self, outcome: Changed) -> None:
        self._parts.presence.moved(self.id, outcome.rev, frozenset(self._audience.present))
        online = self._parts.registry.online
        for user in outcome.entered:
            self._log.info("entered", user=user, reached=online(user))
        for user in outcome.left:
            self._log.info("left", user=user)
            if user in self._typing:
                self._stop_typing(user)

    # -- typing: never stored --

    def _set_typing(self, pending: PendingRequest) -> None:
        user, typist = pending.caller.user_id, pending.typist
        if pending.done or typist is None or typist.is_gone:
            pending.finish()  # too late: it was refused, or the connection is lost
            return
        if not self.is_present(user):
            pending.refuse(not_found())
            return
        if pending.active:
            until = trio.current_time() + TYPING_TIMEOUT_S
            self._typing[user] = (until, typist)
            self._expect(until)
            typist.typing_in.add(self.id)
            self._tell_typing(user, active=True)
        elif user in self._typing:
            self._stop_typing(user)
        if pending.re is not None and not pending.done:
            typist.send(Ok(re=pending.re))
        pending.finish()

    def _expire_typing(self, now: float) -> None:
        for user, (when, _) in list(self._typing.items()):
            if when <= now:
                self._stop_typing(user)

    def _stop_typing(self, user: str | None) -> None:
        if user is not None:
            _, session = self._typing.pop(user)
            session.typing_in.discard(self.id)
            self._tell_typing(user, active=False)

    def _tell_typing(self, user: str, *, active: bool) -> None:
        event = Event(Typing(conversation=self.id, user=user, active=active))
        for other, session in self._audience.sessions():
            if other != user:
                session.notify(event)
