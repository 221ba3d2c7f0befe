"""Catching up: who was away, or asks, gets all that was missed, among whatever happens meanwhile."""

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.testing import Refused, TestClient
from storage.changes import SendMessage
from support.steering import REQUESTS, Clinic, When, agree, changes, clinic, say
from support.strict import Book


async def behind(c: Clinic, count: int, body: str = "x") -> tuple[TestClient, Book, TestClient, str]:
    """Ada has gone, and Bo has sent so many messages since: Ada's new connection, which hasn't said hello."""
    ada, bo, conversation = await c.pair()
    book = Book(ada).read()
    await ada.abort()
    for n in range(count):
        c.store.commit(
            [
                SendMessage(
                    conversation=conversation,
                    user="den-1",
                    client_id=f"gone-{n}",
                    message=f"gone-{n}",
                    body=body,
                    reply_to=None,
                    at=0,
                )
            ]
        )
    c.server.daemon.rooms._resync_all()
    await wait_all_tasks_blocked()
    back = await c.server.connect()
    return back, Book(back, book.copies), bo, conversation


async def resume(back: TestClient, book: Book) -> int:
    """Say hello with what the book holds, without waiting for the answer."""
    back.user = {"id": "pat-1"}
    return await back.send("hello", user="pat-1", epoch="epoch-1", revs=book.revs)


