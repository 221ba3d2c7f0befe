"""A real daemon that is told to stop: whoever comes by a new connection meanwhile is answered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from support.polled import Polled, Told, ask
from support.process import Daemon, eventually, running

BO = {"X-Chatd-User": "bo"}
HELLO = '{"type":"hello","id":1}'
POLL = "/socket.io/?EIO=4&transport=polling"


@asynccontextmanager
async def stopping(folder: Path) -> AsyncIterator[Daemon]:
    """A daemon that has been told to stop, and waits 5 s for somebody to fetch that it goes."""
    async with running(folder) as daemon:
        await _polling(daemon)
        await _told_to_stop(daemon)
        yield daemon


async def _polling(daemon: Daemon) -> Polled:
    polled = Polled(daemon.dial, BO)
    assert (await polled.open()).status == 201
    assert (await polled.say(HELLO)).status == 202
    return polled


async def _told_to_stop(daemon: Daemon) -> None:
    async def heard() -> bool:
        return "shutting down" in daemon.log

    daemon.process.terminate()
    await eventually(heard, within=10)


async def _asked(daemon: Daemon, method: str, target: str, body: bytes | None = None, **headers: str) -> Told:
    with trio.fail_after(3):
        return await ask(daemon.dial, method, target, body, {**BO, **headers})


async def test_polls_by_new_connections_are_told_and_the_daemon_ends_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        polled = await _polling(daemon)
        last = max((await polled.poll(0)).events)
        await _told_to_stop(daemon)
        with trio.fail_after(3):  # as long as it waits for those who fetch nothing is 5 s
            told = await polled.poll(last)
            assert [frame["type"] for frame in told.events.values()] == ["going_away"]
            assert await daemon.process.wait() == 0


async def test_readiness_says_while_it_stops_that_it_does(tmp_path: Path) -> None:
    async with stopping(tmp_path) as daemon:
        told = await _asked(daemon, "GET", "/readyz")
        assert told.status == 503
        assert "shutting down" in told.body.decode()


async def test_request_while_the_daemon_stops_is_unavailable(tmp_path: Path) -> None:
    async with stopping(tmp_path) as daemon:
        told = await _asked(daemon, "POST", "/v1/requests", b'{"type":"ping","id":1}')
        assert (told.status, told.json["code"], told.json["temporary"]) == (503, "unavailable", True)


@pytest.mark.parametrize(
    ("method", "target"), [("POST", "/v1/session"), ("GET", POLL)], ids=["polling", "Engine.IO by polling"]
)
async def test_session_while_the_daemon_stops_is_refused(tmp_path: Path, method: str, target: str) -> None:
    async with stopping(tmp_path) as daemon:
        assert (await _asked(daemon, method, target)).status == 503


@pytest.mark.parametrize("target", ["/ws", "/socket.io/?EIO=4&transport=websocket"])
async def test_handshake_while_the_daemon_stops_is_refused(tmp_path: Path, target: str) -> None:
    async with stopping(tmp_path) as daemon:
        key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
        told = await _asked(daemon, "GET", target, None, Connection="Upgrade", Upgrade="websocket", **key)
        assert told.status == 503
