"""The gate's half that calls the store: commits what waits, one transaction after the other, mostly on a thread."""

import time
from collections import deque
from collections.abc import Callable, Sequence

import trio

from storage.changes import Change, Outcome
from storage.contract import CommitStore
from storage.value import value

MAX_CHANGES_PER_COMMIT = 1000

BUSY_FROM_BATCHES = 4
"""Batches in one transaction from which on the gate counts as busy."""

Publish = Callable[[Sequence[Outcome]], None]
Then = Callable[["Ticket"], None]


class Ticket:
    """A submitted batch. In the end its outcomes are published, or `error` says why there are none.

    `then` is called when that is so; `done` is set.
    """

    __slots__ = ("_done", "changes", "error", "finished", "publish", "then")

    def __init__(self, changes: Sequence[Change], publish: Publish, then: Then | None) -> None:
        self.changes = changes
        self.publish = publish
        self.then = then
        self.error: Exception | None = None
        self.finished = False
        self._done: trio.Event | None = None

    @property
    def done(self) -> trio.Event:
        """Return the event that waiters wait for; made on first use, as most tickets have no waiter."""
        if self._done is None:
            self._done = trio.Event()
            if self.finished:
                self._done.set()
        return self._done

    def finish(self, error: Exception | None) -> None:
        """Mark the ticket as published, or as failed with `error`."""
        self.error = error
        self.finished = True
        if self._done is not None:
            self._done.set()
        if self.then is not None:
            self.then(self)


@value
class Committed:
    """One transaction: its tickets and changes, their outcomes or the error, and the store's generation.

    `seconds`: from the call of the store until it returned.
    """

    tickets: Sequence[Ticket]
    changes: Sequence[Change]
    outcomes: Sequence[Outcome]
    error: Exception | None
    generation: int
    seconds: float = 0.0


class Committer:
    """Takes waiting tickets and commits them, in order.

    Ownership. The turn (`current`, `begun`, and the two private fields) belongs to the thread inside `run`, of which
    there is at most one; between two runs it belongs to the event loop, which starts the next one with `begin`.
    `waiting` is filled by the loop and emptied by the owner of the turn; `committed` is filled by the owner of the turn
    and emptied by the loop. No lock is needed: each deque has one consumer, and its operations are atomic. `errands` is
    written by the loop alone; a stale value costs one commit more or less in a row.
    """

    def __init__(self, store: CommitStore, *, gather: float) -> None:
        self._store = store
        self._gather = gather
        self._busy = False
        self._began = 0.0  # when the last commit began, by the monotonic clock
        self.waiting: deque[Ticket] = deque()
        self.committed: deque[Committed] = deque()
        self.current: Sequence[Ticket] = ()
        self.begun = 0  # commits
        self.errands = 0  # calls that wait for their turn between two commits

    def rest(self) -> float:
        """Return the seconds left to gather in, since the last commit began."""
        return self._began + self._gather - time.monotonic()

    def gathering(self) -> float:
        """Return the seconds that a busy gate should still wait before its next commit; 0 or less: none."""
        return self.rest() if self._busy else 0.0

    def take(self) -> list[Ticket]:
        """Take the tickets of the next transaction off `waiting`: at least one, where any waits."""
        tickets: list[Ticket] = []
        size = 0
        while self.waiting and (not tickets or size + len(self.waiting[0].changes) <= MAX_CHANGES_PER_COMMIT):
            ticket = self.waiting.popleft()
            tickets.append(ticket)
            size += len(ticket.changes)
        self._busy = len(tickets) >= BUSY_FROM_BATCHES
        return tickets

    def begin(self, tickets: Sequence[Ticket]) -> None:
        """Make these the current transaction."""
        self.current = tickets
        self.begun += 1
        self._began = time.monotonic()

    def run(self, announce: Callable[[], None]) -> Committed:
        """Commit the current transaction, then those that wait meanwhile; return the last one.

        The others are in `committed`; `announce` is called after each, on this thread. Raises what the store raises.
        """
        while True:
            tickets = self.current
            changes = [change for ticket in tickets for change in ticket.changes]
            outcomes = self._store.commit(changes) if changes else self._repaired()
            seconds = time.monotonic() - self._began
            done = Committed(tickets, changes, outcomes, None, self._store.generation, seconds)
            # After a quick commit more gathers while the loop publishes it; a slow one is followed at once.
            if not self.waiting or self.errands or self.rest() > 0:
                return done
            self.begin(self.take())
            self.committed.append(done)
            announce()

    def _repaired(self) -> list[Outcome]:
        self._store.repair()
        return []
