"""Conversations of more than fifty: what everyone's watermarks cost, and that nobody lacks anything."""

import itertools
import os
from random import Random, randrange
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from chatd.config import Config
from chatd.config import Server as ServerConfig
from chatd.core import view
from chatd.testing import Refused, Server, TestClient, daemon
from chatd.testing.harness import START, Frame
from storage.changes import CreateGroup, PutUser
from storage.memory import MemoryStore
from support.steering import Clinic, clinic, say
from support.strict import Book

GROUP = "01937b3e-5a00-7000-8000-000000000001"
PEOPLE = 500
MOST = 10_000_000
"""Bytes that one message may move in all, everyone's receipts included."""


@attrs.define(eq=False)
class Counted(trio.abc.Stream):
    """A client's end that counts what goes and comes."""

    stream: trio.abc.Stream
    counts: list[int]

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await self.stream.receive_some(max_bytes))
        self.counts[0] += len(data)
        return data

    async def send_all(self, data: Any) -> None:
        self.counts[0] += len(data)
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


def told(client: TestClient) -> list[Frame]:
    """The changes, and the oks that stand for one, of the group."""
    return [frame for frame in client.received if frame.get("conversation") == GROUP]


@pytest.mark.parametrize("spread", [0.0, 600.0], ids=["at-once", "within-minutes"])
async def test_a_message_to_500_with_all_its_receipts(spread: float, autojump_clock: MockClock) -> None:
    seed = int(os.environ.get("CHATD_TEST_SEED") or randrange(2**32))
    print(f"CHATD_TEST_SEED={seed}")
    rng = Random(seed)
    store = MemoryStore(epoch="epoch-1", development=True)
    users = [f"user-{n}-{rng.randrange(10**24):024}" for n in range(PEOPLE)]  # as long as ids are in real life
    store.commit([PutUser(user, user, "dentist", START) for user in users])
    counts = [0]
    async with daemon(store=store, config=Config(server=ServerConfig(heartbeat=3600))) as server:
        dial = server.dial
        server.dial = lambda pair=memory_stream_pair: Counted(dial(pair), counts)  # type: ignore[method-assign]
        clients = [await server.connect(user) for user in users]
        # Now, so that nobody is told of 499 others who come: that is another matter.
        store.commit(
            [
                CreateGroup(
                    conversation=GROUP,
                    user=users[0],
                    title="All",
                    members=tuple(users),
                    client_id=None,
                    at=START,
                    limit=PEOPLE,
                )
            ]
        )
        await wait_all_tasks_blocked()
        counts[0] = 0
        await clients[0].ask("message.send", conversation=GROUP, client_id="m", body="x" * 200)

        async def read(client: TestClient, first: float, then: float) -> None:
            await client.expect("change", conversation=GROUP, messages=[{"seq": 1}])
            await trio.sleep(first)
            await client.ask("receipt", conversation=GROUP, delivered=1)
            await trio.sleep(then)
            await client.ask("receipt", conversation=GROUP, read=1)

        async with trio.open_nursery() as nursery:
            for client in clients[1:]:
                nursery.start_soon(read, client, rng.uniform(0, spread), rng.uniform(0, spread))
        await trio.sleep(60)
        await wait_all_tasks_blocked()
        print(f"{counts[0]} bytes")
        assert counts[0] <= MOST
        room = store.room(GROUP)
        assert room is not None
        assert room.conversation.rev == 2 + 2 * (PEOPLE - 1)
        assert {p.read_seq for p in room.participants if p.user != users[0]} == {1}
        for client in clients:
            frames = told(client)
            assert frames[0]["from"] == 1
            assert frames[-1]["rev"] == room.conversation.rev
            assert all(b["from"] == a["rev"] for a, b in itertools.pairwise(frames))
            assert sum(len(frame.get("participants") or ()) for frame in frames) == 2 * (client is not clients[0])


