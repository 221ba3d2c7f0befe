"""`chatd bench` from outside: figures of a server of its own and of running ones, and what goes wrong is told."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from support.certificates import make_certificate, trusting
from support.process import Daemon, command, environment, eventually, run, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="CPU time is measured as only Linux can")

SHORT = ("--pairs", "2", "--seconds", "0.2")


def figures_of(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


async def bench(folder: Path, *flags: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command, from start to end."""
    return await trio.to_thread.run_sync(
        lambda: run("bench", *flags, cwd=folder, timeout=60, env=env), abandon_on_cancel=True
    )


# -- a server of its own --


async def test_bench_of_its_own_server_prints_figures(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    # None of these may reach the server: there is none behind them, or worse, there is one.
    elsewhere = {"CHATD_STORAGE_DATABASE": "mysql://a@127.0.0.1/b", "CHATD_SERVER_PORT": "1", "NODE_ENV": "production"}
    ended = await bench(tmp_path, *SHORT, "--window", "3", "--receipts", "--data-on", "disk", "--json", env=elsewhere)
    assert (ended.returncode, ended.stderr) == (0, "")
    found = figures_of(ended)
    assert found["workload"] == {
        "conversations": 2, "members": 2, "senders": 1, "window": 3, "body_bytes": 95, "receipts": True,
        "seconds": 0.2, "warm_up": 0.2,
    }  # fmt: skip
    assert 0.2 <= found["seconds"] < 10
    assert found["acknowledged"] == round(found["acknowledged_per_second"] * found["seconds"]) > 0
    assert found["delivered"] > 0
    ack = found["ack_ms"]
    assert 0 < ack["p50"] <= ack["p90"] <= ack["p99"] <= ack["max"]
    assert 0 < found["sync_ms"]["p50"] <= found["sync_ms"]["p99"]
    assert all(value > 0 for value in found["cost"].values()), found["cost"]
    assert found["load_cpu_percent"] > 0
    assert (found["private"], found["interrupted"], found["failure"]) == (True, False, None)
    assert (found["errors"], found["discrepancies"]) == ({}, [])
    assert list((tmp_path / "disk").iterdir()) == [], "the server's folder is left"
    with pytest.raises(OSError, match="failed"):
        await trio.open_tcp_stream("127.0.0.1", int(found["server"].rpartition(":")[2]))


async def test_bench_of_a_group_prints_deliveries(tmp_path: Path) -> None:
    ended = await bench(tmp_path, "--group", "12", "--senders", "2", "--seconds", "0.2", "--body-bytes", "10")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "a group of 12, 2 senders, 8 messages in flight each, 10 bytes of text\n" in ended.stdout
    assert "deliveries/s, every one checked: once, in order\n" in ended.stdout
    assert " us a delivery" in ended.stdout


def test_bench_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = run("bench", "--data-on", "file", cwd=tmp_path)
    assert ended.returncode == 2
    assert "file" in ended.stderr
    ended = run("bench", "--data-on", "/proc", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("chatd: cannot make a folder in /proc")
    assert ended.stderr.count("\n") == 1


def test_bench_on_a_terminal_shows_a_progress_bar(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            command("bench", *SHORT), cwd=tmp_path, env=environment(TERM="xterm"), stdout=subprocess.PIPE, stderr=theirs
        ) as process:
            assert process.stdout is not None
            stdout = process.stdout.read()
        shown = os.read(ours, 65_536)
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 0
    assert b"measuring" in shown
    assert b"100%" in shown
    assert b"measuring" not in stdout
    assert b"\nacknowledged " in stdout


# -- running servers --


async def test_bench_of_a_running_server_in_development_mode_prints_figures(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        for _ in range(2):  # the users and their conversations are there already, the second time
            ended = await bench(tmp_path, *SHORT, "--json", "--server", f"http://127.0.0.1:{daemon.port}")
            assert ended.returncode == 0, ended
            assert "will stay in the store" in ended.stderr
            found = figures_of(ended)
            assert found["acknowledged"] > 0
            assert found["delivered"] > 0
            assert (found["private"], found["cost"], found["sync_ms"]) == (False, None, None)


async def test_bench_of_a_running_server_that_wants_tokens_prints_figures(tmp_path: Path) -> None:
    async with running(tmp_path, development=False) as daemon:
        url = f"http://127.0.0.1:{daemon.port}"
        ended = await bench(tmp_path, *SHORT, "--server", url)
        assert ended.returncode == 2
        assert "--data or --config" in ended.stderr
        for _ in range(2):
            ended = await bench(tmp_path, *SHORT, "--json", "--server", url, "--data", "data")
            assert ended.returncode == 0, ended
            found = figures_of(ended)
            assert found["acknowledged"] > 0
            assert found["cost"]["cpu_us_per_message"] > 0
        users = run("user", "list", "--json", "--data", "data", cwd=tmp_path).stdout.splitlines()
        assert [json.loads(user)["id"] for user in users] == ["bench-0-0", "bench-0-1", "bench-1-0", "bench-1-1"]
        assert all(json.loads(user)["disabled_at"] for user in users), "who signs in for a run must not stay"
        assert sorted(path.name for path in (tmp_path / "data").iterdir() if "sync" in path.name) == []
    ended = await bench(tmp_path, "--server", url, "--data", "data")
    assert ended.returncode == 2
    assert "no chatd runs on" in ended.stderr


async def test_bench_over_tls_prints_figures(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    settings = f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'
    async with running(tmp_path, settings=settings, tls=trusting(certificate)) as daemon:
        url = f"https://127.0.0.1:{daemon.port}"
        ended = await bench(tmp_path, "--server", url)
        assert ended.returncode == 2
        assert "certificate verify failed" in ended.stderr
        ended = await bench(tmp_path, *SHORT, "--server", url, "--ca", str(certificate), "--json")
        assert ended.returncode == 0, ended
        assert figures_of(ended)["delivered"] > 0


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1:1"])
def test_bench_without_a_server_is_refused(tmp_path: Path, url: str) -> None:
    ended = run("bench", "--server", url, cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("chatd: ")
    assert "Traceback" not in ended.stderr


async def test_bench_address_where_nobody_speaks_websocket_is_refused(tmp_path: Path) -> None:
    async with _serving(_not_found) as port:
        ended = await bench(tmp_path, "--server", f"http://127.0.0.1:{port}")
    assert ended.returncode == 2
    assert f"127.0.0.1:{port} answered 404 Not Found" in ended.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--senders", "3"), "there are 2 members"),
        (("--data", "data"), "--server"),
        (("--pairs", "0"), "--pairs"),
        (("--body-bytes", "20000"), "at most 10000 characters"),
    ],
)
def test_bench_flags_that_cannot_be_run_are_refused(tmp_path: Path, flags: tuple[str, ...], words: str) -> None:
    ended = run("bench", *flags, cwd=tmp_path)
    assert ended.returncode == 2
    assert words in ended.stderr


# -- when things go wrong --

Tamper = Callable[[bytes], list[bytes]]
"""What becomes of a frame from the server that tells of a message."""


class Meddler:
    """Stands between a load and a server, and passes on what `tamper` makes of one delivery."""

    def __init__(self, daemon: Daemon, tamper: Tamper) -> None:
        self._daemon = daemon
        self._tamper: Tamper | None = tamper
        self.met = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self._daemon.port) as there, trio.open_nursery() as nursery:
            nursery.start_soon(self._up, stream, there)
            await self._down(there, stream)
            nursery.cancel_scope.cancel()

    async def _up(self, stream: trio.abc.Stream, there: trio.abc.Stream) -> None:
        async for data in stream:
            await there.send_all(data)

    async def _down(self, there: trio.abc.Stream, stream: trio.abc.Stream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await there.receive_some()
        head, _, data = data.partition(b"\r\n\r\n")
        await stream.send_all(head + b"\r\n\r\n")
        while True:
            whole, data = _frames(data)
            for frame in whole:
                for passed in self._meddled(frame):
                    await stream.send_all(passed)
            more = await there.receive_some()
            if not more:
                return
            data += bytes(more)

    def _meddled(self, frame: bytes) -> list[bytes]:
        if b'"change"' not in frame or b'"client_id"' not in frame:
            return [frame]
        self.met += 1
        if self.met != 50 or self._tamper is None:
            return [frame]
        return self._tamper(frame)


def _frames(data: bytes) -> tuple[list[bytes], bytes]:
    found = []
    while len(data) >= 4:
        size, head = data[1], 2
        if size == 126:
            size, head = int.from_bytes(data[2:4], "big"), 4
        if size == 127 or len(data) < head + size:
            break
        found.append(data[: head + size])
        data = data[head + size :]
    return found, data


@asynccontextmanager
async def _serving(handler: Callable[[trio.SocketStream], Any]) -> AsyncIterator[int]:
    async def guarded(stream: trio.SocketStream) -> None:
        try:
            await handler(stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, guarded, 0)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def _not_found(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda frame: [], "where"),
        (lambda frame: [frame, frame], "again"),
        (lambda frame: [renamed(frame)], "another"),
    ],
    ids=["lost", "doubled", "exchanged"],
)
async def test_bench_discrepancy_is_told(tmp_path: Path, tamper: Tamper, words: str) -> None:
    async with running(tmp_path) as daemon:
        meddler = Meddler(daemon, tamper)
        async with _serving(meddler.serve) as port:
            ended = await bench(tmp_path, "--pairs", "1", "--seconds", "0.5", "--server", f"http://127.0.0.1:{port}")
    assert meddler.met >= 50
    assert ended.returncode == 1
    wrong = [line for line in ended.stdout.splitlines() if line.startswith("WRONG: ")]
    assert any(words in line for line in wrong), ended.stdout
    assert "every one checked" not in ended.stdout
    assert "Traceback" not in ended.stderr


def renamed(frame: bytes) -> bytes:
    """The frame with the next message's client_id: its last digit is another."""
    at = frame.index(b'"client_id":"')
    end = frame.index(b'"', at + len(b'"client_id":"'))
    return frame[: end - 1] + (b"1" if frame[end - 1 : end] != b"1" else b"2") + frame[end:]


async def under_way(folder: Path, daemon: Daemon, *flags: str) -> trio.Process:
    """A long run, that is being measured."""
    process = await trio.lowlevel.open_process(
        command("bench", "--pairs", "1", "--seconds", "300", *flags, "--server", f"http://127.0.0.1:{daemon.port}"),
        cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    await eventually(lambda: _measuring(folder / "data"), within=60)
    return process


async def _measuring(data: Path) -> bool:
    """Whether it has been sending for longer than it warms up."""
    with closing(sqlite3.connect(f"file:{data / 'chatd.db'}?mode=ro", uri=True)) as db:
        (span,) = db.execute('SELECT coalesce(max(createdAt) - min(createdAt), 0) FROM "Message"').fetchone()
        return bool(span > 2500)


async def _output(process: trio.Process) -> str:
    assert process.stdout is not None
    with trio.fail_after(60):
        output = b"".join([data async for data in process.stdout])
        await process.wait()
    return output.decode()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
async def test_bench_that_is_interrupted_has_figures(tmp_path: Path, end: signal.Signals) -> None:
    async with running(tmp_path) as daemon:
        process = await under_way(tmp_path, daemon, "--json")
        process.send_signal(end)
        found = json.loads(await _output(process))
    assert process.returncode == 0
    assert (found["interrupted"], found["failure"], found["discrepancies"]) == (True, None, [])
    assert found["acknowledged"] > 0
    assert found["seconds"] < 300


async def test_bench_server_that_dies_under_load_is_told(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        process = await under_way(tmp_path, daemon)
        await daemon.kill()
        output = await _output(process)
    assert process.returncode == 1
    assert "FAILED: " in output
    assert "WRONG" not in output
    assert "\nacknowledged " in output


async def test_bench_interrupted_before_anything_is_measured_leaves_nothing(tmp_path: Path) -> None:
    """A server of its own ends with the run, however early that is."""
    process = await trio.lowlevel.open_process(
        command("bench", "--pairs", "1000"), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE
    )

    async def made() -> bool:
        return bool([*await trio.Path(tmp_path).glob(".chatd-bench-*/data/chatd.db")])

    await eventually(made, within=30)
    process.send_signal(signal.SIGINT)
    await _output(process)
    assert process.returncode in (1, 2)
    assert os.listdir(tmp_path) == []
