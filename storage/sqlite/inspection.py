"""Inspection of a SQLite store from outside: nothing is made, migrated or changed; a daemon may run meanwhile."""

from contextlib import closing
from pathlib import Path

import attrs
from sqlite_utils import Database
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.contract import StoreError

from .schema import migrations


@attrs.frozen
class Inspection:
    """State of a store's file. `pending`, `newer`: migrations that the file lacks, and that this program doesn't know.

    `newest`: when the newest message was sent, in ms since 1970.
    """

    pending: tuple[str, ...]
    newer: tuple[str, ...]
    newest: int | None


def inspect(path: Path) -> Inspection:
    """Inspect the store in the file at `path`. Raises StoreError where it is no database, or can't be read."""
    # A reader of a WAL database wants its side files and would make them: without a log there is nothing else to read.
    still = "" if path.with_name(path.name + "-wal").exists() else "&immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{still}", uri=True)) as connection:
            applied = [
                migration.name for migration in migrations.applied(Database(connection, recursive_triggers=False))
            ]
            known = [migration.name for migration in migrations._migrations]
            newest = None
            if applied:
                (newest,) = connection.execute('SELECT MAX("lastMessageAt") FROM "Conversation"').fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be read as the database: {error}") from error
    return Inspection(
        pending=tuple(name for name in known if name not in applied),
        newer=tuple(name for name in applied if name not in known),
        newest=newest,
    )
