"""The search index follows what is committed, in batches, while other commits go on."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from unittest import mock

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.background.indexer import (
    BEHIND_FROM_MESSAGES,
    BUSY_FROM_CHANGES,
    BUSY_PAUSE_S,
    MAX_WAITING_MESSAGES,
    MESSAGES_PER_BATCH,
    PAUSE_S,
    Indexer,
)
from chatd.background.supervise import Jobs
from chatd.core.gate import Gate, run_inline
from storage.changes import PutUser
from storage.contract import Unavailable
from support.steering import WatchedStore, clinic, say


class Behind(WatchedStore):
    """A store whose index is so many messages behind; notes when it was asked to index how many."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left
        self.asked: list[tuple[float, int]] = []
        self.on_index: Callable[[], object] = lambda: None

    def index(self, limit: int) -> int:
        self.asked.append((trio.current_time(), limit))
        self.on_index()
        self.left = max(0, self.left - limit)
        return self.left

    @property
    def times(self) -> list[float]:
        return [time for time, limit in self.asked if limit]


def commit(indexer: Indexer, changes: int) -> None:
    """Tell the indexer of a transaction with so many changes."""
    change = PutUser("pat-1", None, None, 0)
    indexer._committed([change] * changes, [])


@asynccontextmanager
async def indexing(
    left: int, on_index: Callable[[], object] = lambda: None, jobs: Jobs | None = None
) -> AsyncIterator[tuple[Behind, Indexer]]:
    store = Behind(left)
    store.on_index = on_index
    indexer = Indexer(Gate(store, run_inline, run_inline))
    async with trio.open_nursery() as nursery:
        nursery.start_soon((jobs or Jobs()).supervise, "index", indexer.run)
        await wait_all_tasks_blocked()
        yield store, indexer
        nursery.cancel_scope.cancel()


async def test_few_messages_wait(autojump_clock: MockClock) -> None:
    async with indexing(MAX_WAITING_MESSAGES - 1) as (store, indexer):
        await trio.sleep(3600)
        assert [limit for _, limit in store.asked] == [0]
        commit(indexer, MESSAGES_PER_BATCH - 1)
        await trio.sleep(3600)
        assert len(store.asked) == 1
        commit(indexer, 1)
        await trio.sleep(3600)
        assert [limit for _, limit in store.asked] == [0, 0]


async def test_many_messages_are_indexed_until_few_wait(autojump_clock: MockClock) -> None:
    async with indexing(MAX_WAITING_MESSAGES - MESSAGES_PER_BATCH) as (store, indexer):
        for _ in range(4):
            store.left += MESSAGES_PER_BATCH
            commit(indexer, MESSAGES_PER_BATCH)
            await trio.sleep(60)
        assert [limit for _, limit in store.asked] == [0] + [0, MESSAGES_PER_BATCH] * 4
        assert store.left == MAX_WAITING_MESSAGES - MESSAGES_PER_BATCH


async def test_commits_go_on_between_batches(autojump_clock: MockClock) -> None:
    async with indexing(MAX_WAITING_MESSAGES + 3 * MESSAGES_PER_BATCH) as (store, indexer):
        await trio.sleep(3600)
        assert store.left < MAX_WAITING_MESSAGES
        first, *rest = store.times
        assert rest == pytest.approx([first + n * PAUSE_S for n in range(1, 4)])
        store.asked.clear()
        store.left = MAX_WAITING_MESSAGES + 3 * MESSAGES_PER_BATCH
        store.on_index = lambda: background.start_soon(commit_later)

        async def commit_later() -> None:
            await trio.sleep(PAUSE_S / 2)
            commit(indexer, BUSY_FROM_CHANGES)

        async with trio.open_nursery() as background:
            commit(indexer, MESSAGES_PER_BATCH)
            await trio.sleep(3600)
        first, *rest = store.times
        assert rest[:3] == pytest.approx([first + n * (PAUSE_S + BUSY_PAUSE_S) for n in range(1, 4)])


async def test_indexer_refills_rows_of_an_earlier_version_once_then_indexes(autojump_clock: MockClock) -> None:
    left, refilled = 2 * MESSAGES_PER_BATCH + 1, list[int]()

    def refill(self: Behind, limit: int) -> int:
        nonlocal left
        assert not self.asked, "before anything is indexed"
        refilled.append(limit)
        left = max(0, left - limit)
        return left

    with mock.patch.object(Behind, "refill", refill):
        async with indexing(MAX_WAITING_MESSAGES) as (store, indexer):
            await trio.sleep(60)
            assert refilled == [0, *[MESSAGES_PER_BATCH] * 3]
            assert store.asked
            commit(indexer, MESSAGES_PER_BATCH)
            await trio.sleep(60)
    assert len(refilled) == 4


async def test_indexer_store_unavailable_is_tried_again_after_more_commits(autojump_clock: MockClock) -> None:
    def fail() -> None:
        raise Unavailable("the disk is full")

    async with indexing(MAX_WAITING_MESSAGES, fail) as (store, indexer):
        await trio.sleep(3600)
        assert len(store.asked) == 1
        store.on_index = lambda: None
        commit(indexer, MESSAGES_PER_BATCH)
        await trio.sleep(3600)
        assert store.left < MAX_WAITING_MESSAGES


async def test_indexer_bug_is_reported_and_tried_again(autojump_clock: MockClock) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a bug")

    jobs = Jobs()
    async with indexing(MAX_WAITING_MESSAGES, fail, jobs) as (store, _):
        await trio.sleep(10)
        assert jobs.failing["index"].kind == "ZeroDivisionError"
        store.on_index = lambda: None
        await trio.sleep(3600)
        assert store.left < MAX_WAITING_MESSAGES
        assert not jobs.failing


async def test_an_index_far_behind_is_told(autojump_clock: MockClock) -> None:
    with mock.patch("chatd.background.indexer.log") as log:
        async with indexing(BEHIND_FROM_MESSAGES):
            await trio.sleep(3600)
    assert [call.args for call in log.info.call_args_list] == [("search index behind",), ("search index complete",)]


async def test_the_daemon_indexes(autojump_clock: MockClock) -> None:
    store = Behind(0)
    async with clinic(store=store) as c:
        ada, _, conversation = await c.pair()
        store.left = MAX_WAITING_MESSAGES
        ids = await say(ada, conversation, *(f"a-{n}" for n in range(MESSAGES_PER_BATCH)))
        await ada.reply(ids[-1])
        await trio.sleep(1)
        assert MESSAGES_PER_BATCH in [limit for _, limit in store.asked]
