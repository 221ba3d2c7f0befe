"""Group commit, reads that wait for what they may have seen, failures and recovery, all by hand-held calls."""

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest import mock

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.core import gate
from chatd.core.committer import MAX_CHANGES_PER_COMMIT
from chatd.core.gate import Gate, ThreadRunner, run_inline
from storage.changes import Change, Outcome, PutUser, UserSaved
from storage.contract import TableMismatch, Unavailable
from support.gates import Desk, put, running
from support.steering import WatchedStore


async def test_batches_that_wait_become_one_transaction() -> None:
    async with running() as desk:
        desk.writes.hold("before")
        first = desk.submit("a")
        await wait_all_tasks_blocked()
        others = [desk.submit("b", "c"), desk.submit("d"), desk.submit("e")]
        await wait_all_tasks_blocked()
        assert not first.done.is_set()
        desk.writes.release()
        for ticket in (first, *others):
            await ticket.done.wait()
        assert [len(batch) for batch in desk.store.batches] == [1, 4]
        assert desk.published == ["a", "b", "c", "d", "e"]


async def test_the_disk_does_not_wait_for_what_is_published() -> None:
    """When the first outcomes are published, the second commit is over already."""
    async with running() as desk:
        desk.writes.hold("before")
        when_published: list[int] = []
        first = desk.gate.submit([put("a")], lambda outcomes: when_published.append(len(desk.store.batches)))
        await wait_all_tasks_blocked()
        second = desk.gate.submit([put("b")], lambda outcomes: when_published.append(len(desk.store.batches)))
        desk.writes.release()
        await first.done.wait()
        await second.done.wait()
        assert when_published == [2, 2]


