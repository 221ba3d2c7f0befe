"""Delivery of a conversation's changes: one event for all who see the same, an `ok` for each asker.

In a crowd others' watermark moves are left out of changes, and most changes would have nothing in them but their revs.
Those are gathered, and told as one when something else is to be told, or after a while.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import structlog
import trio

from chatd.logs import debugging
from protocol.frames import Change
from storage import records
from storage.changes import Changed, SendMessage

from . import view
from .caller import Recipient
from .event import ChangeEvent, Event
from .order import Lag
from .pending import PendingRequest, answer
from .registry import Registry

log = structlog.get_logger("chatd.room")

GATHER_S, MAX_GATHER_S = 1.0, 30.0
"""Seconds for which a change with nothing in it waits for the next.

Twice as long each time that nothing else was told in between: what a message costs must not depend on how its receipts
are spread.
"""

MAX_LOGGED = 20
"""Users whom a line of the log names."""


class PlainChange:
    """A plain change of a batch, and who asked for it: `asker` is None where no `ok` stands for the event."""

    __slots__ = ("asker", "bytes_so_far", "pending", "seen")

    def __init__(self, seen: view.Seen, pending: PendingRequest) -> None:
        self.seen = seen
        self.pending = pending
        caller = pending.caller
        # A recipient, too, where it is a session. `pending.wants_ok`, spelled out on the hot path.
        wants_ok = pending.re is not None and not pending.done
        self.asker: object = caller if wants_ok and caller.ok_is_event else None
        self.bytes_so_far: int | None = None  # of the run, this step included; None: not measured yet


def bytes_of(run: Sequence[PlainChange]) -> int:
    """Return the bytes of a run's messages as native JSON. Each step is measured once, however often the run grows."""
    start = len(run)
    while start and run[start - 1].bytes_so_far is None:
        start -= 1
    total = (run[start - 1].bytes_so_far or 0) if start else 0
    for step in run[start:]:
        total += sum(map(len, step.seen.messages))
        step.bytes_so_far = total
    return total


