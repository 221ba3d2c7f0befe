"""`python -m bench.files`: what uploads cost those who chat, and how much memory they take.

A daemon of its own; 200 people in pairs chat all the time, and half way through 50 files of 20 MB come in, at the rate
of a line. Held to two bars: memory grows by less than 50 MB, and the p99 of the acknowledgement at most doubles.
"""

import multiprocessing
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import click
import trio

from chatd.client import Client, connect
from chatd.client.target import ServerAddress
from chatd.client.transfer import asking

PAIRS = 100
PAUSE_S = 1.0
"""Seconds between two messages of a pair."""

FILES, FILE_BYTES = 50, 20_000_000
SENT_AT_ONCE = 10
LINE_BYTES_PER_S = 40_000_000
"""Rate at which all uploads together arrive: more than the line of any clinic."""

CALM_S = 15.0
MOST_GROWTH_BYTES = 50_000_000
MOST_TIMES = 2.0


@attrs.define
class DaemonProcess:
    """The daemon's process. `peak`: bytes of memory."""

    pid: int
    url: str
    peak: int = 0

    def resident(self) -> int:
        """Bytes of memory in use now."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        self.peak = max(self.peak, int(fields[1]) * os.sysconf("SC_PAGE_SIZE"))
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def daemon() -> Iterator[DaemonProcess]:
    """Run a daemon in development mode, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "chatd", "serve", "--dev", "--port", "0", "--data", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
            try:
                assert run.stdout is not None
                yield DaemonProcess(run.pid, run.stdout.readline().decode().split()[-1])
            finally:
                run.kill()


def upload_all(url: str, rate: float) -> None:
    """Upload the files, in a process of its own, so that it is not in the way of who measures."""
    trio.run(_upload_all, url, rate)


async def _upload_all(url: str, rate: float) -> None:
    target, turns = ServerAddress.of(url), trio.CapacityLimiter(SENT_AT_ONCE)

    async def one(number: int) -> None:
        left = FILE_BYTES
        start = b"%PDF-1.7\n" + secrets.token_bytes(1 << 16)

        async def body(limit: int) -> bytes:
            nonlocal left
            data = (start if left == FILE_BYTES else start[9:])[: min(limit, left)]
            left -= len(data)
            await trio.sleep(len(data) * SENT_AT_ONCE / rate)
            return data

        headers = {
            "Host": target.netloc,
            "X-Chatd-User": f"pat-{number}",
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(FILE_BYTES),
            "Content-Type": "application/offset+octet-stream",
        }
        async with (
            turns,
            asking(lambda: target.dial(None), "POST", "/v1/uploads", headers, body=body, length=FILE_BYTES) as answer,
        ):
            if answer.status != 201 or "attachment-id" not in answer.headers:
                raise RuntimeError(f"upload {number}: {answer.status} {await answer.text()!r}")

    async with trio.open_nursery() as nursery:
        for number in range(FILES):
            nursery.start_soon(one, number)


@attrs.define
class Chatting:
    """The pairs. `took`: seconds to the acknowledgement of each message."""

    url: str
    took: list[float] = attrs.Factory(list)

    async def pair(self, number: int, ready: trio.CapacityLimiter) -> None:
        """Two people of whom one writes."""
        async with (
            ready,
            connect(self.url, user=f"den-{number}", role="dentist") as dentist,
            connect(self.url, user=f"pat-{number}") as patient,
        ):
            await dentist.conversations()
            conversation = (await patient.open(f"den-{number}")).id
            await trio.sleep(PAUSE_S * number / PAIRS)
            await self._write(patient, conversation)

    async def _write(self, patient: Client, conversation: str) -> None:
        while True:
            began = time.perf_counter()
            await patient.send(conversation, "It hurts when I bite")
            self.took.append(time.perf_counter() - began)
            await trio.sleep(max(0.0, PAUSE_S - (time.perf_counter() - began)))

    def p99(self, since: int) -> float:
        """Milliseconds within which 99 of 100 messages were acknowledged, from the `since`th on."""
        took = sorted(self.took[since:])
        return took[min(len(took) - 1, int(len(took) * 0.99))] * 1000


async def measure(watched: DaemonProcess, rate: float) -> bool:
    """Measure, print the figures; return whether they are within the bars."""
    chatting = Chatting(watched.url)
    async with trio.open_nursery() as nursery:
        everybody = trio.CapacityLimiter(PAIRS)
        for number in range(PAIRS):
            nursery.start_soon(chatting.pair, number, everybody)
        while len(chatting.took) < 3 * PAIRS:  # noqa: ASYNC110  # all of them talk by then
            await trio.sleep(0.1)
        since = len(chatting.took)
        await trio.sleep(CALM_S)
        calm, before = chatting.p99(since), watched.resident()
        since, began = len(chatting.took), time.perf_counter()
        uploads = multiprocessing.get_context("spawn").Process(target=upload_all, args=(watched.url, rate))
        uploads.start()
        while uploads.is_alive():
            watched.resident()
            await trio.sleep(0.1)
        seconds = time.perf_counter() - began
        nursery.cancel_scope.cancel()
    if uploads.exitcode:
        raise click.ClickException("an upload failed")
    during, grown = chatting.p99(since), watched.peak - before
    click.echo(f"{FILES} files of {FILE_BYTES // 10**6} MB in {seconds:.1f} s while {2 * PAIRS} people chat")
    click.echo(f"memory {before / 1e6:.0f} MB, at most {grown / 1e6:+.0f} MB (bar: {MOST_GROWTH_BYTES / 1e6:.0f})")
    click.echo(
        f"p99 of the acknowledgement {calm:.1f} ms, during uploads {during:.1f} ms (bar: {MOST_TIMES:.0f} times)"
    )
    return grown < MOST_GROWTH_BYTES and during <= MOST_TIMES * calm


@click.command()
@click.option("--rate", default=LINE_BYTES_PER_S / 1e6, help="MB/s at which the uploads together arrive.")
def main(rate: float) -> None:
    """Measure what uploads cost those who chat."""
    with daemon() as watched:
        sys.exit(0 if trio.run(measure, watched, rate * 1e6) else 1)


if __name__ == "__main__":
    main()
