"""The client on networks that break WebSocket: it polls, and returns to WebSocket when it can."""

import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.client import Client, Closed, Connected, connect
from chatd.client.client import PROBE_FIRST, PROBE_MOST
from chatd.client.line import LineOver
from chatd.client.ways import BREAKS, Ways
from chatd.config import Config, Limits
from chatd.testing import Server, daemon
from storage.changes import PutUser
from storage.memory import MemoryStore
from support.bad_proxy import FATES, BadProxy, WebSockets
from support.events import next_of


@asynccontextmanager
async def behind(proxy: BadProxy, user: str = "pat-1", **more: Any) -> AsyncIterator[Client]:
    async with connect("http://127.0.0.1", user=user, dial=proxy.open, rng=random.Random(0), **more) as client:
        yield client


@asynccontextmanager
async def network(server: Server, websockets: WebSockets, **more: Any) -> AsyncIterator[BadProxy]:
    async with trio.open_nursery() as nursery:
        yield BadProxy(server.open_local, nursery, random.Random(1), websockets=websockets, **more)
        nursery.cancel_scope.cancel()


def transports(server: Server) -> dict[str, int]:
    return dict(server.daemon.sessions.by_transport())


@pytest.mark.parametrize("websockets", ["refuse", "hang up", "swallow"])
async def test_broken_websocket_is_polled_around(websockets: WebSockets, autojump_clock: MockClock) -> None:
    async with daemon() as server, network(server, websockets) as proxy, behind(proxy) as client:
        bo = await server.connect("den-1", role="dentist")
        began = trio.current_time()
        held = await client.open("den-1")
        assert trio.current_time() - began < 12, "one failure is enough"
        assert transports(server)["polling"] == 1
        assert (await client.send(held.id, "It hurts")).seq == 1
        await bo.expect("change", messages=[{"body": "It hurts"}])
        await bo.ask("message.send", conversation=held.id, client_id="b-1", body="Where?")
        await wait_all_tasks_blocked()
        kept = client.conversation(held.id)
        assert kept is not None
        assert [message.body for message in kept.timeline()] == ["It hurts", "Where?"]


async def test_websocket_that_works_again_is_returned_to(autojump_clock: MockClock) -> None:
    async with daemon() as server, network(server, "refuse") as proxy, behind(proxy) as client:
        await server.connect("den-1", role="dentist")
        held = await client.open("den-1")
        await trio.sleep(3 * PROBE_FIRST)
        assert transports(server)["polling"] == 1
        events = client.events()
        proxy.websockets = "pass"
        await next_of(events, Connected)
        assert trio.current_time() < 3 * PROBE_FIRST + 2 * PROBE_MOST
        await wait_all_tasks_blocked()
        assert transports(server) == {"websocket": 2}
        assert (await client.send(held.id, "It hurts")).seq == 1


async def test_websocket_that_breaks_again_and_again_is_given_up(autojump_clock: MockClock) -> None:
    async with daemon() as server, network(server, "pass") as proxy, behind(proxy) as client:
        await server.connect("den-1", role="dentist")
        await client.open("den-1")
        for _ in range(BREAKS):
            assert transports(server) == {"websocket": 2}
            (live,) = (each for each in server.daemon.sessions if each.session.user_id == "pat-1")  # type: ignore[attr-defined]
            await trio.aclose_forcefully(live._raw)  # type: ignore[attr-defined]
            await trio.sleep(5)
        assert transports(server) == {"websocket": 1, "polling": 1}


async def test_client_that_ends_takes_its_session_with_it(autojump_clock: MockClock) -> None:
    async with daemon() as server, network(server, "refuse") as proxy:
        async with behind(proxy) as client:
            await server.connect("den-1", role="dentist")
            held = await client.open("den-1")
            await client.send(held.id, "Bye")
        await wait_all_tasks_blocked()
        assert not server.daemon.registry.online("pat-1")


async def test_polling_that_is_not_wanted_does_not_happen(autojump_clock: MockClock) -> None:
    async with daemon() as server, network(server, "refuse") as proxy, behind(proxy, polling=False) as client:
        with pytest.raises(Closed, match="403"):
            await client.open("den-1")
        assert transports(server) == {}