class Audience:
    """A conversation as far as it was published: `rev`, and who is `present`; and everyone's connections."""

    def __init__(self, row: records.Room, registry: Registry) -> None:
        self.id = row.conversation.id
        self.gathered_until = float("inf")  # when the connections are to be told what they gathered
        self._gather_for = GATHER_S
        self._registry = registry
        self._behind: dict[Recipient, Lag] = {}  # which knows the rev that it has, also when it has moved on since
        self._log = log.bind(conversation=self.id)
        self.adopt(row)

    def adopt(self, row: records.Room) -> None:
        """Go on from what the store has."""
        self.rev = row.conversation.rev
        self.last_seq = row.conversation.last_seq
        self._participants = {p.user: p for p in row.participants}
        self._count_present()

    def _count_present(self) -> None:
        self.present = tuple(p.user for p in self._participants.values() if p.present)
        self.crowd = len(self.present) > view.CROWD

    def status_of(self, seq: int, sender: str | None) -> str:
        """Return the state of a message, from the watermarks of the others."""
        return records.status_of_seq(seq, sender, self._participants.values())

    def is_present(self, user: str) -> bool:
        """Return True if the user takes part."""
        row = self._participants.get(user)
        return row is not None and row.left_at is None

    def sessions(self) -> Iterator[tuple[str, Recipient]]:
        """The connections of those who take part, and whose they are."""
        of = self._registry.of
        for user in self.present:
            for session in of(user):
                yield user, session

    def fall_behind(self, rev: int, seq: int) -> None:
        """Everyone who has taken part since `rev`, message `seq`, is behind from there on, until `read_on`."""
        gone = [p.user for p in self._participants.values() if p.left_at is not None and p.rev > rev]
        for user in (*self.present, *gone):
            for session in self._registry.of(user):
                self._behind[session] = session.fall_behind(self.id, rev, seq)

    def read_on(self) -> None:
        """Have sessions that are behind read on from the store, those of users who left meanwhile included."""
        behind, self._behind = self._behind, {}
        for session, lag in behind.items():
            if not session.is_gone:
                session.feed({self.id: lag.rev})

    def lose(self, users: Collection[str]) -> None:
        """Tell those who are behind that these have left: nothing in the store says so any more."""
        for lag in self._behind.values():
            lag.gone.update(users)

    def tell_run(self, run: list[PlainChange]) -> None:
        """Tell everyone of neighbouring plain changes at once: one event, encoded once; an `ok` for each asker."""
        if not run:
            return
        before = self.last_seq
        self._apply(run[0].seen.outcome, run[-1].seen.outcome, run)
        askers = {step.asker for step in run}
        whole = [step.seen for step in run]
        concerned = {user for seen in whole for user in seen.concerned} if self.crowd else ()
        first, last = run[0].seen.outcome.from_rev, run[-1].seen.outcome.rev
        quiet = self.crowd and all(seen.quiet for seen in whole)
        if not quiet:
            self._gather_for = GATHER_S
        shared: Event | None = None
        for user, session in self.sessions():
            if session in askers or user in concerned:
                self._tell_in_turn(session, user, run, before)
            elif quiet:
                self._gather(session, first, last)
            else:
                if shared is None:
                    shared = ChangeEvent(self.id, whole, self._participants, before)
                session.deliver(self.id, first, last, shared)
        for step in run:
            pending = step.pending
            if not pending.done:
                if pending.re is not None:  # its connection is gone, or has the event, too
                    self._answer(step)
                pending.finish()
        run.clear()

    def _tell_in_turn(self, session: Recipient, user: str, run: Sequence[PlainChange], before: int) -> None:
        """The same for one who asked, or whom some of it concerns."""
        others: list[view.Seen] = []

        def tell_others() -> None:
            if not others:
                return
            first, last = others[0].outcome.from_rev, others[-1].outcome.rev
            if all(seen.quiet and user not in seen.concerned for seen in others):
                self._gather(session, first, last)
            else:
                event = ChangeEvent(self.id, list(others), self._participants, before, user)
                session.deliver(self.id, first, last, event)
            others.clear()

        for step in run:
            if step.asker is session:
                if others:
                    tell_others()
                self._answer(step)
            else:
                others.append(step.seen)
                if user in step.seen.concerned:
                    tell_others()  # a membership is final for its event: no message may follow in it
        tell_others()

    def _answer(self, step: PlainChange) -> None:
        pending, outcome = step.pending, step.seen.outcome
        if not isinstance(pending.change, SendMessage):
            answer(pending, self.id, step.seen.fields_for(pending.caller.user_id), outcome)
            return
        if pending.re is not None and not pending.done:
            pending.caller.answer_sent(pending.re, self.id, outcome.from_rev, outcome.rev, step.seen)
        pending.finish()

    def _gather(self, session: Recipient, first: int, last: int) -> None:
        session.gather(Change(conversation=self.id, from_rev=first, rev=last))
        self.gathered_until = min(self.gathered_until, trio.current_time() + self._gather_for)

    def tell_gathered(self) -> None:
        """Tell what was gathered, if it is time."""
        if self.gathered_until <= trio.current_time():
            self.gathered_until = float("inf")
            self._gather_for = min(2 * self._gather_for, MAX_GATHER_S)
            for _, session in self.sessions():
                session.tell_gathered(self.id)

    def tell(self, seen: view.Seen, pending: PendingRequest | None) -> None:
        """Tell every recipient of one change, each the part that they may see; users who left with it, too."""
        outcome, before = seen.outcome, self.last_seq
        self._apply(outcome, outcome, ())
        asker: object = None
        if pending is not None and pending.wants_ok and pending.caller.ok_is_event:
            asker = pending.caller
        only = {m.user for m in outcome.memberships} if outcome.rev == outcome.from_rev else None
        if only is None:
            self._gather_for = GATHER_S
        shared: tuple[dict[str, Any], Event] | None = None
        for user in dict.fromkeys((*self.present, *outcome.left)):
            sessions = self._registry.of(user)
            if not sessions or (only is not None and user not in only):
                continue
            if user in seen.concerned or shared is None:
                fields = seen.fields_for(user)
                viewer = user if user in seen.concerned else None
                event: Event = ChangeEvent(self.id, (seen,), self._participants, before, viewer, fields)
                if user not in seen.concerned:
                    shared = fields, event
            else:
                fields, event = shared
            moved = user in outcome.entered or user in outcome.left
            for session in sessions:
                lag = self._move(session, left=user in outcome.left) if moved else None
                told, of = fields, event
                if lag is not None and user in outcome.left:  # else it would be above the cursor
                    told = fields | {"from_rev": min(max(lag.rev, 1), outcome.from_rev)}
                    of = ChangeEvent(self.id, (seen,), self._participants, before, user, told)
                if session is asker:
                    assert pending is not None
                    answer(pending, self.id, dict(told), outcome)
                else:
                    session.deliver(self.id, told["from_rev"], outcome.rev, of)
                if lag is not None:
                    session.release(self.id, lag, outcome.rev)
        if pending is not None and not pending.done:
            answer(pending, self.id, seen.fields_for(pending.caller.user_id), outcome)

    def _move(self, session: Recipient, *, left: bool) -> Lag | None:
        """Have one who came in start anew, and one who left parted; return what the client was behind by."""
        if left:
            session.tell_gathered(self.id)
            if session.focus == self.id:
                session.focus = None
        return session.start_anew(self.id)

    def _apply(self, first: Changed, last: Changed, run: Sequence[PlainChange]) -> None:
        """Memory moves, now that the store has answered."""
        self.rev = last.rev
        self.last_seq = last.room.last_seq
        for step in run:
            for p in step.seen.outcome.participants:
                self._participants[p.user] = p
        if not run:
            for p in last.everyone or last.participants:
                self._participants[p.user] = p
            if last.entered or last.left:
                self._count_present()
        if debugging():
            away = [user for user in self.present if not self._registry.online(user)]
            self._log.debug(
                "delivered",
                rev=last.rev,
                changes=last.rev - first.from_rev,
                reached=len(self.present) - len(away),
                away=away[:MAX_LOGGED],
            )
