"""TLS on the one port, with a real daemon: conversations over it, and peers that break it."""

import os
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio

from chatd.client import Disconnected, connect
from support.certificates import make_certificate, trusting
from support.process import Daemon, eventually, launcher, run, running
from support.wsclient import connected

SETTINGS = """
[tls]
certificate = "{}"
key = "{}"
[limits]
outbox_bytes = 65536
[timeouts]
handshake = 2
close = 1
"""
FREED = 5.0
"""Seconds within which a connection is over after any of these timeouts."""


@asynccontextmanager
async def serving(folder: Path, *, settings: str = SETTINGS) -> AsyncIterator[Daemon]:
    """A daemon with a certificate, in which no connection is left at the end."""
    certificate, key = make_certificate(folder)
    context = trusting(certificate)
    async with running(
        folder, settings=settings.format(certificate, key), program=launcher("--count"), tls=context
    ) as daemon:
        at_first = sockets(daemon)
        async with connected(daemon, "den-1"), connected(daemon, "pat-1") as pat:
            await pat.open("den-1")  # threads, files and a room that are there from the first message on
        yield daemon

        async def no_more_than_at_first() -> bool:
            return sockets(daemon) <= at_first

        await eventually(no_more_than_at_first, within=FREED)
    failures = [line for line in daemon.log.splitlines() if '"level":"error"' in line or "Traceback" in line]
    assert not failures, failures[0]


async def left(daemon: Daemon) -> dict[str, int]:
    """What could be left behind."""
    return {**await daemon.counts(), "descriptors": daemon.descriptors}


