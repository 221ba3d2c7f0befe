"""A conversation that somebody uses: one task that serialises its changes, typing and receipts.

The task takes all that waits in its inbox as one batch, has the gate commit it, and the gate publishes the outcomes:
only then does memory change, are requests answered, and is everyone told. While one batch commits the next gathers.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import structlog
import trio

from protocol.codes import ErrorCode
from protocol.frames import Change, ChangeOk, Ok, Typing
from protocol.types import RequestId
from storage import records
from storage.changes import Changed, OpenDirect, Outcome, Refused, RoomChange, SendMessage, Unchanged
from storage.contract import Unavailable

from . import view
from .errors import Refusal, internal, not_found, unavailable
from .gate import Gate
from .presence import Presence
from .registry import Registry
from .session import Session
from .wire import Event

log = structlog.get_logger("chatd.room")

TYPING = 6.0
"""Seconds after the last `typing` until it ends by itself."""

BATCH_CHARS = 65_536
"""Characters of text in one batch, or little more: JSON makes at most six bytes of one, and a frame has 1 MiB."""

ENVELOPE_CHARS = 150
"""What a message has besides its text, in the same measure."""


@attrs.define
class Services:
    """What rooms work with. `commit_timeout`, `idle`: s; `inbox`: commands that may wait in one room."""

    gate: Gate
    registry: Registry
    presence: Presence
    commit_timeout: float
    idle: float
    inbox: int


class Command:
    """A request on its way through a room: a change for the store, or typing (`active`)."""

    __slots__ = ("active", "change", "deadline", "done", "re", "session")

    def __init__(
        self, session: Session, re: RequestId | None, change: RoomChange | None, *, active: bool = False
    ) -> None:
        self.session = session
        self.re = re
        self.change = change
        self.active = active
        self.deadline = float("inf")
        self.done = False

    @property
    def wants_ok(self) -> bool:
        """Whether the outcome goes to the asker as an `ok` (else as the event that all others get)."""
        return self.re is not None and not self.done

    def finish(self) -> None:
        """The request is answered, or needs no answer."""
        if not self.done:
            self.done = True
            self.session.answered()

    def refuse(self, refusal: Refusal) -> None:
        """Answer with an error."""
        if not self.done:
            self.session.send(refusal.frame(self.re))
            self.finish()


@attrs.frozen(slots=False)
class Step:
    """A plain change of a batch, and who asked for it."""

    seen: view.Seen
    asker: Session | None  # None where no ok is wanted
    command: Command


class Room:
    """See the module's text. `rev`: the newest that was published."""

    def __init__(self, row: records.Room, services: Services, on_idle: Callable[["Room"], bool]) -> None:
        self.id = row.conversation.id
        self._log = log.bind(conversation=self.id)
        self._services = services
        self._on_idle = on_idle
        self._inbox: deque[Command] = deque()
        self._batch: list[Command] = []
        self._wake = trio.Event()
        self._busy = trio.Event()
        self._space = trio.Event()
        self._typing: dict[str, tuple[float, Session]] = {}
        self._stale = False
        self._stopped = False
        self._used = trio.current_time()
        self._adopt(row)
        self._told = self.rev  # everyone has surely been told up to here

    def _adopt(self, row: records.Room) -> None:
        self.rev = row.conversation.rev
        self._participants = {p.user: p for p in row.participants}
        self._count_present()

    def _count_present(self) -> None:
        self.present = tuple(p.user for p in self._participants.values() if p.present)
        self._crowd = len(self.present) > view.CROWD

    def is_present(self, user: str) -> bool:
        """Whether the user takes part, as far as published."""
        row = self._participants.get(user)
        return row is not None and row.left_at is None

    # -- the inbox --

    async def put(self, command: Command) -> None:
        """Wait for a place in the inbox. Raises Refusal (`unavailable`) when there is none in time."""
        command.deadline = trio.current_time() + self._services.commit_timeout
        if len(self._inbox) >= self._services.inbox:
            with trio.move_on_at(command.deadline):
                while len(self._inbox) >= self._services.inbox:
                    await self._space.wait()
            if len(self._inbox) >= self._services.inbox:
                raise unavailable()
        self._inbox.append(command)
        command.session.asked()
        self._wake.set()
        self._busy.set()

    def lost(self, session: Session) -> None:
        """A connection is gone: what it typed ends."""
        for user, (_, typist) in list(self._typing.items()):
            if typist is session:
                self._stop_typing(user)

    @property
    def idle(self) -> bool:
        """Whether nobody would notice if the room were unloaded now."""
        return not self._inbox and not self._batch and not self._typing

    @property
    def _unused(self) -> bool:
        return trio.current_time() >= self._used + self._services.idle

    @property
    def used(self) -> float:
        """When the room last had something to do."""
        return self._used

    # -- the task --

    async def run(self) -> None:
        """Serve the inbox until the room is idle for long enough to be unloaded."""
        async with trio.open_nursery() as nursery:  # the conversation's own
            nursery.start_soon(self._refuse_overdue)
            await self._serve()
            nursery.cancel_scope.cancel()

    async def _serve(self) -> None:
        while True:
            await self._wait()
            self._expire_typing()
            if self._stale:
                await self._reload()
            if self._inbox:
                self._used = trio.current_time()
                await self._commit(self._take())
            elif self._stopped or (self._unused and self.idle and self._on_idle(self)):
                return

    async def _wait(self) -> None:
        if self._inbox or self._stale or self._stopped:
            return
        deadline = min((when for when, _ in self._typing.values()), default=self._used + self._services.idle)
        self._wake = trio.Event()
        with trio.move_on_at(deadline):
            await self._wake.wait()

    def _take(self) -> list[Command]:
        """All that waits, up to what one event to everybody may hold; the rest is the next batch."""
        size = 0
        batch = self._batch = []
        while self._inbox and size < BATCH_CHARS:
            command = self._inbox.popleft()
            batch.append(command)
            if isinstance(command.change, SendMessage):
                size += len(command.change.body) + ENVELOPE_CHARS
        self._space.set()
        self._space = trio.Event()
        return batch

    async def _commit(self, batch: list[Command]) -> None:
        changes = [command.change for command in batch if command.change is not None]
        if not changes:
            self._publish(batch, ())
        else:
            ticket = self._services.gate.submit(changes, lambda outcomes: self._publish(batch, outcomes))
            await ticket.done.wait()
            if isinstance(ticket.error, Unavailable):
                for command in batch:
                    command.refuse(unavailable())
            elif ticket.error is not None:
                raise ticket.error
        self._batch = []

    async def _refuse_overdue(self) -> None:
        """Whoever waits too long is told so; if it happens after all, they hear of it as everybody else does."""
        while True:
            waiting = [command for command in (*self._batch, *self._inbox) if not command.done]
            if not waiting:
                self._busy = trio.Event()
                await self._busy.wait()
                continue
            await trio.sleep_until(min(command.deadline for command in waiting))
            now = trio.current_time()
            for command in (*self._batch, *self._inbox):
                if command.deadline <= now:
                    command.refuse(unavailable())
            self._inbox = deque(command for command in self._inbox if not command.done)

    async def _reload(self) -> None:
        self._stale = False
        store = self._services.gate.store
        try:
            row = await self._services.gate.read(lambda: store.room(self.id))
        except Unavailable:
            self._stale = True
            await trio.sleep(1)
            return
        if row is not None and row.conversation.rev >= self.rev:
            before = self.present
            self._adopt(row)
            self._services.presence.moved(self.id, self.rev, frozenset(self.present))
            for user in set(self.present).difference(before):
                for session in self._services.registry.of(user):
                    session.feed({self.id: 0})

    def stop(self) -> None:
        """Let an idle room's task end: its place is needed."""
        self._stopped = True
        self._wake.set()

    def crashed(self) -> None:
        """The task ended with a bug: nobody waits in vain, and everyone reads on from the store."""
        for command in (*self._batch, *self._inbox):
            command.refuse(internal())
        self._batch, self._inbox = [], deque()
        self._space.set()
        for user in list(self._typing):
            self._stop_typing(user)
        self.resync(self._told)

    def resync(self, rev: int | None = None) -> None:
        """What the store has may differ from what was published: everyone catches up from there (or from `rev`)."""
        self._stale = True
        for _, session in self._sessions():
            session.feed({self.id: self.rev if rev is None else rev})
        self._wake.set()

    def notice(self, rev: int) -> None:
        """The store is at `rev`: where that is newer than what was published, somebody else wrote."""
        if rev > self.rev:
            self.resync()

    # -- publishing: synchronous, in commit order --

    def _sessions(self) -> Iterator[tuple[str, Session]]:
        of = self._services.registry.of
        for user in self.present:
            for session in of(user):
                yield user, session

    def _publish(self, batch: Sequence[Command], outcomes: Sequence[Outcome]) -> None:
        self._told = self.rev
        run: list[Step] = []
        following = iter(outcomes)
        for command in batch:
            if command.change is None:
                self._tell_run(run)
                self._set_typing(command)
                continue
            outcome = next(following)
            if isinstance(outcome, Changed):
                self._publish_change(command, outcome, run)
            elif isinstance(outcome, Refused):
                command.refuse(_refusal(outcome))
                if outcome.reason == "not_found" and self.is_present(command.session.user_id):
                    self._tell_run(run)
                    self.resync()  # somebody else took the user out
            else:
                assert isinstance(outcome, Unchanged)
                self._tell_run(run)
                self.notice(outcome.room.rev)
                answer(command, self.id, view.unchanged_fields(outcome, command.session.user_id), outcome)
        self._tell_run(run)

    def _publish_change(self, command: Command, outcome: Changed, run: list[Step]) -> None:
        if outcome.from_rev != (run[-1].seen.outcome.rev if run else self.rev):
            self._tell_run(run)
            self.resync()  # somebody else wrote in between
        seen = view.Seen(outcome, crowd=self._crowd)
        typist = command.session.user_id if outcome.messages else None
        if seen.plain and typist not in self._typing:
            run.append(Step(seen, command.session if command.wants_ok else None, command))
            return
        self._tell_run(run)
        if typist in self._typing:
            self._stop_typing(typist)
        self.tell(seen, command)

    def _tell_run(self, run: list[Step]) -> None:
        """Tell everyone of neighbouring plain changes at once: one event, encoded once; an `ok` for each asker."""
        if not run:
            return
        self._apply(run[0].seen.outcome, run[-1].seen.outcome, run)
        askers = {step.asker for step in run}
        whole = [step.seen for step in run]
        first, last = run[0].seen.outcome.from_rev, run[-1].seen.outcome.rev
        shared: Event | None = None
        for user, session in self._sessions():
            if session in askers:
                self._tell_asker(session, user, run)
            elif self._crowd:
                session.deliver(self.id, first, last, Event(view.merged(self.id, whole, user)))
            else:
                if shared is None:
                    shared = Event(view.merged(self.id, whole))
                session.deliver(self.id, first, last, shared)
        for step in run:
            if not step.command.done:  # it wanted no ok, or its connection is gone
                answer(step.command, self.id, step.seen.fields_for(step.command.session.user_id), step.seen.outcome)
        run.clear()

    def _tell_asker(self, session: Session, user: str, run: Sequence[Step]) -> None:
        others: list[view.Seen] = []

        def tell_others() -> None:
            if others:
                event = Event(view.merged(self.id, others, user))
                session.deliver(self.id, others[0].outcome.from_rev, others[-1].outcome.rev, event)
                others.clear()

        for step in run:
            if step.asker is session:
                tell_others()
                answer(step.command, self.id, step.seen.fields_for(user), step.seen.outcome)
            else:
                others.append(step.seen)
        tell_others()

    def tell(self, seen: view.Seen, command: Command | None) -> None:
        """Tell everyone of one change: to each what is theirs to see. Those who left with it are told, too."""
        outcome = seen.outcome
        self._apply(outcome, outcome, ())
        asker = command.session if command is not None and command.wants_ok else None
        only = {m.user for m in outcome.memberships} if outcome.rev == outcome.from_rev else None
        for user in dict.fromkeys((*self.present, *outcome.left)):
            if only is not None and user not in only:
                continue
            fields = seen.fields_for(user)
            event = Event(Change(conversation=self.id, **fields))
            for session in self._services.registry.of(user):
                if user in outcome.entered:
                    session.start_anew(self.id)
                elif user in outcome.left:
                    self._part(session)
                if session is asker:
                    assert command is not None
                    answer(command, self.id, dict(fields), outcome)
                else:
                    session.deliver(self.id, fields["from_rev"], outcome.rev, event)
        if command is not None and not command.done:
            answer(command, self.id, seen.fields_for(command.session.user_id), outcome)
        if outcome.entered or outcome.left:
            self._note_movement(outcome)

    def _part(self, session: Session) -> None:
        session.start_anew(self.id)
        if session.focus == self.id:
            session.focus = None

    def _note_movement(self, outcome: Changed) -> None:
        self._services.presence.moved(self.id, outcome.rev, frozenset(self.present))
        online = self._services.registry.online
        for user in outcome.entered:
            self._log.info("entered", user=user, reached=online(user))
        for user in outcome.left:
            self._log.info("left", user=user)
            if user in self._typing:
                self._stop_typing(user)

    def _apply(self, first: Changed, last: Changed, run: Sequence[Step]) -> None:
        """Memory moves, now that the store has answered."""
        self.rev = last.rev
        outcomes = [step.seen.outcome for step in run] or [last]
        moved = False
        for outcome in outcomes:
            for p in outcome.everyone or outcome.participants:
                self._participants[p.user] = p
            moved = moved or bool(outcome.entered or outcome.left)
        if moved:
            self._count_present()
        self._log.debug("delivered", rev=last.rev, changes=last.rev - first.from_rev)

    # -- typing: never stored --

    def _set_typing(self, command: Command) -> None:
        user = command.session.user_id
        if command.done or command.session.outbox.is_cut:
            command.finish()  # too late: it was refused, or the connection is lost
            return
        if not self.is_present(user):
            command.refuse(not_found())
            return
        if command.active:
            self._typing[user] = (trio.current_time() + TYPING, command.session)
            command.session.typing_in.add(self.id)
            self._tell_typing(user, active=True)
        elif user in self._typing:
            self._stop_typing(user)
        if command.re is not None and not command.done:
            command.session.send(Ok(re=command.re))
        command.finish()

    def _expire_typing(self) -> None:
        now = trio.current_time()
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
        for other, session in self._sessions():
            if other != user:
                session.notify(event)


def answer(command: Command, conversation: str, fields: dict[str, Any], outcome: Changed | Unchanged) -> None:
    """The `ok` of a changing request, where one is wanted; it stands for the event on the asker's connection."""
    if command.wants_ok:
        assert command.re is not None
        if isinstance(command.change, SendMessage):
            fields["duplicate"] = isinstance(outcome, Unchanged)
        elif isinstance(command.change, OpenDirect):
            fields |= view.opened_fields(outcome)
        command.session.answer(conversation, ChangeOk(re=command.re, conversation=conversation, **fields))
    command.finish()


def _refusal(outcome: Refused) -> Refusal:
    if outcome.reason == "not_found":
        return not_found()
    return Refusal(ErrorCode(outcome.reason), outcome.message)
