"""Refill of what an earlier version kept in another form: so many rows in a transaction, by conversation.

Reads understand both forms, so daemons serve meanwhile. The place in `chatd_meta` moves in the transaction of the rows,
so a refill that was stopped goes on where it was, by whichever daemon.
"""

import json

from storage import sql

from .connection import Connection
from .tables import TOUCHED

DONE = "done"
"""In place of the place, once everything was looked at."""

_KEY = "refill"
_BEHIND = '"conversationId" >= ? AND ("conversationId" > ? OR "seq" > ?)'
_COUNT = f'SELECT COUNT(*) FROM "chatd_changed" WHERE {_BEHIND}'
_SOME = f'SELECT "conversationId", "seq" FROM "chatd_changed" WHERE {_BEHIND} ORDER BY "conversationId", "seq" LIMIT ?'
_REACTED = (
    'SELECT "id", "reactions" FROM "Message" WHERE ("conversationId", "seq") IN ({}) AND "reactions" IS NOT NULL '
    "FOR UPDATE"
)
_SET_REACTIONS = f'UPDATE "Message" SET "reactions" = ?, "{TOUCHED}" = "{TOUCHED}" WHERE "id" = ?'


def left(db: Connection) -> int:
    """Return how many changed messages are still to be looked at."""
    place = _place(db)
    if place is None:
        return 0
    row = db.one(_COUNT, _values(*place))
    assert row is not None
    return int(row[0])


def refill(db: Connection, limit: int) -> bool:
    """Look at up to `limit` changed messages, all but COMMIT. Return True if more are left."""
    place = _place(db, lock=True)
    if place is None:
        return False
    some = db.run(_SOME, (*_values(*place), limit))
    if some:
        keys = [value for key in some for value in key]
        for id, text in db.run_many(_REACTED, "(?, ?)", len(some), keys):
            pairs = json.loads(text)
            reactions = sql.reactions_of(pairs)
            if [[reaction.emoji, list(reaction.users)] for reaction in reactions] != pairs:
                db.run(_SET_REACTIONS, (sql.reactions_text(reactions), id))
    more = len(some) == limit
    db.run('REPLACE INTO "chatd_meta" ("key", "value") VALUES (?, ?)', (_KEY, json.dumps(some[-1]) if more else DONE))
    return more


def _place(db: Connection, *, lock: bool = False) -> tuple[str, int] | None:
    """Conversation and seq up to which everything was looked at; None: that is all."""
    row = db.one(f'SELECT "value" FROM "chatd_meta" WHERE "key" = ?{" FOR UPDATE" if lock else ""}', (_KEY,))
    if row is None:
        return "", 0
    if row[0] == DONE:
        return None
    conversation, seq = json.loads(row[0])
    return conversation, seq


def _values(conversation: str, seq: int) -> tuple[str, str, int]:
    return conversation, conversation, seq