async def crowd(c: Clinic, monkeypatch: pytest.MonkeyPatch) -> tuple[TestClient, TestClient, TestClient, str]:
    """Four in a group, and three are a crowd already: at rev 2, with one message."""
    monkeypatch.setattr(view, "CROWD", 2)
    ada = await c.server.connect("pat-1")
    bo = await c.server.connect("den-1", role="dentist")
    cy = await c.server.connect("den-2", role="dentist")
    await c.server.connect("sta-1", role="staff")
    made = await bo.ask("conversation.create", title="Team", members=["pat-1", "den-2", "sta-1"])
    await bo.ask("message.send", conversation=made["conversation"], client_id="b-1", body="x")
    await wait_all_tasks_blocked()
    return ada, bo, cy, made["conversation"]


def spans(client: TestClient, conversation: str) -> list[tuple[int, int]]:
    return [
        (f["from"], f["rev"]) for f in client.received if f["type"] == "change" and f["conversation"] == conversation
    ]


async def read(server: Server, user: str, conversation: str, *seqs: int) -> None:
    """One after the other, each in a commit of its own."""
    client = next(client for client in server.clients if client.user and client.user["id"] == user)
    for seq in seqs:
        await client.ask("receipt", conversation=conversation, read=seq)
        await wait_all_tasks_blocked()


