"""Search in SQLite: a trigram index (FTS5) names candidates, and each is looked at as it is now.

Messages are numbered in the order in which they were kept (`Message.n`). Those up to a mark are in the index; the few
behind it are read through, so that sending costs nothing: `index` moves the mark later. What leaves a text leaves the
index in the same transaction.

The index has two columns. `text` is the folded text. `room` is the conversation as one trigram: whoever takes part in
few conversations searches these alone, however common the words are elsewhere. It keeps only which messages have a
trigram (`detail=none`), so words longer than three characters and two conversations with the same trigram can name too
many. Candidates are a hint, never an answer: rights, deletion and the text are checked on the row itself.

Each statement returns a single row of JSON: SQLite's module gives the interpreter's lock away at every row, and a
thread that takes it back queues behind a busy event loop.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from storage.records import Hit, Place, SearchPage
from storage.search import FOLDING, fold, matches

from .damage import READ_MESSAGE, MessageReader, is_damaged, rows_of

Connection = Any  # as in file.py, which needs this module

FEW_ROOMS, MAX_NAMED_ROOMS = 20, 400
"""Conversations of a caller up to which the search names them at once, or once the words turn out to be common;
beyond, it passes over what isn't the caller's."""

COMMON_CANDIDATES = 1_000
"""Candidates after which words are common."""

MAX_TERMS = 16
"""Trigrams of a query that name candidates; further ones would only cost."""

FIRST_WINDOW, LARGEST_WINDOW = 100, 10_000
"""Candidates that one statement looks at; it grows while little is found in them."""

LARGE_WINDOW_CHARS = 500_000
"""Characters of texts in one window from which on the next one is smaller."""

CANDIDATES_PER_CALL = 20_000
"""Candidates of one call; the next call goes on from there."""

INDEXED_CHARS_PER_COMMIT = 200_000
"""Characters of texts that go into the index in one transaction: it takes some 50 ms, and sends wait for it."""

_NEWEST = 2**62
"""Above every message's number."""

_INDEXED_UPTO = """(SELECT CAST("value" AS INTEGER) FROM "chatd_meta" WHERE "key" = 'indexed')"""

_ROOMS = (
    'SELECT json_group_array("conversationId") FROM (SELECT "conversationId" FROM "ConversationParticipant" '
    'WHERE "userId" = ? AND "leftAt" IS NULL LIMIT ?)'
)
_TAKES_PART = (
    'SELECT COUNT(*) FROM "ConversationParticipant" WHERE "conversationId" = ? AND "userId" = ? AND "leftAt" IS NULL'
)
_HITS = f'SELECT "n", {READ_MESSAGE} FROM "Message" WHERE "n" IN (SELECT "value" FROM json_each(?)) ORDER BY "n" DESC'
_UNINDEXED = f'SELECT "n" FROM "Message" WHERE "n" < ? AND "n" > {_INDEXED_UPTO} ORDER BY "n" DESC LIMIT ?'
_ALL = 'SELECT "n" FROM "Message" WHERE "n" < ? ORDER BY "n" DESC LIMIT ?'
_INDEXED = (
    'SELECT rowid AS "n" FROM "chatd_search" WHERE rowid < ? AND "chatd_search" MATCH ? ORDER BY rowid DESC LIMIT ?'
)
_LOOK = (
    'SELECT MIN(c."n"), COUNT(*), '
    'json_group_array(json_array(m."n", CAST(m."content" AS TEXT))) FILTER (WHERE m."n" IS NOT NULL) '
    'FROM ({candidates}) c LEFT JOIN "Message" m ON m."n" = c."n" AND m."deletedAt" IS NULL AND {conditions}'
)
_PRESENT = (
    'EXISTS (SELECT 1 FROM "ConversationParticipant" p '
    'WHERE p."conversationId" = m."conversationId" AND p."userId" = ? AND p."leftAt" IS NULL)'
)
# A text that folds to ASCII is ASCII itself, or has other characters (a ligature, a full-width letter).
_NOT_ASCII = 'length(CAST(m."content" AS BLOB)) > length(m."content")'
_LIKE = f'(m."content" LIKE ? OR {_NOT_ASCII})'

