"""Ids of new rows, in the form that the app's are: UUIDs as callers make them, cuids, or numbers of the server's.

Callers name new rows before they are written. Where the app's ids have another form, the changes of a batch get theirs
before anything is loaded, so that all that follows knows one id.
"""

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import attrs

from storage.changes import Change, CreateGroup, OpenDirect

from .connection import MODES, Connection
from .layout import INTEGER_TYPES, Layout
from .names import Names
from .tables import ID, TABLES, Column

Form = Literal["", "uuid", "cuid"]
"""The setting; empty: UUIDs, or cuids where a column is too short for those."""

UUID_CHARS, CUID_CHARS = 36, 25
"""Characters of an id in that form."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LIFT = "SET sql_mode = 'ANSI_QUOTES', foreign_key_checks = 0"
_LOWER = f"SET sql_mode = '{MODES}', foreign_key_checks = 1"

MADE_IDS = {
    "Conversation": ("id",),
    "ConversationParticipant": ("id", "conversationId"),
    "Message": ("id", "conversationId", "replyToId"),
}
"""Columns with ids that chatd makes."""


def is_number(type: str) -> bool:
    """Return True for a type of whole numbers, as information_schema spells it."""
    return type.lower().startswith(INTEGER_TYPES)


def is_id(column: Column) -> bool:
    """Return True for a column that holds ids of the app's rows."""
    return column.type == ID and column.bytewise and column.name.lower().endswith("id")


def numbers(layout: Layout, names: Names) -> frozenset[tuple[str, str]]:
    """Return (table, column) of the ids that are numbers in the database, by their names there."""
    found: set[tuple[str, str]] = set()
    for table in TABLES:  # chatd's own, too: some hold ids of the app's rows
        actual = names.table(table.name)
        there = layout.columns.get(actual, {})
        for column in table.columns:
            has = there.get(names.column(table.name, column.name))
            if has is not None and is_id(column) and is_number(has.type):
                # A server may keep names of tables in small letters, whatever they were made with.
                found |= {(name, names.column(table.name, column.name)) for name in (actual, actual.lower())}
    return frozenset(found)


@attrs.frozen
class RowIds:
    """Maker of new rows' ids. `counted`: logical tables whose ids the server counts."""

    cuids: bool
    counted: frozenset[str]
    constants: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, layout: Layout, names: Names, form: Form) -> "RowIds":
        """Return it for a database that lacks nothing."""
        lengths, counted = [], set()
        for table, columns in MADE_IDS.items():
            for column in columns:
                has = layout.columns[names.table(table)].get(names.column(table, column))
                if has is None:
                    continue
                if is_number(has.type):
                    counted.update([table] if column == "id" else [])
                else:
                    lengths.append(has.length or UUID_CHARS)
        short = min(lengths, default=UUID_CHARS) < UUID_CHARS
        return cls(form == "cuid" or (form == "" and short), frozenset(counted), names.constants)

    def given(self, db: Connection, changes: Sequence[Change]) -> list[Any]:
        """Return the changes with the ids that new rows are to have."""
        if not self.cuids and not self.counted:
            return list(changes)
        made = [c for c in changes if isinstance(c, OpenDirect | CreateGroup)]
        rooms = dict(zip([c.conversation for c in made], self._new(db, "Conversation", made), strict=True))
        messages = self._new(db, "Message", [c for c in changes if hasattr(c, "message")])
        found: list[Any] = []
        for change in changes:
            found.append(_with_message(_in_room(change, rooms), messages))
        return found

    def _new(self, db: Connection, table: str, changes: Sequence[Any]) -> Iterator[str]:
        if table in self.counted:
            return iter(reserve(db, table, len(changes), self.constants.get(table, {})) if changes else ())
        names = [c.conversation if table == "Conversation" else c.message for c in changes]
        return iter([cuid(name) for name in names] if self.cuids else names)


def _in_room(change: Any, rooms: Mapping[str, str]) -> Any:
    """Return the change with the id of a conversation that it makes, or one before it in the batch."""
    room = rooms.get(getattr(change, "conversation", ""))
    return change if room is None else attrs.evolve(change, conversation=room)


def _with_message(change: Any, ids: Iterator[str]) -> Any:
    return attrs.evolve(change, message=next(ids)) if hasattr(change, "message") else change


def reserve(db: Connection, table: str, count: int, constants: Mapping[str, str]) -> list[str]:
    """Return so many numbers that the server will give to nobody else, in order.

    Its counter moves on with rows that are rolled back. They are empty, so that nothing of them is checked.
    """
    columns, values = ", ".join(f'"{name}"' for name in constants), ", ".join(constants.values())
    try:
        db.run(_LIFT)
        db.run("SAVEPOINT chatd_ids")
        db.ask_written(f'INSERT INTO "{table}" ({columns}) VALUES {{}}', [f"({values.replace('%%', '%')})"] * count)
        ((first, step),) = db.run("SELECT LAST_INSERT_ID(), @@auto_increment_increment")
        db.run("ROLLBACK TO SAVEPOINT chatd_ids")
    finally:
        db.run(_LOWER)
    return [str(int(first) + place * int(step)) for place in range(count)]


def cuid(name: str) -> str:
    """Return an id of 25 characters for one that a caller made; UUIDv7 keep their order."""
    try:
        bits = uuid.UUID(name).int
        number = (bits >> 80) << 74 | (bits >> 64 & 0xFFF) << 62 | bits & (1 << 62) - 1  # but version and variant
    except ValueError:
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:15], "big")
    digits = []
    for _ in range(CUID_CHARS - 1):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "c" + "".join(reversed(digits))


def seat_id(conversation: str, user: str, *, form: Form = "") -> str:
    """The id of a participant's row that chatd makes: the same in every daemon."""
    digest = hashlib.sha256(f"{conversation} {user}".encode()).digest()
    if form == "uuid":
        return str(uuid.UUID(bytes=digest[:16], version=5))
    return f"c{digest.hex()[:24]}"