async def test_others_watermarks_are_gathered(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, cy, conversation = await crowd(c, monkeypatch)
        books = [Book(client) for client in (ada, bo, cy)]
        await say(bo, conversation, *(f"b-{n}" for n in range(2, 30)))
        await wait_all_tasks_blocked()
        (start,) = {spans(client, conversation)[-1][1] for client in (ada, cy)}
        seen = len(cy.received)
        for n, wait in enumerate((1, 2, 4, 8, 16, 30, 30)):
            began = trio.current_time()
            await read(c.server, "pat-1", conversation, 3 * n + 1, 3 * n + 2)
            assert cy.received[seen:] == []
            await cy.expect("change", within=100, from_=start)
            assert trio.current_time() - began == pytest.approx(wait, abs=0.01)
            (event,) = cy.received[seen:]
            assert event == {"type": "change", "conversation": conversation, "from": start, "rev": event["rev"]}
            start, seen = event["rev"], seen + 1
        # Whatever is told in between brings it along, and then it is a second again.
        await read(c.server, "pat-1", conversation, 29)
        await say(bo, conversation, "b-30")
        await wait_all_tasks_blocked()
        assert [(f["from"], "messages" in f) for f in cy.received[seen:]] == [(start, False), (start + 1, True)]
        await read(c.server, "pat-1", conversation, 30)
        await trio.sleep(1.1)
        assert spans(cy, conversation)[-1] == (start + 2, start + 3)
        for book in books:
            book.agree(c.store)
            assert book.doubles == []


async def test_what_is_ones_own_is_told_at_once(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        _, bo, cy, conversation = await crowd(c, monkeypatch)
        tablet = await c.server.connect("pat-1")
        book = Book(tablet)
        c.writes.hold("before")
        for client, read in ((cy, 1), (c.server.clients[0], 1)):
            await client.send("receipt", conversation=conversation, read=read)
            await wait_all_tasks_blocked()
        await say(bo, conversation, "b-2")
        await wait_all_tasks_blocked()
        c.writes.release()
        await wait_all_tasks_blocked()
        own = [f for f in tablet.received if f.get("participants") and f["type"] == "change"]
        assert [(f["participants"][0]["user"], f["membership"]["unread"]) for f in own] == [("pat-1", 0)]
        book.agree(c.store)
        assert book.copies[conversation].membership["unread"] == 1


REPLIES: dict[str, dict[str, Any]] = {
    "conversation.get": {"conversation": True},
    "conversation.list": {},
    "receipt": {"conversation": True, "read": 1},
    "membership.set": {"conversation": True, "muted": True},
    "message.send": {"conversation": True, "client_id": "c-1", "body": "x"},
    "conversation.leave": {"conversation": True},
    "sync": {"epoch": "epoch-1", "revs": True},
}


@pytest.mark.parametrize("loud", [False, True], ids=["gathered", "then-a-message"])
@pytest.mark.parametrize("held", [None, "before", "after"])
@pytest.mark.parametrize("request_", REPLIES)
async def test_replies_come_behind_what_was_gathered(
    request_: str, held: Any, loud: bool, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with clinic() as c:
        ada, bo, cy, conversation = await crowd(c, monkeypatch)
        books = [Book(client) for client in (ada, bo, cy)]
        fields = {k: v for k, v in REPLIES[request_].items() if k not in ("conversation", "revs")}
        if "conversation" in REPLIES[request_]:
            fields["conversation"] = conversation
        if "revs" in REPLIES[request_]:
            fields["revs"] = books[2].read().revs
        await read(c.server, "pat-1", conversation, 1)
        before = spans(cy, conversation)
        if held:
            c.reads.hold(held)
        asked = await cy.send(request_, **fields)
        await wait_all_tasks_blocked()
        await bo.send("receipt", conversation=conversation, read=1)
        await wait_all_tasks_blocked()
        if loud:
            await say(bo, conversation, "b-2")
            await wait_all_tasks_blocked()
        c.reads.release()
        await cy.reply(asked)
        assert spans(cy, conversation) != before or request_ == "sync"
        await trio.sleep(2)
        for book in books:
            book.agree(c.store)
            assert book.doubles == [] or request_ == "sync"


async def test_gathered_when_the_store_is_reopened(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    """Everyone reads on from what they were told, not from what was published."""
    async with clinic() as c:
        ada, bo, cy, conversation = await crowd(c, monkeypatch)
        books = [Book(client) for client in (ada, bo, cy)]
        await read(c.server, "pat-1", conversation, 1)
        c.writes.fail("after", and_then=c.store.reopen)
        (sent,) = await say(bo, conversation, "b-2")
        with pytest.raises(Refused, match="unavailable"):
            await bo.reply(sent)
        await trio.sleep(3)
        for book in books:
            book.agree(c.store)
        assert spans(cy, conversation)[-1] == (2, 4)


async def test_gathered_and_removed(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, cy, conversation = await crowd(c, monkeypatch)
        books = [Book(client) for client in (ada, bo, cy)]
        await read(c.server, "pat-1", conversation, 1)
        await bo.ask("conversation.remove", conversation=conversation, user="den-2")
        await wait_all_tasks_blocked()
        assert spans(cy, conversation)[-2:] == [(2, 3), (3, 4)]
        await bo.ask("conversation.add", conversation=conversation, user="den-2")
        await trio.sleep(5)
        for book in books:
            book.agree(c.store)
        assert spans(cy, conversation)[-1] == (0, 5)


async def test_a_room_with_something_gathered_stays_until_it_is_told(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with clinic() as c:
        _, _, cy, conversation = await crowd(c, monkeypatch)
        await read(c.server, "pat-1", conversation, 1)
        (room,) = c.server.daemon.rooms._loaded.values()
        idle = [room.idle]
        await trio.sleep(1.1)
        assert [*idle, room.idle] == [False, True]
        assert spans(cy, conversation)[-1] == (2, 3)


async def test_a_catch_up_lists_who_came_and_went_and_nobodys_watermarks(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with clinic() as c:
        ada, bo, _, conversation = await crowd(c, monkeypatch)
        for user in ("den-3", "den-4"):
            await c.server.connect(user, role="dentist")
        await bo.ask("conversation.add", conversation=conversation, user="den-4")
        await wait_all_tasks_blocked()
        book = Book(ada).read()
        await ada.abort()
        await say(bo, conversation, *(f"b-{n}" for n in range(2, 120)))
        await bo.ask("conversation.remove", conversation=conversation, user="sta-1")
        await bo.ask("conversation.add", conversation=conversation, user="den-3")
        await bo.ask("conversation.add", conversation=conversation, user="sta-1")
        await bo.ask("conversation.leave", conversation=conversation)
        for user in ("den-2", "den-3", "den-4"):  # so that their rows are newer than what says that they came
            await read(c.server, user, conversation, 120, 121)
        back = await c.server.connect()
        resumed = Book(back, book.copies)
        await back.hello("pat-1", epoch="epoch-1", revs=book.revs)
        await wait_all_tasks_blocked()
        resumed.agree(c.store)
        told = [p["user"] for f in back.received if f["type"] == "change" for p in f.get("participants") or ()]
        # The one who left, the heir, and the two who came; den-4 has only read.
        assert sorted(told) == ["den-1", "den-2", "den-3", "sta-1"]
        assert resumed.copies[conversation].participants["den-2"]["role"] == "owner"
