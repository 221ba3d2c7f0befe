"""Peers that break the rules, over real sockets: each ends as the protocol says, and nothing of it stays behind."""

import itertools
import os
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

import pytest
import trio

from chatd.client.raw import BINARY, CLOSE, KEY, PING, PONG, UPGRADE, RawClient, frame
from support.certificates import make_certificate, trusting
from support.process import Daemon, launcher, running
from support.wsclient import Client, connected

SETTINGS = """
[server]
websocket = "{engine}"
[limits]
max_frame_bytes = 65536
[timeouts]
handshake = {begin}
hello = {begin}
close = 1
write = 2
keep_alive = 1
"""
FREED = 10.0
"""Seconds within which a connection is over after any of these timeouts."""

ENGINE: ContextVar[str] = ContextVar("ENGINE")
TLS: ContextVar[bool] = ContextVar("TLS")

OVERSIZE = b"x" * 65537


HELLO = frame(b'{"type":"hello","id":1,"user":"eve"}')


class Peer(RawClient):
    """A connection that sends what it likes."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__(stream)
        self._socket = stream if isinstance(stream, trio.SocketStream) else stream.transport_stream  # type: ignore[attr-defined]

    async def until(self, wanted: bytes) -> bytes:
        with trio.fail_after(FREED):
            return await super().until(wanted)

    async def rest(self) -> bytes:
        """All that was received, once the daemon has ended the connection, in whatever way."""
        with trio.fail_after(FREED), suppress(trio.BrokenResourceError):
            await super().rest()
        return self.received

    async def hello(self) -> None:
        await self.upgrade()
        await self.send(HELLO)
        await self.until(b'"re":1')

    def reset(self) -> None:
        """End with RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.socket.close()

    async def finish(self) -> None:
        """End with FIN."""
        await self._socket.send_eof()


@asynccontextmanager
async def peer(daemon: Daemon) -> AsyncIterator[Peer]:
    async with await daemon.dial() as stream:
        yield Peer(stream)


async def left(daemon: Daemon) -> dict[str, int]:
    """What could be left behind."""
    return {**await daemon.counts(), "descriptors": daemon.descriptors}


async def freed(daemon: Daemon, before: dict[str, int]) -> None:
    """Wait until there is as much as before, and not more."""
    for _ in range(200):
        now = await left(daemon)
        if now == before:
            break
        await trio.sleep(FREED / 200)
    assert now == before


async def keep_talking(pat: Client, den: Client, conversation: str) -> None:
    for n in itertools.count():
        with trio.fail_after(FREED):
            rev = (await pat.say(conversation, f"{n}"))["rev"]
            await den.caught_up(conversation, rev)
        await trio.sleep(0.02)


@pytest.fixture(params=["trio-websocket", "own", "own, TLS"], autouse=True)
def engine(request: pytest.FixtureRequest) -> str:
    """What reads WebSocket frames, and what is below: every guard holds for all."""
    name, _, tls = str(request.param).partition(", ")
    ENGINE.set(name)
    TLS.set(bool(tls))
    return name


@asynccontextmanager
async def serving(folder: Path, *, begin: int = 8) -> AsyncIterator[Daemon]:
    """A daemon that serves a pair throughout, and in which nothing is left at the end of what was done to it.

    `begin`: seconds for a handshake, and for the hello after it: less than FREED, and enough for a peer that is to get
    that far on a busy machine.
    """
    settings, context = SETTINGS.format(engine=ENGINE.get(), begin=begin), None
    if TLS.get():
        certificate, key = make_certificate(folder)
        settings += f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'
        context = trusting(certificate)
    async with (
        running(folder, settings=settings, program=launcher("--count"), tls=context) as daemon,
        connected(daemon, "den-1") as den,
        connected(daemon, "pat-1") as pat,
        trio.open_nursery() as nursery,
    ):
        conversation = await pat.open("den-1")
        await den.load(conversation)
        before = await left(daemon)
        nursery.start_soon(keep_talking, pat, den, conversation)
        yield daemon
        rev = pat.copies[conversation].rev
        await freed(daemon, before)
        await den.caught_up(conversation, rev + 3)
        nursery.cancel_scope.cancel()
    failures = [line for line in daemon.log.splitlines() if '"level":"error"' in line or "Traceback" in line]
    assert not failures, failures[0]


