"""What others write to a shared store reaches those who are connected, whoever wrote it."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from chatd.cluster import external_writes
from chatd.config import Config, Mysql, Timeouts
from chatd.testing import seed_schedule
from chatd.testing.harness import Refused
from storage.changes import AddParticipant, CreateGroup, OpenDirect, PutUser, RemoveParticipant
from storage.contract import Unavailable
from storage.records import Scan, ScanPosition
from support.shops import sent, shop
from support.steering import Elsewhere, clinic, say
from support.strict import Book

OWNER = frozenset({"owner"})


async def test_messages_of_another_daemon_come_within_two_seconds(autojump_clock: MockClock) -> None:
    async with shop() as c:
        ada, bo, conversation = await c.pair()
        Elsewhere(c, conversation).send("pat-1")
        for client in (ada, bo):
            event = await client.expect("change", within=2, conversation=conversation, rev=2)
            assert event["from"] == 1
            assert [m["seq"] for m in event["messages"]] == [1]
        await trio.sleep(5)
        assert await bo.barrier() == [], "once"


async def test_a_room_that_was_unloaded_has_told_what_it_had(autojump_clock: MockClock) -> None:
    async with shop(config=Config(timeouts=Timeouts(room_idle=0.1))) as c:
        _, bo, conversation = await c.pair()
        await trio.sleep(0.3)
        assert len(c.server.daemon.rooms) == 0
        Elsewhere(c, conversation).send("pat-1")
        event = await bo.expect("change", within=2, conversation=conversation, rev=2)
        assert event["from"] == 1


async def test_session_older_than_the_first_scan_misses_nothing(autojump_clock: MockClock) -> None:
    """A conversation that has no room here, and that nobody has used since those who are connected came."""
    async with shop() as c:
        c.commit(PutUser("pat-1", None, None, 0), PutUser("den-1", None, "dentist", 0))
        c.commit(OpenDirect("c1", "pat-1", "den-1", 0), sent("c1", "pat-1", "one"))
        ada = await c.server.connect("pat-1")
        c.commit(sent("c1", "den-1", "two"))
        bo = await c.server.connect("den-1", role="dentist")  # later than that: it doesn't hide it from ada
        event = await ada.expect("change", within=2, conversation="c1", rev=3)
        assert (event["from"], [m["body"] for m in event["messages"]]) == (2, ["two"])
        c.commit(sent("c1", "pat-1", "three"))
        event = await bo.expect("change", within=2, conversation="c1", rev=4)
        assert event["from"] <= 3


async def test_a_room_that_is_loaded_later_does_not_hide_what_came_before(autojump_clock: MockClock) -> None:
    async with shop(config=Config(timeouts=Timeouts(room_idle=0.1), mysql=Mysql(poll=30.0))) as c:
        ada, bo, conversation = await c.pair()
        await trio.sleep(0.3)
        Elsewhere(c, conversation).send("pat-1")
        await say(ada, conversation, "mine")  # it loads the room, which is at rev 2 already
        first = await bo.expect("change", within=1, conversation=conversation)
        assert first["from"] == 1
        assert first["messages"][0]["seq"] == 1


async def test_catch_up_reads_after_the_room(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    """Else the room might know of more than they were told, and nobody would tell them."""
    async with shop() as c:
        _, bo, conversation = await c.pair()
        calls: list[str] = []

        def noted(name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
            def asked(*args: Any, **fields: Any) -> Any:
                calls.append(name)
                return ask(*args, **fields)

            return asked

        for name in "room", "since":
            monkeypatch.setattr(c.store, name, noted(name, getattr(c.store, name)))
        for n in range(5):
            Elsewhere(c, conversation, f"e{n}").send("pat-1")
            await bo.expect("change", within=2, conversation=conversation, rev=2 + n)
        assert calls == ["room", "since", "since"] * 5


async def test_external_write_noticed_twice_is_told_once(autojump_clock: MockClock) -> None:
    async with shop() as c:
        _, bo, conversation = await c.pair()
        room = c.server.daemon.rooms.loaded(conversation)
        assert room is not None
        Elsewhere(c, conversation).send("pat-1")
        c.reads.hold("before")
        room.notice(2)
        await trio.testing.wait_all_tasks_blocked()
        room.notice(2)
        c.reads.release()
        await trio.sleep(5)
        changes = [event for event in await bo.barrier() if event["type"] == "change"]
        assert [(change["from"], change["rev"]) for change in changes] == [(1, 2)]


async def test_a_new_conversation_of_another_daemon(autojump_clock: MockClock) -> None:
    async with shop() as c:
        ada = await c.server.connect("pat-1")
        c.commit(PutUser("den-1", "Bo", "dentist", 0), OpenDirect("c1", "den-1", "pat-1", 0))
        event = await ada.expect("change", within=2, conversation="c1")
        assert (event["from"], event["rev"], event["info"]["kind"]) == (0, 1, "direct")
        assert sorted(user["name"] for user in event["users"]) == ["Bo", "pat-1"]
        bo = await c.server.connect("den-1", role="dentist")
        await ada.expect("presence", within=1, user="den-1", online=True)
        await say(bo, "c1", "hi")
        await ada.expect("change", within=1, conversation="c1", **{"from": 1}, rev=2)


async def test_external_join_and_leave_are_announced(autojump_clock: MockClock) -> None:
    async with shop(config=Config(timeouts=Timeouts(room_idle=0.1))) as c:
        ada = await c.server.connect("pat-1")
        bo = await c.server.connect("den-1", role="dentist")
        c.commit(PutUser("den-2", None, "dentist", 0))
        c.commit(
            CreateGroup(
                conversation="g1", user="den-2", title="Group", members=("pat-1",), client_id=None, at=0, limit=500
            )
        )
        await ada.expect("change", within=2, conversation="g1", **{"from": 0})
        c.commit(
            AddParticipant(conversation="g1", user="den-2", other="den-1", message="m1", at=0, by=OWNER, limit=500)
        )
        event = await bo.expect("change", within=2, conversation="g1")
        assert (event["from"], len(event["participants"])) == (0, 3)
        await ada.expect("change", within=2, conversation="g1", **{"from": 1}, rev=2)
        c.commit(RemoveParticipant(conversation="g1", user="den-2", other="den-1", message="m2", at=0, by=OWNER))
        event = await bo.expect("change", within=2, conversation="g1")
        assert [(p["user"], p["left_at"] is not None) for p in event["participants"]] == [("den-1", True)]
        c.commit(sent("g1", "den-2", "not for bo"))
        await ada.expect("change", within=2, conversation="g1", messages=[{"body": "not for bo"}])
        await trio.sleep(3)
        assert [event for event in await bo.barrier() if event["type"] == "change"] == []


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("verb", ["since", "summary"])
async def test_an_ok_never_comes_before_what_others_wrote(
    verb: str, seed: int, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Somebody is being fed (as who was in, or as who comes in), another daemon writes behind what is being read, and
    they themselves behind that.
    """
    seed_schedule(seed)
    async with shop() as c:
        ada, bo, conversation = await c.pair()
        if verb == "summary":
            Elsewhere(c, conversation).leave("pat-1")
            await ada.expect("change", within=2, conversation=conversation, participants=[{"user": "pat-1"}])
        books = [Book(ada), Book(bo)]
        reading = trio.Event()
        read = getattr(c.store, verb)

        def held(conversation: str, user: str, *place: int, **limit: int) -> Any:
            found = read(conversation, user, *place, **limit)
            if user == "pat-1" and not reading.is_set():
                reading.set()
                c.reads.hold("after")
            return found

        monkeypatch.setattr(c.store, verb, held)
        Elsewhere(c, conversation, "first").send("den-1")  # it brings back who has left
        await reading.wait()
        Elsewhere(c, conversation, "second").send("den-1")
        asked = await say(ada, conversation, "mine", "too")
        await trio.testing.wait_all_tasks_blocked()
        c.reads.release()
        for id in asked:
            await ada.reply(id)
        await trio.sleep(5)
        for book in books:
            book.agree(c.store)


