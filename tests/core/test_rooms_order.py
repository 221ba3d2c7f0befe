"""Order: whatever the store and the other connections do, what a client is told is in order and complete."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.config import Config, Limits
from chatd.testing import Refused
from chatd.testing.harness import Frame
from support.steering import When, agree, changes, clinic, say
from support.strict import Book


def spans(frames: list[Frame]) -> list[tuple[int, int]]:
    return [(frame["from"], frame["rev"]) for frame in frames]


# -- order --


async def test_pipelined_sends_get_consecutive_seqs_in_order(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        ids = await say(ada, conversation, *(f"a-{n}" for n in range(50)))
        messages = [(await ada.reply(id))["messages"][0] for id in ids]
        assert [(m["seq"], m["client_id"]) for m in messages] == [(n + 1, f"a-{n}") for n in range(50)]
        await agree(c, Book(ada), Book(bo))


async def test_batch_gathers_while_the_one_before_commits(autojump_clock: MockClock) -> None:
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


async def test_changes_after_a_refused_one_go_on(autojump_clock: MockClock) -> None:
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


async def test_change_without_a_rev_stays_behind_the_one_before(autojump_clock: MockClock) -> None:
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
