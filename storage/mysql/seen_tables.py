"""Tables of the app's with a row for each message that somebody has read, like `MessageRead` or `message_seen`.

No two apps make them alike, so they are looked for by what is usual. What the app writes there is noticed by a column
that adoption adds; what is read in chatd gets rows there, where chatd has something for each of its columns.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from . import rows
from .column_capacity import enum_values
from .connection import Connection
from .ids import CUID_CHARS, UUID_CHARS, Form, is_number
from .layout import ExistingColumn, Layout
from .names import Names
from .spellings import folded
from .tables import BY_NAME, TOUCHED, TOUCHED_COLUMN, Index, Table
from .values import time_text

ROWS_PER_READ = 1_000
"""Most rows that one read writes, of the newest messages: a transaction must not last."""

_TABLE_WORDS = re.compile(r"(?<!th)(?<!un)(?<!sp)read|seen|receipt")
_OTHER_TABLE_WORDS = re.compile(r"deliver")
_COLUMN = re.compile(r"\w+", re.ASCII)
_MESSAGE, _USER = ("messageid",), ("userid", "readerid", "readbyid", "seenbyid", "participantid")
_READ_TIMES = ("readat", "seenat", "viewedat")
_TIMES = (*_READ_TIMES, "createdat", "updatedat", "timestamp", "at")
_FLAGS = ("isread", "read", "isseen", "seen")
_STATUSES = ("status", "state")
_READ = ("READ", "SEEN")
_POINTERS = ("conversationid", "chatid", "roomid", "threadid", "channelid")
"""Columns of a table that may have one row for a conversation, with the newest message that somebody has read."""


@attrs.frozen
class SeenTable:
    """A table that says who has read which message. `ready`: new rows can be told.

    `says`: columns by which a row says that it was read, with the SQL to write there; none: by being there. `filled`:
    the other columns to write. `lacking`: columns that chatd has nothing for, so that it writes nothing.
    """

    name: str
    message: str
    user: str
    ready: bool = True
    says: tuple[tuple[str, str], ...] = ()
    filled: tuple[tuple[str, str], ...] = ()
    lacking: tuple[str, ...] = ()

    @property
    def table(self) -> Table:
        """Additions of an adoption: the column that tells of new rows, and indexes."""
        return table_to_add(self.name, self.message)

    @property
    def is_read(self) -> str:
        """Condition: row `s` says that its message was read."""
        conditions = [
            f's."{name}" IS NOT NULL' if value == "?" else f's."{name}" = {value}' for name, value in self.says
        ]
        return f"COALESCE({' OR '.join(conditions)}, FALSE)" if conditions else "TRUE"

    # -- what the app wrote --

    @property
    def waiting(self) -> str:
        """Condition: the app wrote rows."""
        return rows.any_touched(self.name, TOUCHED)

    @property
    def waiting_of(self) -> str:
        """Condition: the app wrote rows for messages of conversation `c`."""
        return rows.any_touched_of(self.name, TOUCHED, self.message)

    def find(self, db: Connection, limit: int, conversation: str | None = None) -> list["SeenRow"]:
        """Return rows that the app wrote, for messages of one conversation or all; those of no message, too."""
        only = "" if conversation is None else 'AND m."conversationId" = ? '
        found = db.run(
            f'SELECT m."conversationId", m."id", m."seq", s."{self.message}", s."{self.user}", {self.is_read} '
            f'FROM "{self.name}" s LEFT JOIN "Message" m ON m."id" = s."{self.message}" '
            f'WHERE s."{TOUCHED}" IS NOT NULL {only}ORDER BY s."{TOUCHED}" LIMIT ?',
            (*([] if conversation is None else [conversation]), limit),
        )
        return [
            SeenRow(self, room, id, seq, str(user), bool(read), (key, user)) for room, id, seq, key, user, read in found
        ]

    def hold(self, db: Connection, found: Sequence["SeenRow"]) -> list["SeenRow"]:
        """Lock the rows; not those that the app is still at."""
        known = {seen.key: seen for seen in found}
        key = f's."{self.message}", s."{self.user}"'
        statement = f'SELECT {key} FROM "{self.name}" s WHERE ({key}) IN ({{}}) FOR UPDATE SKIP LOCKED'
        return [known[row] for row in rows.by_pair(db, statement, known, of=None) if row in known]

    def taken(self, db: Connection, found: Sequence["SeenRow"]) -> None:
        """Mark the rows as ingested."""
        statement = (
            f'UPDATE "{self.name}" s SET s."{TOUCHED}" = NULL WHERE (s."{self.message}", s."{self.user}") IN ({{}})'
        )
        rows.by_pair(db, statement, [seen.key for seen in found], of=None)

    def forget(self, db: Connection, limit: int) -> int:
        """Mark up to `limit` waiting rows as ingested: what was counted at the adoption is no news. Return how many."""
        db.run(f'UPDATE "{self.name}" SET "{TOUCHED}" = NULL WHERE "{TOUCHED}" IS NOT NULL LIMIT {limit}')
        ((count,),) = db.run("SELECT ROW_COUNT()")
        return int(count)

    # -- what is read in chatd --

    def write(self, db: Connection, conversation: str, user: str, *, above: int, upto: int, at: int) -> None:
        """Write rows for others' messages that somebody has read; those that are there say so, too."""
        when = time_text(at)
        if self.says:
            sets = ", ".join(
                f's."{name}" = {f"COALESCE(s.{_quoted(name)}, ?)" if value == "?" else value}'
                for name, value in self.says
            )
            db.run(
                f'UPDATE "{self.name}" s JOIN "Message" m ON m."id" = s."{self.message}" '
                f'SET {sets}, s."{TOUCHED}" = s."{TOUCHED}" WHERE s."{self.user}" = ? AND m."conversationId" = ? '
                f'AND m."seq" > ? AND m."seq" <= ? AND NOT {self.is_read}',
                (*[when for _, value in self.says if value == "?"], user, conversation, above, upto),
            )
        more = [*self.filled, *self.says]
        columns = ", ".join(_quoted(name) for name in (self.message, self.user, TOUCHED, *(name for name, _ in more)))
        values = "".join(f", {value}" for _, value in more)
        times = [user if value.startswith(_HASH) else when for _, value in more for _ in range(value.count("?"))]
        # A row that somebody else writes meanwhile, or that the table refuses, must not keep the chat from its own.
        db.run(
            f'INSERT IGNORE INTO "{self.name}" ({columns}) SELECT m."id", ?, NULL{values} FROM "Message" m '
            f'WHERE m."conversationId" = ? AND m."seq" > ? AND m."seq" <= ? AND m."senderId" <> ? '
            'AND m."deletedAt" IS NULL AND m."kind" = \'text\' AND NOT EXISTS (SELECT 1 FROM '
            f'"{self.name}" s WHERE s."{self.message}" = m."id" AND s."{self.user}" = ?) '
            f'ORDER BY m."seq" DESC LIMIT {ROWS_PER_READ}',
            (user, *times, conversation, above, upto, user, user),
        )


