"""Others write to the same store unnoticed: what a connection is sent keeps its rev order all the same."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.config import Config, Mysql, Timeouts
from chatd.core.session import MAX_READS
from chatd.testing.harness import Frame, TestClient
from storage.contract import Unavailable
from support.shops import Shop, shop
from support.steering import Elsewhere, changes, say
from support.strict import Book

UNNOTICED = Mysql(poll=3600.0)
"""Nothing is found by looking: only by what is asked here."""


def told(client: TestClient, conversation: str, after: int = 0) -> list[tuple[str, int, int]]:
    """What came of the conversation that has revs, in order: its kind, from and rev; a reply's `info` is all it has."""
    found = []
    for frame in client.received[after:]:
        if frame.get("conversation") == conversation and "from" in frame:
            found.append((frame["type"], frame["from"], frame["rev"]))
        for shown in (frame, *frame.get("conversations", ())):
            if "from" not in shown and shown.get("conversation") == conversation and "info" in shown:
                found.append(("info", shown["info"]["rev"], shown["info"]["rev"]))
    return found


async def unloaded(c: Shop, conversation: str) -> None:
    """Wait until the conversation has no room."""
    await trio.sleep(0.3)
    assert c.server.daemon.rooms.loaded(conversation) is None


async def test_leave_after_a_foreign_write_says_so_from_the_cursor_on(autojump_clock: MockClock) -> None:
    async with shop(config=Config(mysql=UNNOTICED)) as c:
        ada, _, conversation = await c.pair()
        second = await c.server.connect("pat-1")
        books = [Book(ada), Book(second)]
        Elsewhere(c, conversation).send("den-1")
        ok = await ada.ask("conversation.leave", conversation=conversation)
        assert (ok["from"], ok["rev"]) == (1, 3)
        event = await second.expect("change", within=1, conversation=conversation)
        assert (event["from"], event["rev"]) == (1, 3)
        for book in books:
            book.agree(c.store)


async def test_goodbye_comes_before_an_ok_that_is_above_the_cursor(autojump_clock: MockClock) -> None:
    async with shop(config=Config(mysql=UNNOTICED)) as c:
        ada, _, conversation = await c.pair()
        book, before = Book(ada), len(ada.received)
        Elsewhere(c, conversation).send("den-1")
        c.reads.hold("before")
        (sent,) = await say(ada, conversation, "mine")
        left = await ada.send("conversation.leave", conversation=conversation)
        await wait_all_tasks_blocked()
        c.reads.release()
        for id in (left, sent):
            await ada.reply(id)
        assert told(ada, conversation, before) == [("ok", 1, 4), ("ok", 2, 3)]
        book.agree(c.store)


async def test_user_brought_back_starts_anew_before_an_ok_above_the_cursor(
    autojump_clock: MockClock,
) -> None:
    async with shop(config=Config(mysql=UNNOTICED)) as c:
        ada, bo, conversation = await c.pair()
        book, before, elsewhere = Book(ada), len(ada.received), Elsewhere(c, conversation)
        elsewhere.send("den-1")
        c.reads.hold("before")
        (sent,) = await say(ada, conversation, "mine")
        await wait_all_tasks_blocked()
        elsewhere.leave("pat-1")
        await say(bo, conversation, "come back")
        await wait_all_tasks_blocked()
        c.reads.release()
        await ada.reply(sent)
        await trio.sleep(1)
        assert told(ada, conversation, before)[:2] == [("change", 0, 5), ("ok", 2, 3)]
        book.agree(c.store)


async def test_user_brought_back_unseen_gets_the_whole_before_the_ok(autojump_clock: MockClock) -> None:
    """Their removal was noticed, their return was not: the conversation is read whole, and the `ok` is behind it."""
    async with shop(config=Config(mysql=UNNOTICED)) as c:
        ada, bo, conversation = await c.pair()
        book, elsewhere = Book(ada), Elsewhere(c, conversation)
        elsewhere.leave("pat-1")
        await say(bo, conversation, "where are you")  # it brings them back; the room hears of both
        await ada.expect("change", within=1, conversation=conversation, from_=0)
        elsewhere.leave("pat-1")
        await bo.ask("receipt", conversation=conversation, read=1)
        await ada.expect("change", within=1, conversation=conversation, participants=[{"user": "pat-1"}])
        elsewhere.send("den-1")
        before = len(ada.received)
        (sent,) = await say(ada, conversation, "mine")
        await ada.reply(sent)
        await trio.sleep(1)
        kind, start, _ = told(ada, conversation, before)[0]
        assert (kind, start) == ("change", 0)
        book.agree(c.store)


