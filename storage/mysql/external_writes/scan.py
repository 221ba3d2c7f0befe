"""Scan for external writes: those of an app and of other daemons. `ingest.py` numbers what has no numbers yet.

An app's rows bear the time of its write in `chatdTouched` until they are ingested, and then NULL: so there is no place
to remember, and no transaction that commits late is passed over. In `Conversation` and `User` the time stays, for
other daemons: those that were written lately are read again and again, for as long as a transaction may take.
"""

from collections.abc import Callable, Sequence
from itertools import chain

import attrs

from storage import sql
from storage.columns import fill
from storage.mysql.attachments import FileRow
from storage.mysql.connection import Connection, Row
from storage.mysql.other_tables import NONE, OtherTables
from storage.mysql.saving import RETITLED
from storage.mysql.seen_tables import SeenRow
from storage.mysql.tables import TOUCHED
from storage.mysql.values import time_text
from storage.records import Scan, ScanPosition, User

OVERLAP_MS = 10_000
"""ms for which a row is looked at again: longer than a daemon tries to commit."""

MAX_SCANNED = 10_000
"""Conversations, and users, in one answer."""

ROWS_PER_INGEST = 500
"""Rows of one table that are ingested at once."""

CONVERSATIONS_PER_INGEST = 100
"""Conversations whose rows are ingested at once: all of them are locked."""

_NOW = (
    f'SELECT NOW(3), EXISTS (SELECT 1 FROM "ConversationParticipant" p WHERE p."{TOUCHED}" IS NOT NULL) '
    f'OR EXISTS (SELECT 1 FROM "Message" m WHERE m."{TOUCHED}" IS NOT NULL) OR {{others}}'
)
_SINCE = f'"{TOUCHED}" >= ? AND ("{TOUCHED}" > ? OR "id" > ?) ORDER BY "{TOUCHED}", "id" LIMIT ?'
_ROOMS = (
    f'SELECT "{TOUCHED}", "id", "rev", {RETITLED}, COALESCE("chatdActivity", 0) FROM "Conversation" c '
    f'WHERE "rev" IS NOT NULL AND {_SINCE}'
)
_RETITLED = f'SELECT c."id" FROM "Conversation" c WHERE c."rev" IS NOT NULL AND {RETITLED} LIMIT ?'
_USERS = f'SELECT "{TOUCHED}", {sql.USER_COLUMNS} FROM "User" WHERE {_SINCE}'

_SEATS = (
    f'SELECT "conversationId", "id" FROM "ConversationParticipant" WHERE "{TOUCHED}" IS NOT NULL '
    f'ORDER BY "{TOUCHED}" LIMIT ?'
)
_POSTS = f'SELECT "conversationId", "id" FROM "Message" WHERE "{TOUCHED}" IS NOT NULL ORDER BY "{TOUCHED}" LIMIT ?'
_UNNUMBERED = (
    'SELECT "conversationId", "id" FROM "Message" WHERE "conversationId" = ? AND "seq" IS NULL '
    'AND "senderId" IS NOT NULL ORDER BY "createdAt", "id" LIMIT ?'
)
_STATE = (
    f'SELECT c."id", c."rev", c."lastSeq", {RETITLED}, '
    f'EXISTS (SELECT 1 FROM "ConversationParticipant" p WHERE p."conversationId" = c."id" '
    f'AND p."{TOUCHED}" IS NOT NULL), '
    'EXISTS (SELECT 1 FROM "Message" m WHERE m."conversationId" = c."id" AND m."seq" IS NULL '
    'AND m."senderId" IS NOT NULL), {others} '
    'FROM "Conversation" c WHERE c."id" = ?'
)
_HAS_SEAT = (
    'SELECT 1 FROM "ConversationParticipant" WHERE "conversationId" = ? AND "userId" = ? '
    'AND CAST("userId" AS BINARY) = CAST(? AS BINARY) LIMIT 1'
)
_COUNT = 'SELECT COUNT(*) FROM "Message" WHERE "conversationId" = ? AND "seq" BETWEEN ? AND ?'
_COUNT_GONE = 'SELECT COUNT(*) FROM "chatd_gone" WHERE "conversationId" = ? AND "seq" BETWEEN ? AND ?'


def scan(
    db: Connection, since: ScanPosition | None, make_user: Callable[[Row], User], others: OtherTables = NONE
) -> Scan:
    """Scan as `SharedStore.scan` promises. Times are the server's."""
    found = db.one(fill(_NOW, others=others.waiting))
    assert found is not None
    now, waiting = found
    if since is None:  # nobody looked for a while: each title is looked at
        retitled = tuple(id for (id,) in db.run(_RETITLED, (MAX_SCANNED,)))
        return Scan(
            next=(now - OVERLAP_MS, "") * 2, conversations={}, users=(), waiting=bool(waiting), retitled=retitled
        )
    rooms, next_room = _page(db, _ROOMS, since[:2], now)
    users, next_user = _page(db, _USERS, since[2:], now)
    return Scan(
        next=(*next_room, *next_user),
        conversations={id: rev for _, id, rev, *_ in rooms},
        users=tuple(make_user(row[1:]) for row in users),
        waiting=bool(waiting),
        retitled=tuple(id for _, id, _, retitled, _ in rooms if retitled),
        newest=max((activity for *_, activity in rooms), default=0),
    )


