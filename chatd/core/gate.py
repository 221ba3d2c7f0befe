"""The one bridge between the event loop and the store: group commit on one writer, a few readers.

Whoever wants to write submits a batch and a function that publishes its outcomes. All batches that wait become one
transaction, one sync of the disk; then their outcomes are published, in commit order, in one step of the event loop.
One task has them committed, the other publishes; and a commit is followed by that of what waits by then without asking
the event loop first, so that the disk does not wait for it. How the store's synchronous calls run is injected: on
threads in production, inline under a virtual clock.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

import attrs
import structlog
import trio

from storage.changes import Change, Outcome
from storage.contract import Store, Unavailable

log = structlog.get_logger("chatd.gate")

MAX_BATCH = 1000
"""Changes in one transaction."""

BUSY = 4
"""Batches in one transaction from which on the gate counts as busy."""

REPAIR_INTERVAL = 1.0
"""Seconds between attempts to bring a failed store back."""

T = TypeVar("T")
Publish = Callable[[Sequence[Outcome]], None]
Then = Callable[["Ticket"], None]


class Runner(Protocol):
    """Runs a synchronous call of the store; a call that has begun is never abandoned."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]: ...


class ThreadRunner:
    """On worker threads, at most `limit` at once."""

    def __init__(self, limit: int) -> None:
        self._limiter = trio.CapacityLimiter(limit)

    async def __call__(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._limiter)


async def run_inline(work: Callable[[], T]) -> T:
    """In the calling task: what a virtual clock needs, as it doesn't see worker threads."""
    await trio.lowlevel.checkpoint()
    return work()


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
        """For those who wait; made when it is asked for, as most don't."""
        if self._done is None:
            self._done = trio.Event()
            if self.finished:
                self._done.set()
        return self._done

    def finish(self, error: Exception | None) -> None:
        """It is over: published, or failed."""
        self.error = error
        self.finished = True
        if self._done is not None:
            self._done.set()
        if self.then is not None:
            self.then(self)


@attrs.frozen
class Committed:
    """What came of one transaction: the tickets in it, their outcomes or why there are none, the store's generation."""

    tickets: Sequence[Ticket]
    outcomes: Sequence[Outcome]
    error: Exception | None
    generation: int