@pytest.mark.parametrize("missed", ["message", "message and leave"])
async def test_open_of_an_unloaded_conversation_waits_for_what_was_written(
    missed: str, autojump_clock: MockClock
) -> None:
    async with shop(config=Config(mysql=UNNOTICED, timeouts=Timeouts(room_idle=0.1))) as c:
        ada, bo, conversation = await c.pair()
        books = [Book(ada), Book(bo)]
        before = len(ada.received)
        await unloaded(c, conversation)
        elsewhere = Elsewhere(c, conversation)
        elsewhere.send("pat-1")
        if missed != "message":
            elsewhere.leave("den-1")
        await ada.ask("conversation.open", with_="den-1")
        await trio.sleep(0.05)
        first, *_, last = told(ada, conversation, before)
        assert first[:2] == ("change", 1)
        assert last[0] == "ok"
        for book in books:
            book.agree(c.store)


@pytest.mark.parametrize("idle", [60.0, 0.1], ids=["loaded", "unloaded"])
@pytest.mark.parametrize("type", ["conversation.get", "conversation.list"])
async def test_reply_with_info_comes_after_the_changes_that_it_shows(
    type: str, idle: float, autojump_clock: MockClock
) -> None:
    async with shop(config=Config(mysql=UNNOTICED, timeouts=Timeouts(room_idle=idle))) as c:
        ada, bo, conversation = await c.pair()
        books = [Book(ada), Book(bo)]
        before = len(ada.received)
        await trio.sleep(0.3)
        Elsewhere(c, conversation).send("den-1")
        fields: Frame = {"conversation": conversation} if type == "conversation.get" else {}
        with trio.fail_after(1):
            await ada.ask(type, **fields)
        assert told(ada, conversation, before) == [("change", 1, 2), ("info", 2, 2)]
        for book in books:
            book.agree(c.store)


async def test_reply_shows_a_new_conversation_after_its_first_change(autojump_clock: MockClock) -> None:
    async with shop(config=Config(mysql=UNNOTICED)) as c:
        ada, _, conversation = await c.pair()
        other = await c.server.connect("den-2", role="dentist")
        Elsewhere(c, conversation).open("c-2", "den-2", "pat-1")
        await ada.ask("conversation.list")
        assert told(ada, "c-2") == [("change", 0, 1), ("info", 1, 1)]
        await other.ask("conversation.get", conversation="c-2")
        assert told(other, "c-2") == [("change", 0, 1), ("info", 1, 1)]


async def test_reply_is_read_a_bounded_number_of_times_while_others_write(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Somebody writes before each read: the last reply leaves ahead of a catch-up, of which each event says so."""
    async with shop(config=Config(mysql=UNNOTICED)) as c:
        ada, _, conversation = await c.pair()
        book, elsewhere, read, reads = Book(ada, forgiving=True), Elsewhere(c, conversation), c.store.summary, 0

        def summary(id: str, user: str) -> Any:
            nonlocal reads
            reads += 1
            elsewhere.send("den-1")
            return read(id, user)

        monkeypatch.setattr(c.store, "summary", summary)
        with trio.fail_after(1):
            await ada.ask("conversation.get", conversation=conversation)
        assert reads == MAX_READS
        monkeypatch.undo()
        await trio.sleep(1)
        assert all("membership" in change for change in changes(ada, conversation) if change["from"])
        book.agree(c.store)


async def test_reply_does_not_wait_for_a_catch_up_that_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with shop(config=Config(mysql=UNNOTICED)) as c:
        ada, _, conversation = await c.pair()

        def since(*_args: Any, **_fields: Any) -> Any:
            raise Unavailable("the table is locked")

        monkeypatch.setattr(c.store, "since", since)
        Elsewhere(c, conversation).send("den-1")
        with trio.fail_after(60):
            assert (await ada.ask("conversation.get", conversation=conversation))["info"]["rev"] == 2


async def test_connection_made_while_a_room_reads_misses_nothing(autojump_clock: MockClock) -> None:
    async with shop(config=Config(mysql=UNNOTICED)) as c:
        _, _, conversation = await c.pair()
        room = c.server.daemon.rooms.loaded(conversation)
        assert room is not None
        elsewhere = Elsewhere(c, conversation)
        elsewhere.send("den-1")
        c.reads.fail("before")  # the room reads again in a second
        room.notice(2)
        await wait_all_tasks_blocked()
        late = Book(await c.server.connect("pat-1"))
        elsewhere.send("den-1")
        await trio.sleep(2)
        assert room.rev == 3
        late.agree(c.store)
