"""Runs `chatd` with something added or broken on purpose: `python -m support.launch FAULT ... -- serve ...`.

- `--unsynced`: SQLite never syncs, and power loss would take acknowledged messages.
- `--stuck`: a commit with a message "stuck" never returns.
- `--hung`: the same, and the event loop hangs with it.
- `--impatient`: another daemon, or a command, is waited for for a tenth of a second.
- `--count`: SIGUSR2 prints the number of tasks and of connection objects.
"""

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import trio

from chatd.cli import main
from chatd.core.gate import ThreadRunner
from chatd.ops import serve
from chatd.transports.websocket.connection import WebSocketConnection
from storage.changes import Change, Outcome
from storage.sqlite import SqliteStore


def never_sync() -> None:
    connect = SqliteStore._connect

    def unsynced(self: SqliteStore) -> Any:
        connection = connect(self)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    SqliteStore._connect = unsynced  # type: ignore[method-assign, assignment]


def stuck_at_a_message() -> None:
    commit = SqliteStore.commit

    def stuck(self: SqliteStore, changes: Sequence[Change]) -> list[Outcome]:
        if any(getattr(change, "body", None) == "stuck" for change in changes):
            threading.Event().wait()
        return commit(self, changes)

    SqliteStore.commit = stuck  # type: ignore[method-assign]


def hung_at_a_message() -> None:
    stuck_at_a_message()

    async def on_the_loop(self: ThreadRunner, work: Callable[[], Any]) -> Any:
        return work()

    ThreadRunner.__call__ = on_the_loop  # type: ignore[method-assign]


def count_when_asked() -> None:
    def count(*_: object) -> None:
        gc.collect()
        counts = {
            "tasks": trio.lowlevel.current_statistics().tasks_living,
            "connections": sum(isinstance(thing, WebSocketConnection) for thing in gc.get_objects()),
        }
        os.write(1, json.dumps(counts).encode() + b"\n")

    signal.signal(signal.SIGUSR2, count)


def wait_for_nobody() -> None:
    serve.DAEMON_WAIT_S = serve.STORE_WAIT_S = 0.1


FAULTS = {
    "--impatient": wait_for_nobody,
    "--unsynced": never_sync,
    "--stuck": stuck_at_a_message,
    "--hung": hung_at_a_message,
    "--count": count_when_asked,
}


def launch(argv: Sequence[str]) -> None:
    """Run `chatd` with these faults, and with the arguments behind "--"."""
    end = argv.index("--")
    for fault in argv[:end]:
        FAULTS[fault]()
    main(argv[end + 1 :], prog_name="chatd")


if __name__ == "__main__":
    launch(sys.argv[1:])
