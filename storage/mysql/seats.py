"""Look-up of a participant's row, by the key that the app's table has.

A row has an id of text that chatd makes, or one that the server counts, or none: where the key is the pair of
conversation and user, a computed column (`chatdId`) stands for it.
"""

from collections.abc import Callable, Iterable, MutableMapping, Sequence

import attrs

from . import rows
from .connection import Connection, Row
from .ids import Form, is_number, seat_id
from .layout import Layout
from .names import Names
from .rows import Into

PAIR_ID = "chatdId"
"""Column that stands for the key of a table without ids."""

PAIR = ("conversationId", "userId")
"""The key of such a table."""

PAIR_ID_CHARS = 383
"""Characters of two ids and a space."""

Key = tuple[str, str]
"""Conversation and user."""

_COUNTED = 'SELECT "conversationId", "userId", "id" FROM "ConversationParticipant" WHERE "conversationId" IN ({})'


def pair_definition(names: Names) -> str:
    """Return the computed column that stands for an id, for ALTER TABLE."""
    one, two = (names.column("ConversationParticipant", column) for column in PAIR)
    return (
        f'"{PAIR_ID}" VARCHAR({PAIR_ID_CHARS}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin '
        f'GENERATED ALWAYS AS (CONCAT("{one}", \' \', "{two}")) VIRTUAL'
    )


@attrs.frozen
class Seats:
    """Keys of participants' rows. `counted`: the server gives a new row its id. `paired`: there is none to write."""

    counted: bool = False
    paired: bool = False
    form: Form = ""

    @classmethod
    def of(cls, layout: Layout, names: Names, form: Form = "") -> "Seats":
        """Return the keys of a database that lacks nothing."""
        name = names.column("ConversationParticipant", "id")
        has = layout.columns[names.table("ConversationParticipant")][name]
        return cls(is_number(has.type), name == PAIR_ID, form)

    def new(self, key: Key) -> str | None:
        """Return the id to write for a new row; None where the server gives it."""
        if self.paired:
            return " ".join(key)
        return None if self.counted else seat_id(*key, form=self.form)

    def into(self, columns: Sequence[str], make: Callable[[str, str], Into]) -> "SeatsInto":
        """Return an INSERT of rows whose first value is the id. `make` gets the table and the columns to write."""
        written = columns[1:] if self.paired else columns
        return SeatsInto(make("ConversationParticipant", ", ".join(f'"{name}"' for name in written)), self.paired)

    def learn(self, db: Connection, known: MutableMapping[Key, str], keys: Iterable[Key]) -> None:
        """Note the ids of rows that were just written, where only the server knows them."""
        new = {key for key in keys if key not in known}
        if self.counted and new:
            for conversation, user, id in rows.many(db, _COUNTED, sorted({conversation for conversation, _ in new})):
                if (conversation, user) in new:
                    known[conversation, user] = id


@attrs.frozen
class SeatsInto:
    """An INSERT of participants' rows, with or without ids."""

    into: Into
    paired: bool

    def write(self, db: Connection, found: Iterable[Row]) -> None:
        """Insert the rows; at the latest at `flush`."""
        self.into.write(db, (row[1:] for row in found) if self.paired else found)
