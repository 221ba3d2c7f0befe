"""Refill of what an earlier version kept in another form: a few rows at a time, from the newest message on.

Reads understand both forms, so a daemon serves meanwhile. The mark in `chatd_meta` is the highest number that is still
to be looked at; it moves in the transaction of the rows, so a refill that was stopped goes on where it was.
"""

import json
from typing import Any

from storage import sql

from .damage import READ_MESSAGE, checksum, is_damaged, rows_of

Connection = Any  # as in file.py

_REFILLED_UPTO = """SELECT "value" FROM "chatd_meta" WHERE "key" = 'refill'"""
_MOVE_MARK = """UPDATE "chatd_meta" SET "value" = ? WHERE "key" = 'refill'"""
_REACTED = (
    f'SELECT {READ_MESSAGE}, "n", "reactions" FROM "Message" WHERE "n" <= ? AND "n" > ? AND "reactions" IS NOT NULL'
)
_SET_REACTIONS = 'UPDATE "Message" SET "reactions" = ?, "checksum" = ? WHERE "n" = ?'


def refill(db: Connection, limit: int) -> int:
    """Look at up to `limit` messages, within the caller's transaction. Return how many are left."""
    mark = int(db.execute(_REFILLED_UPTO).fetchone()[0])
    low = max(0, mark - limit)
    if low == mark:
        return low
    for *row, n, reactions in rows_of(db, _REACTED, (mark, low)):
        if is_damaged(tuple(row)):
            continue  # it stays as it is, for whoever looks into it
        text = sql.reactions_text(sql.reactions_of(json.loads(reactions)))
        if text != reactions:
            db.execute(_SET_REACTIONS, (text, checksum((row[0], row[1], *row[3:13], text, row[14])), n))
    db.execute(_MOVE_MARK, (str(low),))
    return low
