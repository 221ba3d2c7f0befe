"""Rooms come and go, and are nobody else's; and how they end."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.config import Config, Limits
from chatd.testing import Refused
from storage.changes import OpenDirect
from support.steering import REQUESTS, agree, clinic, say
from support.strict import Book

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


async def test_rooms_loaded_are_bounded(autojump_clock: MockClock) -> None:
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
        assert [frame["active"] for frame in bo.received if frame["type"] == "typing"] == []


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