class Slow(WatchedStore):
    """A commit of "a", or of "b", begins and ends when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = {name: threading.Event() for name in "ab"}
        self.go = {name: threading.Event() for name in "ab"}
        self.over = {name: threading.Event() for name in "ab"}

    def commit(self, changes: Sequence[Change]) -> list[Outcome]:
        ((name,),) = [[change.user for change in changes if isinstance(change, PutUser)]]
        self.begun[name].set()
        assert self.go[name].wait(THREAD_TIMEOUT_S)
        outcomes = super().commit(changes)
        self.over[name].set()
        return outcomes


THREAD_TIMEOUT_S = 20.0
"""Seconds, for what happens at once."""


@attrs.define
class Row:
    """Two commits on a thread, as in production: "a" is under way, "b" waits."""

    store: Slow = attrs.Factory(Slow)
    published: list[str] = attrs.Factory(list)
    told: dict[str, trio.Event] = attrs.Factory(lambda: {name: trio.Event() for name in "ab"})
    gate: Gate = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.gate = Gate(self.store, ThreadRunner(1), ThreadRunner(1))

    def submit(self, name: str) -> None:
        def publish(outcomes: Sequence[Outcome]) -> None:
            self.published.append(name)
            self.told[name].set()

        self.gate.submit([put(name)], publish)


@asynccontextmanager
async def two_commits() -> AsyncIterator[Row]:
    """At the end both must be published, in turn."""
    row = Row()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(row.gate.run)
        row.submit("a")
        await trio.to_thread.run_sync(row.store.begun["a"].wait, THREAD_TIMEOUT_S)
        row.submit("b")
        yield row
        for go in row.store.go.values():
            go.set()
        row.gate.close()
    assert row.published == ["a", "b"]


async def test_one_commit_follows_the_other_whatever_the_event_loop_does() -> None:
    async with two_commits() as row:
        for go in row.store.go.values():
            go.set()
        assert row.store.over["b"].wait(THREAD_TIMEOUT_S), "the event loop stands still here"
        assert row.published == []


async def test_commit_is_published_while_the_next_one_runs() -> None:
    async with two_commits() as row:
        row.store.go["a"].set()
        await row.told["a"].wait()
        assert not row.store.over["b"].is_set()


async def test_a_commit_that_follows_another_takes_long_by_itself() -> None:
    async with two_commits() as row:
        await trio.sleep(0.1)
        assert row.gate.stuck(0.05)
        row.store.go["a"].set()
        await row.told["a"].wait()
        assert not row.gate.stuck(0.05)
        await trio.sleep(0.1)
        assert row.gate.stuck(0.05)


async def test_a_failure_in_a_row_of_commits_fails_those_who_were_in_it() -> None:
    async with running() as desk:
        desk.writes.hold("before")
        first = desk.submit("a")
        await wait_all_tasks_blocked()
        second, third = desk.submit("b"), desk.submit("full")
        desk.writes.release()
        for ticket in first, second, third:
            await ticket.done.wait()
        assert first.error is None
        assert str(second.error) == str(third.error) == "the disk is full"
        assert desk.published == ["a"]


@pytest.mark.parametrize(("gather", "calls"), [(0.0, 1), (1000.0, 2)])
async def test_quick_commit_asks_the_event_loop(gather: float, calls: int) -> None:
    """For what gathers meanwhile: a commit more would cost more than the way."""
    store, go = WatchedStore(), trio.Event()
    called: list[int] = []

    async def write(work: Any) -> Any:
        await go.wait()
        called.append(len(store.batches))
        return work()

    gate = Gate(store, write, run_inline, gather=gather)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.run)
        for name in "ab":
            gate.submit([put(name)])
            await wait_all_tasks_blocked()
        go.set()
        await wait_all_tasks_blocked()
        gate.close()
    assert len(called) == calls
    assert len(store.batches) == 2


async def test_poison_in_a_row_of_commits_harms_nobody_else() -> None:
    async with running() as desk:
        desk.writes.hold("before")
        first = desk.submit("a")
        await wait_all_tasks_blocked()
        later = [f"n{n}" for n in range(MAX_CHANGES_PER_COMMIT)]
        others = [desk.submit("b"), desk.submit("poison"), desk.submit("c"), desk.submit(*later)]
        desk.writes.release()
        for ticket in (first, *others):
            await ticket.done.wait()
        assert [ticket.error is None for ticket in (first, *others)] == [True, True, False, True, True]
        assert [len(batch) for batch in desk.store.batches] == [1, 1, 1, MAX_CHANGES_PER_COMMIT]
        assert desk.published == ["a", "b", "c", *later]


async def test_the_store_comes_to_itself_however_much_is_to_be_committed() -> None:
    lock, go = trio.Lock(), trio.Event()
    store = WatchedStore()

    async def write(work: Any) -> Any:
        async with lock:
            await go.wait()
            return work()

    gate = Gate(store, write, run_inline)

    def more() -> None:
        """One more is there at each commit."""
        if len(store.batches) < 50:
            gate.submit([put("x")])
            store.meddle = more

    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.run)
        store.meddle = more
        gate.submit([put("x")])
        await wait_all_tasks_blocked()
        when: list[int] = []
        nursery.start_soon(gate.maintain, lambda: when.append(len(store.batches)))
        await wait_all_tasks_blocked()
        go.set()
        await wait_all_tasks_blocked()
        gate.close()
    assert when == [1]
    assert len(store.batches) == 51


async def test_a_transaction_has_an_end() -> None:
    async with running() as desk:
        desk.writes.hold("before")
        desk.submit("a")
        await wait_all_tasks_blocked()
        names = [f"n{n}" for n in range(MAX_CHANGES_PER_COMMIT)]
        tickets = [desk.submit("b"), desk.submit(*names), desk.submit(*names, "one-more"), desk.submit("z")]
        desk.writes.release()
        for ticket in tickets:
            await ticket.done.wait()
        assert [len(batch) for batch in desk.store.batches] == [
            1,
            1,
            MAX_CHANGES_PER_COMMIT,
            MAX_CHANGES_PER_COMMIT + 1,
            1,
        ]
        assert desk.published == ["a", "b", *names, *names, "one-more", "z"]


async def test_commit_hands_back_the_outcomes() -> None:
    async with running() as desk:
        (outcome,) = await desk.gate.commit([put("a")])
        assert isinstance(outcome, UserSaved)
        desk.writes.fail("before")
        with pytest.raises(Unavailable):
            await desk.gate.commit([put("b")])


@pytest.mark.parametrize("held", ["before", "after"])
async def test_a_read_returns_when_what_it_may_have_seen_is_published(held: Any) -> None:
    async with running() as desk:
        desk.writes.hold(held)
        desk.submit("a")
        await wait_all_tasks_blocked()
        seen: list[tuple[bool, bool]] = []

        async def read() -> None:
            user = await desk.gate.read(lambda: desk.store.user("a"))
            seen.append((user is not None, bool(desk.published)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            assert seen == []
            desk.writes.release()
        assert seen == [(held == "after", True)]


async def test_a_read_waits_for_no_later_commit() -> None:
    async with running() as desk:
        desk.reads.hold("after")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(desk.gate.read, lambda: desk.store.user("a"))
            await wait_all_tasks_blocked()
            desk.reads.release()
            with trio.fail_after(1):
                await desk.gate.read(lambda: None)
        desk.writes.hold("before")
        desk.submit("a")
        await wait_all_tasks_blocked()


async def test_a_read_has_patience_but_not_for_ever(autojump_clock: MockClock) -> None:
    async with running() as desk:
        desk.writes.hold("before")
        desk.submit("a")
        await wait_all_tasks_blocked()
        began = trio.current_time()
        with pytest.raises(Unavailable):
            await desk.gate.read(lambda: desk.store.user("a"))
        assert trio.current_time() - began == pytest.approx(10)


async def test_a_failure_fails_those_who_were_in_it() -> None:
    async with running() as desk:
        desk.writes.hold("before")
        desk.writes.fail("before")
        failed = desk.submit("a")
        await wait_all_tasks_blocked()
        fine = desk.submit("b")
        desk.writes.release()
        await failed.done.wait()
        assert isinstance(failed.error, Unavailable)
        await fine.done.wait()
        assert (fine.error, desk.published, desk.gate.problem) == (None, ["b"], None)


async def test_a_failed_store_is_brought_back_though_nobody_writes(autojump_clock: MockClock) -> None:
    async with running() as desk:
        desk.writes.fail("before")
        ticket = desk.submit("a")
        await ticket.done.wait()
        assert desk.gate.problem == "the disk is full"
        desk.writes.fail("before")
        await trio.sleep(1.5)
        assert (desk.gate.problem, desk.store.repairs) == ("the disk is full", 0)
        await trio.sleep(1)
        assert not desk.gate.problem
        assert desk.store.repairs == 1
        await trio.sleep(10)
        assert desk.store.repairs == 1


async def test_poison_harms_nobody_else() -> None:
    async with running() as desk:
        desk.writes.hold("before")
        desk.submit("a")
        await wait_all_tasks_blocked()
        tickets = [desk.submit("b"), desk.submit("poison"), desk.submit("c")]
        desk.writes.release()
        for ticket in tickets:
            await ticket.done.wait()
        assert [type(ticket.error) for ticket in tickets] == [type(None), ZeroDivisionError, type(None)]
        assert desk.published == ["a", "b", "c"]
        assert desk.gate.problem is None


async def test_gate_batch_that_a_table_refuses_is_told_for_a_while(autojump_clock: MockClock) -> None:
    """Others go on, and it isn't forgotten with the next of them."""
    async with running() as desk:
        refused = desk.submit("misfit")
        await refused.done.wait()
        assert isinstance(refused.error, TableMismatch)
        await desk.submit("a").done.wait()
        assert (desk.gate.problem, desk.gate.mismatch) == (None, "Message.kindId")
        await trio.sleep(gate.MISMATCH_SHOWN_S + 1)
        assert desk.gate.mismatch is None


