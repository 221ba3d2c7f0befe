"""Searching through the daemon: order, size, patience; and the indexer, which works when there is time."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import pytest
import trio
from click.testing import CliRunner
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.cli import main
from chatd.commands.handlers.search import MIN_READS_PER_PAGE, PAGE_LIMIT_S, SEARCHES_PER_USER
from chatd.config import DATABASE_FILE
from chatd.core.gate import Gate, run_inline
from chatd.testing import Refused, Server, TestClient
from storage import memory
from storage.sqlite import SqliteStore
from support.steering import WatchedStore, clinic, say

T = TypeVar("T")

SUPPORT = Path(__file__).parents[1] / "support"


async def pages(client: TestClient, query: str, **fields: Any) -> list[list[str]]:
    """The texts found, page by page."""
    found: list[list[str]] = []
    cursor: str | None = None
    while True:
        ok = await client.ask("message.search", query=query, cursor=cursor, **fields)
        found.append([hit["message"]["body"] for hit in ok["hits"]])
        cursor = ok["cursor"]
        if cursor is None:
            return found


async def test_a_search_comes_after_what_was_sent_before_it(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, _, conversation = await c.pair()
        c.writes.hold("before")
        await say(ada, conversation, "tooth")
        search = await ada.send("message.search", query="tooth")
        await wait_all_tasks_blocked()
        assert "re" not in ada.received[-1] or ada.received[-1]["re"] != search
        c.writes.release()
        assert len((await ada.reply(search))["hits"]) == 1


@pytest.mark.parametrize("what", ["delete", "edit", "leave"])
async def test_events_during_a_search_are_told_after_it(autojump_clock: MockClock, what: str) -> None:
    """The page is older, and the client must end up with what is newer."""
    async with clinic() as c:
        ada, _, conversation = await c.pair()
        laptop = await c.server.connect("pat-1")
        await ada.ask("message.send", conversation=conversation, client_id="a-1", body="tooth")
        await wait_all_tasks_blocked()
        c.reads.hold("after")
        search = await laptop.send("message.search", query="tooth")
        await wait_all_tasks_blocked()
        match what:
            case "delete":
                await ada.ask("message.delete", conversation=conversation, seq=1)
            case "edit":
                await ada.ask("message.edit", conversation=conversation, seq=1, body="crown")
            case "leave":
                await ada.ask("conversation.leave", conversation=conversation)
        await wait_all_tasks_blocked()
        c.reads.release()
        ok = await laptop.reply(search)
        assert [hit["message"]["rev"] for hit in ok["hits"]] == [2]
        await laptop.expect("change", conversation=conversation, rev=3)
        await wait_all_tasks_blocked()
        assert [frame["type"] for frame in laptop.received[-2:]] == ["ok", "change"]
        assert (await pages(laptop, "tooth")) == [[]]


async def test_search_that_waits_for_another_holds_nothing_back(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, den, conversation = await c.pair()
        laptop = await c.server.connect("pat-1")
        await ada.ask("message.send", conversation=conversation, client_id="a-1", body="tooth")
        await wait_all_tasks_blocked()
        c.reads.hold("before")
        first = await den.send("message.search", query="tooth")
        await wait_all_tasks_blocked()
        second = await laptop.send("message.search", query="tooth")
        await wait_all_tasks_blocked()
        await ada.ask("message.send", conversation=conversation, client_id="a-2", body="crown")
        assert (await laptop.expect("change", conversation=conversation, rev=3))["rev"] == 3
        assert not any(frame.get("re") == second for frame in laptop.received)
        c.reads.release()
        assert len((await den.reply(first))["hits"]) == len((await laptop.reply(second))["hits"]) == 1


async def test_searches_beyond_a_users_share_are_refused(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, _, _ = await c.pair()
        tabs = [await c.server.connect("pat-1") for _ in range(SEARCHES_PER_USER + 1)]
        c.reads.hold("before")
        asked = []
        for tab in tabs:
            asked.append(await tab.send("message.search", query="tooth"))
            await wait_all_tasks_blocked()
        with pytest.raises(Refused) as refused:
            await tabs[-1].reply(asked[-1])
        assert (refused.value.code, refused.value.temporary) == ("rate_limited", True)
        c.reads.release()
        for tab, id in zip(tabs[:-1], asked, strict=False):
            assert (await tab.reply(id))["hits"] == []
        assert (await ada.ask("message.search", query="tooth"))["hits"] == []


async def test_searches_of_one_user_wait_for_each_other_and_nobody_else_for_them() -> None:
    gate, order = Gate(WatchedStore(), run_inline, run_inline), list[str]()

    async def search(user: str) -> None:
        async with gate.searching(user):
            order.append(user)
            await wait_all_tasks_blocked(0.01)

    async with trio.open_nursery() as nursery:
        for user in ("ada", *("eve",) * 5, "bob"):
            nursery.start_soon(search, user)
            await wait_all_tasks_blocked()
    assert order[:3] == ["ada", "eve", "bob"]
    assert order[3:] == ["eve"] * 4
    assert not gate._searchers


async def test_pages_fit_into_frames_and_are_complete(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, _, conversation = await c.pair()
        texts = [f"tooth {n} " + "歯\n" * 4_990 for n in range(100)]
        for n, text in enumerate(texts):
            await ada.ask("message.send", conversation=conversation, client_id=f"a-{n}", body=text)
        found = await pages(ada, "tooth", limit=200)
        assert 2 < len(found) < 10
        assert [text for page in found for text in page] == texts[::-1]


async def test_a_page_is_made_of_several_reads(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, _, conversation = await c.pair()
        ids = await say(ada, conversation, "tooth", *(f"noise {n}" for n in range(50)), "tooth again")
        await ada.reply(ids[-1])
        with mock.patch.object(memory, "MESSAGES_PER_SEARCH", 3):
            assert await pages(ada, "tooth") == [["tooth again", "tooth"]]
            assert await pages(ada, "tooth", limit=1) == [["tooth again"], ["tooth"]]
            assert [len(page) for page in await pages(ada, "noise", limit=20)] == [20, 20, 10]


async def test_a_page_ends_when_it_took_long_and_its_cursor_goes_on(autojump_clock: MockClock) -> None:
    async def slowly(work: Callable[[], T]) -> T:
        await trio.sleep(slowness)
        return work()

    slowness = 0.0
    async with clinic() as c:
        c.server.daemon.gate._read = slowly
        ada, _, conversation = await c.pair()
        ids = await say(ada, conversation, *(f"tooth {n}" for n in range(20)))
        await ada.reply(ids[-1])
        slowness = PAGE_LIMIT_S / 2
        with mock.patch.object(memory, "MESSAGES_PER_SEARCH", 1):
            found = await pages(ada, "tooth")
        assert [len(page) for page in found] == [MIN_READS_PER_PAGE] * (20 // MIN_READS_PER_PAGE)
        assert [text for page in found for text in page] == [f"tooth {n}" for n in reversed(range(20))]


async def test_other_reads_go_on_during_searches(autojump_clock: MockClock) -> None:
    """Searches take one reader, however many there are."""
    running = most = 0
    go = trio.Event()

    async def read(work: Callable[[], T]) -> T:
        nonlocal running, most
        if work is not quick:
            running += 1
            most = max(most, running)
            await go.wait()
            running -= 1
        return work()

    def quick() -> str:
        return "quick"

    gate = Gate(WatchedStore(), run_inline, read)

    async def search(user: str) -> None:
        async with gate.searching(user):
            await gate.read(lambda: "found")

    async with trio.open_nursery() as nursery:
        for user in ("ada", "ada", "bob", "eve", "eve"):
            nursery.start_soon(search, user)
        await wait_all_tasks_blocked()
        assert await gate.read(quick) == "quick"
        go.set()
    assert most == 1


async def test_the_client_searches(chatd_server: Server, autojump_clock: MockClock) -> None:
    await chatd_server.connect("den-1", role="dentist")
    async with chatd_server.client("pat-1") as ada:
        conversation = (await ada.open("den-1")).id
        for n in range(3):
            await ada.send(conversation, f"tooth {n}")
        hits, cursor = await ada.search("TOOTH", limit=2)
        assert [(hit.conversation, hit.message.body, hit.snippet) for hit in hits] == [
            (conversation, "tooth 2", "\x02tooth\x03 2"), (conversation, "tooth 1", "\x02tooth\x03 1"),
        ]  # fmt: skip
        assert cursor is not None
        hits, cursor = await ada.search("TOOTH", limit=2, conversation=conversation, cursor=cursor)
        assert ([hit.message.body for hit in hits], cursor) == (["tooth 0"], None)


def test_an_upgrade_fills_the_index(tmp_path: Path) -> None:
    path = tmp_path / DATABASE_FILE
    with closing(sqlite3.connect(str(path))) as db:
        db.executescript((SUPPORT / "schema_001.sql").read_text("utf-8"))
    for said in (f"{path}: upgraded (m002", f"{path}: nothing to do"):
        result = CliRunner().invoke(main, ["db", "upgrade", "--data", str(tmp_path)])
        assert (result.exit_code, result.exception) == (0, None)
        assert said in result.stdout
        with closing(SqliteStore(path, new_epoch=lambda: "new")) as store:
            assert store.index(0) == 0
