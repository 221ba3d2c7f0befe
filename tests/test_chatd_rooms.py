"""Order and recovery: whatever the store and the other connections do, every client's copy ends up equal to the truth,
by the letter of the cursor rules."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.audience import Audience
from chatd.config import Config, Limits
from chatd.harness import Frame
from chatd.room import Room
from chatd.session import Session
from chatd.testing import Refused, TestClient
from storage.changes import AdvanceReceipt, OpenDirect, SendMessage, SetMembership
from support.steering import Clinic, Elsewhere, When, clinic, say
from support.strict import Book

REQUESTS: dict[str, dict[str, Any]] = {
    "conversation.get": {},
    "conversation.leave": {},
    "membership.set": {"muted": True},
    "message.send": {"client_id": "r-1", "body": "x"},
    "message.history": {},
    "receipt": {"read": 1},
    "typing": {"active": True},
    "focus": {},
}
"""What a request about a conversation has besides."""


def changes(client: TestClient, conversation: str | None = None) -> list[Frame]:
    """All change events that came."""
    return [f for f in client.received if f["type"] == "change" and conversation in (None, f["conversation"])]


def spans(frames: list[Frame]) -> list[tuple[int, int]]:
    return [(frame["from"], frame["rev"]) for frame in frames]


async def agree(c: Clinic, *books: Book) -> None:
    """Let everything happen that takes no time; then every copy must be the truth."""
    await wait_all_tasks_blocked()
    for book in books:
        book.agree(c.store)


# -- order --


async def test_pipelined_sends_get_consecutive_seqs_in_order(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        ids = await say(ada, conversation, *(f"a-{n}" for n in range(50)))
        messages = [(await ada.reply(id))["messages"][0] for id in ids]
        assert [(m["seq"], m["client_id"]) for m in messages] == [(n + 1, f"a-{n}") for n in range(50)]
        await agree(c, Book(ada), Book(bo))


async def test_while_one_batch_commits_the_next_gathers(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        await wait_all_tasks_blocked()
        before = len(c.store.batches)
        c.writes.hold("before")
        await say(ada, conversation, "a-0")
        await wait_all_tasks_blocked()
        ids = await say(ada, conversation, *(f"a-{n}" for n in range(1, 21)))
        await say(bo, conversation, *(f"b-{n}" for n in range(1, 11)))
        await wait_all_tasks_blocked()
        assert len(c.store.batches) == before
        c.writes.release()
        assert len({(await ada.reply(id))["rev"] for id in ids}) == 20
        assert [len(batch) for batch in c.store.batches[before:]] == [1, 30]
        await agree(c, Book(ada), Book(bo))


async def test_rooms_share_a_transaction(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, first = await c.pair()
        others = []
        for user in ("sta-1", "sta-2"):
            await c.server.connect(user, role="staff")
            others.append((await ada.ask("conversation.open", with_=user))["conversation"])
        await wait_all_tasks_blocked()
        before = len(c.store.batches)
        c.writes.hold("before")
        await say(bo, first, "b-0")
        await wait_all_tasks_blocked()
        ids = [id for other in others for id in await say(ada, other, other)]
        await wait_all_tasks_blocked()
        c.writes.release()
        for id in ids:
            await ada.reply(id)
        assert [len(batch) for batch in c.store.batches[before:]] == [1, 2]


async def test_a_batch_reaches_others_as_one_change(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        tablet = await c.server.connect("pat-1")
        c.writes.hold("before")
        await say(ada, conversation, "a-0")
        await wait_all_tasks_blocked()
        await say(ada, conversation, *(f"a-{n}" for n in range(1, 21)))
        await wait_all_tasks_blocked()
        c.writes.release()
        await wait_all_tasks_blocked()
        for other in (bo, tablet):
            assert spans(changes(other, conversation))[-2:] == [(1, 2), (2, 22)]
            assert len(changes(other, conversation)[-1]["messages"]) == 20
        await agree(c, Book(ada), Book(bo), Book(tablet))


async def test_a_batch_of_long_messages_fits_into_frames(autojump_clock: MockClock) -> None:
    async with clinic(config=Config(limits=Limits(outbox_bytes=2**22))) as c:
        ada, bo, conversation = await c.pair()
        c.writes.hold("before")
        ids = await say(ada, conversation, *(f"a-{n}" for n in range(20)), body="\u0001" * 10_000)  # JSON: 60 kB each
        await wait_all_tasks_blocked()
        c.writes.release()
        for id in ids:
            await ada.reply(id)
        await agree(c, Book(ada), Book(bo))  # and the clients refuse frames over 1 MiB


async def test_oks_and_the_events_of_others_come_in_rev_order(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        tablet = await c.server.connect("pat-1")
        books = [Book(client) for client in (ada, bo, tablet)]
        for round in range(5):
            c.writes.hold("before" if round % 2 else "after")
            for n in range(6):
                await say((ada, bo, tablet)[n % 3], conversation, f"{round}-{n}")
                await wait_all_tasks_blocked()
            await ada.tell("message.send", conversation=conversation, client_id=f"{round}-no-id", body="x")
            await bo.send("receipt", conversation=conversation, read=round)
            c.writes.release()
            await agree(c, *books)
        for client, book in zip((ada, bo, tablet), books, strict=True):
            told = [(f["from"], f["rev"]) for f in client.received if f.get("conversation") == conversation]
            assert book.doubles == []
            assert all(before[1] == after[0] for before, after in itertools.pairwise(told)), told


async def test_a_send_without_an_id_comes_back_as_an_event(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        for n in range(3):
            await ada.tell("message.send", conversation=conversation, client_id=f"a-{n}", body="x")
        await say(ada, conversation, "a-3")
        await agree(c, Book(ada), Book(bo))
        assert sum(len(frame["messages"]) for frame in changes(ada, conversation)) == 3


async def test_what_follows_a_refused_change_goes_on(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        c.writes.hold("before")
        await say(bo, conversation, "b-0")
        await wait_all_tasks_blocked()
        (good,) = await say(ada, conversation, "a-1")
        bad = await ada.send("message.send", conversation=conversation, client_id="a-2", body="x", reply_to=99)
        (again,) = await say(ada, conversation, "a-1")
        (next_,) = await say(ada, conversation, "a-3")
        await wait_all_tasks_blocked()
        c.writes.release()
        assert (await ada.reply(good))["rev"] == 3
        with pytest.raises(Refused, match="bad_request"):
            await ada.reply(bad)
        repeated = await ada.reply(again)
        assert (repeated["duplicate"], repeated["from"], repeated["rev"]) == (True, 3, 3)
        assert (await ada.reply(next_))["from"] == 3
        await agree(c, Book(ada), Book(bo))


async def test_requests_of_one_connection_take_effect_in_the_order_sent(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        c.writes.hold("before")
        await say(ada, conversation, "a-1")
        get = await ada.send("conversation.get", conversation=conversation)
        await ada.send("conversation.leave", conversation=conversation)
        history = await ada.send("message.history", conversation=conversation)
        back = await ada.send("conversation.open", with_="den-1")
        await say(ada, conversation, "a-2")
        listed = await ada.send("conversation.list")
        await wait_all_tasks_blocked()
        c.writes.release()
        assert (await ada.reply(get))["info"]["last_seq"] == 1
        with pytest.raises(Refused, match="not_found"):
            await ada.reply(history)
        assert (await ada.reply(back))["from"] == 0
        assert (await ada.reply(listed))["conversations"][0]["last_message"]["client_id"] == "a-2"
        await agree(c, Book(ada), Book(bo))


# -- replies that show a conversation take their place --

SHOWING: dict[str, Callable[[str], dict[str, Any]]] = {
    "conversation.get": lambda conversation: {"conversation": conversation},
    "conversation.list": lambda conversation: {},
    "conversation.open": lambda conversation: {"with_": "den-1"},
}


@pytest.mark.parametrize("held", ["before", "after"])
@pytest.mark.parametrize("which", ["writes", "reads"])
@pytest.mark.parametrize("type", SHOWING)
async def test_replies_with_info_among_changes(type: str, which: str, held: When, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        tablet = await c.server.connect("pat-1")
        books = [Book(ada), Book(bo), Book(tablet)]
        await say(bo, conversation, "b-0")
        runner = getattr(c, which)
        for n in range(1, 6):
            runner.hold(held)
            await say(bo, conversation, f"b-{n}")
            await wait_all_tasks_blocked()
            await ada.send(type, **SHOWING[type](conversation))
            await wait_all_tasks_blocked()
            await say(bo, conversation, f"c-{n}", f"d-{n}")
            await tablet.send("receipt", conversation=conversation, read=n)
            await wait_all_tasks_blocked()
            runner.release()
            await agree(c, *books)
        assert all(book.doubles == [] for book in books)


@pytest.mark.parametrize("held", ["before", "after"])
@pytest.mark.parametrize("type", SHOWING)
async def test_settings_that_change_while_a_reply_is_read(type: str, held: When, autojump_clock: MockClock) -> None:
    """They have no rev: a reply as of the same rev may be older than they are."""
    async with clinic() as c:
        ada, _, conversation = await c.pair()
        tablet = await c.server.connect("pat-1")
        book = Book(ada)
        for muted in (True, False):
            c.writes.hold(held)
            await tablet.send("membership.set", conversation=conversation, muted=muted)
            await wait_all_tasks_blocked()
            await ada.send(type, **SHOWING[type](conversation))
            await wait_all_tasks_blocked()
            c.writes.release()
            await agree(c, book, Book(tablet))
            assert book.copies[conversation].membership["muted"] is muted


@pytest.mark.parametrize("held", ["before", "after"])
@pytest.mark.parametrize("which", ["writes", "reads"])
@pytest.mark.parametrize("resume", [False, True])
async def test_hello_among_changes(which: str, held: When, resume: bool, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        runner = getattr(c, which)
        for n in range(1, 4):
            book = Book(ada).read()
            await say(bo, conversation, f"b-{n}")
            await wait_all_tasks_blocked()
            runner.hold(held)
            await say(bo, conversation, f"c-{n}")
            await ada.send("membership.set", conversation=conversation, muted=bool(n % 2))
            await wait_all_tasks_blocked()
            tablet = await c.server.connect()
            known = Book(tablet, book.copies if resume else {})
            hello = await tablet.send("hello", user="pat-1", epoch=ada.epoch, revs=known.revs)
            await wait_all_tasks_blocked()
            await say(bo, conversation, f"d-{n}")
            await wait_all_tasks_blocked()
            runner.release()
            tablet.user = (await tablet.reply(hello))["user"]
            await say(bo, conversation, f"e-{n}")
            await agree(c, known)
            assert tablet.received[0]["re"] == hello
            if resume:
                first = changes(tablet)[0]
                assert (first["from"], bool(first["membership"])) == (book.copies[conversation].rev, True)
            assert known.doubles == []
            await tablet.abort()
        await agree(c, Book(bo))


# -- catching up --


async def behind(c: Clinic, count: int, body: str = "x") -> tuple[TestClient, Book, TestClient, str]:
    """Ada has gone, and Bo has sent so many messages since: Ada's new connection, which hasn't said hello."""
    ada, bo, conversation = await c.pair()
    book = Book(ada).read()
    await ada.abort()
    for n in range(count):
        c.store.commit([SendMessage(conversation, "den-1", f"gone-{n}", f"gone-{n}", body, None, 0)])
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
async def test_while_behind_events_wait_and_oks_take_their_turn(held: When, autojump_clock: MockClock) -> None:
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


# -- failures --


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
            c.store.meddle = lambda: elsewhere.commit(AdvanceReceipt(conversation, "den-1", None, 1, 0))
            await say(bo, conversation, f"c-{n}")
            await agree(c, book, other)
        c.store.meddle = lambda: elsewhere.commit(SetMembership(conversation, "pat-1", True, None, None))
        await say(bo, conversation, "c")
        await wait_all_tasks_blocked()
        await agree(c, other)


@pytest.mark.parametrize("change", ["send", "leave", "bring back", "receipt"])
async def test_what_happened_though_it_seemed_to_fail(change: str, autojump_clock: MockClock) -> None:
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


# -- rooms come and go --


async def test_an_idle_room_is_unloaded_and_comes_back(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        await say(ada, conversation, "a-1")
        await trio.sleep(59)
        assert len(c.server.daemon.rooms) == 1
        await trio.sleep(2)
        assert len(c.server.daemon.rooms) == 0
        await ada.tell("typing", conversation=conversation, active=True)
        await bo.expect("typing", active=True)
        await bo.ask("receipt", conversation=conversation, read=1)
        await agree(c, Book(ada), Book(bo))
        await trio.sleep(62)
        assert len(c.server.daemon.rooms) == 0
        assert (await ada.ask("message.send", conversation=conversation, client_id="a-2", body="x"))["from"] == 3


async def test_lists_and_hello_load_no_room(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, _, conversation = await c.pair()
        await trio.sleep(62)
        await c.server.connect("pat-1", revs={conversation: 1}, epoch="epoch-1")
        await ada.ask("conversation.list")
        await ada.ask("conversation.get", conversation=conversation)
        await ada.ask("message.history", conversation=conversation)
        assert len(c.server.daemon.rooms) == 0


async def test_at_most_so_many_rooms_are_loaded(autojump_clock: MockClock) -> None:
    async with clinic(config=Config(limits=Limits(rooms=2))) as c:
        ada = await c.server.connect("pat-1")
        conversations = []
        for n in range(5):
            await c.server.connect(f"sta-{n}", role="staff")
            conversations.append((await ada.ask("conversation.open", with_=f"sta-{n}"))["conversation"])
            assert len(c.server.daemon.rooms) <= 2
        for round in range(3):
            for conversation in conversations:
                await ada.ask("message.send", conversation=conversation, client_id=f"{conversation}{round}", body="x")
                assert len(c.server.daemon.rooms) <= 2
        await agree(c, *map(Book, c.server.clients))


async def test_no_place_for_a_room_while_all_are_busy(autojump_clock: MockClock) -> None:
    async with clinic(config=Config(limits=Limits(rooms=2))) as c:
        ada = await c.server.connect("pat-1")
        conversations = []
        for n in range(3):
            await c.server.connect(f"sta-{n}", role="staff")
            conversations.append((await ada.ask("conversation.open", with_=f"sta-{n}"))["conversation"])
        await c.server.connect("sta-9", role="staff")
        other = await c.server.connect("pat-1")
        for conversation in conversations[1:]:
            await other.ask("typing", conversation=conversation, active=True)
        await wait_all_tasks_blocked()
        c.writes.hold("before")
        opened = await ada.send("conversation.open", with_="sta-9")
        await wait_all_tasks_blocked()
        refused = await say(other, conversations[0], "x")
        await wait_all_tasks_blocked()
        c.writes.release()
        # What has happened is told all the same.
        assert (await ada.reply(opened))["info"]["rev"] == 1
        await agree(c, *map(Book, c.server.clients))
        with pytest.raises(Refused, match="unavailable") as no_place:
            await other.reply(refused[0])
        assert no_place.value.temporary


async def test_twenty_who_open_at_once_find_one_conversation(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        clients = [await c.server.connect("pat-1") for _ in range(10)]
        clients += [await c.server.connect("den-1", role="dentist") for _ in range(10)]
        c.writes.hold("before")
        for client in clients:
            me = client.user["id"] if client.user else ""
            await client.send("conversation.open", with_="den-1" if me == "pat-1" else "pat-1")
        await wait_all_tasks_blocked()
        c.writes.release()
        await agree(c, *map(Book, clients))
        opened = [frame for client in clients for frame in client.received if "created" in frame]
        assert len(opened) == 20
        assert len({frame["conversation"] for frame in opened}) == 1
        assert [frame["created"] for frame in opened].count(True) == 1
        opens = [change for batch in c.store.batches for change in batch if isinstance(change, OpenDirect)]
        assert len(opens) == 20


async def test_typing_that_was_on_its_way_when_its_connection_was_lost(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        await wait_all_tasks_blocked()
        c.writes.hold("before")
        await say(ada, conversation, "a-1")
        await wait_all_tasks_blocked()
        await ada.tell("typing", conversation=conversation, active=True)
        await wait_all_tasks_blocked()
        await ada.abort()
        await wait_all_tasks_blocked()
        c.writes.release()
        await wait_all_tasks_blocked()
        assert [frame["active"] for frame in bo.received if frame["type"] == "typing"] in ([], [True, False])


# -- answers that must not differ --


@pytest.mark.parametrize("loaded", [True, False])
@pytest.mark.parametrize("type", REQUESTS)
async def test_foreign_and_unknown_are_the_same_to_the_letter(
    type: str, loaded: bool, autojump_clock: MockClock
) -> None:
    async with clinic() as c:
        ada, _, conversation = await c.pair()
        await say(ada, conversation, "a-1")
        await wait_all_tasks_blocked()
        eve = await c.server.connect("den-2", role="dentist")
        left = (await eve.ask("conversation.open", with_="pat-1"))["conversation"]
        await eve.ask("conversation.leave", conversation=left)
        if not loaded:
            await trio.sleep(62)
        answers = []
        for id in (conversation, left, "nowhere"):
            with pytest.raises(Refused):
                await eve.ask(type, conversation=id, **REQUESTS[type])
            answers.append({**eve.received[-1], "re": None})
        assert answers[0] == answers[1] == answers[2]
        assert answers[0]["code"] == "not_found"


async def test_what_has_no_rev_stays_behind_the_change_before_it(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        c.reads.hold("after")
        await ada.send("conversation.get", conversation=conversation)
        await wait_all_tasks_blocked()
        await say(bo, conversation, "b-1")
        await bo.send("typing", conversation=conversation, active=True)
        await wait_all_tasks_blocked()
        c.reads.release()
        await wait_all_tasks_blocked()
        assert [frame["type"] for frame in ada.received[-3:]] == ["ok", "change", "typing"]


# -- the end --


async def test_a_shutdown_keeps_what_it_acknowledges(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        book = Book(ada)
        await wait_all_tasks_blocked()
        c.writes.hold("before")
        ids = await say(ada, conversation, "a-1", "a-2")
        await wait_all_tasks_blocked()
        c.server.daemon.stop()
        away = [(await client.expect("going_away"))["reconnect_in"] for client in (ada, bo)]
        assert len(set(away)) == 2
        assert all(seconds >= 1 for seconds in away)
        with pytest.raises(Refused, match="unavailable") as refused:
            await bo.ask("message.send", conversation=conversation, client_id="b-1", body="x")
        assert refused.value.temporary
        c.writes.release()
        assert [(await ada.reply(id))["messages"][0]["seq"] for id in ids] == [1, 2]
        assert [(await client.closed()).code for client in (ada, bo)] == [1001, 1001]
        await agree(c, book, Book(bo))


async def test_a_shutdown_waits_no_longer_than_the_grace(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, _, conversation = await c.pair()
        await wait_all_tasks_blocked()
        c.writes.hold("before")
        await say(ada, conversation, "a-1")
        await wait_all_tasks_blocked()
        began = trio.current_time()
        c.server.daemon.stop()
        await ada.closed()
        assert trio.current_time() - began == pytest.approx(c.server.daemon.config.server.grace, abs=0.1)