class Gate:
    """See the module's text. `problem` says why nothing can be acknowledged now, or is None.

    `patience`: seconds that a read waits for a commit. `gather`: seconds from one commit of a busy gate to the next, at
    least: a transaction costs the same whatever it holds, and on a fast disk too few would gather meanwhile.
    """

    def __init__(
        self, store: Store, write: Runner, read: Runner, *, patience: float = 10.0, gather: float = 0.0
    ) -> None:
        self.store = store
        self.problem: str | None = None
        self.on_reopened: Callable[[], None] = lambda: None
        self.on_committed: Callable[[int], None] = lambda changes: None
        self.cork: AbstractContextManager[None] = nullcontext()  # what is published leaves in one write
        self._write = write
        self._read = read
        self._patience = patience
        self._gather = gather
        self._busy = False
        self._began = 0.0  # the last commit, by the monotonic clock
        self._errands = 0  # what waits for its turn between two commits
        self._searching = trio.Semaphore(1)
        self._waiting: deque[Ticket] = deque()
        self._wake = trio.Event()
        self._committed: deque[Committed] = deque()  # and still to be published
        self._news = trio.Event()  # of those
        self._begun = 0  # commits
        self._published = 0  # of them, so many are
        self._progress = trio.Event()  # of that
        self._current: Sequence[Ticket] = ()  # what is being committed
        self._committing: float | None = None  # since when the store works on a commit, as far as is known
        self._token: trio.lowlevel.TrioToken | None = None
        self._closing = False
        self._generation = store.generation

    def submit(
        self,
        changes: Sequence[Change],
        publish: Publish = lambda outcomes: None,
        then: Then | None = None,
    ) -> Ticket:
        """Queue a batch. `publish` is called with its outcomes, synchronously; `then` when it is over in any case."""
        ticket = Ticket(changes, publish, then)
        self._waiting.append(ticket)
        self._wake.set()
        return ticket

    async def commit(self, changes: Sequence[Change]) -> list[Outcome]:
        """Submit, and wait for the outcomes. Raises Unavailable."""
        outcomes: list[Outcome] = []
        ticket = self.submit(changes, outcomes.extend)
        await ticket.done.wait()
        if ticket.error is not None:
            raise ticket.error
        return outcomes

    async def read(self, work: Callable[[], T]) -> T:
        """Run a read; when it returns, every commit that it saw has been published. Raises Unavailable."""
        found = await self._read(work)
        # The read can only have seen commits that had begun by now; few of them are still to be published.
        begun = self._begun
        if self._published < begun:
            with trio.move_on_after(self._patience):
                while self._published < begun:
                    await self._progress.wait()
            if self._published < begun:
                raise Unavailable("a commit takes too long")
        return found

    async def search(self, work: Callable[[], T]) -> T:
        """A read that takes long: one at a time, so that there is a connection for the others. Raises Unavailable."""
        async with self._searching:
            return await self.read(work)

    async def maintain(self, work: Callable[[], T]) -> T:
        """Let the store do something for itself, between two commits. Raises Unavailable."""
        self._errands += 1
        try:
            return await self._write(work)
        finally:
            self._errands -= 1

    async def run(self) -> None:
        """Commit what is submitted, until `close` is called and nothing waits any more."""
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._repair_when_failed)
            nursery.start_soon(self._publish_in_turn)
            await self._commit_in_turn()
            while self._published < self._begun:
                await self._progress.wait()
            nursery.cancel_scope.cancel()

    async def _commit_in_turn(self) -> None:
        while True:
            if not self._waiting:
                if self._closing:
                    return
                self._wake = trio.Event()
                await self._wake.wait()
            elif self._busy and (rest := self._rest()) > 0:
                await trio.sleep(rest)
            else:
                await self._commit(self._take())

    def _rest(self) -> float:
        """Seconds that there are yet to gather in, since the last commit began."""
        return self._began + self._gather - time.monotonic()

    async def _publish_in_turn(self) -> None:
        while True:
            while self._committed:
                if self._committing is not None:
                    self._committing = trio.current_time()
                self._publish(self._committed.popleft())
                progress, self._progress = self._progress, trio.Event()
                progress.set()
            self._news = trio.Event()
            await self._news.wait()

    def stuck(self, patience: float) -> bool:
        """Whether a commit has been under way for more than so many seconds: it may never return."""
        return self._committing is not None and trio.current_time() - self._committing > patience

    def close(self) -> None:
        """Let `run` end when everything submitted is done."""
        self._closing = True
        self._wake.set()

    def _take(self) -> list[Ticket]:
        tickets: list[Ticket] = []
        size = 0
        while self._waiting and (not tickets or size + len(self._waiting[0].changes) <= MAX_BATCH):
            ticket = self._waiting.popleft()
            tickets.append(ticket)
            size += len(ticket.changes)
        self._busy = len(tickets) >= BUSY
        return tickets

    async def _commit(self, tickets: Sequence[Ticket]) -> None:
        """Commit them, and what waits then."""
        self._begin(tickets)
        self._committing = trio.current_time()
        try:
            last = await self._write(self._commit_on)
        except Exception as error:
            last = Committed(self._current, (), error, self.store.generation)
        finally:
            self._committing = None
        poisoned: Sequence[Ticket] = ()
        if last.error is not None and not isinstance(last.error, Unavailable) and len(last.tickets) > 1:
            poisoned, last = last.tickets, attrs.evolve(last, tickets=())
        self._committed.append(last)
        self._news.set()
        self._errands += len(poisoned)
        for ticket in poisoned:  # one of them is poison: the others must not suffer, nor wait for who came later
            await self._commit([ticket])
            self._errands -= 1

    def _begin(self, tickets: Sequence[Ticket]) -> None:
        self._current = tickets
        self._begun += 1
        self._began = time.monotonic()

    def _commit_on(self) -> Committed:
        """Where the store is called, mostly on a thread: one commit after the other, while any wait. The last one."""
        while True:
            tickets = self._current
            changes = [change for ticket in tickets for change in ticket.changes]
            outcomes = self.store.commit(changes) if changes else self._repaired()
            committed = Committed(tickets, outcomes, None, self.store.generation)
            if not self._waiting or self._errands or self._rest() > 0:  # after a quick one more gathers on the way back
                return committed
            self._begin(self._take())
            self._committed.append(committed)
            assert self._token is not None
            self._token.run_sync_soon(self._announce)

    def _announce(self) -> None:
        self._news.set()

    def _publish(self, committed: Committed) -> None:
        error = committed.error
        if error is None:
            self._succeeded()
            with self.cork:
                self._tell(committed.tickets, committed.outcomes)
            self.on_committed(len(committed.outcomes))
        else:
            self._fail(committed.tickets, error)
        self._published += 1
        if self._generation != committed.generation:
            self._generation = committed.generation
            self.on_reopened()

    def _tell(self, tickets: Sequence[Ticket], outcomes: Sequence[Outcome]) -> None:
        start = 0
        for ticket in tickets:
            end = start + len(ticket.changes)
            failed: Exception | None = None
            try:
                ticket.publish(outcomes[start:end])
            except Exception as error:  # a bug in one room: its own task hears of it
                failed = error
            ticket.finish(failed)
            start = end

    def _fail(self, tickets: Sequence[Ticket], error: Exception) -> None:
        if isinstance(error, Unavailable):
            if self.problem is None:
                log.error("store unavailable", reason=str(error))
            self.problem = str(error)
        else:
            for ticket in tickets:
                log.error("commit failed", changes=sorted({type(c).__name__ for c in ticket.changes}), exc_info=error)
        for ticket in tickets:
            ticket.finish(error)

    def _succeeded(self) -> None:
        if self.problem is not None:
            log.info("store available again")
            self.problem = None

    async def _repair_when_failed(self) -> None:
        while True:
            await trio.sleep(REPAIR_INTERVAL)
            if self.problem is not None and not self._waiting:
                await self.submit(()).done.wait()  # an empty batch is a repair, in turn with the others

    def _repaired(self) -> list[Outcome]:
        self.store.repair()
        return []
