"""The client for programs against a scripted server, for what a daemon does rarely."""

import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio_websocket
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from chatd.client import Client, Closed, Disconnected, RequestFailed
from chatd.client import connect as connect_to
from chatd.net.problem import whole_answer
from chatd.net.tls import NOT_TLS
from support.events import next_of

Frame = dict[str, Any]
AT = "2026-01-01T00:00:00.000Z"


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
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "answered 200"),
        (None, "doesn't answer"),
    ],
)
async def test_a_failed_handshake_is_tried_again(answer: bytes | None, reason: str, autojump_clock: MockClock) -> None:
    held: list[trio.abc.Stream] = []  # they stay open

    async def dial() -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        held.append(theirs)
        if answer:
            await theirs.send_all(answer)
        elif answer == b"":
            await theirs.aclose()
        return ours

    async with connect_to("http://test", user="pat-1", dial=dial, rng=random.Random(0)) as client:
        events = client.events()
        assert reason in (await next_of(events, Disconnected)).reason
        assert isinstance(await next_of(events, Disconnected), Disconnected)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "the server answered 403"),
        (
            whole_answer(400, NOT_TLS, "text/plain"),
            "the server answered 400: this port speaks TLS only: use https:// or wss://",
        ),
        (whole_answer(400, NOT_TLS, "text/html"), "the server answered 400"),
    ],
)
async def test_a_refused_handshake_is_final(answer: bytes, reason: str, autojump_clock: MockClock) -> None:
    async def dial() -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        await theirs.send_all(answer)
        return ours

    async with connect_to("http://test", user="pat-1", dial=dial) as client:
        with pytest.raises(Closed, match=f"{reason}$"):
            await client.open("den-1")
