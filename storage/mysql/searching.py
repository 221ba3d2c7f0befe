"""Search without an index: the user's messages are read through, the newest first, so many in one call.

Messages have no number here over all conversations; a search goes by the time they were sent, and the hits of one
conversation in one answer are in the order of their seqs, whatever the clock did.
"""

from collections.abc import Sequence

from storage import sql
from storage.records import Hit, Hits, Message
from storage.search import matches

from . import rows
from .connection import Connection
from .values import time_text

MESSAGES_PER_STATEMENT = 500
"""Messages that one statement brings."""

MESSAGES_PER_CALL = 5_000
"""Messages that one call looks at; the next call goes on from there."""

MINE = 'p."userId" = ? AND CAST(p."userId" AS BINARY) = CAST(? AS BINARY) AND p."rev" IS NOT NULL'
"""A participant's row that was ingested, and the user's exactly: the column may not tell "Ada" from "ada"."""

_PLACES_PER_MS = 4096
_LATEST = 253_402_300_799_999 * _PLACES_PER_MS  # the last millisecond that DATETIME has

_ROOMS = f'SELECT p."conversationId" FROM "ConversationParticipant" p WHERE {MINE} AND p."leftAt" IS NULL'
_NEWEST = (
    f'SELECT {sql.READ_MESSAGE} FROM "Message" WHERE "conversationId" IN ({{}}) AND "seq" IS NOT NULL '
    f'AND "deletedAt" IS NULL AND ("createdAt" < ? OR ("createdAt" = ? AND "seq" % {_PLACES_PER_MS} < ?)) '
    f'ORDER BY "createdAt" DESC, "seq" % {_PLACES_PER_MS} DESC LIMIT ?'
)


def find(
    db: Connection, user: str, words: Sequence[str], *, conversation: str | None, before: int | None, limit: int
) -> Hits | None:
    """Search as `Store.search` promises, within the caller's snapshot."""
    mine = [row[0] for row in db.run(_ROOMS, (user, user))]
    if conversation is not None:
        if conversation not in mine:
            return None
        mine = [conversation]
    found: list[Hit] = []
    if not words or not mine:
        return Hits((), None)
    place = _LATEST if before is None else max(0, min(before, _LATEST))
    for _ in range(0, MESSAGES_PER_CALL, MESSAGES_PER_STATEMENT):
        at, tie = divmod(place, _PLACES_PER_MS)
        values = (*mine, time_text(at), time_text(at), tie, MESSAGES_PER_STATEMENT)
        window = [rows.message(row) for row in db.run_many(_NEWEST, "?", len(mine), values)]
        for message in window:
            if matches(message.body, words):
                if len(found) == limit:
                    return Hits(_by_seq(found), found[-1].place)
                found.append(Hit(_place(message), message))
        if len(window) < MESSAGES_PER_STATEMENT:
            return Hits(_by_seq(found), None)
        place = _place(window[-1])
    return Hits(_by_seq(found), place)


def _by_seq(found: Sequence[Hit]) -> tuple[Hit, ...]:
    """Put the hits of each conversation in the order of their numbers, where a clock was set back between them."""
    messages: dict[str, list[Message]] = {}
    for hit in found:
        messages.setdefault(hit.message.conversation, []).append(hit.message)
    for some in messages.values():
        some.sort(key=lambda message: message.seq)
    return tuple(Hit(hit.place, messages[hit.message.conversation].pop()) for hit in found)


def _place(message: Message) -> int:
    return message.sent_at * _PLACES_PER_MS + message.seq % _PLACES_PER_MS
