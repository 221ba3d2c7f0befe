"""A real daemon in a process of its own: start it, ask it, kill it, and keep what it wrote on standard error."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import attrs
import trio

from chatd.config import DATABASE_FILE
from chatd.config.layers import BORROWED
from storage.sqlite import SqliteStore

from .forking import Forked, Process, can_fork, fork

ROOT = Path(__file__).parents[2]
PLAIN = ("-c", "from chatd.cli import main; main(prog_name='chatd')")
"""The interpreter's arguments for the program as it is."""

LOG = "stderr.log"
"""In a daemon's folder: what it logs."""


def command(*flags: str, program: Sequence[str] = PLAIN) -> list[str]:
    """The command line of `chatd` with these flags, from the tree that the tests are in."""
    return [sys.executable, *program, *flags]


def launcher(*faults: str) -> tuple[str, ...]:
    """The interpreter's arguments for the program with something added or broken (see `launch.py`)."""
    return ("-m", "support.launch", *faults, "--")


def environment(**more: str) -> dict[str, str]:
    """This process's, without what would change the daemon's mind."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "NODE_ENV" and name not in BORROWED and not name.startswith(("CHATD_", "COVERAGE_"))
    }
    return {**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", **more}


@attrs.define
class Daemon:
    """A running daemon. `ready`: s from its start until it said that it listens."""

    process: Process
    host: str
    port: int
    ready: float
    errors: Path
    tls: ssl.SSLContext | None = None
    _stdout: bytes = b""

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """All that it wrote on standard error."""
        return self.errors.read_text()

    async def line(self) -> str:
        """The next line of its standard output."""
        line, self._stdout = await _line(self.process, self._stdout)
        return line

    async def dial(self) -> trio.abc.Stream:
        """A new connection, its TLS handshake done where there is one."""
        stream = await trio.open_tcp_stream(self.host, self.port)
        if self.tls is None:
            return stream
        secure = trio.SSLStream(stream, self.tls, server_hostname=self.host, https_compatible=True)
        try:
            await secure.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return secure

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """GET over HTTP: the status, and the JSON of the body."""
        with trio.fail_after(10):
            async with await self.dial() as stream:
                await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                answer = b"".join([data async for data in stream])
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)

    async def is_ready(self) -> bool:
        """Whether it says that it can acknowledge messages."""
        return (await self.get("/readyz"))[0] == 200

    async def counts(self) -> dict[str, int]:
        """Tasks and connection objects, where the launcher counts them."""
        self.process.send_signal(signal.SIGUSR2)
        while not (line := await self.line()).startswith("{"):
            pass
        found: dict[str, int] = json.loads(line)
        return found

    @property
    def descriptors(self) -> int:
        """Its open files and sockets."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def resident(self) -> int:
        """Bytes of memory in use."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        await self.process.wait()

    async def stop(self, *, within: float = 30) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        with trio.fail_after(within):
            return await self.process.wait()


async def eventually(holds: Callable[[], Awaitable[bool]], *, within: float) -> None:
    """Ask again until it holds, for so many seconds."""
    with trio.fail_after(within):
        while True:
            if await holds():
                return
            await trio.sleep(0.05)


async def _line(process: Process, rest: bytes) -> tuple[str, bytes]:
    assert process.stdout is not None
    while b"\n" not in rest:
        data = await process.stdout.receive_some()
        assert data, "the daemon closed its standard output"
        rest += data
    line, _, rest = rest.partition(b"\n")
    return line.decode(), rest


def _forked(argv: Sequence[str], stderr: int, cwd: Path, env: Mapping[str, str]) -> Forked:
    """A process of the program, of whose standard output we have the other end."""
    reading, writing = os.pipe()
    with open(os.devnull, "rb") as nothing, open(writing, "wb") as stdout:
        pid, status = fork(argv, stdin=nothing.fileno(), stdout=stdout.fileno(), stderr=stderr, cwd=cwd, env=env)
    return Forked(pid, trio.lowlevel.FdStream(reading), status)


@asynccontextmanager
async def started(
    folder: Path,
    *flags: str,
    port: int | None = 0,
    program: Sequence[str] = PLAIN,
    data: Path | None = None,
    development: bool = True,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> AsyncIterator[Process]:
    """A daemon's process, which may not have said yet that it listens; what it logs is in `folder`/`LOG`.

    `port`: None for the one that its settings name.
    """
    mode = [*(["--dev"] if development else []), *([] if port is None else ["--port", str(port)])]
    line = command("serve", *mode, "--data", str(data or folder / "data"), *flags, program=program)
    process: Process
    with (folder / LOG).open("ab") as stderr:
        if stdin == subprocess.DEVNULL and can_fork(program, PLAIN, env or {}):
            process = _forked(line[1:], stderr.fileno(), folder, environment(**(env or {})))
        else:
            process = await trio.lowlevel.open_process(
                line, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, cwd=folder, env=environment(**(env or {}))
            )
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()
            assert process.stdout is not None
            await process.stdout.aclose()


@asynccontextmanager
async def running(
    folder: Path,
    *flags: str,
    settings: str | None = None,
    program: Sequence[str] = PLAIN,
    data: Path | None = None,
    tls: ssl.SSLContext | None = None,
    development: bool = True,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    any_port: bool = True,
) -> AsyncIterator[Daemon]:
    """A daemon, its data in `folder`/data; killed at the end, if it is not over by then.

    `settings`: TOML, for `chatd.toml`; `tls`: how to reach it where these name a certificate. `any_port`: whether it
    takes a free one, and not the one that its settings name.
    """
    if settings is not None:
        (folder / "chatd.toml").write_text(settings)
        if not development:  # settings without a database are refused there
            SqliteStore((data or folder / "data") / DATABASE_FILE, new_epoch=lambda: "made").close()
    began = time.monotonic()
    port = 0 if any_port else None
    async with started(
        folder, *flags, port=port, program=program, data=data, development=development, env=env, stdin=stdin
    ) as process:
        try:
            with trio.fail_after(30):
                first, rest = await _line(process, b"")
            ready = time.monotonic() - began
            listening = "listening on " + ("https://" if tls else "http://")
            assert first.startswith(listening), first
            host, _, bound = first.removeprefix(listening).rpartition(":")
            yield Daemon(process, host, int(bound), ready, folder / LOG, tls, rest)
        except BaseException:
            print((folder / LOG).read_text()[-5000:])
            raise


def run(
    *flags: str,
    cwd: Path,
    env: dict[str, str] | None = None,
    timeout: float = 30,
    given: str | None = None,
    program: Sequence[str] = PLAIN,
) -> subprocess.CompletedProcess[str]:
    """Run a command of `chatd` that is to end by itself; `given`: its standard input."""
    line, full = command(*flags, program=program), environment(**(env or {}))
    with TemporaryFile() as stdin, TemporaryFile() as stdout, TemporaryFile() as stderr:
        stdin.write((given or "").encode())
        stdin.seek(0)
        if can_fork(program, PLAIN, env or {}):
            files = {"stdin": stdin.fileno(), "stdout": stdout.fileno(), "stderr": stderr.fileno()}
            pid, status = fork(line[1:], **files, cwd=cwd, env=full)
            try:
                code = Forked(pid, None, status).wait_within(timeout)
            except TimeoutError:
                raise subprocess.TimeoutExpired(line, timeout) from None
        else:
            code = subprocess.run(
                line, stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd, env=full, timeout=timeout, check=False
            ).returncode
        for written in (stdout, stderr):
            written.seek(0)
        return subprocess.CompletedProcess(line, code, stdout.read().decode(), stderr.read().decode())
