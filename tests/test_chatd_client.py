"""The client for programs: against the real daemon, and against a scripted server for what a daemon does rarely."""

import itertools
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio_websocket
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

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
from chatd.client.link import Target
from chatd.gate import run_inline
from chatd.testing import Server, TestClient, daemon
from storage.memory import MemoryStore

Frame = dict[str, Any]
AT = "2026-01-01T00:00:00.000Z"


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


async def next_of(events: Events, kind: type[Any], check: Callable[[Any], bool] = lambda event: True) -> Any:
    """The next event of a kind that fits; others are passed over."""
    with trio.fail_after(120):
        async for event in events:
            if isinstance(event, kind) and check(event):
                return event
    raise AssertionError


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


# -- against the daemon --


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


async def test_what_was_missed_comes_after_a_cut(autojump_clock: MockClock) -> None:
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


async def test_what_was_posted_offline_is_sent_once_and_in_order(autojump_clock: MockClock) -> None:
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


async def test_what_the_server_gave_up_on_is_loaded_again(autojump_clock: MockClock) -> None:
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


async def test_who_is_refused_does_not_come_back(autojump_clock: MockClock) -> None:
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
    target = Target.of("wss://chat.example/base?x=1")
    assert (target.host, target.port, target.tls, target.resource) == ("chat.example", 443, True, "/base?x=1")
    target = Target.of("http://[::1]:3001/")
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


async def test_what_is_told_while_a_page_is_read_comes_after_it(autojump_clock: MockClock) -> None:
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


# -- against a script --


@attrs.define
class Scripted:
    """One connection of a server that does what the test says."""

    websocket: trio_websocket.WebSocketConnection
    stream: trio.abc.Stream

    async def next(self, type: str) -> Frame:
        """The client's next request, which is of this type."""
        with trio.fail_after(120):
            frame: Frame = json.loads(await self.websocket.get_message())
        assert frame["type"] == type, frame
        return frame

    async def send(self, **frame: Any) -> None:
        await self.websocket.send_message(json.dumps({key.removesuffix("_"): value for key, value in frame.items()}))

    async def ok(self, request: Frame, **fields: Any) -> None:
        await self.send(type="ok", re=request["id"], **fields)

    async def change(self, start: int, rev: int, **fields: Any) -> None:
        await self.send(type="change", conversation="c1", from_=start, rev=rev, **fields)

    async def error(self, request: Frame, code: str, *, temporary: bool = False, **fields: Any) -> None:
        await self.send(type="error", re=request["id"], code=code, message=code, temporary=temporary, **fields)

    async def hello(self, *conversations: Frame, epoch: str = "one", **fields: Any) -> Frame:
        """Answer the client's hello."""
        request = await self.next("hello")
        plain = {
            "protocol": 1,
            "user": {"id": "pat-1", "name": "Ada", "role": "patient"},
            "session": "s",
            "epoch": epoch,
            "server_time": AT,
            "heartbeat": 25,
            "limits": {},
            "conversations": conversations,
            "users": [],
            "presence": [],
            "revs": {id: {"rev": rev, "reset": False} for id, rev in request.get("revs", {}).items()},
        }
        await self.ok(request, **(plain | fields))
        return request

    async def sent(self, request: Frame, rev: int, **fields: Any) -> None:
        """The ok of a `message.send`."""
        written = message(rev - 1, rev, body=request["body"], client_id=request["client_id"], sender="pat-1")
        await self.ok(request, conversation="c1", from_=rev - 1, rev=rev, duplicate=False, messages=[written], **fields)


def message(seq: int, rev: int, **fields: Any) -> Frame:
    plain = {"conversation": "c1", "id": f"m{seq}", "sender": "den-1", "kind": "text", "body": "x", "sent_at": AT}
    return plain | {"seq": seq, "rev": rev, **fields}


def summary(rev: int = 1, last_seq: int = 0) -> Frame:
    people = [
        {"user": user, "role": "member", "joined_at": AT, "from_seq": 1, "delivered_seq": 0, "read_seq": 0, "rev": 1}
        for user in ("pat-1", "den-1")
    ]
    return {
        "conversation": "c1",
        "info": {"id": "c1", "kind": "direct", "created_at": AT, "last_seq": last_seq, "rev": rev},
        "participants": people,
        "membership": {"muted": False, "pinned": False, "archived": False, "unread": 0},
        "last_message": message(last_seq, rev) if last_seq else None,
    }