@attrs.frozen
class SeenRow:
    """A row that the app wrote. `read`: it says so. `key`: of the row, as the database has it."""

    table: SeenTable
    conversation: str | None
    message: str | None
    seq: int | None
    user: str
    read: bool
    key: tuple[Any, Any]


def seen_tables(layout: Layout, names: Names, form: Form = "") -> Iterator[SeenTable]:
    """Yield the tables that say which messages somebody has read. `form`: of new ids."""
    known = {names.table(table) for table in BY_NAME}
    for name, columns in layout.columns.items():
        word = folded(name)
        if (
            name in known
            or name.startswith("chatd_")
            or not _TABLE_WORDS.search(word)
            or _OTHER_TABLE_WORDS.search(word)
        ):
            continue
        by_name = {folded(column): column for column in columns}
        message = next((by_name[word] for word in _MESSAGE if word in by_name), None)
        user = next((by_name[word] for word in _USER if word in by_name), None)
        if message is None or user is None or not all(map(_COLUMN.fullmatch, (name, *columns))):
            continue
        says, filled, lacking = [], [], []
        for column, has in columns.items():
            if column in (message, user, TOUCHED):
                continue
            what = _says(column, has)
            value = what or _filling(column, has, form)
            if what is not None and (what != "?" or has.null):
                says.append((column, what))
            elif value is not None:
                filled.append((column, value))
            elif not has.filled or folded(column) in _POINTERS:
                lacking.append(column)
        yield SeenTable(name, message, user, TOUCHED in columns, tuple(says), tuple(filled), tuple(lacking))


def table_to_add(name: str, message: str) -> Table:
    """Return what is added to such a table, as `schema` adds it."""
    return Table(name, (TOUCHED_COLUMN,), indexes=(Index((message,)), Index((TOUCHED,))))


_HASH = "CONCAT"  # how the values begin that have a user's id in them


def _says(column: str, has: ExistingColumn) -> str | None:
    """The SQL to write where a column says that a message was read; `?` for the time."""
    word, kind = folded(column), has.type.lower()
    if word in _READ_TIMES and kind.startswith(("datetime", "timestamp")):
        return "?"
    if word in _FLAGS and kind.startswith("tinyint"):
        return "TRUE"
    if word in _STATUSES:
        return next((f"'{value}'" for value in enum_values(has.type) if value.upper() in _READ), None)
    return None


def _filling(column: str, has: ExistingColumn, form: Form) -> str | None:
    """The SQL to write to a column that doesn't; None where chatd has nothing for it, or need not."""
    word, kind = folded(column), has.type.lower()
    if word in _TIMES and kind.startswith(("datetime", "timestamp")):
        return "?"
    if word == "id" and not has.filled and not is_number(has.type) and has.length is not None:
        digest = "SHA2(CONCAT(m.\"id\", ' ', ?), 256)"  # the same in every daemon
        if form == "uuid":
            parts = [
                f"SUBSTR({digest}, {start}, {length})" for start, length in ((1, 8), (9, 4), (14, 3), (18, 3), (21, 12))
            ]
            uuid = f"CONCAT({parts[0]}, '-', {parts[1]}, '-5', {parts[2]}, '-a', {parts[3]}, '-', {parts[4]})"
            return uuid if has.length >= UUID_CHARS else None
        return f"CONCAT('c', LEFT({digest}, 24))" if has.length >= CUID_CHARS else None
    return None


def _quoted(name: str) -> str:
    """A column of the app's alone: not in double quotes, which are for chatd's names."""
    return f"`{name}`"
