"""SQLite files for tests: opened, looked into, written to from elsewhere, and connections that fail."""

import contextlib
from pathlib import Path
from typing import Any

from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.sqlite import SqliteStore

FULL, IOERR_FSYNC, IOERR_READ = 13, 1034, 266


def make(path: Path, epoch: str = "e", **options: Any) -> SqliteStore:
    return SqliteStore(path, new_epoch=lambda: epoch, **options)


def pragma(connection: Any, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def bodies(store: SqliteStore, conversation: str, user: str = "ada") -> list[str]:
    page = store.history(conversation, user, before=None, after=0, limit=1000)
    assert page is not None
    return [message.body for message in page.messages]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def failure(code: int) -> Exception:
    error = sqlite3.OperationalError(f"simulated error {code}")
    error.sqlite_errorcode = code
    assert isinstance(error, Exception)
    return error


class FailingConnection:
    """Passes everything on, but for statements that begin with a key of `errors`; `after` it had its effect."""

    def __init__(self, connection: Any, errors: dict[str, int], *, after: bool = False) -> None:
        self._connection = connection
        self._errors = errors
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        for start, code in self._errors.items():
            if statement.startswith(start):
                if self._after:
                    self._connection.execute(statement, *values)
                raise failure(code)
        return self._connection.execute(statement, *values)


def other_process(path: Path) -> contextlib.closing[Any]:
    return contextlib.closing(sqlite3.connect(str(path), isolation_level=None))
