"""Read state of an app, as its tables tell at its adoption: who has read what."""

from collections import defaultdict
from collections.abc import Collection, Iterable

import attrs

from storage.mysql import rows
from storage.mysql.connection import Connection
from storage.mysql.expressions import present
from storage.mysql.layout import Layout
from storage.mysql.names import Names
from storage.mysql.schema import SchemaStep
from storage.mysql.seen_tables import SeenTable, seen_tables


@attrs.frozen
class ReadState:
    """Columns and tables that tell who has read what.

    `counted`: the app has `unreadCount`. `told`: other columns or tables tell. `marks`: the spare columns of messages.
    """

    counted: bool
    told: bool
    marks: frozenset[str]
    tables: tuple[SeenTable, ...]

    @classmethod
    def of(cls, layout: Layout, names: Names, added: Iterable[SchemaStep]) -> "ReadState":
        """Return the read state of an app. `added`: what adoption adds is no word of the app's."""
        ours = {(step.table, step.part) for step in added}

        def theirs(table: str, column: str) -> bool:
            actual, name = names.table(table), names.column(table, column)
            made = (actual, None) in ours or (actual, f"column {name}") in ours
            return name in layout.columns.get(actual, {}) and not made

        marks = present(layout, names, "Message")
        tables = tuple(seen_tables(layout, names))
        read_at = theirs("ConversationParticipant", "readAt")
        told = bool(marks & {"isRead", "readAt"} or read_at or tables)
        return cls(theirs("ConversationParticipant", "unreadCount"), told, marks, tables)

    def seen(self, db: Connection, conversations: Collection[str]) -> dict[tuple[str, str], int]:
        """Return (conversation, user) -> the highest number that they have seen, by the app's own tables."""
        found: defaultdict[tuple[str, str], int] = defaultdict(int)
        for table in self.tables:
            statement = (
                f'SELECT m."conversationId", s."{table.user}", MAX(m."seq") FROM "{table.name}" s '
                f'JOIN "Message" m ON m."id" = s."{table.message}" WHERE m."conversationId" IN ({{}}) '
                f'AND m."seq" IS NOT NULL AND {table.is_read} GROUP BY m."conversationId", s."{table.user}"'
            )
            for conversation, user, seq in rows.many(db, statement, conversations):
                key = conversation, str(user)  # may be a number, of a table that chatd doesn't know
                found[key] = max(found[key], seq)
        return found
