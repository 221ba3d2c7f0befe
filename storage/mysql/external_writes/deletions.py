"""Notice of messages and participants whose rows somebody else deleted: a deleted row leaves no trace to look for.

The server counts the rows that are deleted in it. As long as that number stays, nothing is looked at; when it moves,
the messages of watched conversations are counted and their people looked up, some of them with each look.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping

from storage.mysql import rows
from storage.mysql.connection import Connection
from storage.records import Shrunk

MESSAGES_PER_LOOK = 200_000
"""Messages that one look counts, roughly: entries of an index."""

CONVERSATIONS_PER_STATEMENT = 500
"""Conversations that one statement counts."""

_DELETED = "SHOW GLOBAL STATUS LIKE 'Handler_delete'"
_SIZES = 'SELECT c."id", c."lastSeq" FROM "Conversation" c WHERE c."rev" IS NOT NULL AND c."id" IN ({})'
_SHORT = (
    'SELECT c."id" FROM "Conversation" c WHERE c."rev" IS NOT NULL AND c."id" IN ({}) AND c."lastSeq" > '
    '(SELECT COUNT(*) FROM "Message" m WHERE m."conversationId" = c."id" AND m."seq" IS NOT NULL) + '
    '(SELECT COUNT(*) FROM "chatd_gone" g WHERE g."conversationId" = c."id")'
)
_SEATED = 'SELECT "conversationId", "userId" FROM "ConversationParticipant" WHERE "conversationId" IN ({})'


class Deletions:
    """Knowledge of deletions between two looks; asked by one thread at a time."""

    def __init__(self) -> None:
        self._counted: int | None = None
        self._left: dict[str, None] = {}  # conversations that are still to be counted

    def look(self, db: Connection, watched: Mapping[str, Collection[str]]) -> Shrunk:
        """Return those of the watched conversations that messages without a tombstone, or people, are missing from."""
        row = db.one(_DELETED)
        count = 0 if row is None else int(row[1])
        if count != self._counted:
            self._left |= dict.fromkeys(watched) if self._counted is not None else {}
            self._counted = count
        messages: list[str] = []
        people: list[str] = []
        budget = MESSAGES_PER_LOOK
        while self._left and budget > 0:
            some = list(self._left)[:CONVERSATIONS_PER_STATEMENT]
            sizes: dict[str, int] = dict(rows.many(db, _SIZES, some))
            asked: list[str] = []
            for id in some:
                del self._left[id]
                if id in sizes:
                    asked.append(id)
                    budget -= int(sizes[id])
                if budget <= 0:
                    break
            messages += [id for (id,) in rows.many(db, _SHORT, asked)]
            seated: defaultdict[str, set[str]] = defaultdict(set)
            for id, user in rows.many(db, _SEATED, asked):
                seated[id].add(user)
            people += [id for id in asked if not seated[id].issuperset(watched.get(id, ()))]
        return Shrunk(messages=tuple(messages), people=tuple(people))
