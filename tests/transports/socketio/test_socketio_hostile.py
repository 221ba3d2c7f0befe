"""Hostile input over polling and WebSocket: it ends its own session, and leaves nothing behind."""

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import pytest
import trio
from trio.testing import MockClock

from chatd import testing
from chatd.client.raw import PING, HandshakeRefused, frame, upgrade
from chatd.config import Config, Limits, Timeouts
from chatd.config.settings import SocketIo
from chatd.daemon import ENGINES
from chatd.testing import Server
from support.clinics import SITE, clinic
from support.engineio import Wire
from support.socketio_chat import ConnectError, sio

PAT = {"userId": "pat-1", "name": "Ada"}
ELSEWHERE = "https://evil.example"

UPGRADE = upgrade("/socket.io/?EIO=4&transport=websocket")


@asynccontextmanager
async def unharmed() -> AsyncIterator[Server]:
    """A daemon that serves on as before when the block is over, with nothing left of what happened in it."""
    config = Config(socketio=SocketIo(connect_timeout=5, recovery=0), timeouts=Timeouts(handshake=2, write=2, close=1))
    async with testing.daemon(config=config) as server:
        yield server
        await trio.sleep(60)
        assert server.daemon._socketio is not None
        assert len(server.daemon._socketio) == 0, "a session is left"
        assert len(server.daemon.sessions) == 0
        assert server.daemon.shares.strangers.held == 0
        async with sio(server, PAT) as pat:
            assert (await pat.ask("get_conversations", {}))["success"] is True


TRAPS = [
    '42["send_message",{"conversationId":"c","content":"\\ud800"}]',
    '42["send_message",{"conversationId":"c","content":NaN}]',
    '42["send_message",{"conversationId":"c","content":9223372036854775808}]',
    '42["send_message",' + "[" * 1000 + "]" * 1000 + "]",
    '42["send_message",{"conversationId":"c","replyToId":' + "9" * 5000 + "}]",
    '42["get_messages",{"conversationId":"c","limit":1e400}]',
    '42["mark_read",{"conversationId":"c","messageId":-1}]',
    '42["mark_read",{"conversationId":"c","messageId":1.5}]',
    '42["' + "x" * 5000 + '"]',
    '42["send_message",{"conversationId":"c","content":"\\u0000"}]',
    '42["create_conversation",{"participantIds":[[[]]]}]',
    '42["join_conversation",' + json.dumps(["c"] * 500) + "]",
    '42999999999999999999["send_message"]',
    '42[9,{}]',
    '42["__proto__",{"__proto__":{}}]',
]  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS, ids=range(len(TRAPS)))
@pytest.mark.parametrize("over", ["polling", "websocket"])
async def test_text_trap_is_refused_or_closes_and_harms_nobody(autojump_clock: MockClock, over: str, trap: str) -> None:
    async with unharmed() as server:
        wire = Wire(server.dial)
        if over == "websocket":
            async with wire.websocket() as socket:
                await socket.say("40" + json.dumps(PAT), trap)
                await socket.end()  # by the heartbeat, at the latest
        else:
            sid = await wire.begin()
            await wire.post(sid, "40" + json.dumps(PAT))
            assert (await wire.post(sid, trap)).status in (200, 400)


@pytest.mark.parametrize("engine", sorted(ENGINES))
async def test_random_messages_over_websocket_end_the_session_alone(autojump_clock: MockClock, engine: str) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    async with unharmed() as server:
        for _ in range(60):
            async with Wire(server.dial).websocket() as socket:
                try:
                    if rng.random() < 0.7:
                        await socket.say("40" + json.dumps(PAT))
                    for _ in range(rng.randrange(1, 8)):
                        noise = rng.randbytes(rng.randrange(40))
                        text = rng.choice(["", "4", "42", "42[", "451-", "2probe", "1", "3", '42["send_message",'])
                        await socket.say(noise if rng.random() < 0.5 else text + noise.decode("latin-1"))
                except trio.BrokenResourceError:
                    continue


async def test_random_requests_end_their_session_alone(autojump_clock: MockClock) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    async with unharmed() as server:
        wire = Wire(server.dial)
        for _ in range(80):
            sid = await wire.begin() if rng.random() < 0.8 else rng.randbytes(6).hex()
            for _ in range(rng.randrange(1, 4)):
                body = rng.choice([b"", b"40", b"42", b"\x1e", b"b"]) + rng.randbytes(rng.randrange(60))
                response = await wire.post(sid, body, t=rng.choice(["", "a", "b"]))
                assert response.status in (200, 400)
            method = rng.choice(["GET", "PUT", "DELETE", "HEAD", "PATCH"])
            query = "&".join(
                rng.choice(["EIO=4", "EIO=%ff", "transport=polling", "sid=%00", "a=b;c", "&&="]) for _ in range(4)
            )
            if method != "HEAD":
                assert (await wire.ask(method, f"/socket.io/?{query}")).status in (200, 400)


