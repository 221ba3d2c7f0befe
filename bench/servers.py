"""The servers that chatd is measured against."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from chatd.bench.private import LISTENING, CannotStart, PrivateServer, environment, running

RELAY = Path(__file__).parent / "relay"
INSTALLED = Path("node_modules", ".package-lock.json")  # the last file that npm writes

CHATD = (
    "-m", "chatd", "serve", "--dev", "--host", "127.0.0.1", "--port", "0",
    "--data", "data", "--database", "sqlite:///data/chatd.db",
)  # fmt: skip
"""Arguments of Python for a daemon that keeps its data in the folder where it is started."""
STOP_TIMEOUT_S = 120

BODY_BYTES = 95
"""Bytes of a message's text, in every load: two short sentences."""

TOKEN_SECRET = "of-the-benchmark-" + "x" * 32
"""Signs the tokens of daemons outside development mode."""


def installed(package: Path) -> str:
    """The command that runs it, with its packages installed on first use. Raises CannotStart."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise CannotStart(f"there is no {'npm' if node else 'node'} here: install nodejs and npm")
    if not (package / INSTALLED).exists():
        install = (npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
        try:
            subprocess.run(install, cwd=package, capture_output=True, text=True, timeout=300, check=True)
        except subprocess.CalledProcessError as error:
            raise CannotStart(f"npm install failed: {error.stderr.strip()[-500:]}") from None
        except subprocess.TimeoutExpired:
            raise CannotStart("npm install took too long") from None
    return node


@contextmanager
def relay(folder: Path) -> Iterator[PrivateServer]:
    """The Socket.IO server that stores nothing; installed on first use. Raises CannotStart."""
    with running("relay", (installed(RELAY), str(RELAY / "server.mjs")), folder, environment()) as server:
        yield server


@contextmanager
def observed(program: Sequence[str], folder: Path, env: Mapping[str, str], end: signal.Signals) -> Iterator[str]:
    """A daemon under a tool that writes what it found when the daemon ends; its URL.

    `end` is sent to both. Their output goes to `folder`/chatd.log. Raises CannotStart.
    """
    with (folder / "chatd.log").open("wb") as errors:
        process = subprocess.Popen(
            program, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder, env=env, start_new_session=True
        )
    with process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(LISTENING):  # the tool may have said something before
                    break
            else:
                raise CannotStart(f"it did not start: {(folder / 'chatd.log').read_text().strip()[-500:]}")
            yield line.removeprefix(LISTENING).strip()
            os.killpg(process.pid, end)
            process.wait(STOP_TIMEOUT_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