def _page(db: Connection, statement: str, since: tuple[int, str], now: int) -> tuple[Sequence[Row], tuple[int, str]]:
    """The rows since then, and where to go on. One statement of an app's may touch more rows than a page has."""
    then = time_text(since[0])
    rows = db.run(statement, (then, then, since[1], MAX_SCANNED))
    return rows, (now - OVERLAP_MS, "") if len(rows) < MAX_SCANNED else (rows[-1][0], rows[-1][1])


def has_pending(db: Connection, conversation: str, others: OtherTables = NONE, *, user: str | None = None) -> bool:
    """Check as `SharedStore.has_pending` promises."""
    link = others.link
    if user is not None and db.one(_HAS_SEAT, (conversation, user, user)) is None:
        seated = link is not None and link.has(db, conversation, user)
        if not seated:
            return False
    state = db.one(fill(_STATE, others=others.waiting_of), (conversation,))
    if state is None or state[0] != conversation:
        return False
    _, rev, last, *waiting = state
    if rev is None or any(waiting) or (link is not None and link.differs(db, conversation)):
        return True
    return _is_short(db, conversation, 1, last)


def _is_short(db: Connection, conversation: str, low: int, high: int) -> bool:
    """Return True if messages are missing that have no tombstone yet."""
    place = conversation, low, high
    short = high - low + 1 - _number(db.one(_COUNT, place))
    return short > 0 and short > _number(db.one(_COUNT_GONE, place))


def _number(row: Row | None) -> int:
    assert row is not None
    return int(row[0])


def missing(db: Connection, conversation: str, last: int, limit: int) -> list[int]:
    """Return up to `limit` seqs whose messages were deleted externally and have no tombstone yet."""
    found: list[int] = []
    for low in range(1, last + 1, MAX_SCANNED):
        high = min(low + MAX_SCANNED - 1, last)
        if not _is_short(db, conversation, low, high):
            continue
        known: set[int] = set()
        for table in "Message", "chatd_gone":
            rows = db.run(
                f'SELECT "seq" FROM "{table}" WHERE "conversationId" = ? AND "seq" BETWEEN ? AND ?',
                (conversation, low, high),
            )
            known.update(seq for (seq,) in rows)
        found += sorted(set(range(low, high + 1)) - known)
        if len(found) >= limit:
            break
    return found[:limit]


@attrs.frozen
class PendingRows:
    """Ids of rows to be ingested. `more`: these are not all. `whole`: a conversation to be checked for deletions.

    `posts` has the messages that `files` are of, too. `seen`: of tables that tell who has read what. `people_gone_at`:
    the rev of `whole` at which rows of participants were there that are gone.
    """

    conversations: frozenset[str]
    seats: tuple[str, ...]
    posts: tuple[str, ...]
    files: tuple[FileRow, ...]
    more: bool
    whole: str | None = None
    seen: tuple[SeenRow, ...] = ()
    people_gone_at: int | None = None


def pending_rows(db: Connection, others: OtherTables = NONE) -> PendingRows:
    """Return pending rows of all conversations, those touched first."""
    files = others.files
    seats, posts = db.run(_SEATS, (ROWS_PER_INGEST,)), db.run(_POSTS, (ROWS_PER_INGEST,))
    found = [] if files is None else files.find(db, ROWS_PER_INGEST)
    by_table = [table.find(db, ROWS_PER_INGEST) for table in others.seen]
    seen = list(chain.from_iterable(by_table))
    rooms = (*(conversation for conversation, _ in (*seats, *posts, *found)), *(row.conversation for row in seen))
    touched = dict.fromkeys(conversation for conversation in rooms if conversation is not None)
    some = frozenset(list(touched)[:CONVERSATIONS_PER_INGEST])
    new = tuple(file for conversation, file in found if conversation is None or conversation in some)
    return PendingRows(
        some,
        tuple(id for conversation, id in seats if conversation in some),
        _posts([id for conversation, id in posts if conversation in some], new),
        new,
        ROWS_PER_INGEST in map(len, (seats, posts, found, *by_table)) or len(touched) > CONVERSATIONS_PER_INGEST,
        seen=tuple(row for row in seen if row.conversation is None or row.conversation in some),
    )


def pending_rows_of(db: Connection, conversation: str, others: OtherTables = NONE) -> PendingRows:
    """Return the pending rows of one conversation."""
    files = others.files
    posts = db.run(_UNNUMBERED, (conversation, ROWS_PER_INGEST))
    new = () if files is None else tuple(file for _, file in files.find(db, ROWS_PER_INGEST, conversation))
    by_table = [table.find(db, ROWS_PER_INGEST, conversation) for table in others.seen]
    more = ROWS_PER_INGEST in map(len, (posts, new, *by_table))
    seen = tuple(chain.from_iterable(by_table))
    unnumbered = [id for _, id in posts]
    return PendingRows(frozenset([conversation]), (), _posts(unnumbered, new), new, more, conversation, seen)


def _posts(ids: Sequence[str], files: Sequence[FileRow]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*ids, *(file.message for file in files if file.message is not None)]))
