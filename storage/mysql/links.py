"""An implicit many-to-many of conversations and users (`_ConversationToUser`), where an app has no participants' table.

Prisma's table has two columns, `A` and `B`, and no place for more: so all else that chatd keeps of a participant is in
a table of its own beside it. Present participants are in the app's table, after each transaction of chatd's: where
the two differ, the app has written, and its word counts.
"""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import attrs

from . import rows
from .connection import Connection
from .layout import Layout
from .names import Names
from .rows import Into
from .seats import Key
from .tables import PARTICIPANT
from .values import time_text

OWN_SEATS = "chatd_participant"
"""Table that stands for the app's participants."""

CONVERSATIONS_PER_PULL = 100
"""Conversations whose participants are taken over at once: all of them are locked."""

PAUSE_FACTOR = 20
"""Times as long as a look at all rows took, until the next: a twentieth of a reader's time."""

Found = TypeVar("Found", bool, list[str])

_DEFAULT_NAME = re.compile(r"_(\w+)To(\w+)")
_LOCK = 'SELECT "id" FROM "Conversation" WHERE "id" IN ({}) ORDER BY "id" FOR UPDATE'
_SET_LEFT = 'UPDATE "ConversationParticipant" SET "leftAt" = {at} WHERE "id" IN ({})'
_JOIN = Into.of(
    "ConversationParticipant", '"conversationId", "userId", "joinedAt"', update={"leftAt": "NULL"}
)  # whoever was there before is back