@asynccontextmanager
async def scripted(**more: Any) -> AsyncIterator[tuple[Client, Callable[[], Any]]]:
    """A client, and what gives its next connection."""
    send, receive = trio.open_memory_channel[trio.abc.Stream](10)

    async def dial() -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        await send.send(theirs)
        return ours

    async with trio.open_nursery() as nursery:

        async def accept() -> Scripted:
            stream = await receive.receive()
            request = await trio_websocket.wrap_server_stream(nursery, stream)
            return Scripted(await request.accept(), stream)

        async with connect_to("ws://test", dial=dial, rng=random.Random(0), **({"user": "pat-1"} | more)) as client:
            yield client, accept
        nursery.cancel_scope.cancel()


async def test_an_unanswered_message_is_repeated_with_its_client_id(autojump_clock: MockClock) -> None:
    async with scripted() as (client, accept):
        first = await accept()
        await first.hello(summary())
        one, two = client.post("c1", "one"), client.post("c1", "two")
        before = [await first.next("message.send") for _ in range(2)]
        await first.sent(before[0], 2)
        await one.acknowledged()
        await trio.aclose_forcefully(first.stream)
        second = await accept()
        hello = await second.hello(summary(2, 1))
        assert (hello["epoch"], hello["revs"]) == ("one", {"c1": 2})
        again = await second.next("message.send")
        assert (again["client_id"], again["body"]) == (before[1]["client_id"], "two")
        await second.sent(again, 3)
        assert (await two.acknowledged()).seq == 2


async def test_a_temporary_error_repeats_that_message_and_those_after_it(autojump_clock: MockClock) -> None:
    async with scripted() as (client, accept):
        server = await accept()
        await server.hello(summary())
        sendings = [client.post("c1", str(n)) for n in range(4)]
        tried = [await server.next("message.send") for _ in range(4)]
        await server.sent(tried[0], 2)
        await server.error(tried[1], "unavailable", temporary=True, retry_after=2)
        await server.error(tried[2], "bad_request")
        await server.error(tried[3], "rate_limited", temporary=True, retry_after=5)
        began = trio.current_time()
        again = [await server.next("message.send") for _ in range(2)]
        assert trio.current_time() - began >= 5
        assert [r["client_id"] for r in again] == [tried[1]["client_id"], tried[3]["client_id"]]
        for rev, request in enumerate(again, 3):
            await server.sent(request, rev)
        with pytest.raises(RequestFailed, match="bad_request"):
            await sendings[2].acknowledged()
        assert [(await s.acknowledged()).seq for s in sendings if s is not sendings[2]] == [1, 2, 3]


async def test_a_temporary_error_of_another_request_is_the_callers_business(autojump_clock: MockClock) -> None:
    async with scripted() as (client, accept), trio.open_nursery() as nursery:
        server = await accept()
        await server.hello(summary())

        @nursery.start_soon
        async def answer() -> None:
            await server.error(await server.next("message.history"), "unavailable", temporary=True, retry_after=1.5)

        with pytest.raises(RequestFailed) as failed:
            await client.history("c1")
        assert (failed.value.temporary, failed.value.retry_after) == (True, 1.5)


async def test_a_gap_is_closed_by_one_sync(autojump_clock: MockClock) -> None:
    async with scripted() as (_, accept):
        server = await accept()
        await server.hello(summary())
        for rev in (3, 4, 5):
            await server.change(rev - 1, rev, messages=[message(rev - 1, rev)])
        sync = await server.next("sync")
        assert (sync["epoch"], sync["revs"]) == ("one", {"c1": 1})
        missing = [message(n, n + 1) for n in range(1, 5)]
        unread = {"muted": False, "pinned": False, "archived": False, "unread": 4}
        await server.change(1, 5, messages=missing, membership=unread)
        await server.ok(sync, revs={"c1": {"rev": 5, "reset": False}})
        await server.change(6, 7, messages=[message(6, 7)])
        again = await server.next("sync")
        assert again["revs"] == {"c1": 5}


async def test_a_failed_sync_is_asked_again(autojump_clock: MockClock) -> None:
    async with scripted() as (client, accept):
        server = await accept()
        await server.hello(summary())
        await server.change(2, 3)
        await server.error(await server.next("sync"), "unavailable", temporary=True)
        again = await server.next("sync")
        await server.ok(again, revs={"c1": {"rev": 0, "reset": True}})
        get = await server.next("conversation.get")
        await server.error(get, "not_found")
        await wait_all_tasks_blocked()
        assert client.conversation("c1") is None


