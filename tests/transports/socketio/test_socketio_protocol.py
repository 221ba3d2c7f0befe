"""Socket.IO 5: every rule of the protocol's document, on both WebSocket engines, on a virtual clock."""

import json
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from chatd.daemon import ENGINES
from support.engineio import Socket, Wire, dialling
from support.socketio_echo import EchoServer


@pytest.fixture(params=sorted(ENGINES))
async def wire(request: pytest.FixtureRequest, autojump_clock: MockClock) -> AsyncIterator[Wire]:
    async with trio.open_nursery() as nursery:
        server = EchoServer(nursery, ENGINES[request.param])
        yield Wire(dialling(server.serve, nursery), "/socket.io/")
        nursery.cancel_scope.cancel()


async def join(socket: Socket, namespace: str = "") -> None:
    """Join a namespace, on a new connection the main one."""
    await socket.say(f"40{namespace}")
    assert str(await socket.packet()).startswith(f"40{namespace}")
    assert str(await socket.packet()).startswith(f"42{namespace}")


async def opened(socket: Socket) -> None:
    assert str(await socket.hear())[0] == "0"


@pytest.mark.parametrize(
    ("said", "namespace", "auth"),
    [
        ("40", "", {}),
        ('40{"token":"123"}', "", {"token": "123"}),
        ("40/custom", "/custom,", {}),
        ("40/custom,", "/custom,", {}),
        ('40/custom,{"token":"abc"}', "/custom,", {"token": "abc"}),
    ],
)
async def test_connect_is_answered_with_a_sid(
    wire: Wire, autojump_clock: MockClock, said: str, namespace: str, auth: dict[str, str]
) -> None:
    async with wire.websocket() as socket:
        await opened(socket)
        await socket.say(said)
        answer = str(await socket.packet())
        assert answer.startswith("40" + namespace)
        assert json.loads(answer[2 + len(namespace) :]).keys() == {"sid"}
        assert await socket.packet() == f"42{namespace}" + json.dumps(["auth", auth], separators=(",", ":"))