async def test_a_store_that_cannot_be_read_is_not_ready(autojump_clock: MockClock) -> None:
    async with shop() as c:
        ada, _, conversation = await c.pair()
        down = Unavailable("the database server cannot be reached")

        def repair() -> None:
            raise down

        c.store.repair = repair  # type: ignore[method-assign]
        c.store.fails = down
        await trio.sleep(3)
        assert c.server.daemon.problem() == "the database server cannot be reached"
        del c.store.repair
        await trio.sleep(2)
        assert c.server.daemon.problem() is None
        await ada.ask("message.send", conversation=conversation, client_id="k", body="hi")


async def test_a_read_that_failed_alone_changes_nothing(autojump_clock: MockClock) -> None:
    async with shop() as c:
        c.store.fails = Unavailable("too many reads at once")
        await trio.sleep(1.2)
        assert c.server.daemon.problem() is None


async def test_a_bug_does_not_end_the_looking(autojump_clock: MockClock) -> None:
    async with shop() as c:
        _, bo, conversation = await c.pair()
        looks: list[None] = []

        def broken(since: ScanPosition | None) -> Scan:
            looks.append(None)
            raise ZeroDivisionError

        c.store.scan = broken  # type: ignore[method-assign]
        await trio.sleep(200)
        assert 5 < len(looks) < 15, "less and less often"
        del c.store.scan
        Elsewhere(c, conversation).send("pat-1")
        await bo.expect("change", within=61, conversation=conversation, rev=2)


async def test_known_revs_that_nobody_needs_are_forgotten(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(external_writes, "MAX_KNOWN_REVS", 2)
    async with shop() as c:
        _, bo, conversation = await c.pair()
        c.commit(PutUser("den-2", None, "dentist", 0), PutUser("pat-2", None, None, 0), PutUser("pat-3", None, None, 0))
        c.commit(OpenDirect("x1", "den-2", "pat-2", 0), OpenDirect("x2", "den-2", "pat-3", 0))
        await trio.sleep(3)
        looking = c.server.daemon._external_writes
        assert looking is not None
        assert list(looking._told) == [conversation]
        Elsewhere(c, conversation).send("pat-1")
        assert (await bo.expect("change", within=2, conversation=conversation))["from"] == 1


async def test_a_store_of_its_own_is_not_looked_at(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        assert c.server.daemon._external_writes is None
        ada = await c.server.connect("pat-1")
        with pytest.raises(Refused, match="not_found"):
            await ada.ask("conversation.get", conversation="c1")