async def test_connections_of_plain_http_or_reset_leave_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:
        for request in (
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HT",
            b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nhalf",
            UPGRADE[:-2],
            UPGRADE,
            UPGRADE + HELLO,
        ):
            for wait in (0, 0.05):
                async with peer(daemon) as eve:
                    await eve.send(request)
                    await trio.sleep(wait)
                    eve.reset()


AFTER_CLOSE = (
    frame(b"", PING) * 3,
    frame(b"", PONG),
    frame(OVERSIZE),
    frame(b'{"type":"ping","id":2}'),
    frame(b"", mask=None),
    b"\xff" * 1000,
)


async def test_frames_behind_our_close_are_not_served(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:

        async def goes_on(after: bytes, wait: bool) -> None:
            async with peer(daemon) as eve:
                await eve.hello()
                await eve.send(frame(b"", BINARY))
                if wait:
                    await eve.until(struct.pack("!H", 1003))
                await eve.send(after)
                assert await eve.close_code() == 1003, (after[:20], wait)

        async with trio.open_nursery() as nursery:  # each holds its end open, for as long as the daemon lets it
            for after, wait in itertools.product(AFTER_CLOSE, (True, False)):
                nursery.start_soon(goes_on, after, wait)


async def test_peer_over_the_limit_and_then_silent_is_freed(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:
        before = await left(daemon)
        async with peer(daemon) as eve:
            await eve.hello()
            await eve.send(frame(OVERSIZE))
            assert await eve.close_code() == 1009
            await freed(daemon, before)  # while the peer keeps its end open


@pytest.mark.parametrize("payload", [b"", b"x"])
async def test_flood_of_tiny_fragments_ends_its_connection(tmp_path: Path, payload: bytes) -> None:
    async with serving(tmp_path) as daemon, peer(daemon) as eve:
        await eve.hello()
        before = daemon.resident
        with pytest.raises(trio.BrokenResourceError), trio.fail_after(20):
            await eve.send(frame(payload, first=0))
            while True:
                await eve.send(frame(payload, 0, first=0) * 1000)
        assert daemon.resident - before < 32 * 2**20


BAD_HANDSHAKES = (
    (UPGRADE.replace(b"GET", b"POST"), b"40"),
    (UPGRADE.replace(b"Version: 13", b"Version: 8"), b"4"),
    (UPGRADE.replace(b"Sec-WebSocket-Key: " + KEY + b"\r\n", b""), b"400"),
    (UPGRADE.replace(b"/ws", b"/nowhere"), b"404"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), b"400"),  # TLS
    (UPGRADE[:-2] + b"X: " + b"y" * 40_000, b"431"),
    (UPGRADE.replace(b"localhost", b"evil.example"), b"403"),
    (UPGRADE[:-2] + b"Origin: https://evil.example\r\n\r\n", b"403"),
)


async def test_handshakes_that_are_bad_are_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, begin=1) as daemon:

        async def refused(handshake: bytes, status: bytes) -> None:
            async with peer(daemon) as eve:
                await eve.send(handshake)
                answer = await eve.rest()
                assert answer.startswith(b"HTTP/1.1 " + status), (handshake[:400], answer)

        async with trio.open_nursery() as nursery:
            for handshake, status in BAD_HANDSHAKES:
                nursery.start_soon(refused, handshake, status)


async def test_handshake_left_half_done_ends_in_time(tmp_path: Path) -> None:
    async with serving(tmp_path, begin=1) as daemon, AsyncExitStack() as stack:
        before = await left(daemon)
        for part in (b"", UPGRADE[:1], UPGRADE[:40], UPGRADE[:-1]):
            eve = await stack.enter_async_context(peer(daemon))
            await eve.send(part)
        await freed(daemon, before)


