"""Refill of what an earlier version kept in another form, or not at all: so many rows in a transaction.

Reads understand both forms, so daemons serve meanwhile. Each part's place in `chatd_meta` moves in the transaction of
the rows, so a refill that was stopped goes on where it was, by whichever daemon.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from storage import sql

from . import rows
from .connection import Connection
from .searching import ACTIVITY
from .tables import TOUCHED

DONE = "done"
"""Value of the place once everything was looked at."""

Reached = Sequence[Any]
"""Conversation and seq up to which everything was looked at, and what else a part goes on with."""

_BEHIND = '"conversationId" >= ? AND ("conversationId" > ? OR "seq" > ?)'

_REACTED = (
    'SELECT "id", "reactions" FROM "Message" WHERE ("conversationId", "seq") IN ({}) AND "reactions" IS NOT NULL '
    "FOR UPDATE"
)
_CHANGED = (
    f'SELECT "conversationId", "seq" FROM "chatd_changed" WHERE {_BEHIND} ORDER BY "conversationId", "seq" LIMIT ?'
)
_SET_REACTIONS = f'UPDATE "Message" SET "reactions" = ?, "{TOUCHED}" = "{TOUCHED}" WHERE "id" = ?'
_NUMBERED = (
    f'SELECT "conversationId", "seq", "id", {ACTIVITY}, "chatdActivity" IS NULL FROM "Message" '
    f'WHERE "seq" IS NOT NULL AND ({_BEHIND}) ORDER BY "conversationId", "seq" LIMIT ?'
)
_ROWS_PER_UPDATE = 100


def _reactions(db: Connection, place: Reached, limit: int) -> list[Reached]:
    """Give each emoji its one form."""
    some = db.run(_CHANGED, (*_values(place), limit))
    if some:
        for id, text in rows.by_pair(db, _REACTED, some):
            pairs = json.loads(text)
            reactions = sql.reactions_of(pairs)
            if [[reaction.emoji, list(reaction.users)] for reaction in reactions] != pairs:
                db.run(_SET_REACTIONS, (sql.reactions_text(reactions), id))
    return list(some)


def _activity(db: Connection, place: Reached, limit: int) -> list[Reached]:
    """Give each message the number that search goes by: its time, but none below that of the message before."""
    room, highest = place[0], place[2] if len(place) > 2 else 0
    seen: list[Reached] = []
    given: list[tuple[str, int]] = []
    for conversation, seq, id, number, lacks in db.run(_NUMBERED, (*_values(place), limit)):
        highest = max(highest, int(number)) if conversation == room else int(number)
        room = conversation
        seen.append((conversation, seq, highest))
        if lacks:
            given.append((id, highest))
    for start in range(0, len(given), _ROWS_PER_UPDATE):
        some = given[start : start + _ROWS_PER_UPDATE]
        by_id = f'CASE CAST("id" AS BINARY) {" ".join(["WHEN ? THEN ?"] * len(some))} END'
        db.run(
            f'UPDATE "Message" SET "chatdActivity" = {by_id}, "{TOUCHED}" = "{TOUCHED}" '
            f'WHERE "chatdActivity" IS NULL AND "id" IN ({", ".join("?" * len(some))})',
            [*(value for pair in some for value in pair), *(id for id, _ in some)],
        )
    return seen


@attrs.frozen
class _Part:
    """Part of the refill. `key`: of its place in `chatd_meta`. `count`: SQL, how many rows are behind a place.

    `first`: the same from the beginning, where that is known better.
    """

    key: str
    count: str
    first: str | None
    look: Callable[[Connection, Reached, int], list[Reached]]


_PARTS = (
    _Part("refill", f'SELECT COUNT(*) FROM "chatd_changed" WHERE {_BEHIND}', None, _reactions),
    _Part(
        "refillActivity",
        f'SELECT COUNT(*) FROM "Message" WHERE "seq" IS NOT NULL AND ({_BEHIND})',
        'SELECT COUNT(*) FROM "Message" WHERE "seq" IS NOT NULL AND "chatdActivity" IS NULL',
        _activity,
    ),
)


def left(db: Connection) -> int:
    """Return about how many rows are still to be looked at, all but COMMIT. A part that has none is done."""
    count = 0
    for part in _PARTS:
        place = _place(db, part.key)
        if place is None:
            continue
        statement = part.first if place[0] == "" else None
        row = db.one(statement) if statement else db.one(part.count, _values(place))
        assert row is not None
        count += int(row[0])
        if not row[0]:
            _move(db, part.key, None)
    return count


def refill(db: Connection, limit: int) -> bool:
    """Look at up to `limit` rows of a part, all but COMMIT. Return True if more are left."""
    for part in _PARTS:
        place = _place(db, part.key, lock=True)
        if place is not None:
            seen = part.look(db, place, limit)
            more = len(seen) == limit
            _move(db, part.key, seen[-1] if more else None)
            if more:
                return True
    return False


def _place(db: Connection, key: str, *, lock: bool = False) -> Reached | None:
    """Return the place of a part; None: that is all."""
    row = db.one(f'SELECT "value" FROM "chatd_meta" WHERE "key" = ?{" FOR UPDATE" if lock else ""}', (key,))
    if row is None:
        return "", 0
    place: Reached | None = None if row[0] == DONE else json.loads(row[0])
    return place


def _move(db: Connection, key: str, place: Reached | None) -> None:
    db.run(
        'REPLACE INTO "chatd_meta" ("key", "value") VALUES (?, ?)', (key, DONE if place is None else json.dumps(place))
    )


def _values(place: Reached) -> tuple[str, str, int]:
    return place[0], place[0], place[1]