async def test_a_bug_in_publishing_is_its_owners() -> None:
    async with running() as desk:

        def publish(outcomes: Sequence[Outcome]) -> None:
            raise ZeroDivisionError("a bug")

        desk.writes.hold("before")
        desk.submit("a")
        await wait_all_tasks_blocked()
        wrong, right = desk.gate.submit([put("b")], publish), desk.submit("c")
        desk.writes.release()
        await right.done.wait()
        assert isinstance(wrong.error, ZeroDivisionError)
        assert (right.error, desk.published) == (None, ["a", "c"])


async def test_store_reopened_is_announced_to_listeners() -> None:
    async with running() as desk:
        heard: list[list[str]] = []
        desk.gate.subscribe_reopened(lambda: heard.append([*desk.published]))
        await desk.submit("a").done.wait()
        assert heard == []
        desk.writes.fail("after", and_then=desk.store.reopen)
        await desk.submit("b").done.wait()
        await desk.submit("c").done.wait()
        await wait_all_tasks_blocked()
        assert heard == [["a"]]


async def test_outcomes_published_leave_under_the_cork() -> None:
    async with running() as desk:
        corked = [False]
        seen: list[bool] = []

        @contextmanager
        def cork() -> Any:
            corked[0] = True
            yield
            corked[0] = False

        desk.gate._cork = cork()
        await desk.gate.submit([put("a")], lambda outcomes: seen.append(corked[0])).done.wait()
        assert (seen, corked) == ([True], [False])


async def test_closing_waits_for_all_that_was_submitted() -> None:
    desk = Desk()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.gate.run)
        desk.writes.hold("before")
        desk.submit("a")
        await wait_all_tasks_blocked()
        desk.submit("b")
        desk.gate.close()
        await wait_all_tasks_blocked()
        desk.writes.release()
    assert desk.published == ["a", "b"]


async def test_commit_after_the_end_is_refused_at_once() -> None:
    async with running() as desk:
        pass
    with trio.fail_after(5), pytest.raises(Unavailable, match="ended"):
        await desk.gate.commit([put("a")])


async def test_a_commit_that_does_not_return_shows(autojump_clock: MockClock) -> None:
    async with running() as desk:
        assert not desk.gate.stuck(0)
        desk.writes.hold("before")
        ticket = desk.submit("a")
        await trio.sleep(60)
        assert not desk.gate.stuck(60)
        await trio.sleep(1)
        assert desk.gate.stuck(60)
        desk.writes.release()
        await ticket.done.wait()
        assert not desk.gate.stuck(0)
        await trio.sleep(61)
        assert not desk.gate.stuck(0), "it only waits for work"


async def test_gate_commit_longer_than_its_limit_is_a_problem_until_it_returns(autojump_clock: MockClock) -> None:
    async with running() as desk:
        desk.writes.hold("before")
        ticket = desk.submit("a")
        await trio.sleep(9)
        problems = [desk.gate.problem]
        with mock.patch("chatd.core.gate.log") as log:
            await trio.sleep(30)
        problems.append(desk.gate.problem)
        assert [call.args for call in log.error.call_args_list] == [("commit takes too long",)]
        desk.writes.release()
        await ticket.done.wait()
        problems.append(desk.gate.problem)
        assert problems == [None, "a commit takes longer than 10 s: is the disk hanging?", None]
        assert ticket.error is None