async def test_catch_up_comes_in_chunks_and_small_enough_frames(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        back, book, bo, conversation = await behind(c, 250, body="\u0001" * 10_000)
        await back.reply(await resume(back, book))
        await agree(c, book, Book(bo))
        told = changes(back, conversation)
        assert len(told) > 10
        assert all(frame["membership"] for frame in told)
        assert book.doubles == []


async def test_a_thousand_changed_messages_are_fed_and_one_more_starts_over(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        back, book, bo, conversation = await behind(c, 1000)
        hello = await back.reply(await resume(back, book))
        assert hello["revs"] == {conversation: {"rev": 1001, "reset": False}}
        await agree(c, book)
        await say(bo, conversation, "one-more")
        await wait_all_tasks_blocked()
        again = await c.server.connect()
        hello = await again.hello("pat-1", revs={conversation: 1}, epoch="epoch-1")
        assert hello["revs"] == {conversation: {"rev": 1002, "reset": True}}
        assert changes(again) == []


@pytest.mark.parametrize("held", ["before", "after"])
async def test_session_behind_marks_events_and_queues_oks(held: When, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        back, book, bo, conversation = await behind(c, 150)
        hello = await resume(back, book)
        await back.reply(hello)
        # The catch-up is under way, or about to be.
        c.reads.hold(held)
        first = await say(back, conversation, "a-1")
        await wait_all_tasks_blocked()
        await say(bo, conversation, "b-1", "b-2")
        await wait_all_tasks_blocked()
        second = await say(back, conversation, "a-2", "a-2")
        muted = await back.send("membership.set", conversation=conversation, muted=True)
        read = await back.send("receipt", conversation=conversation, read=10)
        await wait_all_tasks_blocked()
        await say(bo, conversation, "b-3")
        await wait_all_tasks_blocked()
        c.reads.release()
        await agree(c, book, Book(bo))
        for id in (*first, *second, muted, read):
            await back.reply(id)
        assert book.doubles == []


@pytest.mark.parametrize("held", ["before", "after"])
async def test_settings_that_change_while_a_connection_catches_up(held: When, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, _, conversation = await c.pair()
        tablet = await c.server.connect("pat-1")
        book, other = Book(ada), Book(tablet)
        for muted in (True, False):
            for asking in (ada, tablet):
                book.read()
                c.writes.hold(held)
                await asking.send("membership.set", conversation=conversation, muted=muted, archived=asking is ada)
                await wait_all_tasks_blocked()
                await ada.send("sync", epoch="epoch-1", revs=book.revs)
                await wait_all_tasks_blocked()
                c.writes.release()
                await agree(c, book, other)


async def test_settings_pipelined_behind_a_sync(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, _, conversation = await c.pair()
        book = Book(ada)
        for muted in (True, False):
            for which in (c.writes, c.reads):
                c.reads.hold("after")
                await ada.send("sync", epoch="epoch-1", revs=book.read().revs)
                await wait_all_tasks_blocked()
                c.reads.release()
                which.hold("after")
                await wait_all_tasks_blocked()
                await ada.send("membership.set", conversation=conversation, muted=muted, pinned=which is c.reads)
                await wait_all_tasks_blocked()
                which.release()
                await agree(c, book)


@pytest.mark.parametrize("request_", ["message.send", "membership.set", "receipt"])
async def test_one_event_at_least_though_an_ok_says_all(request_: str, autojump_clock: MockClock) -> None:
    """A request that is sent right behind the sync, and whose `ok` takes its turn in it."""
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        await say(bo, conversation, "b-1")
        book = Book(ada)
        await wait_all_tasks_blocked()
        fields = REQUESTS[request_] | {"conversation": conversation}
        c.reads.hold("before")
        sync = await ada.send("sync", epoch="epoch-1", revs=book.read().revs)
        await ada.send(request_, **fields)
        await wait_all_tasks_blocked()
        seen = len(ada.received)
        c.reads.release()
        synced = await ada.reply(sync)
        told = [frame for frame in ada.received[seen:] if frame["type"] == "change"]
        assert told
        assert all(frame["membership"] for frame in told)
        newest = max(frame["rev"] for frame in ada.received[seen:] if "rev" in frame)
        assert newest >= synced["revs"][conversation]["rev"]
        await agree(c, book)


async def test_overlapping_syncs_each_get_their_events(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        await say(bo, conversation, *(f"b-{n}" for n in range(1, 131)))
        await wait_all_tasks_blocked()
        book = Book(ada).read()
        seen = len(ada.received)
        for start in (100, 5, 131, 50):
            await ada.send("sync", epoch="epoch-1", revs={conversation: start})
        await say(bo, conversation, *(f"c-{n}" for n in range(5)))
        await say(ada, conversation, "a-1")
        await agree(c, book, Book(bo))
        oks = [index for index, frame in enumerate(ada.received) if frame.get("revs") and index >= seen]
        assert len(oks) == 4
        for before, ok in zip([seen, *oks], oks, strict=False):
            between = [f for f in ada.received[before:ok] if f["type"] == "change" and f.get("membership")]
            assert between, "a sync without an event of its own"
            assert between[-1]["rev"] >= ada.received[ok]["revs"][conversation]["rev"]


async def test_sync_while_sending(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        book = Book(ada)
        for n in range(10):
            c.writes.hold("after" if n % 2 else "before")
            await say(ada, conversation, f"a-{n}", f"b-{n}")
            await say(bo, conversation, f"c-{n}")
            await ada.send("sync", epoch="epoch-1", revs=book.read().revs)
            await say(ada, conversation, f"d-{n}")
            await wait_all_tasks_blocked()
            c.writes.release()
            await agree(c, book, Book(bo))


@pytest.mark.parametrize("which", ["before", "after"])
async def test_leaving_while_behind(which: When, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        back, book, bo, conversation = await behind(c, 150)
        await back.reply(await resume(back, book))
        c.reads.hold(which)
        (sent,) = await say(back, conversation, "a-1")
        leave = await back.send("conversation.leave", conversation=conversation)
        await wait_all_tasks_blocked()
        c.reads.release()
        await wait_all_tasks_blocked()
        assert (await back.reply(sent))["rev"] == 152
        assert (await back.reply(leave))["rev"] == 153
        assert changes(back)[-1:] == [] or changes(back)[-1]["rev"] <= 152, "the leave is the last that comes"
        with pytest.raises(Refused, match="not_found"):
            await back.ask("conversation.get", conversation=conversation)
        await agree(c, Book(bo))
        # Brought back, and it begins anew.
        await say(bo, conversation, "b-1")
        await wait_all_tasks_blocked()
        assert changes(back)[-1]["from"] == 0
        fresh = Book(back)
        fresh._read = back.received.index(changes(back)[-1])
        await agree(c, fresh)


async def test_left_elsewhere_while_behind(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        back, book, bo, conversation = await behind(c, 150)
        tablet = await c.server.connect("pat-1")
        await back.reply(await resume(back, book))
        c.reads.hold("after")
        await wait_all_tasks_blocked()
        await tablet.send("conversation.leave", conversation=conversation)
        await wait_all_tasks_blocked()
        c.reads.release()
        await agree(c, Book(bo), Book(tablet))
        assert changes(back)[-1]["participants"][0]["left_at"]
