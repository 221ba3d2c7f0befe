"""Commits that fail or take too long, rooms that crash, other writers: in the end every copy equals the truth."""

import itertools
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.config import Config, Limits
from chatd.core.audience import Audience
from chatd.core.room import Room
from chatd.core.session import Session
from chatd.testing import Refused
from storage.changes import AdvanceReceipt, SetMembership
from support.steering import REQUESTS, Elsewhere, When, agree, changes, clinic, say
from support.strict import Book


async def test_a_commit_that_takes_too_long_is_answered_in_time_and_heard_of_later(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        book = Book(ada)
        await wait_all_tasks_blocked()
        c.writes.hold("before")
        began = trio.current_time()
        (first,) = await say(ada, conversation, "a-1")
        await wait_all_tasks_blocked()
        await trio.sleep(4)
        (second,) = await say(ada, conversation, "a-2")
        with pytest.raises(Refused, match="unavailable") as refused:
            await ada.reply(first)
        assert refused.value.temporary
        assert trio.current_time() - began == pytest.approx(10, abs=0.1)
        with pytest.raises(Refused, match="unavailable"):
            await ada.reply(second)
        assert trio.current_time() - began == pytest.approx(14, abs=0.1)
        c.writes.release()
        # The first was with the store: it happens. The second was not.
        await agree(c, book, Book(bo))
        assert [m["client_id"] for f in changes(ada, conversation) for m in f["messages"]] == ["a-1"]
        oks = [await ada.reply(id) for id in await say(ada, conversation, "a-1", "a-2")]
        assert [(ok["duplicate"], ok["messages"][0]["seq"]) for ok in oks] == [(True, 1), (False, 2)]
        await agree(c, book, Book(bo))


async def test_other_requests_whose_commit_takes_too_long(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        await say(bo, conversation, "b-1")
        await c.server.connect("sta-1", role="staff")
        tablet = await c.server.connect("pat-1")
        books = [Book(client) for client in (ada, bo, tablet)]
        await wait_all_tasks_blocked()
        c.writes.hold("before")
        opened = await tablet.send("conversation.open", with_="sta-1")
        await wait_all_tasks_blocked()
        ids = [await ada.send("receipt", conversation=conversation, read=1)]
        await wait_all_tasks_blocked()
        ids += [await ada.send("membership.set", conversation=conversation, pinned=True)]
        ids += [await ada.send("typing", conversation=conversation, active=True)]
        for client, id in [(tablet, opened), *((ada, id) for id in ids)]:
            with pytest.raises(Refused, match="unavailable"):
                await client.reply(id)
        # A read waits for what it may have seen, not for ever.
        with pytest.raises(Refused, match="unavailable"):
            await ada.ask("conversation.get", conversation=conversation)
        c.writes.release()
        await agree(c, *books)
        # What was with the store has happened, and the asker gets the event; the rest has not.
        assert [frame["from"] for frame in changes(ada)] == [1, 0, 2]
        assert [frame["from"] for frame in changes(tablet)] == [0, 2]
        assert not any(frame["type"] == "typing" for frame in bo.received)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_failed_commit_fails_its_batch_alone(when: When, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        book, other = Book(ada), Book(bo)
        await wait_all_tasks_blocked()
        c.writes.hold("before")
        c.writes.fail(when, and_then=c.store.reopen)
        first = await say(ada, conversation, "a-1")
        await wait_all_tasks_blocked()
        second = await say(ada, conversation, "a-2", "a-3")
        await wait_all_tasks_blocked()
        c.writes.release()
        with pytest.raises(Refused, match="unavailable") as refused:
            await ada.reply(first[0])
        assert refused.value.temporary
        assert [(await ada.reply(id))["duplicate"] for id in second] == [False, False]
        await agree(c, book, other)
        (again,) = await say(ada, conversation, "a-1")
        assert (await ada.reply(again))["duplicate"] is (when == "after")
        await agree(c, book, other)
        assert c.server.daemon.problem() is None


async def test_a_store_that_comes_back_by_itself_is_ready_again(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        await wait_all_tasks_blocked()
        c.writes.fail("after", and_then=c.store.reopen)
        with pytest.raises(Refused, match="unavailable"):
            await ada.ask("message.send", conversation=conversation, client_id="a-1", body="x")
        assert c.server.daemon.problem() == "the disk is failing"
        await trio.sleep(1.5)
        assert c.server.daemon.problem() is None
        # It had happened all the same: nobody had to ask.
        await agree(c, Book(ada), Book(bo))
        assert c.store.history(conversation, "pat-1", before=None, after=None, limit=9).messages  # type: ignore[union-attr]


@pytest.mark.parametrize(("part", "at"), [(Room, "_publish"), (Room, "tell"), (Audience, "tell_run")])
async def test_a_room_that_crashes(
    part: type, at: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        book, other = Book(ada), Book(bo)
        await say(bo, conversation, "b-1")
        await wait_all_tasks_blocked()
        working = getattr(part, at)

        def crash(*args: Any) -> None:
            monkeypatch.setattr(part, at, working)
            raise RuntimeError("a bug")

        monkeypatch.setattr(part, at, crash)
        c.writes.hold("before")
        sent = await say(ada, conversation, "a-1")
        await wait_all_tasks_blocked()
        sent += await say(ada, conversation, "a-2")
        await bo.send("receipt", conversation=conversation, read=1)
        await ada.send("receipt", conversation=conversation, read=1)
        await wait_all_tasks_blocked()
        c.writes.release()
        await agree(c, book, other)
        errors = [frame for client in (ada, bo) for frame in client.received if frame["type"] == "error"]
        assert {(frame["code"], frame["temporary"]) for frame in errors} == {("internal", True)}
        oks = [await ada.reply(id) for id in await say(ada, conversation, "a-1", "a-2", "a-3")]
        assert [ok["messages"][0]["client_id"] for ok in oks] == ["a-1", "a-2", "a-3"]
        await agree(c, book, other)


async def test_a_room_that_crashes_while_its_batch_is_under_way(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The clock's watcher has a bug; what is being committed has no room to come back to, and happens all the same."""
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        books = Book(ada), Book(bo)
        working = Audience.tell_gathered

        def crash(self: Audience) -> None:
            monkeypatch.setattr(Audience, "tell_gathered", working)
            raise RuntimeError("a bug")

        monkeypatch.setattr(Audience, "tell_gathered", crash)
        c.writes.hold("before")
        (late,) = await say(ada, conversation, "a-1")
        with pytest.raises(Refused, match="unavailable"):  # after the ten seconds in which a commit has to be done
            await ada.reply(late)
        await trio.sleep(5)
        assert Audience.tell_gathered is working, "it crashed, and serves again"
        (later,) = await say(ada, conversation, "a-2")
        await wait_all_tasks_blocked()
        c.writes.release()
        assert (await ada.reply(later))["messages"][0]["seq"] == 2
        await agree(c, *books)


async def test_a_room_that_crashes_half_way_through_telling(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        books = [Book(client) for client in (ada, bo, await c.server.connect("pat-1"), await c.server.connect("den-1"))]
        deliver, calls = Session.deliver, itertools.count()

        def crash(self: Session, *args: Any) -> None:
            if next(calls) == 1:
                raise RuntimeError("a bug")
            deliver(self, *args)

        monkeypatch.setattr(Session, "deliver", crash)
        await say(ada, conversation, "a-1")
        await agree(c, *books)


async def test_another_writer_between_commits(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        elsewhere = Elsewhere(c, conversation)
        book, other = Book(ada), Book(bo)
        for n in range(5):
            c.store.meddle = lambda: elsewhere.send("pat-1")
            await say(ada, conversation, f"a-{n}", f"b-{n}")
            await wait_all_tasks_blocked()
            c.store.meddle = lambda: elsewhere.commit(
                AdvanceReceipt(conversation=conversation, user="den-1", delivered=None, read=1, at=0)
            )
            await say(bo, conversation, f"c-{n}")
            await agree(c, book, other)
        c.store.meddle = lambda: elsewhere.commit(
            SetMembership(conversation=conversation, user="pat-1", muted=True, pinned=None, archived=None)
        )
        await say(bo, conversation, "c")
        await wait_all_tasks_blocked()
        await agree(c, other)


@pytest.mark.parametrize("removed", ["pat-1", "den-1"])
async def test_room_refused_after_external_leave_reads_the_store_at_once(
    removed: str, autojump_clock: MockClock
) -> None:
    """Nobody polls here: the refusal alone tells the room that another writer took its member out."""
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        books = [Book(client) for client in (ada, bo)]
        elsewhere = Elsewhere(c, conversation)
        gone = ada if removed == "pat-1" else bo
        c.store.meddle = lambda: elsewhere.leave(removed)
        with pytest.raises(Refused, match="no such conversation"):
            await gone.ask("receipt", conversation=conversation, read=1)
        await agree(c, *books)


async def test_room_refused_for_a_missing_message_does_not_read_the_store(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        reads = c.reads.calls
        with pytest.raises(Refused, match="no such message"):
            await ada.ask("message.delete", conversation=conversation, seq=9)
        await wait_all_tasks_blocked()
        assert c.reads.calls == reads
        assert bo.received[-1]["type"] == "change"


@pytest.mark.parametrize("change", ["send", "leave", "bring back", "receipt"])
async def test_commit_that_seemed_to_fail_is_found_and_told(change: str, autojump_clock: MockClock) -> None:
    """The store was reopened, and what it couldn't acknowledge is there."""
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        tablet = await c.server.connect("pat-1")
        await say(bo, conversation, "b-1")
        if change == "bring back":
            await bo.ask("conversation.leave", conversation=conversation)
        await wait_all_tasks_blocked()
        books = [Book(client).read() for client in (ada, bo, tablet)]
        names = {"send": "message.send", "bring back": "message.send", "leave": "conversation.leave"}
        request = names.get(change, change)
        c.writes.fail("after", and_then=c.store.reopen)
        with pytest.raises(Refused, match="unavailable"):
            await ada.ask(request, conversation=conversation, **REQUESTS[request])
        await trio.sleep(3)
        await agree(c, *books)
        for book in books:
            held = c.store.summary(conversation, book.me) is not None
            assert (conversation in book.copies) is held, f"{book.me} wasn't told"


async def test_an_inbox_that_is_full_holds_the_reader_then_refuses(autojump_clock: MockClock) -> None:
    async with clinic(config=Config(limits=Limits(room_inbox=4))) as c:
        ada, bo, conversation = await c.pair()
        other = await c.server.connect("sta-1", role="staff")
        second = (await other.ask("conversation.open", with_="den-1"))["conversation"]
        await wait_all_tasks_blocked()
        began = trio.current_time()
        c.writes.hold("before")
        await say(ada, conversation, "a-0")
        await wait_all_tasks_blocked()
        ids = await say(ada, conversation, *(f"a-{n}" for n in range(1, 7)))
        ping = await ada.send("ping")
        await wait_all_tasks_blocked()
        assert ping not in {frame.get("re") for frame in ada.received}, "the reader waits: that is the backpressure"
        assert (await other.ask("ping"))["type"] == "ok"
        for id in ids:
            with pytest.raises(Refused, match="unavailable"):
                await ada.reply(id)
        await ada.reply(ping)
        assert trio.current_time() - began < 21
        c.writes.release()
        book = Book(ada)
        assert (await ada.ask("message.send", conversation=conversation, client_id="b", body="x"))["rev"] == 3
        await other.ask("message.send", conversation=second, client_id="o", body="x")
        await agree(c, book, Book(bo), Book(other))


async def test_backpressure_that_ends_in_time_loses_nothing(autojump_clock: MockClock) -> None:
    async with clinic(config=Config(limits=Limits(room_inbox=4))) as c:
        ada, bo, conversation = await c.pair()
        c.writes.hold("before")
        ids = await say(ada, conversation, *(f"a-{n}" for n in range(30)))
        await trio.sleep(5)
        c.writes.release()
        assert [(await ada.reply(id))["messages"][0]["seq"] for id in ids] == list(range(1, 31))
        await agree(c, Book(ada), Book(bo))
