"""Search without an index: the user's messages are read through, the newest first, so many in one call.

Messages have no number over all conversations here but that of the commit that brought them (`Message.chatdActivity`).
Several may have the same: then the conversation decides, and in one conversation the seq.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from storage import sql
from storage.columns import fill
from storage.records import Hit, Place, SearchPage
from storage.search import matches

from . import rows
from .connection import Connection, Row
from .values import milliseconds

MESSAGES_PER_STATEMENT = 500
"""Messages that one statement brings."""

MESSAGES_PER_CALL = 5_000
"""Messages that one call looks at; the next call goes on from there."""

MINE = 'p."userId" = ? AND CAST(p."userId" AS BINARY) = CAST(? AS BINARY) AND p."rev" IS NOT NULL'
"""A participant's row that was ingested, and the user's exactly: the column may not tell "Ada" from "ada"."""

_TIME = milliseconds('"createdAt"')
ACTIVITY = f'COALESCE("chatdActivity", {_TIME}, 0)'
"""Number of the commit that brought a message; its time where `refill.py` has not been there yet."""

_ROOMS = f'SELECT p."conversationId" FROM "ConversationParticipant" p WHERE {MINE} AND p."leftAt" IS NULL'
_SHOWN = '"seq" IS NOT NULL AND "deletedAt" IS NULL'
_IN_ONE = (  # an index has those in order
    f'SELECT {sql.READ_MESSAGE}, {ACTIVITY} FROM "Message" WHERE "conversationId" = ? AND {_SHOWN}{{below}} '
    'ORDER BY "seq" DESC LIMIT ?'
)
_BYTES = 'CAST("conversationId" AS BINARY)'  # ids may be numbers, or compared without regard to capitals
_IN_SOME = (
    f'SELECT "conversationId", "seq" FROM "Message" WHERE "conversationId" IN ({{}}) AND {_SHOWN}{{below}} '
    f'ORDER BY {ACTIVITY} DESC, {_BYTES} DESC, "seq" DESC LIMIT ?'
)
_AT = f'SELECT {sql.READ_MESSAGE}, {ACTIVITY} FROM "Message" WHERE ("conversationId", "seq") IN ({{}})'
_BELOW = f' AND ({ACTIVITY}, {_BYTES}, "seq") < (?, CAST(? AS BINARY), ?)'
_BELOW_SEQ = ' AND "seq" < ?'


def find(
    db: Connection, user: str, words: Sequence[str], *, conversation: str | None, before: Place | None, limit: int
) -> SearchPage | None:
    """Search as `Store.search` promises, within the caller's snapshot."""
    mine = [row[0] for row in db.run(_ROOMS, (user, user))]
    if conversation is not None:
        if conversation not in mine:
            return None
        mine = [conversation]
    found: list[Hit] = []
    looked = 0
    if not words or not mine:
        return SearchPage((), None)
    for window in _in_one(db, mine[0], before) if len(mine) == 1 else _in_some(db, mine, before):
        for hit in window:
            if matches(hit.message.body, words):
                if len(found) == limit:
                    return SearchPage(tuple(found), found[-1].place)
                found.append(hit)
        looked += len(window)
        before = window[-1].place if window else before
    return SearchPage(tuple(found), before if looked >= MESSAGES_PER_CALL else None)


def _in_one(db: Connection, room: str, before: Place | None) -> Iterator[list[Hit]]:
    """Yield the newest messages of a conversation below a place, so many at a time."""
    for _ in range(0, MESSAGES_PER_CALL, MESSAGES_PER_STATEMENT):
        below, values = _below(before)
        if before is not None and before[1] == room:
            below, values = _BELOW_SEQ, before[2:]
        window = _hits(db.run(fill(_IN_ONE, below=below), (room, *values, MESSAGES_PER_STATEMENT)))
        yield window
        if len(window) < MESSAGES_PER_STATEMENT:
            return
        before = window[-1].place


def _in_some(db: Connection, rooms: Sequence[str], before: Place | None) -> Iterator[list[Hit]]:
    """Yield the newest messages of these conversations below a place.

    The server reads all that is in them to find the newest, so it does that once.
    """
    below, values = _below(before)
    statement = fill(_IN_SOME, below=below)
    keys = db.run_many(statement, "?", len(rooms), (*rooms, *values, MESSAGES_PER_CALL))
    for start in range(0, len(keys), MESSAGES_PER_STATEMENT):
        wanted = {(key[0], key[1]) for key in keys[start : start + MESSAGES_PER_STATEMENT]}
        yield sorted(_hits(rows.by_pair(db, _AT, wanted)), key=lambda hit: hit.place, reverse=True)


def _below(before: Place | None) -> tuple[str, tuple[Any, ...]]:
    return ("", ()) if before is None else (_BELOW, before)


def _hits(found: Iterable[Row]) -> list[Hit]:
    messages = ((rows.message(row), int(row[-1])) for row in found)
    return [Hit((number, message.conversation, message.seq), message) for message, number in messages]