def sockets(daemon: Daemon) -> int:
    """Its open sockets, the listening one and its own included."""
    count = 0
    for descriptor in Path(f"/proc/{daemon.pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            count += os.readlink(descriptor).startswith("socket:")
    return count


async def settled(daemon: Daemon) -> None:
    """Wait until nothing is left of those who were there before; the last of it goes some seconds after they did."""

    async def nobody() -> bool:
        return (await daemon.counts())["connections"] == 0

    await eventually(nobody, within=4 * FREED)


async def freed(daemon: Daemon, before: dict[str, int]) -> None:
    """Wait until there is as much as before, and not more."""
    for _ in range(100):
        now = await left(daemon)
        if now == before:
            break
        await trio.sleep(FREED / 100)
    assert now == before


async def test_tls_carries_a_conversation_and_plain_requests(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:
        async with connected(daemon, "den-1") as den, connected(daemon, "pat-1") as pat:
            conversation = await pat.open("den-1")
            await den.load(conversation)
            for n in range(100):
                rev = (await pat.say(conversation, f"{n}", "x" * 5000))["rev"]
            await den.caught_up(conversation, rev)
            den.copies[conversation].check()
        assert (await daemon.get("/healthz"))[0] == 200
        assert await daemon.is_ready()
        assert daemon.log.count('"event":"connected"') == 4


async def test_sigterm_over_tls_ends_as_without(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    settings = SETTINGS.format(certificate, key)
    async with (
        running(tmp_path, settings=settings, tls=trusting(certificate)) as daemon,
        connected(daemon, "pat-1") as pat,
    ):
        assert await daemon.stop() == 0
        assert pat.close_code == 1001
        assert [event["type"] for event in pat.events("going_away")] == ["going_away"]


async def test_tls_port_tells_plain_http_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, await trio.open_tcp_stream(daemon.host, daemon.port) as stream:
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with trio.fail_after(FREED):
            answer = b"".join([data async for data in stream])
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"https://" in answer


async def test_tls_handshakes_left_half_done_leave_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, AsyncExitStack() as stack:
        await settled(daemon)
        before = await left(daemon)
        for part in (b"", b"\x16", b"\x16\x03\x01\x02\x00", b"\x16\x03\x01\x00\x05\x01\x00\x01\xfc\x03"):
            stream = await stack.enter_async_context(await trio.open_tcp_stream(daemon.host, daemon.port))
            await stream.send_all(part)
        await freed(daemon, before)  # while the peers keep their ends open


async def test_tls_port_survives_random_bytes(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHATD_TEST_SEED") or random.randrange(2**32))
    print(f"CHATD_TEST_SEED={seed}")
    rng = random.Random(seed)
    async with serving(tmp_path) as daemon:
        await settled(daemon)
        async with connected(daemon, "pat-1") as pat:
            before = await left(daemon)

            async def disturb(number: int) -> None:
                begin = rng.choice([b"", b"\x16", b"\x16\x03\x01", b"\x80", b"GET /"])
                async with await trio.open_tcp_stream(daemon.host, daemon.port) as stream:
                    await stream.send_all(begin + rng.randbytes(rng.randrange(400)))
                    if number % 2:
                        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        stream.socket.close()
                        return
                    await stream.send_eof()
                    with trio.fail_after(FREED):
                        try:
                            while await stream.receive_some():
                                pass
                        except trio.BrokenResourceError:
                            pass

            async with trio.open_nursery() as nursery:
                for number in range(200):
                    nursery.start_soon(disturb, number)
            await pat.ask("ping")
            await freed(daemon, before)


async def test_tls_reader_that_stops_is_cut_alone(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as daemon,
        connected(daemon, "den-1", buffer=4096) as stalled,
        connected(daemon, "den-1") as other,
        connected(daemon, "pat-1") as pat,
    ):
        conversation = await pat.open("den-1")
        await other.load(conversation)
        stalled.pause()
        for start in range(0, 200, 8):
            pending = [
                await pat.send("message.send", conversation=conversation, client_id=f"{start}-{n}", body="x" * 10_000)
                for n in range(8)
            ]
            for each in pending:
                assert (await each.reply())["type"] == "ok"
        await other.caught_up(conversation, pat.copies[conversation].rev)
        assert daemon.log.count('"reason":"too slow"') >= 1
        stalled.go_on()
        with trio.fail_after(10):
            await stalled.closed.wait()
        assert not other.closed.is_set()


async def test_tls_burst_of_many_times_the_bound_cuts_no_healthy_reader(tmp_path: Path) -> None:
    """What one turn of the event loop publishes is more than the bound, but no more than the kernel's buffers take."""
    async with serving(tmp_path) as daemon, AsyncExitStack() as stack:
        den = await stack.enter_async_context(connected(daemon, "den-1"))
        pats = [await stack.enter_async_context(connected(daemon, f"pat-{n}")) for n in range(8)]
        conversations = [await pat.open("den-1") for pat in pats]
        for conversation in conversations:
            await den.load(conversation)

        async def talk(number: int) -> None:
            pending = [
                await pats[number].send(
                    "message.send", conversation=conversations[number], client_id=f"{n}", body="x" * 10_000
                )
                for n in range(2)
            ]
            for each in pending:
                assert (await each.reply())["type"] == "ok"

        for _ in range(6):
            async with trio.open_nursery() as nursery:
                for number in range(8):
                    nursery.start_soon(talk, number)
            for number, conversation in enumerate(conversations):
                await den.caught_up(conversation, pats[number].copies[conversation].rev)
        assert "too slow" not in daemon.log


@pytest.mark.parametrize("missing", ["certificate", "key"])
def test_tls_files_that_cannot_be_used_are_named(tmp_path: Path, missing: str) -> None:
    certificate, key = make_certificate(tmp_path)
    (tmp_path / "chatd.toml").write_text(SETTINGS.format(certificate, key))
    wrong = certificate if missing == "certificate" else key
    wrong.unlink()
    result = run("serve", "--dev", "--port", "0", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"chatd: [tls] {missing}: {wrong}: cannot be read: No such file or directory\n"
    assert not (tmp_path / "data").exists()


async def test_client_that_does_not_trust_the_certificate_says_so(tmp_path: Path) -> None:
    """And comes back: the certificate may be renewed."""
    async with serving(tmp_path) as daemon, connect(f"https://localhost:{daemon.port}", user="pat-1") as client:
        async for event in client.events():
            assert isinstance(event, Disconnected)
            assert event.reason == "the server's certificate is not trusted here: self-signed certificate"
            assert event.retry_in > 0
            break
