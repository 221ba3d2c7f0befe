"""The one bridge between the event loop and the store: group commit on one writer, a few readers.

A writer submits a batch and a function that publishes its outcomes. All batches that wait become one transaction, one
sync of the disk; then their outcomes are published, in commit order, in one step of the event loop. `Committer` is the
half that calls the store; `Gate` is the half on the event loop. How the store's synchronous calls run is injected: on
threads in production, inline under a virtual clock.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import Any, Protocol, TypeVar

import attrs
import outcome
import structlog
import trio

from storage.changes import Change, Outcome
from storage.contract import Store, TableMismatch, Unavailable

from .committer import Committed, Committer, Publish, Then, Ticket

log = structlog.get_logger("chatd.gate")

WATCH_INTERVAL_S = 1.0
"""Seconds between attempts to bring a failed store back, and between looks for a commit that takes too long."""

MISMATCH_SHOWN_S = 30.0
"""Seconds for which it is told that a table refused a batch."""

T = TypeVar("T")
Listener = Callable[[Sequence[Change], Sequence[Outcome]], None]


class Runner(Protocol):
    """Runs a synchronous call of the store; a call that has begun is never abandoned."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]: ...


class ThreadRunner:
    """Runner on worker threads, at most `limit` at once."""

    def __init__(self, limit: int) -> None:
        self._limiter = trio.CapacityLimiter(limit)

    async def __call__(self, work: Callable[[], T]) -> T:
        owner = object()
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._limiter.acquire_on_behalf_of_nowait(owner)
        except trio.WouldBlock:
            await self._limiter.acquire_on_behalf_of(owner)
        try:
            found: T = await _on_thread(work)
            return found
        finally:
            self._limiter.release_on_behalf_of(owner)


async def _on_thread(work: Callable[[], T]) -> Any:
    """Run it on a thread of Trio's, whatever is cancelled meanwhile. Raises Unavailable where none can be started.

    `trio.to_thread.run_sync` lets other tasks run first, even where a thread is free, and names the thread anew for
    each call, by two system calls.
    """
    task, token = trio.lowlevel.current_task(), trio.lowlevel.current_trio_token()

    def deliver(result: outcome.Outcome[T]) -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(trio.lowlevel.reschedule, task, result)

    try:
        trio.lowlevel.start_thread_soon(work, deliver)
    except RuntimeError as error:
        raise Unavailable(f"no thread can be started: {error}") from error
    return await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)


async def run_inline(work: Callable[[], T]) -> T:
    """Run in the calling task, as a virtual clock needs: it doesn't see worker threads."""
    await trio.lowlevel.checkpoint()
    return work()


