"""Rows by bulk statements: looked up by keys, inserted, and made into records and back."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import attrs

from storage import sql
from storage.columns import quoted
from storage.records import Message, Participant, Room, User
from storage.value import copy_with

from .connection import Connection, Row
from .tables import BY_NAME, TIME, TOUCHED
from .values import LITERALS, time_literal

VALUES_PER_STATEMENT = 1000
"""Most values in one IN list, and most rows in one INSERT."""

Value = TypeVar("Value")


def many(db: Connection, statement: str, values: Iterable[Any]) -> Iterator[Row]:
    """The rows of `statement`, for each list of the values in place of its `{}`. Asked for now, and sent when somebody
    looks at them, or at others that were asked for later: so what is asked for together costs one round trip.
    """
    return chain.from_iterable([db.ask_many(statement, "?", len(chunk), chunk) for chunk in _chunks(values)])


def by_pair(
    db: Connection, statement: str, keys: Iterable[tuple[Any, Any]], *, of: str | None = "Message.conversationId"
) -> Iterator[Row]:
    """Return the rows for keys of two columns: `... WHERE ("a", "b") IN ({})`.

    `of`: the first, which is an id; None: the keys are as the database has them.
    """
    return chain.from_iterable(
        [
            db.ask_many(statement, "(?, ?)", len(chunk), [part for key in chunk for part in key])
            for chunk in _chunks(keys if of is None else exact_pairs(db, keys, of=of))
        ]
    )


def exact_pairs(
    db: Connection, keys: Iterable[tuple[Any, Any]], *, of: str = "Message.conversationId"
) -> list[tuple[Any, Any]]:
    """Return the keys as they are to be compared with two columns. `of`: the first, which is an id.

    In pairs the server compares numbers with texts as floating point: beyond 2 ** 53 others would match, and no index
    is used. So where ids are numbers they are written as such, and what is no number is nobody's id.
    """
    if not db.names.is_number(of):
        return list(keys)
    return [(int(id), other) for id, other in keys if _NUMBER.fullmatch(id)]


_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,19}")
"""A number of up to 64 bits as the server tells it: "007" and "7 " are no ids."""


def for_each(db: Connection, statement: str, values: Iterable[Any]) -> None:
    """Run a statement that has no rows, for each list of the values in place of its `{}`; at the latest at `flush`."""
    for chunk in _chunks(values):
        db.ask_many(statement, "?", len(chunk), chunk)


def any_touched(table: str, touched: str) -> str:
    """Return the condition that an app wrote rows of its table. `touched`: the column that adoption added to it."""
    return f'EXISTS (SELECT 1 FROM "{table}" o WHERE o."{touched}" IS NOT NULL)'


def any_touched_of(table: str, touched: str, message: str) -> str:
    """Return the same for messages of conversation `c`. `message`: the column with the id of a row's message."""
    return (
        f'EXISTS (SELECT 1 FROM "{table}" o JOIN "Message" om ON om."id" = o."{message}" '
        f'WHERE o."{touched}" IS NOT NULL AND om."conversationId" = c."id")'
    )


def _chunks(values: Iterable[Value]) -> Iterator[list[Value]]:
    rest = list(values)
    while rest:
        yield rest[:VALUES_PER_STATEMENT]
        rest = rest[VALUES_PER_STATEMENT:]


@attrs.frozen
class Into:
    """An INSERT of many rows: of `columns`, as `storage.sql` lists them, and what is to be the same in each.

    `update`: columns that take the new value where the row is there already.
    """

    table: str
    columns: tuple[str, ...]
    statement: str
    mark: str
    times: tuple[int, ...]

    @classmethod
    def of(
        cls, table: str, columns: str, *, also: Mapping[str, str] | None = None, update: Mapping[str, str] | None = None
    ) -> "Into":
        """`also`: column -> SQL for each row. `update`: column -> SQL where the row is there already."""
        names = tuple(column.strip('"') for column in columns.split(", "))
        also = also or {}
        statement = f'INSERT INTO "{table}" ({quoted((*names, *also))}) VALUES {{}}'
        if update:
            statement += " ON DUPLICATE KEY UPDATE " + ", ".join(f'"{name}" = {to}' for name, to in update.items())
        times = tuple(place for place, name in enumerate(names) if BY_NAME[table].column(name).type == TIME)
        mark = "(" + ", ".join(["%s"] * len(names) + list(also.values())) + ")"
        return cls(table, names, statement, mark, times)

    def write(self, db: Connection, rows: Iterable[Sequence[Any]]) -> None:
        """Insert the rows, in as few statements as their number and size allow; at the latest at `flush`."""
        written: list[str] = []
        length = 0
        for row in rows:
            values = [LITERALS[type(value)](value) for value in row]
            for place in self.times:
                values[place] = time_literal(row[place])
            text = self.mark % tuple(values)
            if written and (len(written) == VALUES_PER_STATEMENT or length + len(text) > db.packet_chars):
                db.ask_written(self.statement, written)
                written, length = [], 0
            written.append(text)
            length += len(text)
        if written:
            db.ask_written(self.statement, written)


