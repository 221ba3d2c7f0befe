"""The conditions that the numbers depend on, beside the servers."""

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

import attrs
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from bench.servers import RELAY
from chatd.bench.machine import syncs


@attrs.frozen(kw_only=True)
class Machine:
    """The machine, what runs on it, and how fast its disk is at what makes an acknowledgement durable."""

    cores: int
    load_average: tuple[float, float, float]
    python: str
    sqlite: str
    node: str | None
    socket_io: str | None
    sync_p50: float
    """ms to write and sync 4 KiB."""
    sync_p99: float


def inspect(folder: Path, *, with_relay: bool) -> Machine:
    """Look at this machine, and at the disk that the folder is on."""
    load_average = os.getloadavg()
    taken = syncs(folder)
    return Machine(
        cores=os.cpu_count() or 1,
        load_average=load_average,
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        node=_node() if with_relay else None,
        socket_io=_socket_io() if with_relay else None,
        sync_p50=taken.p50,
        sync_p99=taken.p99,
    )


def _node() -> str:
    node = shutil.which("node")
    assert node is not None, "the relay runs on it"
    return subprocess.run((node, "--version"), capture_output=True, text=True, check=True).stdout.strip().lstrip("v")


def _socket_io() -> str:
    package = RELAY / "node_modules" / "socket.io" / "package.json"
    return str(json.loads(package.read_text())["version"])