_WAITING = (
    'SELECT json_group_array(json_array("n", "conversationId", CAST("content" AS TEXT), "deletedAt" IS NOT NULL)) FROM '
    f'(SELECT "n", "conversationId", "content", "deletedAt" FROM "Message" WHERE "n" > {_INDEXED_UPTO} '
    'ORDER BY "n" LIMIT ?)'
)
_LEFT = f'SELECT COALESCE(MAX("n"), 0) - {_INDEXED_UPTO} FROM "Message"'
_MOVE_MARK = """UPDATE "chatd_meta" SET "value" = ? WHERE "key" = 'indexed'"""
_NUMBERS = (
    'SELECT json_group_array(json_array(k."key", m."n")) FROM json_each(?) k CROSS JOIN "Message" m '
    'ON m."conversationId" = json_extract(k."value", \'$[0]\') AND m."seq" = json_extract(k."value", \'$[1]\') '
    f'WHERE m."n" <= {_INDEXED_UPTO}'
)
_ENTRIES = (
    "SELECT json_extract(\"value\", '$[0]'), json_extract(\"value\", '$[1]'), json_extract(\"value\", '$[2]') "
    "FROM json_each(?)"
)
_ADD = f'INSERT INTO "chatd_search" (rowid, "room", "text") {_ENTRIES}'
_TAKE_OUT = (
    'INSERT INTO "chatd_search" ("chatd_search", rowid, "room", "text") '
    f"SELECT 'delete', {_ENTRIES.removeprefix('SELECT ')}"
)

Retexted = tuple[str, int, str, str | None]
"""Conversation, seq, the text before, and the one after (None: deleted)."""


def prepare(db: Connection) -> None:
    """Empty the index where texts were folded otherwise than this program does: `index` fills it again."""
    known = db.execute("""SELECT "value" FROM "chatd_meta" WHERE "key" = 'folding'""").fetchone()
    if known == (FOLDING,):
        return
    db.execute("BEGIN IMMEDIATE")
    db.execute("""INSERT INTO "chatd_search" ("chatd_search") VALUES ('delete-all')""")
    db.execute(_MOVE_MARK, ("0",))
    db.execute("""INSERT OR REPLACE INTO "chatd_meta" VALUES ('folding', ?)""", (FOLDING,))
    db.execute("COMMIT")


def find(
    db: Connection,
    messages: MessageReader,
    user: str,
    words: Sequence[str],
    *,
    conversation: str | None,
    before: Place | None,
    limit: int,
) -> SearchPage | None:
    """Search as `Store.search` does, within the caller's transaction: the answer is of one moment."""
    if conversation is None:
        rooms = json.loads(db.execute(_ROOMS, (user, MAX_NAMED_ROOMS + 1)).fetchone()[0])
    elif db.execute(_TAKES_PART, (conversation, user)).fetchone()[0]:
        rooms = [conversation]
    else:
        return None
    if not words or not rooms:
        return SearchPage((), None)
    numbers, n = _find(db, user, words, conversation, rooms, None if before is None else before[0], limit)
    rows = rows_of(db, _HITS, (json.dumps(numbers),))
    found = ((row[0], messages.one(row[1:])) for row in rows if not is_damaged(row[1:]))
    hits = tuple(Hit((n, message.conversation, message.seq), message) for n, message in found)
    return SearchPage(hits, None if n is None else (n, "", 0))