async def test_body_and_message_over_the_limit_are_refused(autojump_clock: MockClock) -> None:
    async with unharmed() as server:
        wire = Wire(server.dial)
        sid = await wire.begin()
        assert (await wire.post(sid, "4" * 300_000)).status == 413
        async with wire.websocket() as socket:
            await socket.say("4" + "x" * 300_000)
            assert await socket.end() == 1009


async def test_sessions_are_bounded_and_end_without_connect(autojump_clock: MockClock) -> None:
    config = Config(limits=Limits(connections=20), socketio=SocketIo(connect_timeout=5))
    async with testing.daemon(config=config) as server:
        wire = Wire(server.dial)
        answers = [(await wire.get()).status for _ in range(30)]
        assert answers == [200] * 20 + [503] * 10
        await trio.sleep(20)
        assert (await wire.get()).status == 200


async def test_namespaces_of_one_connection_are_bounded(autojump_clock: MockClock) -> None:
    settings = SocketIo(namespaces=tuple(f"/{n}" for n in range(20)))
    async with testing.daemon(config=Config(socketio=settings)) as server, Wire(server.dial).websocket() as socket:
        await socket.hear()
        for number in range(20):
            await socket.say(f"40/{number}," + json.dumps(PAT))
        await socket.end()


async def test_control_frames_of_a_stranger_are_bounded(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        stream = c.server.dial()
        await stream.send_all(UPGRADE)
        said = b""
        with trio.fail_after(30):
            await stream.send_all(frame(b"", PING) * 2_000)
            while data := await stream.receive_some():
                said += data
        assert b"\x88" in said
        assert (4029).to_bytes(2, "big") in said
        assert len(c.server.daemon.sessions) == 0


async def test_secrets_and_texts_reach_no_log(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    async with testing.daemon() as server, sio(server, {**PAT, "token2": "canary-1"}, canary="canary-2") as pat:
        await pat.ask("send_message", {"conversationId": "c", "content": "canary-3"})
        await pat.ask("canary-4", {"x": "canary-5"})
        await pat._socket.say('42["canary-6"')
        await pat.lost.wait()
    assert "canary" not in "".join(capsys.readouterr())


# -- origins --


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [(SITE, True), (None, True), (ELSEWHERE, False), ("null", False), (SITE + ":444", False), (SITE.upper(), False)],
)
@pytest.mark.parametrize("way", ["poll", "post", "preflight", "websocket", "upgrade"])
async def test_origin_is_checked_on_every_way_in(
    autojump_clock: MockClock, origin: str | None, allowed: bool, way: str
) -> None:
    async with clinic() as c:
        wire = Wire(c.server.dial)
        headers = {} if origin is None else {"Origin": origin}
        sid = await wire.begin({"Origin": SITE})
        if way in ("websocket", "upgrade"):
            refused = pytest.raises(HandshakeRefused, match="403")
            with nullcontext() if allowed else refused:
                async with wire.websocket(sid if way == "upgrade" else "", headers=headers) as socket:
                    if way == "websocket":
                        assert str(await socket.hear())[0] == "0"
            return
        if way == "poll":
            response = await wire.get(headers=headers)
        elif way == "post":
            response = await wire.post(sid, "40", headers)
        else:
            headers["Access-Control-Request-Method"] = "POST"
            headers["Access-Control-Request-Headers"] = "content-type"
            response = await wire.ask("OPTIONS", wire.target(transport="polling", sid=sid), headers=headers)
            if origin is None:
                return  # no browser asks so
        assert (response.status in (200, 204)) == allowed
        granted = response.headers.get("access-control-allow-origin")
        assert granted == (origin if allowed else None)
        if allowed and origin is not None:
            assert response.headers["access-control-allow-credentials"] == "true"
            assert "Origin" in response.headers["vary"]
            if way == "preflight":
                assert "POST" in response.headers["access-control-allow-methods"]
                assert "content-type" in response.headers["access-control-allow-headers"]
        if not allowed and way != "preflight":
            assert json.loads(response.body) == {"code": 4, "message": "Forbidden"}


async def test_cookie_from_elsewhere_signs_nobody_in(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        cookie = f"chatd_session={await c.sign_in('pat-1')}"
        wire = Wire(c.server.dial)
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
            sid = await wire.begin({"Cookie": cookie, **headers})
            await wire.post(sid, "40")
            assert (await wire.get(sid)).text.startswith("44"), headers
        with pytest.raises(ConnectError):
            async with sio(c.server, None, headers={"Cookie": cookie}):
                pass