async def test_an_unknown_conversation_is_loaded(autojump_clock: MockClock) -> None:
    async with scripted() as (client, accept):
        server = await accept()
        await server.hello()
        await server.change(8, 9, messages=[message(8, 9)])
        await server.ok(await server.next("conversation.get"), **summary(9, 8), users=[])
        await wait_all_tasks_blocked()
        held = client.conversation("c1")
        assert held is not None
        assert (held.rev, held.last_seq) == (9, 8)


@pytest.mark.parametrize(("code", "back"), [(1001, True), (4008, True), (4012, True), (1000, False), (4503, False)])
async def test_the_close_code_decides_about_coming_back(code: int, back: bool, autojump_clock: MockClock) -> None:
    async with scripted() as (client, accept):
        server = await accept()
        await server.hello()
        await client._linked()
        await server.websocket.aclose(code, "because")
        if back:
            await (await accept()).hello()
            await client._linked()
        else:
            with pytest.raises(Closed, match="because") as closed:
                await client.open("den-1")
            assert closed.value.code == code


async def test_going_away_says_when_to_come_back(autojump_clock: MockClock) -> None:
    async with scripted() as (client, accept):
        events = client.events()
        server = await accept()
        await server.hello()
        await server.send(type="going_away", reconnect_in=7.5)
        await server.websocket.aclose(1001, "bye")
        began = trio.current_time()
        assert await next_of(events, Disconnected) == Disconnected("bye", 7.5)
        await (await accept()).hello()
        assert trio.current_time() - began == pytest.approx(7.5, abs=0.01)


async def test_a_hello_refused_for_now_is_said_again(autojump_clock: MockClock) -> None:
    async with scripted() as (client, accept):
        server = await accept()
        await server.error(await server.next("hello"), "rate_limited", temporary=True, retry_after=3)
        began = trio.current_time()
        await (await accept()).hello()
        assert 3 <= trio.current_time() - began < 4
        await client._linked()


async def test_an_expired_token_is_replaced_where_there_is_a_fresh_one(autojump_clock: MockClock) -> None:
    tokens = iter(["old", "new"])

    async def fetch() -> str:
        await trio.sleep(1)
        return next(tokens)

    async with scripted(user=None, token=fetch) as (client, accept):
        server = await accept()
        hello = await server.next("hello")
        assert hello["token"] == "old"
        await server.error(hello, "unauthorized", temporary=True)
        await server.websocket.aclose(4011, "expired")
        assert (await (await accept()).hello())["token"] == "new"
        await client._linked()
    async with scripted(user=None, token="fixed") as (client, accept):
        server = await accept()
        await server.hello()
        await server.websocket.aclose(4011, "expired")
        with pytest.raises(Closed, match="expired"):
            await client.open("den-1")


async def test_a_silent_server_is_left(autojump_clock: MockClock) -> None:
    async with scripted() as (client, accept):
        events = client.events()
        server = await accept()
        await server.hello()
        began = trio.current_time()
        await server.ok(await server.next("ping"), server_time=AT)
        assert trio.current_time() - began == pytest.approx(25, abs=0.1)
        await server.error(await server.next("ping"), "rate_limited", temporary=True)
        await server.next("ping")
        lost = await next_of(events, Disconnected)
        assert lost.reason == "the server is silent"
        assert trio.current_time() - began == pytest.approx(85, abs=0.1)
        await (await accept()).hello()


async def test_a_server_that_breaks_the_protocol_is_left_and_tried_again(autojump_clock: MockClock) -> None:
    async with scripted() as (client, accept):
        events = client.events()
        server = await accept()
        await server.hello()
        await server.send(type="presence", user=7)
        assert "server's frame" in (await next_of(events, Disconnected)).reason
        await (await accept()).hello()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "hung up"),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "answered 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""),
        (None, "doesn't answer"),
    ],
)
async def test_a_failed_handshake_is_tried_again(answer: bytes | None, reason: str, autojump_clock: MockClock) -> None:
    dialled: list[trio.abc.Stream] = []

    async def dial() -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        dialled.append(theirs)
        if answer is not None:
            await theirs.send_all(answer)
        if not answer:
            dialled.append(theirs)
        if answer == b"":
            await theirs.aclose()
        return ours

    async with connect_to("http://test", user="pat-1", dial=dial, rng=random.Random(0)) as client:
        events = client.events()
        assert reason in (await next_of(events, Disconnected)).reason
        assert isinstance(await next_of(events, Disconnected), Disconnected)


async def test_a_refused_handshake_is_final(autojump_clock: MockClock) -> None:
    async def dial() -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        await theirs.send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        return ours

    async with connect_to("http://test", user="pat-1", dial=dial) as client:
        with pytest.raises(Closed, match="403"):
            await client.open("den-1")
