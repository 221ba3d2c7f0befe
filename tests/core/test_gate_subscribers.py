"""Subscribers hear every transaction, in commit order, on hand-held calls and on real threads."""

import sys
import threading
from collections.abc import Callable, Sequence

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chatd.core.gate import Gate, ThreadRunner
from storage.changes import Change, Outcome, PutUser, UserSaved
from storage.contract import Unavailable
from support.gates import put, running
from support.steering import WatchedStore

THREAD_TIMEOUT_S = 20.0
"""Seconds, for what happens at once."""


async def test_gate_subscribers_all_hear_each_transaction_in_commit_order() -> None:
    async with running() as desk:
        heard: dict[str, list[tuple[list[str], list[str]]]] = {"one": [], "two": []}

        def listener(name: str) -> Callable[[Sequence[Change], Sequence[Outcome]], None]:
            def listen(changes: Sequence[Change], outcomes: Sequence[Outcome]) -> None:
                asked = [change.user for change in changes if isinstance(change, PutUser)]
                saved = [outcome.user.id for outcome in outcomes if isinstance(outcome, UserSaved)]
                assert desk.published[-len(saved) :] == saved, "those who submitted hear of it first"
                heard[name].append((asked, saved))

            return listen

        desk.gate.subscribe(listener("one"))
        desk.gate.subscribe(listener("two"))
        desk.writes.hold("before")
        desk.submit("a")
        await wait_all_tasks_blocked()
        desk.submit("b", "c")
        last = desk.submit("d")
        desk.writes.release()
        await last.done.wait()
        expected = [(["a"], ["a"]), (["b", "c", "d"], ["b", "c", "d"])]
        assert heard == {"one": expected, "two": expected}


async def test_gate_subscriber_that_raises_harms_neither_others_nor_commits() -> None:
    async with running() as desk:
        heard: list[int] = []

        def broken(changes: Sequence[Change], outcomes: Sequence[Outcome]) -> None:
            raise ZeroDivisionError("a bug")

        desk.gate.subscribe(broken)
        desk.gate.subscribe(lambda changes, outcomes: heard.append(len(changes)))
        await desk.submit("a").done.wait()
        await desk.submit("b", "c").done.wait()
        assert (heard, desk.published) == ([1, 2], ["a", "b", "c"])


async def test_gate_failed_transaction_is_not_told_to_subscribers() -> None:
    async with running() as desk:
        heard: list[int] = []
        desk.gate.subscribe(lambda changes, outcomes: heard.append(len(changes)))
        failed = desk.submit("full")
        await failed.done.wait()
        assert isinstance(failed.error, Unavailable)
        assert heard == []


async def test_gate_on_real_threads_keeps_every_batch_in_order() -> None:
    """The two halves share fields without a lock: threads that switch at every chance find a race, if there is one."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        store = WatchedStore()
        gate = Gate(store, ThreadRunner(1), ThreadRunner(4))
        published: list[str] = []
        heard: list[str] = []

        def publish(outcomes: Sequence[Outcome]) -> None:
            published.extend(outcome.user.id for outcome in outcomes if isinstance(outcome, UserSaved))

        def listen(changes: Sequence[Change], outcomes: Sequence[Outcome]) -> None:
            assert len(changes) == len(outcomes)
            heard.extend(change.user for change in changes if isinstance(change, PutUser))

        async def writer(name: str) -> None:
            for n in range(100):
                ticket = gate.submit([put(f"{name}-{n}")], publish)
                if n % 3 == 0:
                    await ticket.done.wait()
                elif n % 7 == 0:
                    await gate.maintain(lambda: None)
                else:
                    await trio.lowlevel.checkpoint()

        async def reader() -> None:
            for _ in range(200):
                seen = await gate.read(lambda: sum(map(len, store.batches)))
                assert len(published) >= seen, "a read is ahead of what was published"

        gate.subscribe(listen)
        async with trio.open_nursery() as running:
            running.start_soon(gate.run)
            async with trio.open_nursery() as work:
                for name in "abcdefgh":
                    work.start_soon(writer, name)
                work.start_soon(reader)
            gate.close()
        assert sorted(published) == sorted(f"{name}-{n}" for name in "abcdefgh" for n in range(100))
        assert heard == published
        for name in "abcdefgh":
            own = [user for user in published if user.startswith(f"{name}-")]
            assert own == [f"{name}-{n}" for n in range(100)]
    finally:
        sys.setswitchinterval(interval)


async def test_thread_runner_no_thread_left_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(*args: object, **kwargs: object) -> None:
        raise RuntimeError("can't start new thread")

    runner = ThreadRunner(1)
    with monkeypatch.context() as patch:
        patch.setattr("trio.lowlevel.start_thread_soon", no_thread)
        with pytest.raises(Unavailable, match="no thread can be started"):
            await runner(lambda: None)
    await runner(lambda: None)  # its place is free again


async def test_thread_runner_has_no_more_than_its_limit_at_once() -> None:
    runner, go = ThreadRunner(2), threading.Event()
    started: list[int] = []

    def work(number: int) -> int:
        started.append(number)
        assert go.wait(THREAD_TIMEOUT_S)
        return number

    found: list[int] = []
    async with trio.open_nursery() as nursery:
        for number in range(5):

            async def run(number: int = number) -> None:
                found.append(await runner(lambda: work(number)))

            nursery.start_soon(run)
        await wait_all_tasks_blocked()
        began = len(started)
        go.set()
    assert began <= 2
    assert sorted(found) == [0, 1, 2, 3, 4]


async def test_thread_runner_what_has_begun_is_not_abandoned() -> None:
    """A read whose asker is gone would go on beside whatever has its place by then."""
    runner, go, ended = ThreadRunner(1), threading.Event(), threading.Event()

    def work() -> None:
        assert go.wait(THREAD_TIMEOUT_S)
        ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner, work)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        go.set()
    assert ended.is_set()


class Passes(trio.abc.Instrument):
    """Counts the event loop's passes."""

    count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


async def test_gate_lone_commit_takes_three_passes_of_the_loop() -> None:
    """One to begin it, one that the thread wakes, and one to publish: each costs every message that is sent alone."""
    gate, passes = Gate(WatchedStore(), ThreadRunner(1), ThreadRunner(1)), Passes()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.run)
        await gate.commit([put("a")])
        await wait_all_tasks_blocked()
        published: list[int] = []
        trio.lowlevel.add_instrument(passes)
        ticket = gate.submit([put("b")], lambda outcomes: published.append(passes.count))
        await ticket.done.wait()
        trio.lowlevel.remove_instrument(passes)
        gate.close()
    assert published == [3]


async def test_thread_runner_error_of_the_work_is_raised_as_it_is() -> None:
    def work() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await ThreadRunner(1)(work)
