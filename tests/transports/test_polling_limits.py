"""What a client may send to a polled session: the hostile inputs of WebSocket, with the same close codes."""

import json
import math
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd import testing
from chatd.config import Config, Limits
from chatd.transports.intake import HELLO_BYTES, MAX_LIMITED_IN_A_ROW
from storage.changes import PutUser
from storage.memory import MemoryStore
from support.polled import Polled, frame, polled
from support.served import hostile

NOT_OBJECTS = [
    '{"type":"ping"',
    "[]",
    "1",
    '"text"',
    "null",
    '{"type":"ping","x":NaN}',
    '{"type":"ping","x":"\\ud800"}',
    '{"type":"ping","x":"\ud800"}',
    '\ufeff{"type":"ping"}',
    '{"a":' * 33 + "1" + "}" * 33,
    '{"a":' * 5_000,
]


@pytest.mark.parametrize("text", NOT_OBJECTS)
async def test_frame_that_is_no_object_ends_the_session(text: str, autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        await session.say(text)
        told = await session.poll(1)
        assert (told.status, told.closed in (4500, 1007), told.json["temporary"]) == (410, True, False)
        assert (told.closed == 1007) == ("\ud800" in text), "half a surrogate pair as bytes is no UTF-8"
        assert not server.daemon.registry.online("pat-1")


@pytest.mark.parametrize("known", [True, False])
async def test_frame_over_its_bound_ends_the_session(known: bool, autojump_clock: MockClock) -> None:
    async with testing.daemon() as server:
        session = Polled(server.open_local, {"X-Chatd-User": "pat-1"})
        await session.open()
        said = await session.say(frame("hello", id=1, user="pat-1")) if known else None
        assert said is None or said.status == 202
        most = 262_144 if known else HELLO_BYTES
        ping = frame("ping", id=2, x="")
        await session.say(ping[:-2] + "y" * (most - len(ping)) + '"}')
        await wait_all_tasks_blocked()
        after = len((await session.poll(0)).events)
        await session.say(ping[:-2] + "y" * (most - len(ping) + 1) + '"}')
        assert (await session.poll(after)).closed == 1009


async def test_body_over_its_bound_is_413_and_the_session_lives(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        assert (await session.frames(2, *[frame("ping", x="y" * 200_000)] * 3)).status == 413
        assert (await session.say(frame("ping", id=2))).status == 202


async def test_frames_that_wait_are_bounded_and_the_rest_is_sent_again(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        bo = await server.connect("den-1", role="dentist")
        opened = await bo.ask("conversation.open", with_="pat-1")
        for n in range(12):
            await bo.ask("message.send", conversation=opened["conversation"], client_id=f"b-{n}", body="x" * 9_000)
        # The page waits until what came before it is fetched, and everything behind it waits for the page.
        await session.say(frame("message.history", id=2, conversation=opened["conversation"]))
        large = frame("ping", x="y" * 200_000)
        acked = [(await session.say(large, large)).json["acked"], (await session.say(large, large)).json["acked"]]
        assert acked == [4, 4], "two wait; for more there is no room"
        while (await session.poll(0)).events:
            after = (await session.poll(0)).events
            await session.poll(max(after))
        assert (await session.say(large, large)).json["acked"] == 6


@pytest.fixture
def rated() -> Config:
    return Config(limits=Limits(requests_per_second=1, request_burst=5))


def people() -> MemoryStore:
    store = MemoryStore(epoch="e")
    store.commit([PutUser(id, id, "patient", 1) for id in ("pat-1", "eve")])
    return store


async def opened(server: testing.Server, user: str = "pat-1") -> Polled:
    """A session of production that has said hello."""
    session = Polled(server.open_local, {"Authorization": f"Bearer {server.token(user)}"})
    assert (await session.open()).status == 201
    await session.say('{"type":"hello","id":1}')
    await wait_all_tasks_blocked()
    return session


async def test_frames_over_the_rate_are_refused_and_a_flood_ends_the_session(
    rated: Config, autojump_clock: MockClock
) -> None:
    async with testing.daemon(development=False, store=people(), config=rated) as server:
        session = await opened(server)
        await session.say(*(frame("ping", id=id) for id in range(2, 10)))
        await wait_all_tasks_blocked()
        told = list((await session.poll(1)).events.values())
        assert [event["type"] for event in told] == ["ok"] * 4 + ["error"] * 4
        assert {event.get("code") for event in told} == {None, "rate_limited"}
        assert told[-1]["retry_after"] <= 1
        await session.say(*[frame("ping", id=1)] * (MAX_LIMITED_IN_A_ROW + 1))
        await wait_all_tasks_blocked()
        last = max((await session.poll(0)).events)
        told_end = await session.poll(last)
        assert (told_end.closed, told_end.json["code"]) == (4029, "rate_limited")


async def test_empty_polls_and_repeats_cost_no_rate(rated: Config, autojump_clock: MockClock) -> None:
    limits = Limits(user_requests_per_second=0.1, user_request_burst=3)
    async with testing.daemon(development=False, store=people(), config=Config(limits=limits)) as server:
        session = await opened(server)
        for _ in range(20):
            assert (await session.poll(0)).status == 200
            assert (await session.frames(1, '{"type":"hello","id":1}')).json == {"acked": 1}


async def test_random_bytes_leave_no_session_hanging(autojump_clock: MockClock) -> None:
    seed = 20261128
    print(f"seed {seed}")
    rng = Random(seed)
    async with testing.daemon() as server:
        for _ in range(150):
            session = Polled(server.open_local, {"X-Chatd-User": "pat-1"})
            assert (await session.open()).status == 201
            right = b'{"first":1,"frames":[{"type":"hello","id":1,"user":"pat-1"},{"type":"ping","id":2}]}'
            body = hostile(rng, right)
            told = await session.ask("POST", f"/v1/session/{session.id}/frames", body)
            assert told.status in (202, 400, 409, 410), (body, told)
            await session.end()
        await trio.sleep(31)
        assert (len(server.daemon.sessions), server.daemon.registry.count) == (0, 0)


async def test_numbers_beyond_all_measure_are_refused(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        for body in ('{"first":1e400,"frames":[]}', '{"first":1,"frames":[],"after":1e400}'):
            assert (await session.ask("POST", f"/v1/session/{session.id}/frames", body.encode())).status in (400, 410)
        assert math.isfinite(trio.current_time())


async def test_hello_with_a_token_of_another_user_is_refused(autojump_clock: MockClock) -> None:
    async with testing.daemon(development=False, store=people()) as server:
        session = Polled(server.open_local, {"Authorization": f"Bearer {server.token('eve')}"})
        await session.open()
        hello: dict[str, Any] = {"type": "hello", "id": 1, "token": server.token("pat-1")}
        await session.say(json.dumps(hello))
        await wait_all_tasks_blocked()
        told = await session.poll(0)
        assert (told.events[1]["code"], told.closed) == ("unauthorized", 4501)


async def test_session_ends_with_the_token_that_hello_showed(autojump_clock: MockClock) -> None:
    async with testing.daemon(development=False, store=people()) as server:
        token = server.token("pat-1", lifetime=20)
        session = Polled(server.open_local, {"Authorization": f"Bearer {token}"})
        await session.open()
        await session.say('{"type":"hello","id":1}')
        await wait_all_tasks_blocked()
        told = await session.poll(1)
        assert (told.closed, told.json["code"], told.json["temporary"]) == (4011, "unauthorized", True)
        assert trio.current_time() == 20


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "9" * 40, "2"])
async def test_last_event_id_that_was_never_sent_is_refused(given: str, autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        for accept in ("text/event-stream", "application/json"):
            told = await session.poll(0, **{"Last-Event-ID": given, "Accept": accept})
            assert (told.status, told.json["code"]) == (400, "bad_request")
        assert (await session.poll(0)).status == 200


async def test_polls_that_come_again_and_again_leave_nothing_behind(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, polled(server) as session:
        before = trio.lowlevel.current_statistics().tasks_living
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(session.poll, 1)
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living <= before
        assert (await session.say(frame("ping", id=2))).status == 202


async def test_frames_in_many_requests_at_once_are_each_taken_once(autojump_clock: MockClock) -> None:
    seed = 7
    print(f"seed {seed}")
    rng = Random(seed)
    pings = [frame("ping", id=id) for id in range(2, 42)]
    async with testing.daemon() as server, polled(server) as session:

        async def send() -> None:
            first = rng.randrange(40)
            await session.frames(first + 2, *pings[first : first + rng.randrange(1, 8)])

        while (await session.frames(42)).status == 409:  # until none is missing any more
            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(send)
        await wait_all_tasks_blocked()
        assert [event["re"] for event in (await session.poll(1)).events.values()] == list(range(2, 42))
