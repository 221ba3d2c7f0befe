"""The servers that are measured: each a process of its own, with a folder that nobody else uses."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import attrs

ROOT = Path(__file__).parents[1]
RELAY = Path(__file__).parent / "relay"
INSTALLED = RELAY / "node_modules" / ".package-lock.json"  # the last file that npm writes
LISTENING = "listening on http://"


class CannotStart(Exception):
    """A server is not to be had; the message says why."""


@attrs.frozen
class Server:
    """A running server."""

    protocol: Literal["chatd", "relay"]
    address: str
    pid: int


@contextmanager
def chatd(folder: Path) -> Iterator[Server]:
    """This tree's daemon with its default settings, in development mode, its data in the folder."""
    program = (sys.executable, "-c", "from chatd.cli import main; main()")
    with _running("chatd", (*program, "serve", "--dev", "--port", "0", "--data", "data"), folder) as server:
        yield server


@contextmanager
def relay(folder: Path) -> Iterator[Server]:
    """The Socket.IO server that stores nothing; installed on first use."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise CannotStart("there is no node here" if node is None else "there is no npm here")
    if not INSTALLED.exists():
        install = (npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
        try:
            subprocess.run(install, cwd=RELAY, capture_output=True, text=True, timeout=300, check=True)
        except subprocess.CalledProcessError as error:
            raise CannotStart(f"npm install failed: {error.stderr.strip()[-500:]}") from None
        except subprocess.TimeoutExpired:
            raise CannotStart("npm install took too long") from None
    with _running("relay", (node, str(RELAY / "server.mjs")), folder) as server:
        yield server


@contextmanager
def _running(protocol: Literal["chatd", "relay"], command: Sequence[str], folder: Path) -> Iterator[Server]:
    """Start a server that says on its first line where it listens; killed at the end, as nothing of it is kept."""
    errors = folder / f"{protocol}.log"
    kept = {name: value for name, value in os.environ.items() if name not in ("NODE_ENV", "CHATD_ENV")}
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=folder, env={**kept, "PYTHONPATH": str(ROOT)}
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            if not line.startswith(LISTENING):
                raise CannotStart(f"{protocol} did not start: {errors.read_text().strip()[-500:] or line}")
            yield Server(protocol, line.removeprefix(LISTENING), process.pid)
        finally:
            process.kill()