async def test_compression_is_not_negotiated(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon, peer(daemon) as eve:
        await eve.send(UPGRADE.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"))
        head = await eve.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        assert b"extensions" not in head.lower()


BROKEN_RULES = (
    (frame(b"{}", BINARY), 1003),
    (frame(b'{"type":"\xff"}'), 1007),
    (frame(b"\xed\xa0\x80"), 1007),
    (frame(OVERSIZE), 1009),
    (frame(OVERSIZE[:40_000], first=0) + frame(OVERSIZE[:40_000], 0), 1009),
    (frame(b"[]"), 4500),
    (frame(b"hello"), 4500),
    (frame(b""), 4500),
    (frame(b'{"type":"ping","n":NaN}'), 4500),
    (frame(b'{"type":"\\ud800"}'), 4500),
    (frame(b"[" * 60_000), 4500),
    (b"", 4010),
    (frame(b"", PING), 4010),
    (frame(b'{"type":"ping","id":1}'), 4010),
    (frame(b"", mask=None), 1002),
    (frame(b"{}", mask=None), 1002),
    (frame(b"{}", first=0xC0), 1002),
    (frame(b"{}", 3), 1002),
    (frame(b"{}", 0), 1002),
    (frame(b"{}", first=0) + frame(b"{}"), 1002),
    (frame(b"x" * 126, PING), 1002),
    (frame(b"", PING, first=0), 1002),
    (frame(b"\x03", CLOSE), 1002),
    (frame(b"\x03\xed", CLOSE), 1002),
    (frame(b"\x03\xe8", CLOSE), 1000),
)


async def test_rules_broken_have_their_codes(tmp_path: Path) -> None:
    async with serving(tmp_path, begin=2) as daemon:

        async def breaks(message: bytes, code: int) -> None:
            async with peer(daemon) as eve:
                await eve.upgrade()
                await eve.send(message)
                assert await eve.close_code() == code, (message[:50], eve.received)

        async with trio.open_nursery() as nursery:
            for message, code in BROKEN_RULES:
                nursery.start_soon(breaks, message, code)


STAGES = ("nothing", "handshake", "hello")
STREAMS = 334
"""Random streams at each stage, of each ending."""


def noise(rng: random.Random, stage: str) -> bytes:
    """Random bytes: pure, or strewn into what would be right, or frames of anything."""
    if rng.random() < 0.3:
        return rng.randbytes(rng.randint(1, 300))
    if stage == "nothing":
        right = bytearray(UPGRADE + HELLO)
    else:
        right = bytearray()
        for _ in range(rng.randint(1, 4)):
            payload = rng.choice([rng.randbytes(rng.randint(0, 200)), b'{"type":"ping","id":2}', HELLO[6:], b"{}"])
            right += frame(payload, rng.randrange(16), first=rng.choice([0x80, 0x80, 0, 0xF0]), mask=rng.randbytes(4))
    for _ in range(rng.randrange(4)):
        right[rng.randrange(len(right))] = rng.randrange(256)
    return bytes(right[: rng.randint(1, 2 * len(right))])


async def shower(daemon: Daemon, rng: random.Random, streams: int) -> None:
    """So many random streams at each stage, of each ending, eight at a time."""
    todo = [(stage, reset, noise(rng, stage)) for _ in range(streams) for stage in STAGES for reset in (False, True)]
    rng.shuffle(todo)

    async def work() -> None:
        while todo:
            stage, reset, data = todo.pop()
            async with peer(daemon) as eve:
                if stage != "nothing":
                    await (eve.upgrade() if stage == "handshake" else eve.hello())
                try:
                    await eve.send(data)
                    if reset:
                        eve.reset()
                    else:
                        await eve.finish()
                        await eve.rest()
                except trio.BrokenResourceError:
                    pass  # the daemon was faster

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(work)


async def test_random_bytes_leave_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHATD_TEST_SEED") or random.randrange(2**32))
    print(f"CHATD_TEST_SEED={seed}")
    rng = random.Random(seed)
    async with serving(tmp_path) as daemon:
        await shower(daemon, rng, STREAMS // 2)
        # The allocator's peak wanders with what happens to be open at once: a leak grows in each shower, a peak once.
        readings = [daemon.resident]
        while len(readings) == 1 or (readings[-1] - readings[-2] >= 5 * 2**20 and len(readings) < 6):
            await shower(daemon, rng, STREAMS)
            readings.append(daemon.resident)
        print("memory, MiB:", *(f"{reading / 2**20:.1f}" for reading in readings))
        assert readings[-1] - readings[-2] < 5 * 2**20
