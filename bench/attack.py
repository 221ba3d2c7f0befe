"""`python -m bench.attack`: how long a normal client waits while somebody attacks the HTTP side.

Three attacks at once from an address of their own, against a daemon with its default limits: a flood of GETs on
connections that are kept alive, connections that are opened and closed, and connections that send a head or a body byte
by byte (slowloris). A client at another address sends messages over WebSocket and HTTP meanwhile. Exit status 1 where
one in a hundred of its messages waits longer than `--limit`.
"""

import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import trio

from bench.senders import Http, Sender, WebSocket, daemon

ATTACKER: Final = "127.0.0.66"
CLIENT: Final = "127.0.0.1"
INTERVAL_S: Final = 0.06
"""Between two messages of one client: not quite as many as it may send."""

PATHS: Final = ("/", "/healthz", "/v1/me", "/v1/conversations", "/v1/openapi.json", "/nowhere")
ENDED: Final = (OSError, trio.BrokenResourceError)


async def flood(port: int) -> None:
    """GET after GET on one connection, and on the next one when that is closed."""
    rng = random.Random(port)
    while True:
        try:
            async with await trio.open_tcp_stream("127.0.0.1", port, local_address=ATTACKER) as stream:
                while True:
                    await stream.send_all(f"GET {rng.choice(PATHS)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                    if not await stream.receive_some(65_536):
                        break
        except ENDED:
            await trio.sleep(0.01)


async def knock(port: int) -> None:
    """Connections that are opened and left at once."""
    while True:
        try:
            async with await trio.open_tcp_stream("127.0.0.1", port, local_address=ATTACKER):
                pass
        except ENDED:
            pass
        await trio.sleep(0.01)


async def crawl(port: int, script: bytes) -> None:
    """A request that never ends, a byte at a time."""
    while True:
        try:
            async with await trio.open_tcp_stream("127.0.0.1", port, local_address=ATTACKER) as stream:
                for byte in script:
                    await stream.send_all(bytes([byte]))
                    await trio.sleep(0.9)
        except ENDED:
            await trio.sleep(0.1)


HEAD: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Slow: and slower still\r\n" * 50
POST: Final = (
    b"POST /v1/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
)


async def attack(port: int, connections: int) -> None:
    """A third of the connections floods, the others crawl; ten knock."""
    async with trio.open_nursery() as nursery:
        for number in range(connections):
            if number % 3 == 0:
                nursery.start_soon(flood, port)
            else:
                nursery.start_soon(crawl, port, HEAD if number % 3 == 1 else POST + b"x" * 100)
        for _ in range(10):
            nursery.start_soon(knock, port)


async def waits(port: int, seconds: float) -> dict[str, list[float]]:
    """Waiting times of a normal client's messages, in ms, by the way it sends them."""
    found: dict[str, list[float]] = {"WebSocket": [], "HTTP": []}

    async def send(sender: Sender, taken: list[float]) -> None:
        await sender.open()
        while True:
            began = time.perf_counter()
            await sender.send()
            taken.append((time.perf_counter() - began) * 1000)
            await trio.sleep(INTERVAL_S)

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, WebSocket(0, port, f"{seconds}-w", CLIENT), found["WebSocket"])
            nursery.start_soon(send, Http(1, port, f"{seconds}-h", CLIENT), found["HTTP"])
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return sorted(values)[max(0, round(len(values) * share) - 1)]


def attackers(port: int, connections: int) -> int:
    """Start the attack in a process of its own, which it ends with."""
    pid = os.fork()
    if pid == 0:
        try:
            trio.run(attack, port, connections)
        finally:
            os._exit(0)
    return pid


@click.command()
@click.option("--connections", default=600, show_default=True, help="Connections of the attacker.")
@click.option("--seconds", default=10.0, show_default=True, help="Length of the attack.")
@click.option("--limit", default=200.0, show_default=True, help="ms that 99 of 100 messages may wait.")
@click.option("--disk", default=".", type=click.Path(exists=True, file_okay=False), help="Folder for the data (.)")
def main(connections: int, seconds: float, limit: float, disk: str) -> None:
    """Measure without the attack, then with it."""
    slow = False
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=disk) as folder, daemon(Path(folder), 2, {}) as (_, port):
        for name in ("in peace", "under attack"):
            pid = attackers(port, connections) if name == "under attack" else None
            try:
                if pid is not None:
                    time.sleep(1)
                found = trio.run(waits, port, seconds if pid is not None else min(seconds, 3.1))
            finally:
                if pid is not None:
                    os.kill(pid, 9)
                    os.waitpid(pid, 0)
            for way, taken in found.items():
                taken = taken or [float("inf")]  # none was acknowledged at all
                p50, p99 = percentile(taken, 0.5), percentile(taken, 0.99)
                click.echo(f"{name:13} {way:10} {len(taken):5} messages, p50 {p50:6.1f} ms, p99 {p99:6.1f} ms")
                slow |= pid is not None and p99 > limit
    sys.exit(slow)


if __name__ == "__main__":
    main()
