"""Rows by bulk statements, SQLite's dialect at named points, and pieces of reads that several reads share."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, TypeVar

from storage import sql
from storage.apply import CountUnread, membership_of
from storage.bounds import MAX_CHANGED_OBJECTS
from storage.columns import Row, fill
from storage.files import add_files, may_have_files
from storage.keyed import KEPT_FILE, row_of, select
from storage.records import Conversation, Membership, Message, Participant, Room, Standing, Summary, User
from storage.rules.rule import Keys
from storage.rules.token_rows import TokenRows

from .damage import READ_MESSAGE, MessageReader, rows_of
from .file import Connection

Value = TypeVar("Value")

VALUES_PER_STATEMENT = 64
"""Most values in one IN list; lists are padded to powers of two, so that few statements are prepared."""


def many(db: Connection, statement: str, values: Iterable[str], tail: str = "") -> Iterator[Row]:
    """The rows of `statement` (which ends in a column) where the column is one of the values."""
    for chunk in _chunks(values):
        yield from db.execute(f"{statement} IN ({', '.join('?' * len(chunk))}){tail}", chunk).fetchall()


def by_pair(db: Connection, statement: str, keys: Iterable[tuple[str, Any]]) -> list[Row]:
    """The rows of `statement` for these keys, which it calls k("one", "two").

    One statement for up to VALUES_PER_STATEMENT of them: a look-up each costs five times as much.
    """
    found: list[Row] = []
    for chunk in _chunks(keys):
        marks = ", ".join(["(?, ?)"] * len(chunk))
        values = tuple(chain.from_iterable(chunk))
        found += rows_of(db, f'WITH k("one", "two") AS (VALUES {marks}) {statement}', values)
    return found


def _chunks(values: Iterable[Value]) -> Iterator[list[Value]]:
    """The values in lists of 1, 2, 4 ... VALUES_PER_STATEMENT, the last one filled up with repeats."""
    rest = list(values)
    while rest:
        chunk, rest = rest[:VALUES_PER_STATEMENT], rest[VALUES_PER_STATEMENT:]
        size = 1
        while size < len(chunk):
            size *= 2
        yield chunk + chunk[:1] * (size - len(chunk))


UPSERT_CONVERSATION = ' ON CONFLICT ("id") DO UPDATE SET ' + ", ".join(
    f'"{column}" = excluded."{column}"'
    for column in ("title", "updatedAt", "lastMessageAt", "lastSeq", "rev", "chatdActivity")
)
UPSERT_PARTICIPANT = ' ON CONFLICT ("conversationId", "userId") DO UPDATE SET ' + ", ".join(
    f'"{column}" = excluded."{column}"' for column in sql.PARTICIPANT_VALUES
)

# A clash ends the transaction, as it would in any case. A statement that leaves it standing keeps a journal of its
# own, of each page that it touches.
INSERT_MESSAGE = fill(sql.INSERT_MESSAGE, on_clash="OR ROLLBACK", more=', "checksum"')
CHANGE_MESSAGE = fill(sql.CHANGE_MESSAGE, more=', "checksum"')
HISTORY_BEFORE = fill(sql.HISTORY_BEFORE, message=READ_MESSAGE)
HISTORY_AFTER = fill(sql.HISTORY_AFTER, message=READ_MESSAGE)
NEW_SINCE = fill(sql.NEW_SINCE, message=READ_MESSAGE)
CHANGED_SINCE = fill(sql.CHANGED_SINCE, message=READ_MESSAGE)
MESSAGE_SENT = fill(sql.MESSAGE_SENT, message=f'{READ_MESSAGE}, k."one", k."two"')
MESSAGE_AT = fill(sql.MESSAGE_AT, message=f'{READ_MESSAGE}, k."one", k."two"')
UPSERT_MESSAGE = ' ON CONFLICT ("id") DO UPDATE SET ' + ", ".join(
    f'"{column}" = excluded."{column}"'
    for column in ("content", "editedAt", "deletedAt", "changedRev", "reactions", "checksum")
)
_MINE = 'p."userId" = ?'
SUMMARIES = fill(sql.SUMMARIES, mine=_MINE, activity='c."chatdActivity"')
MEMBERSHIPS = fill(sql.MEMBERSHIPS, mine=_MINE, present='o."leftAt" IS NULL')
RECEIPT_TIMES = fill(sql.RECEIPT_TIMES, counted='p."conversationId" = ?')

_FILES_OF = f'{select(KEPT_FILE)} WHERE "message"'

UPSERT_TOKEN = ' ON CONFLICT ("jti") DO UPDATE SET "revokedAt" = excluded."revokedAt"'
UPSERT_CUT_OFF = ' ON CONFLICT ("userId") DO UPDATE SET "at" = excluded."at"'


def write(db: Connection, statement: str, rows: Sequence[Row], tail: str = "") -> None:
    """Insert rows, up to VALUES_PER_STATEMENT with a statement.

    Not `executemany`: it takes the interpreter's lock again after each row, and queues for it behind the event loop.
    For that reason each number of rows has a statement of its own, too, which stays prepared.
    """
    for start in range(0, len(rows), VALUES_PER_STATEMENT):
        chunk = rows[start : start + VALUES_PER_STATEMENT]
        values = tuple(chain.from_iterable(chunk))
        db.execute(_insert(statement, len(chunk[0]), len(chunk), tail), values)


@lru_cache(maxsize=8 * VALUES_PER_STATEMENT)
def _insert(statement: str, columns: int, rows: int, tail: str) -> str:
    row = "(" + ", ".join("?" * columns) + ")"
    return f"{statement} VALUES {', '.join([row] * rows)}{tail}"


def load_tokens(db: Connection, keys: Keys, rows: TokenRows) -> None:
    statement = f'SELECT {sql.TOKEN_COLUMNS} FROM "chatd_token" WHERE'
    for row in many(db, f'{statement} "jti"', keys.tokens):
        rows.tokens[row[0]] = sql.token(row)
    for row in many(db, f'{statement} "revokedAt" IS NULL AND "userId"', keys.tokens_of):
        rows.tokens[row[0]] = sql.token(row)
    for user, at in many(db, 'SELECT "userId", "at" FROM "chatd_cut_off" WHERE "userId"', keys.tokens_of):
        rows.cut_offs[user] = at


def save_tokens(db: Connection, rows: TokenRows) -> None:
    write(db, sql.INSERT_TOKEN, [sql.token_row(rows.tokens[jti]) for jti in rows.changed], UPSERT_TOKEN)
    write(db, sql.INSERT_CUT_OFF, [(user, rows.cut_offs[user]) for user in rows.moved], UPSERT_CUT_OFF)
    if rows.forget_before is not None:
        db.execute(sql.FORGET_TOKENS, (rows.forget_before,))


def rooms(db: Connection, ids: Iterable[str]) -> dict[str, Room]:
    wanted = list(ids)
    rows: dict[str, list[Participant]] = {}
    statement = f'SELECT {sql.PARTICIPANT_COLUMNS} FROM "ConversationParticipant" WHERE "conversationId"'
    for row in many(db, statement, wanted):
        rows.setdefault(row[0], []).append(sql.participant(row))
    statement = f'SELECT {sql.CONVERSATION_COLUMNS} FROM "Conversation" WHERE "id"'
    found = map(sql.conversation, many(db, statement, wanted))
    return {c.id: Room(c, tuple(rows.get(c.id, ()))) for c in found}


def users(db: Connection, ids: Iterable[str]) -> dict[str, User]:
    return {row[0]: sql.user(row) for row in many(db, f'SELECT {sql.USER_COLUMNS} FROM "User" WHERE "id"', ids)}


def counter(db: Connection) -> CountUnread:
    """Counts unread texts: of several users by one pass over the texts, however many are behind."""

    def count(conversation: str, marks: Mapping[str, int], upto: int) -> dict[str, int]:
        if len(marks) == 1:
            ((user, after),) = marks.items()
            return {user: db.execute(sql.COUNT_UNREAD, (conversation, after, upto, user)).fetchone()[0]}
        lows = sorted(set(marks.values()), reverse=True)
        texts: dict[int, Counter[str]] = {low: Counter() for low in lows}
        for low, sender, number in _spans(db, conversation, list(zip(lows, [upto, *lows[:-1]], strict=True))):
            texts[low][sender] += number
        found: dict[str, int] = {}
        behind: Counter[str] = Counter()  # sender -> texts above the mark
        for low in lows:
            behind.update(texts[low])
            whole = behind.total()
            found.update((user, whole - behind[user]) for user, mark in marks.items() if mark == low)
        return found

    return count


def _spans(db: Connection, conversation: str, spans: list[tuple[int, int]]) -> Iterator[Row]:
    while spans:
        chunk, spans = spans[:VALUES_PER_STATEMENT], spans[VALUES_PER_STATEMENT:]
        statement = f'WITH k("low", "high") AS (VALUES {", ".join(["(?, ?)"] * len(chunk))}) {sql.COUNT_TEXTS}'
        yield from db.execute(statement, [*(mark for span in chunk for mark in span), conversation]).fetchall()


def with_files(db: Connection, messages: list[Message]) -> list[Message]:
    """The messages with their files."""
    found = many(db, _FILES_OF, may_have_files(messages))
    files = [row_of(KEPT_FILE, row) for row in found]
    return add_files(messages, files) if files else messages


def membership(db: Connection, room: Room, user: str) -> Membership:
    row = next(p for p in room.participants if p.user == user)
    return membership_of(row, room.conversation.last_seq, counter(db))


def summary(db: Connection, room: Room, user: str, messages: MessageReader) -> Summary:
    last = messages.all_of(rows_of(db, HISTORY_AFTER, (room.conversation.id, room.conversation.last_seq - 1, 1)))
    last = with_files(db, last)
    return Summary(room, membership(db, room, user), last[0] if last else None)


def first_newer(db: Connection, room: Conversation, rev: int) -> int:
    """The seq of the first message after `rev`, or the next one's where there is none: revs ascend with seqs."""
    low, high = max(1, room.last_seq + 1 - max(0, room.rev - rev)), room.last_seq + 1
    while low < high:
        middle = (low + high) // 2
        if db.execute(sql.REV_OF_SEQ, (room.id, middle)).fetchone()[0] > rev:
            high = middle
        else:
            low = middle + 1
    return low


def standing(db: Connection, room: Room | None, user: str, rev: int) -> Standing:
    if room is None or not room.present(user):
        return Standing(0, reset=True)
    now = room.conversation
    if rev >= now.rev:
        return Standing(now.rev, reset=rev > now.rev)
    last = first_newer(db, now, rev) - 1
    newer = now.last_seq - last
    if newer <= MAX_CHANGED_OBJECTS:
        newer += db.execute(sql.COUNT_CHANGED, (now.id, rev, last, MAX_CHANGED_OBJECTS + 1)).fetchone()[0]
    return Standing(now.rev, reset=newer > MAX_CHANGED_OBJECTS)


class RoomCache:
    """Rows of conversations as of the writer's last commit, valid while no other connection writes."""

    def __init__(self) -> None:
        self.rooms: dict[str, tuple[Conversation, dict[str, Participant]]] = {}
        self.rows = 0
        self.version = 0  # PRAGMA data_version when they were read

    def keep(self, room: Conversation, participants: dict[str, Participant]) -> None:
        known = self.rooms.get(room.id)
        self.rows += 1 + len(participants) if known is None else len(participants) - len(known[1])
        self.rooms[room.id] = room, participants

    def clear(self) -> None:
        self.rooms.clear()
        self.rows = 0