def new_values(*columns: str) -> dict[str, str]:
    """Return, for `Into.update`, that these columns take the value of the row that was to be inserted."""
    return {column: f'VALUES("{column}")' for column in columns}


UNTOUCHED = {TOUCHED: f'"{TOUCHED}"'}
"""Keeps `chatdTouched` in `Into.update`, so that the row is not scanned as an external write."""

NEW = {TOUCHED: "NULL"}
"""Leaves `chatdTouched` empty in `Into.also`, so that a new row is not scanned as an external write."""


@attrs.frozen
class Roles:
    """Roles of the app -> chatd's. An unmapped role of the app counts as patient, the least."""

    given: Mapping[str, str] = attrs.Factory(dict)

    def of(self, theirs: str | None) -> str:
        """Return chatd's role for the app's."""
        return self.given.get(theirs or "") or _SAME.get((theirs or "").upper(), "patient")

    def theirs(self, role: str) -> str:
        """Return the app's role to write: the first that is mapped to it, or its name in capitals."""
        return next((theirs for theirs, ours in self.given.items() if ours == role), role.upper())

    def all_of(self, roles: Collection[str]) -> tuple[list[str], bool]:
        """The app's names for these, and whether every other name counts, too."""
        known = {**{name: role for name, role in _SAME.items() if name not in self.given}, **self.given}
        return [name for name, role in known.items() if role in roles], "patient" in roles

    def known(self) -> list[str]:
        """Every name that means something."""
        return sorted({*_SAME, *self.given})


_SAME = {"PATIENT": "patient", "DENTIST": "dentist", "STAFF": "staff", "ADMIN": "admin"}


def message(row: Row) -> Message:
    """Return the message of READ_MESSAGE's columns. In system messages the app's `senderId` names the acting user."""
    found = _message(row)
    if found.kind == "system":
        return copy_with(found, sender=None, body="" if found.deleted_at is not None else found.body)
    if found.deleted_at is not None:  # an app may keep the text of what it deleted
        return copy_with(found, body="")
    return found


_message = sql.message_maker(
    client_id=lambda text: None if text is None else text.decode(),
    body=lambda text: text or "",  # an app may have none
)


def message_values(m: Message, row: Row) -> Row:
    """The row of `storage.sql` for a message, its sender never NULL."""
    return row if m.sender is not None or m.data is None else (*row[:4], m.data["by"], *row[5:])


def user_of(roles: Roles) -> Callable[[Row], User]:
    """Makes users of rows. One without a name goes by the id."""

    def user(row: Row) -> User:
        user = sql.user(row)
        return copy_with(user, name=user.name or user.id, role=roles.of(user.role))

    return user


ROOMS = f'SELECT {sql.CONVERSATION_COLUMNS} FROM "Conversation" WHERE "rev" IS NOT NULL AND "id" IN ({{}})'
SEATS = (
    f'SELECT {sql.PARTICIPANT_COLUMNS}, "id" FROM "ConversationParticipant" '
    'WHERE "rev" IS NOT NULL AND "conversationId" IN ({}) ORDER BY "conversationId", "userId"'
)


def rooms(db: Connection, ids: Collection[str]) -> dict[str, Room]:
    """Return the conversations that exist, with all their participants, by id."""
    rows, seated = many(db, ROOMS, ids), many(db, SEATS, ids)  # together: one round trip, also where there is none
    found = list(map(sql.conversation, rows))
    seats: dict[str, list[Participant]] = {}
    for row in seated:
        seats.setdefault(row[0], []).append(sql.participant(row))
    return {c.id: Room(c, tuple(seats.get(c.id, ()))) for c in found}