class Gate:
    """The event loop's side of all commits and reads; every field here is used by the event loop alone.

    `problem`: the reason why nothing can be acknowledged now, or None. `commit_timeout`: seconds that a read waits for
    a commit. `gather`: least seconds from one commit of a busy gate to the next: a transaction costs the same whatever
    it holds, and on a fast disk too little would gather meanwhile. `cork` holds back what is published until the whole
    transaction is, so that it leaves in one write. `last_commit_s`: how long the commit took that was published last.
    """

    def __init__(
        self,
        store: Store,
        write: Runner,
        read: Runner,
        *,
        commit_timeout: float = 10.0,
        gather: float = 0.0,
        cork: AbstractContextManager[None] | None = None,
    ) -> None:
        self.store = store
        self.problem: str | None = None
        self._mismatch: tuple[str, float] | None = None  # why a table refused a batch, and when
        self._cork = cork or nullcontext()
        self._write = write
        self._read = read
        self._commit_timeout = commit_timeout
        self._committer = Committer(store, gather=gather)
        self._listeners: list[Listener] = []
        self._reopened_listeners: list[Callable[[], None]] = []
        self._searching = trio.Lock()
        self._searchers: dict[str, tuple[trio.Lock, int]] = {}  # and how many searches of the user there are
        self._wake = trio.Event()
        self._news = trio.Event()  # something is in `committed`
        self._published = 0  # commits, of those begun
        self._progress = trio.Event()  # of `_published`
        self._committing: float | None = None  # start of the commit that is under way, as far as is known
        self._token: trio.lowlevel.TrioToken | None = None
        self._closing = False
        self._ended = False
        self._generation = store.generation
        self.last_commit_s = 0.0

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called with the changes and outcomes of each transaction, in commit order.

        It is called synchronously, after those who submitted the batches; it must not wait. An error in it is logged
        and reaches neither other listeners nor the daemon.
        """
        self._listeners.append(listener)

    def subscribe_reopened(self, listener: Callable[[], None]) -> None:
        """Have `listener` called when the store was reopened: what was not acknowledged may have happened."""
        self._reopened_listeners.append(listener)

    def submit(
        self,
        changes: Sequence[Change],
        publish: Publish = lambda outcomes: None,
        then: Then | None = None,
    ) -> Ticket:
        """Queue a batch. `publish` is called with its outcomes, synchronously; `then` when it is over in any case."""
        ticket = Ticket(changes, publish, then)
        self._committer.waiting.append(ticket)
        self._wake.set()
        return ticket

    async def commit(self, changes: Sequence[Change]) -> list[Outcome]:
        """Submit, and wait for the outcomes. Raises Unavailable, also when `run` has ended."""
        if self._ended:
            raise Unavailable("the daemon has ended")
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
        begun = self._committer.begun
        if self._published < begun:
            with trio.move_on_after(self._commit_timeout):
                while self._published < begun:
                    await self._progress.wait()
            if self._published < begun:
                raise Unavailable("a commit takes too long")
        return found

    @property
    def mismatch(self) -> str | None:
        """The reason why a table refused a batch lately, for which others need not fail; None where none did."""
        if self._mismatch is None or trio.current_time() - self._mismatch[1] > MISMATCH_SHOWN_S:
            return None
        return self._mismatch[0]

    def searches(self, user: str) -> int:
        """Return how many searches of the user are under way or wait."""
        return self._searchers[user][1] if user in self._searchers else 0

    @asynccontextmanager
    async def searching(self, user: str) -> AsyncIterator[None]:
        """Wait for the place of the one whose reads may take long; of each user one waits in the queue.

        So there is a reader for all others, and who searches on fifty connections waits for nobody but themselves.
        """
        own, waiting = self._searchers.get(user, (trio.Lock(), 0))
        self._searchers[user] = own, waiting + 1
        try:
            async with own, self._searching:
                yield
        finally:
            own, waiting = self._searchers[user]
            if waiting > 1:
                self._searchers[user] = own, waiting - 1
            else:
                del self._searchers[user]

    async def maintain(self, work: Callable[[], T]) -> T:
        """Let the store do something for itself, between two commits. Raises Unavailable."""
        self._committer.errands += 1
        try:
            return await self._write(work)
        finally:
            self._committer.errands -= 1

    async def run(self) -> None:
        """Commit what is submitted, until `close` is called and nothing waits any more."""
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            nursery.start_soon(self._publish_in_turn)
            await self._commit_in_turn()
            self._ended = True
            while self._published < self._committer.begun:
                await self._progress.wait()
            nursery.cancel_scope.cancel()

    async def _commit_in_turn(self) -> None:
        while True:
            if not self._committer.waiting:
                if self._closing:
                    return
                self._wake = trio.Event()
                await self._wake.wait()
            elif (rest := self._committer.gathering()) > 0:
                await trio.sleep(rest)
            else:
                await self._commit(self._committer.take())

    async def _publish_in_turn(self) -> None:
        while True:
            self._publish_all()
            self._news = trio.Event()
            await self._news.wait()

    def _publish_all(self) -> None:
        while self._committer.committed:
            if self._committing is not None:
                self._committing = trio.current_time()
            self._publish(self._committer.committed.popleft())
            progress, self._progress = self._progress, trio.Event()
            progress.set()

    @property
    def waiting(self) -> int:
        """Batches that wait for a commit."""
        return len(self._committer.waiting)

    def stuck(self, longer_than: float) -> bool:
        """Return True if a commit has been under way for more than so many seconds: it may never return."""
        return self._committing is not None and trio.current_time() - self._committing > longer_than

    def close(self) -> None:
        """Let `run` end when everything submitted is done."""
        self._closing = True
        self._wake.set()

    async def _commit(self, tickets: Sequence[Ticket]) -> None:
        """Commit these tickets, and those that wait by then."""
        committer = self._committer
        committer.begin(tickets)
        self._committing = trio.current_time()
        assert self._token is not None
        announce = partial(self._token.run_sync_soon, self._announce)
        try:
            last = await self._write(partial(committer.run, announce))
        except Exception as error:
            last = Committed(committer.current, (), (), error, self.store.generation)
        finally:
            self._committing = None
        poisoned: Sequence[Ticket] = ()
        if last.error is not None and not isinstance(last.error, Unavailable) and len(last.tickets) > 1:
            poisoned, last = last.tickets, attrs.evolve(last, tickets=())
        committer.committed.append(last)
        if committer.waiting and committer.gathering() <= 0:
            self._news.set()  # the next commit begins first
        else:
            self._publish_all()
        # Isolate the batch that fails: each is retried alone, before newer ones; `errands` keeps those waiting.
        committer.errands += len(poisoned)
        for ticket in poisoned:
            await self._commit([ticket])
            committer.errands -= 1

    def _announce(self) -> None:
        self._news.set()

    def _publish(self, committed: Committed) -> None:
        if committed.error is None:
            self.last_commit_s = committed.seconds
            self._succeeded()
            with self._cork:
                self._tell(committed.tickets, committed.outcomes)
                for listener in self._listeners:
                    self._call(listener, committed.changes, committed.outcomes)
        else:
            self._fail(committed.tickets, committed.error)
        self._published += 1
        if self._generation != committed.generation:
            self._generation = committed.generation
            for reopened in self._reopened_listeners:
                self._call(reopened)

    def _call(self, listener: Callable[..., None], *args: object) -> None:
        try:
            listener(*args)
        except Exception:
            log.exception("listener failed", listener=getattr(listener, "__qualname__", repr(listener)))

    def _tell(self, tickets: Sequence[Ticket], outcomes: Sequence[Outcome]) -> None:
        start = 0
        for ticket in tickets:
            end = start + len(ticket.changes)
            failed: Exception | None = None
            try:
                ticket.publish(outcomes[start:end])
            except Exception as error:  # a bug in one room is that room's: its task restarts, the others go on
                failed = error
            ticket.finish(failed)
            start = end

    def _fail(self, tickets: Sequence[Ticket], error: Exception) -> None:
        if isinstance(error, Unavailable):
            if self.problem is None:
                log.error("store unavailable", reason=str(error))
            self.problem = str(error)
        else:
            if isinstance(error, TableMismatch):
                self._mismatch = str(error), trio.current_time()
            for ticket in tickets:
                log.error("commit failed", changes=sorted({type(c).__name__ for c in ticket.changes}), exc_info=error)
        for ticket in tickets:
            ticket.finish(error)

    def _succeeded(self) -> None:
        if self.problem is not None:
            log.info("store available again")
            self.problem = None

    async def _watch(self) -> None:
        while True:
            await trio.sleep(WATCH_INTERVAL_S)
            if self.stuck(self._commit_timeout):
                if self.problem is None:
                    log.error("commit takes too long", longer_than=self._commit_timeout)
                    self.problem = f"a commit takes longer than {self._commit_timeout:g} s: is the disk hanging?"
            elif self.problem is not None and not self._committer.waiting:
                await self.submit(()).done.wait()  # an empty batch is a repair, in turn with the others
