"""The client for programs against the real daemon, over connections that are cut, slow, or down."""

import itertools
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.client import (
    Client,
    Closed,
    Connected,
    ConversationChanged,
    Disconnected,
    Event,
    Events,
    PresenceChanged,
    RequestFailed,
    TypingChanged,
)
from chatd.client import connect as connect_to
from chatd.client.target import ServerAddress
from chatd.core.gate import run_inline
from chatd.testing import Server, TestClient, daemon
from storage.memory import MemoryStore
from support.events import next_of


@attrs.define
class Net:
    """The way to a daemon: can be cut, and be down."""

    server: Server
    down: bool = False
    dialled: list[float] = attrs.Factory(list)
    streams: list[trio.abc.Stream] = attrs.Factory(list)

    async def dial(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.dialled.append(trio.current_time())
        if self.down:
            raise OSError("no route")
        self.streams.append(self.server.dial())
        return self.streams[-1]

    async def cut(self) -> None:
        await trio.aclose_forcefully(self.streams[-1])

    def connect(self, user: str, **more: Any) -> AbstractAsyncContextManager[Client]:
        return connect_to("http://127.0.0.1", user=user, dial=self.dial, rng=random.Random(0), **more)


async def told(events: Events) -> list[Event]:
    """What waits now."""
    await wait_all_tasks_blocked()
    found: list[Event] = []
    with trio.move_on_after(0.001):
        async for event in events:
            found.append(event)
    return found


@asynccontextmanager
async def pair(**more: Any) -> AsyncIterator[tuple[Net, Client, TestClient, str]]:
    """A patient's client and a dentist's raw connection, with a conversation of theirs."""
    async with daemon() as server:
        net = Net(server)
        bo = await server.connect("den-1", role="dentist", name="Bo")
        async with net.connect("pat-1", name="Ada", **more) as client:
            held = await client.open("den-1")
            await bo.barrier()
            yield net, client, bo, held.id


async def test_talk(autojump_clock: MockClock) -> None:
    async with pair() as (_, client, bo, conversation):
        events = client.events()
        sent = await client.send(conversation, "It hurts")
        assert (sent.seq, sent.body, sent.sender) == (1, "It hurts", "pat-1")
        await bo.expect("change", messages=[{"body": "It hurts"}])
        await bo.ask("receipt", conversation=conversation, read=1)
        await bo.ask("message.send", conversation=conversation, client_id="b-1", body="Come by")
        got = await next_of(events, ConversationChanged, lambda e: any(m.sender == "den-1" for m in e.messages))
        assert got.messages[-1].body == "Come by"
        held = client.conversation(conversation)
        assert held is not None
        assert held.membership.unread == 1
        assert held.status(held.messages[1]) == "read"
        await client.receipt(conversation, read=2)
        assert held.membership.unread == 0
        page, more = await client.history(conversation)
        assert ([m.body for m in page], more) == (["It hurts", "Come by"], False)
        assert [user.id for user in await client.users()] == ["den-1"]
        assert (await client.presence(["den-1"]))["den-1"].online
        assert [c.id for c in await client.conversations()] == [conversation]


async def test_typing_is_told_expires_and_is_not_sent_too_often(autojump_clock: MockClock) -> None:
    async with pair() as (_, client, bo, conversation):
        events = client.events()
        await bo.tell("typing", conversation=conversation, active=True)
        assert (await next_of(events, TypingChanged)).active
        began = trio.current_time()
        assert not (await next_of(events, TypingChanged)).active
        assert trio.current_time() - began == pytest.approx(6, abs=0.1)
        for _ in range(5):
            await client.typing(conversation)
        await client.typing(conversation, active=False)
        await client.typing(conversation)
        assert [e["active"] for e in await bo.barrier() if e["type"] == "typing"] == [True, False, True]


async def test_presence_is_told(autojump_clock: MockClock) -> None:
    async with pair() as (net, client, bo, _):
        events = client.events()
        await bo.aclose()
        assert await next_of(events, PresenceChanged) == PresenceChanged("den-1", online=False)
        await net.server.connect("den-1")
        assert await next_of(events, PresenceChanged) == PresenceChanged("den-1", online=True)


async def test_events_missed_come_after_a_cut(autojump_clock: MockClock) -> None:
    async with pair() as (net, client, bo, conversation):
        events = client.events()
        net.down = True
        await net.cut()
        assert isinstance(await next_of(events, Disconnected), Disconnected)
        assert not client.connected
        for n in range(150):
            await bo.ask("message.send", conversation=conversation, client_id=f"b-{n}", body=str(n))
        net.down = False
        await next_of(events, Connected)
        while (held := client.conversation(conversation)) is None or held.last_seq < 150:
            await next_of(events, ConversationChanged)
        assert [m.body for m in held.timeline()] == [str(n) for n in range(150)]
        assert held.membership.unread == 150


async def test_messages_posted_offline_are_sent_once_and_in_order(autojump_clock: MockClock) -> None:
    async with pair() as (net, client, bo, conversation):
        for n in range(100):
            client.post(conversation, str(n))
            if n % 20 == 10:
                await net.cut()  # at whatever point of sending
                await trio.sleep(0.001 * n)
        sent = client.unacknowledged()
        assert sent
        for sending in sent:
            await sending.acknowledged()
        assert not client.unacknowledged()
        page = await bo.ask("message.history", conversation=conversation, limit=200)
        assert sorted(int(m["body"]) for m in page["messages"]) == list(range(100))
        assert [int(m["body"]) for m in page["messages"]] == list(range(100))
        held = client.conversation(conversation)
        assert held is not None
        assert len(held.messages) == 100


async def test_a_request_waits_for_the_connection(autojump_clock: MockClock) -> None:
    async with daemon() as server:
        net = Net(server, down=True)
        await server.connect("den-1", role="dentist")
        async with net.connect("pat-1") as client, trio.open_nursery() as nursery:

            @nursery.start_soon
            async def come_up() -> None:
                await trio.sleep(20)
                net.down = False

            assert (await client.open("den-1")).rev == 1
            assert trio.current_time() >= net.dialled[0] + 20


async def test_the_backoff_grows_to_its_bound_with_full_jitter(autojump_clock: MockClock) -> None:
    async with daemon() as server:
        net = Net(server, down=True)
        async with net.connect("pat-1"):
            await trio.sleep(600)
        waits = [b - a for a, b in itertools.pairwise(net.dialled)]
        assert all(wait <= min(30, 0.25 * 2**n) for n, wait in enumerate(waits))
        assert max(waits) > 20
        assert 600 / 30 < len(waits) < 80


async def test_a_restart_is_survived(autojump_clock: MockClock) -> None:
    store = MemoryStore(epoch="kept", development=True)
    async with daemon(store=store) as first:
        net = Net(first)
        await first.connect("den-1", role="dentist")
        async with net.connect("pat-1") as client:
            events = client.events()
            conversation = (await client.open("den-1")).id
            await client.send(conversation, "before")
            async with daemon(store=store) as second:
                net.server = second
                first.daemon.stop()
                lost = await next_of(events, Disconnected)
                assert lost.retry_in >= 1  # as the server asked
                client.post(conversation, "between")
                await next_of(events, Connected)
                await client.send(conversation, "after")
                bo = await second.connect("den-1")
                page = await bo.ask("message.history", conversation=conversation)
                assert [m["body"] for m in page["messages"]] == ["before", "between", "after"]
                await client._goodbye()


async def test_another_epoch_voids_what_is_held(autojump_clock: MockClock) -> None:
    restored = MemoryStore(epoch="b", development=True)
    async with pair() as (net, client, _, conversation), daemon(store=restored) as other:
        events = client.events()
        await other.connect("den-1", role="dentist")
        net.server = other
        await net.cut()
        gone = await next_of(events, ConversationChanged)
        assert (gone.conversation, gone.dropped) == (conversation, True)
        await trio.sleep(1)
        assert client.conversation(conversation) is None
        assert client.replica.epoch == "b"
        assert (await client.open("den-1")).rev == 1


async def test_conversation_that_the_server_gave_up_on_is_loaded_again(autojump_clock: MockClock) -> None:
    async with pair() as (net, client, bo, conversation):
        events = client.events()
        net.down = True
        await net.cut()
        for n in range(1100):
            await bo.ask("message.send", conversation=conversation, client_id=f"b-{n}", body=str(n))
        net.down = False
        event = await next_of(events, ConversationChanged)
        assert event.reload
        await trio.sleep(1)
        held = client.conversation(conversation)
        assert held is not None
        assert (held.last_seq, held.low, held.membership.unread) == (1100, 1100, 1100)
        page, more = await client.history(conversation, before=held.low, limit=200)
        assert (len(page), more, held.low) == (200, True, 900)


async def test_a_slow_consumer_gets_one_event_for_what_belongs_together(autojump_clock: MockClock) -> None:
    async with pair() as (_, client, bo, conversation):
        events = client.events()
        for n in range(300):
            await bo.ask("message.send", conversation=conversation, client_id=f"b-{n}", body=str(n))
        changed = [event for event in await told(events) if isinstance(event, ConversationChanged)]
        assert [len(event.messages) for event in changed] == [300]
        assert not changed[0].reload
        for n in range(300, 1400):
            await bo.ask("message.send", conversation=conversation, client_id=f"b-{n}", body=str(n))
        (event,) = await told(events)
        assert isinstance(event, ConversationChanged)
        assert event.reload
        assert len(event.messages) < 1000


async def test_client_refused_does_not_come_back(autojump_clock: MockClock) -> None:
    async with daemon(development=False) as server:
        net = Net(server)
        async with net.connect("pat-1") as client:
            events = client.events()
            with pytest.raises(Closed, match="development mode"):
                await client.open("den-1")
            with pytest.raises(Closed):
                client.post("c1", "never")
            with pytest.raises(Closed):
                await next_of(events, Connected)
            with pytest.raises(Closed):
                await next_of(client.events(), Connected)
            await trio.sleep(1000)
        assert len(net.dialled) == 1


async def test_a_refused_request_says_why(autojump_clock: MockClock) -> None:
    async with pair() as (_, client, _, conversation):
        with pytest.raises(RequestFailed) as failed:
            await client.open("nobody")
        assert (failed.value.code, failed.value.temporary) == ("not_found", False)
        with pytest.raises(RequestFailed, match="bad_request"):
            await client.send(conversation, "")
        assert (await client.send(conversation, "next")).seq == 1


async def test_leaving_drops_the_conversation(autojump_clock: MockClock) -> None:
    async with pair() as (_, client, _, conversation):
        events = client.events()
        await client.leave(conversation)
        assert client.conversation(conversation) is None
        assert await told(events) == [ConversationChanged(conversation, dropped=True)]


async def test_an_error_of_the_program_comes_out_as_it_is() -> None:
    async with daemon() as server:
        with pytest.raises(ZeroDivisionError):
            async with Net(server).connect("pat-1"):
                raise ZeroDivisionError


def test_urls() -> None:
    for url in ("127.0.0.1:3001", "ftp://host", "http://"):
        with pytest.raises(ValueError, match="no URL of a server"):
            connect_to(url)
    target = ServerAddress.of("wss://chat.example/base?x=1")
    assert (target.host, target.port, target.tls, target.resource) == ("chat.example", 443, True, "/base?x=1")
    target = ServerAddress.of("http://[::1]:3001/")
    assert (target.host, target.port, target.tls, target.resource) == ("::1", 3001, False, "/ws")


@pytest.mark.parametrize("seed", range(8))
async def test_a_copy_equals_the_server_whatever_happens_on_the_way(seed: int, autojump_clock: MockClock) -> None:
    chance = random.Random(seed)
    async with pair() as (net, client, bo, conversation):
        other = await net.server.connect("pat-1")
        for n in range(150):
            held = client.conversation(conversation)
            match chance.randrange(9):
                case 0 | 1 | 2:
                    await bo.tell("message.send", conversation=conversation, client_id=f"b-{n}", body=str(n))
                case 3:
                    client.post(conversation, f"mine {n}")
                case 4:
                    await net.cut()
                case 5 if held is not None and held.last_seq:
                    await other.tell("receipt", conversation=conversation, read=chance.randint(1, held.last_seq))
                case 6:
                    archived, muted = chance.random() < 0.5, chance.random() < 0.5
                    await other.tell("membership.set", conversation=conversation, archived=archived, muted=muted)
                case 7 if chance.random() < 0.2:
                    await bo.tell("conversation.leave", conversation=conversation)
                    await bo.tell("conversation.open", with_="pat-1")
                case 8:
                    await trio.sleep(chance.choice([0, 0.01, 0.3, 2]))
                case _:
                    await trio.lowlevel.checkpoint()
        await trio.sleep(120)
        truth = await other.ask("conversation.get", conversation=conversation)
        page = await other.ask("message.history", conversation=conversation, limit=200)
        held = client.conversation(conversation)
        assert held is not None
        assert not client.unacknowledged()
        assert held.rev == truth["info"]["rev"]
        assert attrs.asdict(held.membership) == truth["membership"]  # type: ignore[arg-type]  # it is one of attrs'
        assert [m.body for m in held.timeline()] == [m["body"] for m in page["messages"]]
        assert {p.user: (p.read_seq, p.rev) for p in held.participants.values()} == {
            p["user"]: (p["read_seq"], p["rev"]) for p in truth["participants"]
        }


async def test_events_during_the_reading_of_a_page_come_after_it(autojump_clock: MockClock) -> None:
    slow = False

    async def read(work: Callable[[], Any]) -> Any:
        found = await run_inline(work)
        if slow:
            await trio.sleep(1)
        return found

    async with daemon(read=read) as server:
        bo = await server.connect("den-1", role="dentist")
        ada = await server.connect("pat-1")
        conversation = (await ada.ask("conversation.open", with_="den-1"))["conversation"]
        slow = True
        asked = await ada.send("message.history", conversation=conversation)
        await bo.ask("message.send", conversation=conversation, client_id="b-1", body="meanwhile")
        assert (await ada.reply(asked))["messages"] == []
        await ada.expect("change", messages=[{"body": "meanwhile"}])
        assert [frame["type"] for frame in ada.received[-2:]] == ["ok", "change"]
