"""Engine.IO 4: every rule of the protocol's document, on both WebSocket engines, on a virtual clock."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from chatd.client.raw import HandshakeRefused
from chatd.daemon import ENGINES
from support.engineio import Wire, dialling
from support.socketio_echo import SETTINGS, EchoServer

KEYS = {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}


@asynccontextmanager
async def echo(engine: str = "own") -> AsyncIterator[Wire]:
    async with trio.open_nursery() as nursery:
        server = EchoServer(nursery, ENGINES[engine])
        yield Wire(dialling(server.serve, nursery), "/engine.io/")
        nursery.cancel_scope.cancel()


@pytest.fixture(params=sorted(ENGINES))
async def wire(request: pytest.FixtureRequest, autojump_clock: MockClock) -> AsyncIterator[Wire]:
    async with echo(request.param) as wire:
        yield wire


# -- the handshake --


async def test_polling_handshake_names_the_session_and_its_times(wire: Wire, autojump_clock: MockClock) -> None:
    response = await wire.get()
    assert response.status == 200
    assert response.headers["content-type"].lower() == "text/plain; charset=utf-8"
    assert response.text[0] == "0"
    opened = json.loads(response.text[1:])
    assert opened.keys() == KEYS
    assert opened["upgrades"] == ["websocket"]
    assert (opened["pingInterval"], opened["pingTimeout"], opened["maxPayload"]) == (300, 200, 1_000_000)


async def test_websocket_handshake_offers_no_upgrade(wire: Wire, autojump_clock: MockClock) -> None:
    async with wire.websocket() as socket:
        opened = json.loads(str(await socket.hear())[1:])
    assert opened.keys() == KEYS
    assert opened["upgrades"] == []


async def test_session_ids_are_long_and_differ(wire: Wire, autojump_clock: MockClock) -> None:
    sids = {await wire.begin() for _ in range(20)}
    assert len(sids) == 20
    assert all(len(sid) >= 20 for sid in sids)


@pytest.mark.parametrize(
    ("method", "query", "code"),
    [
        ("GET", {"transport": "polling", "EIO": ""}, 5),
        ("GET", {"transport": "polling", "EIO": "3"}, 5),
        ("GET", {"transport": "polling", "EIO": "abc"}, 5),
        ("GET", {}, 0),
        ("GET", {"transport": "constructor"}, 0),
        ("GET", {"transport": "websocket"}, 3),
        ("POST", {"transport": "polling"}, 2),
        ("PUT", {"transport": "polling"}, 2),
        ("GET", {"transport": "polling", "sid": "unknown"}, 1),
        ("POST", {"transport": "polling", "sid": "unknown"}, 1),
    ],
)
async def test_wrong_request_is_refused_as_the_reference_does(
    wire: Wire, autojump_clock: MockClock, method: str, query: dict[str, str], code: int
) -> None:
    response = await wire.ask(method, wire.target(**query))
    assert response.status == 400
    refused = json.loads(response.body)
    assert refused["code"] == code
    assert isinstance(refused["message"], str)


async def test_put_to_a_session_is_refused_and_the_session_lives(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    response = await wire.ask("PUT", wire.target(transport="polling", sid=sid))
    assert response.status == 400
    assert (await wire.post(sid, "4still there")).status == 200


@pytest.mark.parametrize("query", [{"EIO": ""}, {"EIO": "abc"}, {"sid": "unknown"}])
async def test_websocket_with_a_wrong_query_is_refused(
    wire: Wire, autojump_clock: MockClock, query: dict[str, str]
) -> None:
    with pytest.raises(HandshakeRefused, match="400"):
        async with wire.websocket(query.get("sid", ""), EIO=query.get("EIO", "4")):
            pass


async def test_path_is_served_without_its_slash(wire: Wire, autojump_clock: MockClock) -> None:
    wire.path = "/engine.io"
    assert (await wire.get()).status == 200
    async with wire.websocket() as socket:
        assert str(await socket.hear())[0] == "0"


# -- messages --


async def test_polling_brings_several_packets_in_one_payload(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    binary = "b" + base64.b64encode(bytes([1, 2, 3, 4])).decode()
    posted = await wire.post(sid, f"4one\x1e{binary}\x1e4thr\u00e9e")
    assert (posted.status, posted.text) == (200, "ok")
    assert (await wire.get(sid)).packets == ["4one", binary, "4thr\u00e9e"]


async def test_poll_waits_for_a_message(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    answers: list[str] = []

    async def poll() -> None:
        answers.append((await wire.get(sid)).text)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await trio.sleep(0.1)
        assert answers == []
        await wire.post(sid, "4late")
    assert answers == ["4late"]


async def test_websocket_echoes_text_and_binary(wire: Wire, autojump_clock: MockClock) -> None:
    async with wire.websocket() as socket:
        await socket.hear()
        await socket.say("4hello", bytes([1, 2, 3, 4]))
        assert await socket.packet() == "4hello"
        assert await socket.packet() == bytes([1, 2, 3, 4])


@pytest.mark.parametrize(
    "body", ["abc", "", "7", "4ok\x1e", "b!!!", b"4\xff", "2", "0", "5", "6", "\x1e".join(["4"] * 1001)]
)
async def test_broken_payload_closes_the_session(wire: Wire, autojump_clock: MockClock, body: str | bytes) -> None:
    sid = await wire.begin()
    assert (await wire.post(sid, body)).status == 400
    assert (await wire.post(sid, "4more")).status == 400


@pytest.mark.parametrize("packet", ["abc", "", "2", "5", "6", "0"])
async def test_broken_packet_closes_the_websocket(wire: Wire, autojump_clock: MockClock, packet: str) -> None:
    async with wire.websocket() as socket:
        await socket.hear()
        await socket.say(packet)
        await socket.end()


async def test_body_over_the_payload_limit_is_refused(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    assert (await wire.post(sid, "4" + "x" * SETTINGS.max_payload)).status == 413


async def test_message_over_the_payload_limit_closes_the_websocket(wire: Wire, autojump_clock: MockClock) -> None:
    async with wire.websocket() as socket:
        await socket.hear()
        await socket.say("4" + "x" * SETTINGS.max_payload)
        assert await socket.end() == 1009


async def test_second_poll_closes_the_session(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    answers: list[tuple[int, str]] = []

    async def poll() -> None:
        response = await wire.get(sid)
        answers.append((response.status, response.text))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await trio.sleep(0.01)
        assert (await wire.get(sid, t="another")).status == 400
    assert answers == [(200, "1")]
    assert (await wire.get(sid)).status == 400


async def test_repeated_poll_gets_the_same_answer(wire: Wire, autojump_clock: MockClock) -> None:
    """A proxy that repeats a request takes nothing away."""
    sid = await wire.begin()
    answers: list[str] = []

    async def poll() -> None:
        answers.append((await wire.get(sid, t="once")).text)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        nursery.start_soon(poll)
        await trio.sleep(0.01)
        await wire.post(sid, "4hello")
    answers.append((await wire.get(sid, t="once")).text)
    assert answers == ["4hello"] * 3


async def test_repeated_post_is_taken_once(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    for _ in range(3):
        assert (await wire.post(sid, "4hello", t="once")).text == "ok"
    assert (await wire.get(sid)).text == "4hello"


async def test_poll_that_its_client_gives_up_closes_the_session(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    stream = wire.connect()
    request = f"GET {wire.target(transport='polling', sid=sid)} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    await stream.send_all(request.encode())
    await trio.sleep(0.01)
    await trio.aclose_forcefully(stream)
    await trio.sleep(0.01)
    assert (await wire.get(sid)).status == 400


# -- the heartbeat --


async def test_polling_heartbeat_goes_on_as_long_as_pongs_come(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    for _ in range(5):
        began = trio.current_time()
        assert (await wire.get(sid)).text == "2"
        assert 0.29 <= trio.current_time() - began <= 0.31
        assert (await wire.post(sid, "3")).status == 200


async def test_polling_session_without_pong_is_closed(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    await trio.sleep(0.501)
    assert (await wire.get(sid)).status == 400


async def test_websocket_heartbeat_goes_on_as_long_as_pongs_come(wire: Wire, autojump_clock: MockClock) -> None:
    async with wire.websocket() as socket:
        await socket.hear()
        for _ in range(5):
            assert await socket.hear() == "2"
            await socket.say("3")


async def test_websocket_without_pong_is_closed_in_time(wire: Wire, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    async with wire.websocket() as socket:
        await socket.end()
    assert 0.49 <= trio.current_time() - began <= 0.51


# -- closing --


async def test_close_packet_over_polling_ends_the_poll_and_the_session(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    answers: list[str] = []

    async def poll() -> None:
        answers.append((await wire.get(sid)).text)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await trio.sleep(0.01)
        assert (await wire.post(sid, "1")).status == 200
    assert answers == ["6"]
    assert (await wire.get(sid)).status == 400


async def test_close_packet_over_websocket_closes_it(wire: Wire, autojump_clock: MockClock) -> None:
    async with wire.websocket() as socket:
        await socket.hear()
        await socket.say("1")
        assert await socket.end() == 1000


# -- the upgrade --


async def test_upgrade_ends_the_poll_and_goes_on_by_websocket(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    async with wire.websocket(sid) as socket:
        await socket.say("2probe")
        assert await socket.hear() == "3probe"
        assert (await wire.get(sid)).text == "6"
        await socket.say("5", "4hello")
        assert await socket.packet() == "4hello"


async def test_upgrade_brings_what_waited_first(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    async with wire.websocket(sid) as socket:
        await socket.say("2probe")
        assert await socket.hear() == "3probe"
        await wire.post(sid, "4before")
        await socket.say("5", "4after")
        assert [await socket.packet() for _ in range(2)] == ["4before", "4after"]


async def test_requests_after_the_upgrade_are_refused_and_change_nothing(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    async with wire.websocket(sid) as socket:
        await socket.say("2probe", "5")
        assert await socket.hear() == "3probe"
        assert (await wire.get(sid)).status == 400
        assert (await wire.post(sid, "4no")).status == 400
        async with wire.websocket(sid) as second:
            await second.end()
        await socket.say("4hello")
        assert await socket.packet() == "4hello"


async def test_websocket_that_fails_to_probe_leaves_polling_alone(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    for said in (["4hello"], ["2probe", "4hello"], ["2wrong"], []):
        async with wire.websocket(sid) as socket:
            await socket.say(*said)
            if said:
                await socket.end()
        await trio.sleep(0.001)
        assert (await wire.post(sid, "4still polling")).status == 200
        assert (await wire.get(sid)).text == "4still polling"


async def test_second_websocket_while_one_probes_is_closed(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    async with wire.websocket(sid) as first:
        await first.say("2probe")
        assert await first.hear() == "3probe"
        async with wire.websocket(sid) as second:
            await second.end()
        await first.say("5", "4hello")
        assert await first.packet() == "4hello"