async def test_refused_token_ends_a_client_that_polls(autojump_clock: MockClock) -> None:
    store = MemoryStore(epoch="e")
    store.commit([PutUser("pat-1", "Ada", "patient", 1)])
    async with (
        daemon(development=False, store=store) as server,
        network(server, "hang up") as proxy,
        connect("http://127.0.0.1", token=server.token("pat-1")[:-4] + "AAAA", dial=proxy.open) as client,
    ):
        with pytest.raises(Closed, match="token"):
            await client.users()


async def test_token_signs_in_a_client_that_polls(autojump_clock: MockClock) -> None:
    store = MemoryStore(epoch="e")
    store.commit([PutUser("pat-1", "Ada", "patient", 1)])
    async with (
        daemon(development=False, store=store) as server,
        network(server, "hang up") as proxy,
        connect("http://127.0.0.1", token=server.token("pat-1"), dial=proxy.open) as client,
    ):
        assert await client.users() == []
        assert client.user is not None
        assert client.user.id == "pat-1"


@pytest.mark.parametrize("seed", range(6))
async def test_bad_proxy_changes_nothing_of_what_is_delivered(seed: int, autojump_clock: MockClock) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    # What is created twice, as a request for a session is cut, ends by itself.
    config = Config(limits=Limits(connections=200))
    async with (
        daemon(config=config) as server,
        network(server, "refuse", trouble=0.4) as proxy,
        behind(proxy, "pat-1") as ada,
        behind(proxy, "den-1", role="dentist") as bo,
    ):
        proxy.rng = chance
        await bo.users()  # so that there is somebody to open a conversation with
        held = await ada.open("den-1")
        watching = await server.connect("pat-1")
        heard: dict[str, list[str]] = {"pat-1": [], "den-1": []}
        for n in range(40):
            client, name = chance.choice([(ada, "pat-1"), (bo, "den-1")])
            client.post(held.id, f"{name} {n}")
            heard[name].append(f"{name} {n}")
            await trio.sleep(chance.choice([0, 0, 0.1, 2, 20]))
        for client in (ada, bo):
            for sending in client.unacknowledged():
                await sending.acknowledged()
        await trio.sleep(60)
        page = await watching.ask("message.history", conversation=held.id, limit=200)
        sent = [message["body"] for message in page["messages"]]
        assert sorted(sent) == sorted(itertools.chain(*heard.values())), "each once"
        for name, bodies in heard.items():
            assert [body for body in sent if body.startswith(name)] == bodies, "each sender's in order"
        for client in (ada, bo):
            kept = client.conversation(held.id)
            assert kept is not None
            assert [message.body for message in kept.timeline()] == sent
        assert set(FATES) <= proxy.met.keys()
        assert transports(server) == {"polling": 2, "websocket": 1}


def test_ways_network_that_is_down_says_nothing_of_websocket() -> None:
    ways = Ways(allowed=True)
    ways.ended(LineOver("no route"), reached=False, greeted=False, steady=False)
    assert not ways.polling


def test_ways_server_that_speaks_is_no_broken_websocket() -> None:
    ways = Ways(allowed=True)
    for over in (LineOver("too slow", code=4008, carried=True), LineOver("no", fatal=True, carried=True)):
        assert ways.ended(over, reached=True, greeted=False, steady=False) is over
    assert not ways.polling


def test_ways_both_refused_is_the_end_that_websocket_had() -> None:
    ways = Ways(allowed=True)
    first = LineOver("the server answered 400: TLS only", fatal=True)
    assert not ways.ended(first, reached=True, greeted=False, steady=False).fatal
    assert not ways.ended(LineOver("broke"), reached=True, greeted=False, steady=False).fatal
    ways.ended(first, reached=True, greeted=False, steady=False)
    assert (
        ways.ended(LineOver("the server answered 400", fatal=True), reached=True, greeted=False, steady=False) is first
    )


def test_ways_steady_connection_forgives_breaks() -> None:
    ways = Ways(allowed=True)
    for steady in (False, False, True, False, False):
        ways.ended(LineOver("broke"), reached=True, greeted=True, steady=steady)
    assert not ways.polling
    ways.ended(LineOver("broke"), reached=True, greeted=True, steady=False)
    assert ways.polling