@attrs.frozen
class ImplicitTable:
    """The app's table. `conversation`, `user`: which of `A` and `B` is whose id."""

    table: str
    conversation: str
    user: str

    # -- what the app wrote --

    @property
    def _joined(self) -> str:
        """Rows of the app's without a participant who is present."""
        return (
            f'FROM "{self.table}" l JOIN "Conversation" c ON c."id" = l.`{self.conversation}` '
            f'JOIN "User" u ON u."id" = l.`{self.user}` LEFT JOIN "ConversationParticipant" p '
            'ON p."conversationId" = c."id" AND p."userId" = u."id" '
            'WHERE (p."userId" IS NULL OR p."leftAt" IS NOT NULL)'
        )

    @property
    def _left(self) -> str:
        """Participants who are present, and in no row of the app's."""
        return (
            f'FROM "ConversationParticipant" p LEFT JOIN "{self.table}" l ON l.`{self.conversation}` = '
            f'p."conversationId" AND l.`{self.user}` = p."userId" WHERE p."leftAt" IS NULL AND l.`{self.user}` IS NULL'
        )

    def differs(self, db: Connection, conversation: str | None = None) -> bool:
        """Return True if the app wrote to its table: of one conversation, or any."""
        of, values = ("", ()) if conversation is None else (" AND {} = ?", (conversation,) * 2)
        joined, left = of.replace("{}", 'c."id"'), of.replace("{}", 'p."conversationId"')
        joins, leaves = f"SELECT 1 {self._joined}{joined} LIMIT 1", f"SELECT 1 {self._left}{left} LIMIT 1"
        return db.one(joins, values[:1]) is not None or db.one(leaves, values[:1]) is not None

    def has(self, db: Connection, conversation: str, user: str) -> bool:
        """Return True if the app's table has that participant."""
        key = f"l.`{self.conversation}` = ? AND l.`{self.user}` = ?"
        return db.one(f'SELECT 1 FROM "{self.table}" l WHERE {key} LIMIT 1', (conversation, user)) is not None

    def excess(self, db: Connection) -> int:
        """Return how many rows more the app has than people are present: another number is a sign of its writing."""
        row = db.one(
            f'SELECT (SELECT COUNT(*) FROM "{self.table}" l) - '
            '(SELECT COUNT(*) FROM "ConversationParticipant" p WHERE p."leftAt" IS NULL)'
        )
        assert row is not None
        return int(row[0])

    def rooms(self, db: Connection) -> list[str]:
        """Return conversations for which the app wrote to its table, so many at a time."""
        joins = db.run(f'SELECT DISTINCT c."id" {self._joined} LIMIT {CONVERSATIONS_PER_PULL}')
        leaves = db.run(f'SELECT DISTINCT p."conversationId" {self._left} LIMIT {CONVERSATIONS_PER_PULL}')
        return sorted({id for (id,) in (*joins, *leaves)})[:CONVERSATIONS_PER_PULL]

    def pull(self, db: Connection, rooms: Sequence[str], at: int) -> None:
        """Take over what the app wrote, all but COMMIT.

        The rows of participants then tell of it as an app's own would. Conversations are locked first, as by all that
        writes participants.
        """
        rows.for_each(db, _LOCK, sorted(rooms))
        joined = rows.many(db, f'SELECT c."id", u."id" {self._joined} AND c."id" IN ({{}})', rooms)
        left = rows.many(db, f'SELECT p."id" {self._left} AND p."conversationId" IN ({{}})', rooms)
        _JOIN.write(db, [(*key, at) for key in joined])
        rows.for_each(db, _SET_LEFT.replace("{at}", f"'{time_text(at)}'"), [id for (id,) in left])

    def take_all(self, db: Connection) -> None:
        """Take over all that is there, at the adoption: each was in it from the beginning."""
        first = '(SELECT MIN(m."createdAt") FROM "Message" m WHERE m."conversationId" = c."id")'
        since = f'LEAST(c."createdAt", COALESCE({first}, c."createdAt"))'
        _JOIN.write(db, db.run(f'SELECT c."id", u."id", {since} {self._joined} AND p."userId" IS NULL'))

    # -- what chatd writes --

    def write(self, db: Connection, joined: Iterable[Key], left: Iterable[Key]) -> None:
        """Write who has come and who has left."""
        columns = f"`{self.conversation}`, `{self.user}`"
        db_values = [value for key in joined for value in key]
        if db_values:
            statement = f'INSERT IGNORE INTO "{self.table}" ({columns}) VALUES {{}}'
            db.ask_many(statement, "(?, ?)", len(db_values) // 2, db_values)
        for key in left:
            db.ask_many(
                f'DELETE FROM "{self.table}" WHERE `{self.conversation}` = ? AND `{self.user}` = {{}}', "?", 1, key
            )


class LinkWatch:
    """Comparison of the app's table with chatd's own: rows are counted often, and compared where that tells something.

    To compare them all takes ten times as long, and is done now and then as well: rows may come and go by the same
    number.
    """

    def __init__(self, link: ImplicitTable, clock: Callable[[], float] = time.monotonic) -> None:
        self.link = link
        self._clock = clock
        self._excess: int | None = None  # when nothing differed
        self._found = False
        self._next_count = 0.0
        self._next_comparison = 0.0

    def differs(self, db: Connection, *, at_once: bool) -> bool:
        """Return True if the app wrote, as of the last look. `at_once`: look now, and at everything."""
        began = self._clock()
        if began < self._next_count and not at_once:
            return self._found
        excess = self.link.excess(db)
        self._next_count = self._clock() + PAUSE_FACTOR * (self._clock() - began)
        return (at_once or self._tells(excess)) and self._compared(excess, lambda: self.link.differs(db))

    def rooms(self, db: Connection) -> list[str]:
        """Return conversations for which the app wrote, so many at a time."""
        excess = self.link.excess(db)
        return self._compared(excess, lambda: self.link.rooms(db)) if self._tells(excess) else []

    def _tells(self, excess: int) -> bool:
        return self._found or excess != self._excess or self._clock() >= self._next_comparison

    def _compared(self, excess: int, compare: Callable[[], Found]) -> Found:
        began = self._clock()
        found = compare()
        self._next_comparison = self._clock() + PAUSE_FACTOR * (self._clock() - began)
        self._found = bool(found)
        if not found:
            self._excess = excess
        return found


def link_of(layout: Layout, names: Names) -> ImplicitTable | None:
    """Return the app's many-to-many, where it has no table of participants; None also where several might be it."""
    seats = names.table(PARTICIPANT.name)
    if seats != OWN_SEATS and (seats in layout.columns or PARTICIPANT.name in names.given):
        return None
    found = [link for table in implicit_tables(layout) if (link := _link(table, layout, names)) is not None]
    plain = [link for link in found if _DEFAULT_NAME.fullmatch(link.table)]
    return found[0] if len(found) == 1 else plain[0] if len(plain) == 1 else None


def implicit_tables(layout: Layout) -> list[str]:
    """Return the tables that Prisma made for an implicit many-to-many."""
    return [name for name, has in layout.columns.items() if name.startswith("_") and set(has) == {"A", "B"}]


def _link(table: str, layout: Layout, names: Names) -> ImplicitTable | None:
    """Return the table as a link: by its foreign keys, else by its name, in which the model of `A` comes first."""
    conversations, users = names.table("Conversation"), names.table("User")
    if conversations not in layout.columns or users not in layout.columns:
        return None
    targets = layout.references.get(table, {})
    match = _DEFAULT_NAME.fullmatch(table)
    if not targets and match is not None:
        targets = {"A": match[1], "B": match[2]}
    if (targets.get("A"), targets.get("B")) == (conversations, users):
        return ImplicitTable(table, "A", "B")
    if (targets.get("A"), targets.get("B")) == (users, conversations):
        return ImplicitTable(table, "B", "A")
    return None