async def test_connect_over_polling_is_answered_by_a_poll(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    await wire.post(sid, "40")
    connected, auth = (await wire.get(sid)).packets
    assert connected.startswith('40{"sid":')
    assert auth == '42["auth",{}]'


async def test_unknown_namespace_is_refused_and_the_connection_lives(wire: Wire, autojump_clock: MockClock) -> None:
    async with wire.websocket() as socket:
        await opened(socket)
        await socket.say("40/random")
        assert await socket.packet() == '44/random,{"message":"Invalid namespace"}'
        await join(socket)


@pytest.mark.parametrize(
    "said",
    [
        "4abc", "4", "47", '42["message",1]', "41", '43[1]', '44{"message":"x"}', "40[]", '40"x"', "401-", "40/a,{",
        '451-["message",{"_placeholder":true,"num":0}]',
    ],
)  # fmt: skip
async def test_first_packet_that_is_no_connect_closes(wire: Wire, autojump_clock: MockClock, said: str) -> None:
    async with wire.websocket() as socket:
        await opened(socket)
        began = trio.current_time()
        await socket.say(said, *([b"x"] if said.startswith("45") else []))
        await socket.end()
        assert trio.current_time() - began < 0.3, "not by the heartbeat, nor by the connect timeout"


@pytest.mark.parametrize("over", ["websocket", "polling"])
async def test_session_without_connect_is_closed_after_the_timeout(
    wire: Wire, autojump_clock: MockClock, over: str
) -> None:
    began = trio.current_time()
    if over == "websocket":
        async with wire.websocket() as socket:
            with pytest.raises(Exception, match="1000"):
                while True:
                    await socket.packet()
        assert 0.99 <= trio.current_time() - began <= 1.01
        return
    sid = await wire.begin()
    while (response := await wire.get(sid)).text == "2":
        await wire.post(sid, "3")
    assert response.text == "1"
    assert 0.99 <= trio.current_time() - began <= 1.01


async def test_disconnect_of_the_main_namespace_keeps_the_transport(wire: Wire, autojump_clock: MockClock) -> None:
    async with wire.websocket() as socket:
        await opened(socket)
        await join(socket)
        await socket.say("41")
        assert await socket.hear() == "2"
        await socket.say("3")
        await join(socket)


async def test_disconnect_of_a_namespace_keeps_the_others(wire: Wire, autojump_clock: MockClock) -> None:
    async with wire.websocket() as socket:
        await opened(socket)
        await join(socket)
        await join(socket, "/custom,")
        await socket.say("41/custom", '42["message","to main"]')
        assert await socket.packet() == '42["message-back","to main"]'
        await socket.say('42/custom,["message","to custom"]')
        await socket.end()


@pytest.mark.parametrize("namespace", ["", "/custom,"])
async def test_event_and_ack_come_back(wire: Wire, autojump_clock: MockClock, namespace: str) -> None:
    async with wire.websocket() as socket:
        await opened(socket)
        await join(socket, namespace)
        await socket.say(f'42{namespace}["message",1,"2",{{"3":[true]}}]')
        assert await socket.packet() == f'42{namespace}["message-back",1,"2",{{"3":[true]}}]'
        await socket.say(f'42{namespace}456["message-with-ack",1,"2",{{"3":[false]}}]')
        assert await socket.packet() == f'43{namespace}456[1,"2",{{"3":[false]}}]'


async def test_binary_event_and_ack_come_back_with_their_attachments(wire: Wire, autojump_clock: MockClock) -> None:
    places = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'
    async with wire.websocket() as socket:
        await opened(socket)
        await join(socket)
        await socket.say(f'452-["message",{places}]', b"\1\2\3", b"\4\5")
        assert [await socket.packet() for _ in range(3)] == [f'452-["message-back",{places}]', b"\1\2\3", b"\4\5"]
        await socket.say(f'452-789["message-with-ack",{places}]', b"\1\2\3", b"\4\5")
        assert [await socket.packet() for _ in range(3)] == [f"462-789[{places}]", b"\1\2\3", b"\4\5"]


@pytest.mark.parametrize(
    "said",
    [
        ["4abc"], ["42{}"], ["42[]"], ["42[{}]"], ["42[true]"], ['42abc["message"]'], ["42"], ['42["connect"]'],
        ['42["disconnect"]'], ['42["message"'], ["40"], ['44{"message":"x"}'], ["43[1]"], ['431{"x":1}'],
        ['42["message",' + "[" * 40 + "]" * 40 + "]"],
        [b"no packet announced it"],
        ['451-["message",{"_placeholder":true,"num":0}]', '42["message"]'],
        ['451-["message",{"_placeholder":true,"num":1}]', b"x"],
        ['451-["message",{"_placeholder":true,"num":-1}]', b"x"],
        ['451-["message","no place"]', b"x"],
        ['4599-["message",{"_placeholder":true,"num":0}]'],
        ['421-["message",{"_placeholder":true,"num":0}]'],
        ['45["message"]'],
    ],
)  # fmt: skip
async def test_malformed_packet_closes(wire: Wire, autojump_clock: MockClock, said: list[str | bytes]) -> None:
    async with wire.websocket() as socket:
        await opened(socket)
        await join(socket)
        began = trio.current_time()
        await socket.say(*said)
        await socket.end()
        assert trio.current_time() - began < 0.2


async def test_events_survive_the_upgrade_in_order(wire: Wire, autojump_clock: MockClock) -> None:
    sid = await wire.begin()
    await wire.post(sid, "40")
    await wire.get(sid)
    async with wire.websocket(sid) as socket:
        await socket.say("2probe")
        assert await socket.hear() == "3probe"
        await wire.post(sid, '42["message",1]\x1e42["message",2]')
        await socket.say("5", '42["message",3]')
        assert [await socket.packet() for _ in range(3)] == [f'42["message-back",{n}]' for n in (1, 2, 3)]
