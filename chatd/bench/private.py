"""A server for a run alone: a process in a folder of its own, that nobody else uses and nothing is kept of."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from chatd.config.layers import BORROWED, PREFIX
from chatd.ops.program import command

LISTENING = "listening on "


class CannotStart(Exception):
    """A server is not to be had; the message says why, in one line."""


@attrs.frozen
class PrivateServer:
    """A running server."""

    url: str
    pid: int


def environment() -> dict[str, str]:
    """This process's, without what would change a server's settings."""
    settings = {"NODE_ENV", *BORROWED}
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX) and name not in settings}


@contextmanager
def chatd_server(folder: Path) -> Iterator[PrivateServer]:
    """This program's daemon with its default settings, in development mode. Raises CannotStart."""
    # Flags outweigh whatever else could name another host, port or database.
    flags = ("--dev", "--host", "127.0.0.1", "--port", "0", "--data", "data", "--database", "sqlite:///data/chatd.db")
    with running("chatd", command("serve", *flags), folder, environment()) as server:
        yield server


@contextmanager
def running(name: str, program: Sequence[str], folder: Path, env: Mapping[str, str]) -> Iterator[PrivateServer]:
    """Start a server that says on its first line where it listens; its log is `folder`/`name`.log.

    Killed at the end: there is nothing that it should still do. Raises CannotStart.
    """
    errors = folder / f"{name}.log"
    with (
        errors.open("wb") as stderr,
        # A session of its own: Ctrl-C is for us, who end it when the last figures are taken.
        subprocess.Popen(
            program, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=folder, env=env, start_new_session=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            if not line.startswith(LISTENING):
                said = errors.read_text(errors="replace").strip().rpartition("\n")[2]
                raise CannotStart(f"{name} did not start: {said or line}")
            yield PrivateServer(line.removeprefix(LISTENING), process.pid)
        finally:
            process.kill()
