"""Inspection of a SQLite store from outside: nothing is made, migrated or changed; a daemon may run meanwhile."""

from contextlib import closing
from pathlib import Path

import attrs
from sqlite_utils import Database
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.contract import StoreError

from .access import require_access
from .schema import migrations


@attrs.frozen
class Inspection:
    """State of a store's file. `pending`, `newer`: migrations that the file lacks, and that this program doesn't know.

    `newest`: when the newest message was sent, in ms since 1970. `empty`: nothing was ever kept there. `foreign`: the
    name of something in it, where another program made the file; None where chatd did.
    """

    pending: tuple[str, ...]
    newer: tuple[str, ...]
    newest: int | None
    empty: bool
    foreign: str | None


def inspect(path: Path) -> Inspection:
    """Inspect the store in the file at `path`.

    Raises StoreError where it is no database, or where this user may not read and write it.
    """
    require_access(path)
    # A reader of a WAL database wants its side files and would make them: without a log there is nothing else to read.
    still = "" if path.with_name(path.name + "-wal").exists() else "&immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{still}", uri=True)) as connection:
            applied = [
                migration.name for migration in migrations.applied(Database(connection, recursive_triggers=False))
            ]
            others = [] if applied else connection.execute(_OTHERS, [migrations.migrations_table]).fetchall()
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
        empty=not applied and not others,
        foreign=others[0][0] if others else None,
    )


def refusal(found: Inspection, *, new: bool, upgrade: bool) -> str | None:
    """Return why the file can't be opened, for people; `new`, `upgrade`: it may be filled, or upgraded, first."""
    if found.foreign is not None:
        return f"is not chatd's, as it has {found.foreign}; another program's data are left alone"
    if found.empty and not new:
        return "is empty: restore a backup; or remove it, for a new database"
    if found.newer:
        return f"made by a newer version of chatd (it has {found.newer[-1]}): start that version, or restore a backup"
    if found.pending and not found.empty and not upgrade:
        return f"made by an older version of chatd (it lacks {', '.join(found.pending)}): run `chatd db upgrade`"
    return None


_OTHERS = "SELECT name FROM sqlite_master WHERE tbl_name <> ? AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' LIMIT 1"
"""Tables beside the list of migrations, which is made before the first of them has run."""
