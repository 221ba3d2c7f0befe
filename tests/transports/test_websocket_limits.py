"""What a peer may send that is no whole request yet: how much, how long, how many frames; and its handshake."""

import gc
import json
import tracemalloc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd import testing
from chatd.auth.chain import development_chain
from chatd.client.raw import CLOSE, FIN, KEY, PING, PONG, TEXT, UPGRADE, RawClient, frame, split
from chatd.config import Config, Limits
from chatd.config import Server as ServerSettings
from chatd.net import unfinished
from chatd.net.unfinished import STRANGERS_END_S, Turnstile
from chatd.transports.intake import HELLO_BYTES
from chatd.transports.websocket.strangers import SPARE_FRAME_BURST, STRANGERS_SPARE_FRAMES

HELLO = frame(b'{"type":"hello","id":1,"user":"eve"}')


@pytest.fixture(params=["own", "trio-websocket"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def serving(engine: str, *, rates: bool = False, **limits: Any) -> AsyncIterator[testing.Server]:
    """A daemon where people sign in by name, with the rates of production or without any."""
    config = Config(server=ServerSettings(websocket=engine), limits=Limits(**limits))  # type: ignore[arg-type]
    async with testing.daemon(development=not rates, config=config) as server:
        parts = server.daemon.parts
        object.__setattr__(parts, "sign_in", development_chain(parts.gate, parts.accounts, parts.now))
        yield server


class Peer(RawClient):
    """A connection that sends what it likes."""

    def __init__(self, server: testing.Server) -> None:
        super().__init__(server.dial())

    async def hello(self) -> None:
        await self.upgrade()
        await self.send(HELLO)
        await self.until(b'"re":1')


def padded_ping(size: int) -> bytes:
    head = b'{"type":"ping","id":2,"x":"'
    return head + b"y" * (size - len(head) - 2) + b'"}'


async def test_hello_in_the_packet_of_the_handshake_is_answered(engine: str, autojump_clock: MockClock) -> None:
    async with serving(engine) as server:
        eve = Peer(server)
        await eve.send(UPGRADE + HELLO)
        await eve.until(b'"re":1')
        assert trio.current_time() < 1


BAD_HANDSHAKES = {
    "version 8": (UPGRADE.replace(b"Version: 13", b"Version: 8"), b"426"),
    "no version": (UPGRADE.replace(b"Sec-WebSocket-Version: 13\r\n", b""), b"426"),
    "two versions": (UPGRADE[:-2] + b"Sec-WebSocket-Version: 13\r\n\r\n", b"400"),
    "two keys": (UPGRADE[:-2] + b"Sec-WebSocket-Key: " + KEY + b"\r\n\r\n", b"400"),
    "a short key": (UPGRADE.replace(KEY, b"MDEy"), b"400"),
    "a body": (UPGRADE[:-2] + b"Content-Length: 2\r\n\r\nhi", b"400"),
    "a body in chunks": (UPGRADE[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
    "HTTP/1.0": (UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"), b"400"),
}


@pytest.mark.parametrize("name", BAD_HANDSHAKES)
async def test_bad_handshake_is_refused_at_once(engine: str, name: str, autojump_clock: MockClock) -> None:
    request, status = BAD_HANDSHAKES[name]
    async with serving(engine) as server:
        eve = Peer(server)
        await eve.send(request)
        answer = await eve.rest()
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert trio.current_time() < 1


async def test_frame_before_hello_has_a_limit_of_its_own(engine: str, autojump_clock: MockClock) -> None:
    async with serving(engine) as server:
        eve, ada = Peer(server), Peer(server)
        await eve.upgrade()
        await eve.send(frame(padded_ping(HELLO_BYTES + 1)))
        assert await eve.close_code() == 1009
        await ada.hello()
        await ada.send(frame(padded_ping(HELLO_BYTES + 1)))
        await ada.until(b'"re":2')


async def test_hello_with_the_longest_token_and_every_rev_fits(engine: str, autojump_clock: MockClock) -> None:
    revs = {f"{n:0128}": 2**53 - 1 for n in range(500)}
    hello = {"type": "hello", "id": 1, "user": "eve", "device": "d" * 64, "epoch": "e" * 64, "revs": revs}
    text = json.dumps(hello | {"token": "t" * 8192}).encode()
    assert len(text) <= HELLO_BYTES
    async with serving(engine) as server:
        eve = Peer(server)
        await eve.upgrade()
        await eve.send(frame(text))
        assert await eve.until(b'"re":1')  # read, whatever comes of it


async def test_unfinished_input_of_strangers_has_one_budget(engine: str, autojump_clock: MockClock) -> None:
    async with serving(engine) as server:
        shares = server.daemon.shares
        shares.strangers.limit = 100_000
        half = frame(b"x" * 90_000)[:60_000]
        eve, mal = Peer(server), Peer(server)
        for peer in (eve, mal):
            await peer.upgrade()
            await peer.send(half)
            await wait_all_tasks_blocked()
            await peer.send(b"x")  # trio-websocket's is counted with the next bytes
            await wait_all_tasks_blocked()
        assert await mal.close_code() == 4013
        await mal.stream.aclose()
        await Peer(server).hello()  # people with a whole hello are let in all the same
        await eve.stream.aclose()
        await wait_all_tasks_blocked()
        assert (shares.strangers.held, shares.known.held) == (0, 0)


async def test_unfinished_input_of_people_has_another_budget(engine: str, autojump_clock: MockClock) -> None:
    async with serving(engine) as server:
        shares = server.daemon.shares
        shares.strangers.limit, shares.known.limit = 100_000, 150_000
        half = frame(b"x" * 150_000)[:120_000]
        eve, mal = Peer(server), Peer(server)
        for peer in (eve, mal):
            await peer.hello()
            await peer.send(half)
            await wait_all_tasks_blocked()
            await peer.send(b"x")
            await wait_all_tasks_blocked()
        assert await mal.close_code() == 4013
        assert shares.strangers.held == 0
        assert 100_000 < shares.known.held <= 150_000


async def test_message_in_very_many_fragments_is_refused(autojump_clock: MockClock) -> None:
    async with serving("own") as server:
        eve = Peer(server)
        await eve.hello()
        await eve.send(frame(b"x", TEXT, first=0) + frame(b"x", 0, first=0) * 16_384)
        assert await eve.close_code() == 1009


async def test_message_that_takes_minutes_is_given_up(engine: str, autojump_clock: MockClock) -> None:
    async with serving(engine) as server:
        eve = Peer(server)
        await eve.hello()
        data = frame(padded_ping(2000), first=0)
        await eve.send(data)
        for _ in range(5):
            await trio.sleep(15)
            await eve.send(frame(b"x", 0, first=0) + frame(b"", PONG))
        assert await eve.close_code() == 4012


async def test_pongs_alone_keep_a_connection_for_hours(engine: str, autojump_clock: MockClock) -> None:
    async with serving(engine, rates=True) as server:
        eve = Peer(server)
        await eve.hello()
        for _ in range(1000):
            await trio.sleep(20)
            await eve.send(frame(b"", PONG) + frame(b"", PING))
        await eve.send(frame(padded_ping(50)))
        await eve.until(b'"re":2')


@pytest.mark.parametrize("rates", [True, False], ids=["production", "development"])
async def test_flood_of_pings_ends_the_connection(engine: str, rates: bool, autojump_clock: MockClock) -> None:
    async with serving(engine, rates=rates) as server:
        eve = Peer(server)
        await eve.hello()
        await eve.send(frame(b"", PING) * (SPARE_FRAME_BURST + 1) + frame(padded_ping(50)))
        if rates:
            assert await eve.close_code() == 4029
        else:
            await eve.until(b'"re":2')


async def test_strangers_who_never_leave_are_let_go(
    engine: str, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "STRANGERS_ENDS", 50)
    async with serving(engine, rates=True) as server:
        sessions = server.daemon.sessions
        ada, mob = Peer(server), [Peer(server) for _ in range(70)]
        await ada.hello()
        for peer in mob:
            await peer.upgrade()
        for peer in mob:
            await peer.send(frame(b"", PING) * (STRANGERS_SPARE_FRAMES + 1))
        began = trio.current_time()
        await wait_all_tasks_blocked()
        assert len(sessions) == 50 + 1, "the first were cut for those behind them"
        assert {await peer.close_code() for peer in mob} == {4029}
        await trio.sleep_until(began + STRANGERS_END_S + 0.1)
        assert len(sessions) == 1
        await ada.send(frame(b"", PING) * (SPARE_FRAME_BURST + 1))
        assert await ada.close_code() == 4029
        await trio.sleep(2 * STRANGERS_END_S)
        assert len(sessions) == 1, "who was signed in has as long as the settings say"


async def test_stranger_who_floods_is_told_and_neither_read_on_nor_let_go_at_once(autojump_clock: MockClock) -> None:
    """Who waits for the end to begin anew waits; what was unfinished frees its memory meanwhile."""
    async with serving("own", rates=True) as server:
        eve, shares = Peer(server), server.daemon.shares
        await eve.upgrade()
        await eve.send(frame(b"x" * 90_000)[:60_000])
        await eve.until(b"no hello")
        await trio.sleep(0.1)
        assert shares.strangers.held == 0
        began = trio.current_time()
        await eve.send(frame(b"", PING) * 1_000)
        await eve.rest()
        assert STRANGERS_END_S - 0.2 <= trio.current_time() - began <= STRANGERS_END_S


async def test_stranger_on_a_slow_link_is_waited_for(engine: str, autojump_clock: MockClock) -> None:
    async with serving(engine, rates=True) as server:
        eve = Peer(server)
        await eve.upgrade()
        closed = await eve.until(b"no hello")
        assert [payload[:2] for first, payload in split(closed)[0] if first == FIN | CLOSE] == [b"\x0f\xaa"]
        await trio.sleep(1.5)
        assert len(server.daemon.sessions) == 1
        await eve.send(frame(b"\x0f\xaa", CLOSE))
        await wait_all_tasks_blocked()
        assert len(server.daemon.sessions) == 0


@pytest.mark.parametrize("rates", [True, False], ids=["production", "development"])
async def test_frames_before_hello_are_limited_together(engine: str, rates: bool, autojump_clock: MockClock) -> None:
    async with serving(engine, rates=rates) as server:
        eve = Peer(server)
        await eve.upgrade()
        await eve.send(frame(padded_ping(HELLO_BYTES - 100)) * 3 + HELLO)
        if rates:
            assert await eve.close_code() == 4029
            assert b'"re":1' not in eve.received
        else:
            await eve.until(b'"re":1')


async def test_large_frame_of_a_stranger_takes_few_turns(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait, turns = Turnstile.wait, 0

    async def counted(turnstile: Turnstile) -> None:
        nonlocal turns
        turns += 1
        await wait(turnstile)

    monkeypatch.setattr(Turnstile, "wait", counted)
    async with serving("own") as server:
        eve = Peer(server)
        await eve.upgrade()
        await eve.send(frame(padded_ping(HELLO_BYTES)))
        await eve.until(b"unauthorized")
    assert turns <= 12


async def test_request_over_the_rate_is_not_decoded(engine: str, autojump_clock: MockClock) -> None:
    async with serving(engine, rates=True, requests_per_second=0.1, request_burst=2) as server:
        eve = Peer(server)
        await eve.hello()
        await eve.send(frame(b'{"type":"ping","id":"a"}') + frame(b'{"type":"ping","id":"b","x":NaN}'))
        assert b"rate_limited" in await eve.until(b'"error"')
        await eve.send(frame(b'{"id":"c","type":"ping"}'))
        await eve.until(b'"re":"c"')  # an error still says to which request


async def test_connection_that_has_ended_waits_for_no_collector(autojump_clock: MockClock) -> None:
    async with serving("own") as server:
        gc.collect()
        gc.disable()
        try:
            eve, ada = Peer(server), Peer(server)
            await eve.upgrade()
            await ada.hello()
            ends = [weakref.ref(connection) for connection in server.daemon.sessions]
            for peer in (eve, ada):
                await peer.stream.aclose()
            await wait_all_tasks_blocked()
            assert [end() for end in ends] == [None, None]
        finally:
            gc.enable()


async def test_unfinished_input_leaves_memory_with_its_connection(engine: str, autojump_clock: MockClock) -> None:
    async with serving(engine) as server:

        async def half() -> None:
            eve = Peer(server)
            await eve.hello()
            await eve.send(frame(b"x" * 200_000)[:-1])
            await wait_all_tasks_blocked()
            await eve.stream.aclose()
            await wait_all_tasks_blocked()

        await half()
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(20):
                await half()
            held = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
            gc.enable()
        assert held < 2_000_000
