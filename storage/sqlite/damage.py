"""Damage: messages whose rows are not as they were written, found by a checksum of each row.

A flipped bit in a file shows as another text, or makes a row unreadable. The message is shown as damaged instead, by
its number, and everything around it stays as it is. Only `rev` is not in the checksum: a changed message keeps that of
its creation, which the writer of a change doesn't know; `verify` holds it to its neighbours.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage import sql
from storage.columns import Row
from storage.records import Message

MAX_NOTED = 100
"""Damaged messages that are remembered for `SqliteStore.damaged`."""

READ_MESSAGE = f'{sql.READ_MESSAGE}, "changedRev", "checksum"'
"""Columns of a message with those that tell whether it is as it was written."""


_packed = msgspec.msgpack.Encoder().encode


def checksum(values: Row) -> int:
    """Return the CRC-32 of a row's values: those of READ_MESSAGE but its rev and checksum.

    MessagePack writes them without doubt about where one ends, in a sixth of the time of an f-string. Raises
    UnicodeEncodeError or OverflowError for values that no message has.
    """
    return zlib.crc32(_packed(values))


def is_damaged(row: Row) -> bool:
    """Return True if the values of READ_MESSAGE are not as they were written; without a checksum nothing is known."""
    if row[-1] is None:
        return False
    try:
        return bool(row[-1] != checksum((row[0], row[1], *row[3:15])))
    except (UnicodeEncodeError, OverflowError):
        return True


def sent_row(m: Message) -> Row:
    """Return the row of a message that is sent, with its checksum."""
    row = sql.sent_message_row(m)
    return (*row, checksum((row[0], row[1], *row[3:], None, None, None, None)))


def changed_row(m: Message) -> Row:
    """Return the row of a message that was changed, with its checksum."""
    row = sql.changed_message_row(m)
    *values, changed_rev, reactions = row
    return (*row, checksum((values[0], values[1], *values[3:], reactions, changed_rev)))


class MessageReader:
    """Makes messages of rows, and notes the damaged ones. `report` hears of each once, on the reading thread."""

    def __init__(self, report: Callable[[str, int], None]) -> None:
        self._report = report
        self._noted: dict[tuple[str, int], None] = {}

    @property
    def damaged(self) -> Sequence[tuple[str, int]]:
        """Conversation and seq of each damaged message that was read, up to MAX_NOTED of them."""
        return tuple(self._noted)

    def all_of(self, rows: Iterable[Row]) -> list[Message]:
        """Return the messages of rows of READ_MESSAGE."""
        return [self.one(row) for row in rows]

    def one(self, row: Row) -> Message:
        """Return the message of a row of READ_MESSAGE: the system's words about it, where it is damaged."""
        if not is_damaged(row):
            return sql.message(row)
        conversation, seq, rev = str(row[0]), _number(row[1]), _number(row[2])
        if (conversation, seq) not in self._noted and len(self._noted) < MAX_NOTED:
            self._noted[conversation, seq] = None
            self._report(conversation, seq)
        return Message(
            conversation=conversation,
            seq=seq,
            rev=rev,
            id="c" + hashlib.sha256(f"{conversation} {seq}".encode()).hexdigest()[:24],
            sender=None,
            client_id=None,
            kind="system",
            body=f"Message {seq} is damaged and can't be shown.",
            reply_to=None,
            data={"event": "damaged", "seq": seq},
            sent_at=_number(row[10]),
        )


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def rows_of(db: Any, statement: str, values: Sequence[Any]) -> list[Row]:
    """Return the rows of a statement; texts that are no UTF-8 are read as well as they can be.

    Without that, one flipped bit makes a page unreadable. Slower, so only after a first attempt failed.
    """
    try:
        found: list[Row] = db.execute(statement, values).fetchall()
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", None):  # SQLite's own; the module has no code for what it can't decode
            raise
        text = db.text_factory
        db.text_factory = lenient
        try:
            found = db.execute(statement, values).fetchall()
        finally:
            db.text_factory = text
    return found


def lenient(text: bytes) -> str:
    """Decode what may be no UTF-8: whatever is not becomes something that no text has."""
    return text.decode("utf-8", "surrogateescape")
