"""Every operation against heads and bodies that mean harm: its connection ends, and nothing else happens."""

from random import Random

import pytest
import structlog
import trio
from trio.testing import MockClock, memory_stream_pair

from chatd import testing
from chatd.testing import Server
from support.served import calling, hostile
from support.sites import app

OPERATIONS = sorted({(each.method, each.path.replace("{", "").replace("}", "")) for each in app().operations})
"""With a path that has something in place of each parameter."""


def right(method: str, path: str) -> tuple[bytes, bytes]:
    """A request that would be served, without and with a body."""
    head = f"{method} {path}?x=1 HTTP/1.1\r\nHost: localhost\r\nX-Chatd-User: pat-1\r\nOrigin: http://localhost\r\n"
    body = b'{"client_id":"a","body":"b","type":"ping"}'
    typed = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + b"\r\n", (head + typed).encode() + body


async def one(server: Server, data: bytes, *, leaves: bool) -> None:
    """A connection of which nothing but these bytes comes, until the daemon ends it."""
    ours, theirs = memory_stream_pair()
    await ours.send_all(data)
    if leaves:
        await ours.aclose()
    with trio.fail_after(200):
        await server.daemon.server.serve_stream(theirs, None, ("127.0.0.1", 5000))


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_hostile_head_or_body_of_an_operation_ends_quietly(
    method: str, path: str, autojump_clock: MockClock
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with testing.daemon() as server:
            await trio.testing.wait_all_tasks_blocked()
            before = trio.lowlevel.current_statistics().tasks_living
            for seed in range(25):
                print("seed", seed)
                await one(server, hostile(Random(seed), *right(method, path)), leaves=bool(seed % 2))
            await trio.sleep(100)  # rooms go, and sockets that lingered
            assert trio.lowlevel.current_statistics().tasks_living == before
    assert [entry["event"] for entry in logs if entry["log_level"] in ("error", "critical")] == []


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_slow_or_oversized_request_of_an_operation_ends_at_its_limit(
    method: str, path: str, autojump_clock: MockClock
) -> None:
    async with testing.daemon() as server:
        head, whole = right(method, path)
        async with calling(server) as client:  # a head that never ends
            began = trio.current_time()
            for byte in head[:-2]:
                try:
                    await client.send(bytes([byte]))
                except trio.BrokenResourceError:
                    break
                await trio.sleep(0.5)
            assert trio.current_time() - began < 6
        async with calling(server) as client:  # a head that is too large
            await client.send(head[:-2] + b"X: " + b"x" * 40_000 + b"\r\n\r\n")
            assert (await client.answer(method)).status == 431
        if method in ("GET", "HEAD", "OPTIONS"):
            return
        async with calling(server) as client:  # a body that is declared too large
            await client.send(head[:-2] + b"Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n")
            asks_for_tus = path.startswith("/v1/uploads")  # which is missing, and comes first
            assert (await client.answer(method)).status == (412 if asks_for_tus else 413)
        async with calling(server) as client:  # a body that stops coming
            began = trio.current_time()
            await client.send(whole[:-3])
            while await client.stream.receive_some():
                pass
            assert trio.current_time() - began < 21


async def test_answer_that_nobody_reads_is_given_up(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, trio.open_nursery() as nursery:
        ours, theirs = trio.testing.lockstep_stream_pair()
        nursery.start_soon(server.daemon.server.serve_stream, theirs, None, ("127.0.0.1", 5000))
        await ours.send_all(b"GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await trio.sleep(11)
        with pytest.raises(trio.BrokenResourceError):
            await ours.send_all(b"x")