def _find(
    db: Connection,
    user: str,
    words: Sequence[str],
    conversation: str | None,
    rooms: Sequence[str],
    before: int | None,
    limit: int,
) -> tuple[list[int], int | None]:
    """Return the numbers of the messages found, and where to go on.

    `rooms`: the user's conversations, MAX_NAMED_ROOMS + 1 at most.
    """
    plain = _query(words, ())
    named = _query(words, rooms) if len(rooms) <= MAX_NAMED_ROOMS else plain
    query = plain if plain and len(rooms) > FEW_ROOMS else named
    conditions, values = _conditions(user, words, conversation)
    place, window, looked = _NEWEST if before is None else before, FIRST_WINDOW, 0
    found: list[int] = []
    unindexed = True
    while looked < CANDIDATES_PER_CALL:
        candidates = _UNINDEXED if unindexed else _INDEXED if query else _ALL
        given = (place, query, window) if candidates is _INDEXED else (place, window)
        look = _LOOK.format(candidates=candidates, conditions=conditions)
        ((lowest, count, rows),) = rows_of(db, look, (*given, *values))
        for n, body in sorted(json.loads(rows), reverse=True):
            if matches(body, words):
                if len(found) == limit:
                    return found, found[-1]
                found.append(n)
        looked += count
        if looked >= COMMON_CANDIDATES:
            query = named
        place = lowest or place
        if count < window:
            if not unindexed:
                return found, None
            unindexed = False
        elif len(rows) > LARGE_WINDOW_CHARS:
            window = max(FIRST_WINDOW, window // 4)
        else:
            window = min(LARGEST_WINDOW, window * 4)
    return found, place


def index(db: Connection, limit: int) -> int:
    """Put up to `limit` of the messages that are not in the index yet into it, the oldest first: how many are left.

    Within the caller's transaction.
    """
    entries: list[tuple[int, str, str]] = []
    last, size = None, 0
    for n, conversation, body, deleted in json.loads(rows_of(db, _WAITING, (limit,))[0][0]):
        size += len(body)
        if entries and size > INDEXED_CHARS_PER_COMMIT:
            break
        last = n
        if not deleted:
            entries.append((n, conversation, body.encode(errors="replace").decode()))  # damaged, perhaps
    if last is not None:
        db.execute(_ADD, (_encoded(entries),))
        db.execute(_MOVE_MARK, (str(last),))
    left: int = db.execute(_LEFT).fetchone()[0]
    return left


def retext(db: Connection, changes: Sequence[Retexted]) -> None:
    """Take texts that changed or went out of the index, and put the new ones in, in the caller's transaction."""
    before: dict[tuple[str, int], str] = {}
    after: dict[tuple[str, int], str | None] = {}
    for conversation, seq, old, new in changes:
        before.setdefault((conversation, seq), old)
        after[conversation, seq] = new
    keys = list(before)
    numbers = json.loads(db.execute(_NUMBERS, (json.dumps(keys),)).fetchone()[0])
    gone = [(n, keys[k][0], before[keys[k]]) for k, n in numbers]
    come = [(n, keys[k][0], body) for k, n in numbers if (body := after[keys[k]]) is not None]
    if gone:
        db.execute(_TAKE_OUT, (_encoded(gone),))
    if come:
        db.execute(_ADD, (_encoded(come),))


def _encoded(entries: Iterable[tuple[int, str, str]]) -> str:
    return json.dumps([(n, _room(conversation), fold(body)) for n, conversation, body in entries], ensure_ascii=False)


def _room(conversation: str) -> str:
    """The conversation as one trigram of private characters; that others may have the same does no harm."""
    number = int.from_bytes(hashlib.blake2b(conversation.encode(), digest_size=8).digest())
    return "".join(chr(0xE000 + number // 6400**place % 6400) for place in range(3))


def _query(words: Sequence[str], rooms: Sequence[str]) -> str:
    """Return the query of the index for candidates. Empty: nothing is known of them."""
    trigrams = dict.fromkeys(
        word[at : at + 3] for word in words if len(word) >= 3 for at in (*range(0, len(word) - 2, 3), len(word) - 3)
    )
    parts = [_quoted(trigram) for trigram in list(trigrams)[:MAX_TERMS]]
    if rooms:
        parts.append("(" + " OR ".join(_quoted(_room(room)) for room in rooms) + ")")
    return " AND ".join(parts)


def _quoted(token: str) -> str:
    """A string of FTS5's query language: nothing in it means anything."""
    return '"' + token.replace('"', '""') + '"'


def _conditions(user: str, words: Sequence[str], conversation: str | None) -> tuple[str, list[str]]:
    """Return the conditions that SQLite checks on a row `m` by itself, and their values."""
    conditions, values = [_PRESENT], [user]
    if conversation is not None:
        conditions.append('m."conversationId" = ?')
        values.append(conversation)
    if not all(word.isascii() for word in words):
        conditions.append(_NOT_ASCII)
    for word in words:
        if word.isascii():
            conditions.append(_LIKE)
            values.append(f"%{word}%")  # a "%" or "_" in it lets more pass: that is all right
    return " AND ".join(conditions), values
