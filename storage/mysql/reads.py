"""Reads of a store, each of one moment, in the fewest round trips rather than the fewest statements."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import attrs

from storage import sql
from storage.apply import membership_of
from storage.bounds import MAX_CHANGED_OBJECTS, cut, page_length
from storage.columns import fill
from storage.files import waits_for
from storage.keyed import KEPT_FILE, KeptFile, R, RowKind, SqlRows
from storage.records import (
    ChangesSince,
    Conversation,
    Credentials,
    Hit,
    IssuedToken,
    Membership,
    Message,
    MessagePage,
    MessageVersion,
    Participant,
    Place,
    ReceiptTime,
    Room,
    Scan,
    ScanPosition,
    SearchPage,
    Shrunk,
    Standing,
    Summary,
    SummaryPage,
    User,
    with_placeholders,
)
from storage.site_sessions import SiteSession, SiteTable

from . import rows, searching, site_sessions
from .attachments import FilesTable, with_files
from .connection import Connection, Row
from .counting import PARTS_PER_UNION, Counts
from .external_writes import scan, tombstones
from .external_writes.deletions import Deletions
from .links import LinkWatch
from .listed_files import ListedFiles
from .loading import USERS
from .other_tables import NONE
from .pool import Pool
from .rows import Roles
from .searching import MINE
from .user_list import list_users
from .values import milliseconds

# Of the app's rows only those that were ingested.
_TIME = milliseconds('COALESCE(c."lastMessageAt", c."createdAt")')
_ACTIVITY = f'COALESCE(c."chatdActivity", {_TIME}, 0)'  # 0 for a date that no calendar has
NEWEST = f'SELECT MAX({_ACTIVITY}) FROM "Conversation" c'
_SUMMARIES = fill(sql.SUMMARIES, mine=MINE, activity=_ACTIVITY)
_MEMBERSHIPS = fill(sql.MEMBERSHIPS, mine=MINE, present='o."leftAt" IS NULL AND o."rev" IS NOT NULL')
_RECEIPT_TIMES = fill(sql.RECEIPT_TIMES, counted='p."conversationId" = ? AND p."rev" IS NOT NULL')
_HISTORY_AFTER = fill(sql.HISTORY_AFTER, message=sql.READ_MESSAGE)
_HISTORY_BEFORE = fill(sql.HISTORY_BEFORE, message=sql.READ_MESSAGE)
_NEW_SINCE = fill(sql.NEW_SINCE, message=sql.READ_MESSAGE)
_SIZES = f'{sql.SIZES} IN ({{}}) GROUP BY "conversationId"'
_AT = f'SELECT {sql.READ_MESSAGE} FROM "Message" WHERE ("conversationId", "seq") IN ({{}})'

_TAKES_PART = (
    f'SELECT 1 FROM "ConversationParticipant" p WHERE p."conversationId" = ? AND {MINE} AND p."leftAt" IS NULL LIMIT 1'
)
_USER_IDS = 'SELECT "id" FROM "User" WHERE "id" IN ({})'
_IS_THERE = 'SELECT 1 FROM "Message" WHERE "deletedAt" IS NULL AND "id" IN ({})'

_CHANGED_SINCE = (
    f'SELECT {sql.read_message("m")}, k."seq", k."rev", g."at" FROM '
    '(SELECT n."seq", n."rev" FROM "chatd_changed" n WHERE n."conversationId" = ? AND n."rev" > ? '
    'ORDER BY n."rev" LIMIT ?) k '
    'LEFT JOIN "Message" m ON m."conversationId" = ? AND m."seq" = k."seq" '
    'LEFT JOIN "chatd_gone" g ON g."conversationId" = ? AND g."seq" = k."seq" ORDER BY k."rev"'
)
_LAST_KNOWN = (  # revs ascend with seqs
    '(SELECT ?, "seq" FROM "Message" WHERE "conversationId" = ? AND "seq" >= ? AND "rev" <= ? '
    'ORDER BY "seq" DESC LIMIT 1)'
)
_COUNT_CHANGED = (
    '(SELECT ?, COUNT(*) FROM (SELECT 1 FROM "chatd_changed" WHERE "conversationId" = ? AND "rev" > ? AND "seq" <= ? '
    "LIMIT ?) x)"
)


class Reads:
    """The reading half of a `Store`."""

    def __init__(self, pool: Pool, roles: Roles) -> None:
        self._pool = pool
        self._roles = roles
        self._newest = -1  # activity of any conversation, as far as this daemon knows
        self._files: FilesTable | None = None  # of the app's, where it has such a table
        self._others = NONE
        self._watch: LinkWatch | None = None
        self._listed: ListedFiles | None = None  # of the app's, where messages have a column for them
        self._make_user = rows.user_of(roles)
        self._deletions = Deletions()

    # -- a site's sessions --

    def check_site_table(self, table: SiteTable) -> None:
        with self._pool.reading() as db:
            site_sessions.check(db, table)

    def site_sessions(self, table: SiteTable, tokens: Collection[str]) -> dict[str, SiteSession]:
        with self._pool.reading() as db:
            return site_sessions.read(db, table, tokens)

    # -- users --

    def user(self, user: str) -> User | None:
        return self.users([user]).get(user)

    def users(self, ids: Collection[str]) -> dict[str, User]:
        with self._pool.reading() as db:
            return self._users(db, ids)

    def _users(self, db: Connection, ids: Collection[str]) -> dict[str, User]:
        wanted = set(ids)
        return {row[0]: self._make_user(row) for row in rows.many(db, USERS, sorted(wanted)) if row[0] in wanted}

    def list_users(
        self, *, roles: Collection[str], but: str, query: str | None, after: tuple[Any, ...] | None, limit: int
    ) -> tuple[list[User], tuple[Any, ...] | None]:
        with self._pool.reading() as db:
            return list_users(
                db, self._roles, self._make_user, of=roles, but=but, query=query, after=after, limit=limit
            )

    def all_users(self, *, after: str | None, limit: int) -> list[User]:
        with self._pool.reading() as db:
            return [self._make_user(row) for row in db.run(sql.ALL_USERS, (after or "", limit))]

    def credentials(self, user: str, jti: str) -> Credentials:
        with self._pool.reading() as db:
            row = db.one(sql.CREDENTIALS, (jti, user))
        if row is None or row[6] != user:
            return Credentials(None, None, None)
        return Credentials(self._make_user(row[6:]), None if row[1] is None else sql.token(row[1:6]), row[0])

    def tokens(self, *, user: str | None, after: tuple[int, str] | None, limit: int) -> list[IssuedToken]:
        place = (*(after or (-1, "")), limit)
        with self._pool.reading() as db:
            found = db.run(sql.TOKENS, place) if user is None else db.run(sql.TOKENS_OF, (user, *place))
            return list(map(sql.token, found))

    def row(self, kind: RowKind[R], key: str) -> R | None:
        with self._pool.reading() as db:
            return SqlRows(db.run).get(kind, key)

    def rows(self, kind: RowKind[R], field: str | None, value: str | None, *, after: str, limit: int) -> list[R]:
        with self._pool.reading() as db:
            return SqlRows(db.run).find(kind, field, value, after=after, limit=limit)

    # -- conversations --

    def room(self, conversation: str) -> Room | None:
        with self._pool.reading() as db:
            return rows.rooms(db, [conversation]).get(conversation)

    def rooms(self, ids: Collection[str]) -> dict[str, Room]:
        with self._pool.reading() as db:
            return rows.rooms(db, ids)

    def summaries(self, user: str, *, archived: bool, after: tuple[Any, ...] | None, limit: int) -> SummaryPage:
        pinned, activity, last = after or (2, 0, "")  # above every row: isPinned is 0 or 1
        values = (user, user, int(archived), pinned, activity, last, limit + 1)
        with self._pool.reading() as db:
            found = [row[0] for row in db.run(_SUMMARIES, values)]
            sizes: dict[str, int] = dict(rows.many(db, _SIZES, found[:limit]))
            ids = found[: page_length(sizes[id] for id in found[:limit])]
            rooms = rows.rooms(db, ids)
            page = self._summaries(db, [rooms[id] for id in ids], user)
            people = {p.user for room in rooms.values() for p in room.participants}
            users = with_placeholders(self._users(db, people), people)
        return SummaryPage(page, users, self.key_of(page[-1]) if len(found) > len(ids) else None)

    def summary(self, conversation: str, user: str) -> tuple[Summary, dict[str, User]] | None:
        with self._pool.reading() as db:
            room = _room_of(db, conversation, user)
            if room is None:
                return None
            people = [p.user for p in room.participants]
            return self._summaries(db, [room], user)[0], with_placeholders(self._users(db, people), people)

    def _summaries(self, db: Connection, shown: list[Room], user: str) -> tuple[Summary, ...]:
        keys = [(room.conversation.id, room.conversation.last_seq) for room in shown]
        found = with_files(db, map(rows.message, rows.by_pair(db, _AT, keys)), self._files, self._listed)
        last = {message.conversation: message for message in found}
        memberships = _memberships(db, shown, user)
        return tuple(
            Summary(room, membership, last.get(room.conversation.id))
            for room, membership in zip(shown, memberships, strict=True)
        )

    def key_of(self, summary: Summary) -> tuple[Any, ...]:
        c = summary.room.conversation
        return int(summary.membership.pinned), c.listed_by, c.id

    def memberships(self, user: str) -> list[tuple[str, int, frozenset[str]]]:
        found: dict[tuple[str, int], list[str]] = {}
        with self._pool.reading() as db:
            for conversation, rev, other in db.run(_MEMBERSHIPS, (user, user)):
                found.setdefault((conversation, rev), []).append(other)
        return [(conversation, rev, frozenset(others)) for (conversation, rev), others in found.items()]

    # -- messages --

    def history(
        self, conversation: str, user: str, *, before: int | None, after: int | None, limit: int
    ) -> MessagePage | None:
        with self._pool.reading() as db:
            room = _room_of(db, conversation, user)
            if room is None:
                return None
            last = room.conversation.last_seq
            if after is not None:
                page = list(map(rows.message, db.run(_HISTORY_AFTER, (conversation, after, limit))))
                end = page[-1].seq if len(page) == limit else last
                page = tombstones.between(db, conversation, page, after + 1, end, limit, newest=False)
                more = len(page) > 0 and page[-1].seq < last
            else:
                end = last if before is None else min(before - 1, last)
                page = list(map(rows.message, db.run(_HISTORY_BEFORE, (conversation, end + 1, limit))))[::-1]
                start = page[0].seq if len(page) == limit else 1
                page = tombstones.between(db, conversation, page, start, end, limit, newest=True)
                more = len(page) > 0 and page[0].seq > 1
            return MessagePage(tuple(with_files(db, page, self._files, self._listed)), more, room.participants)

    def receipt_times(self, conversation: str, seq: int) -> list[ReceiptTime]:
        with self._pool.reading() as db:
            return [ReceiptTime(*row) for row in sorted(db.run(_RECEIPT_TIMES, (seq, seq, conversation)))]

    def versions(self, conversation: str, seq: int) -> list[MessageVersion]:
        with self._pool.reading() as db:
            return list(map(sql.version, db.run(sql.VERSIONS, (conversation, seq))))

    def search(
        self, user: str, words: Sequence[str], *, conversation: str | None, before: Place | None, limit: int
    ) -> SearchPage | None:
        with self._pool.reading() as db:
            found = searching.find(db, user, words, conversation=conversation, before=before, limit=limit)
            if found is None:
                return None
            messages = with_files(db, [hit.message for hit in found.hits], self._files, self._listed)
            return SearchPage(tuple(Hit(hit.place, m) for hit, m in zip(found.hits, messages, strict=True)), found.next)

    def index(self, limit: int) -> int:  # noqa: ARG002
        return 0  # there is no index that lags behind

    def file(self, id: str, user: str, at: int) -> KeptFile | None:
        with self._pool.reading() as db:
            file = SqlRows(db.run).get(KEPT_FILE, id)
            if file is None or file.conversation is None:
                return file if file is not None and waits_for(file, user, at) else None
            there = rows.many(db, _IS_THERE, [file.message])
            room = _room_of(db, file.conversation, user)
            return file if room is not None and any(there) else None

    # -- what others wrote --

    def scan(self, since: ScanPosition | None) -> Scan:
        with self._pool.reading() as db:
            found = scan.scan(db, since, self._make_user, self._others)
            if self._watch is not None and not found.waiting and self._watch.differs(db, at_once=since is None):
                found = attrs.evolve(found, waiting=True)
        self._newest = max(self._newest, found.newest)  # others' clocks may be ahead
        return found

    def missing_users(self, ids: Collection[str]) -> list[str]:
        wanted = set(ids)
        with self._pool.reading() as db:
            return sorted(wanted.difference(id for (id,) in rows.many(db, _USER_IDS, sorted(wanted))))

    def shrunk(self, watched: Mapping[str, Collection[str]]) -> Shrunk:
        with self._pool.reading() as db:
            return self._deletions.look(db, watched)

    def has_pending(self, conversation: str, user: str | None = None) -> bool:
        with self._pool.reading() as db:
            return scan.has_pending(db, conversation, self._others, user=user)

    # -- catching up --

    def standings(self, user: str, revs: Mapping[str, int]) -> dict[str, Standing]:
        with self._pool.reading() as db:
            rooms = rows.rooms(db, revs)
            mine = {id: rooms[id].conversation for id in revs if id in rooms and rooms[id].present(user)}
            behind = {id: revs[id] for id, room in mine.items() if revs[id] < room.rev}
            known = _last_known(db, [(mine[id], rev) for id, rev in behind.items()], depth=MAX_CHANGED_OBJECTS + 1)
            changed = _count_changed(db, [(id, rev, known[id]) for id, rev in behind.items()])
        standings = dict.fromkeys(revs, Standing(0, reset=True))
        for id, room in mine.items():
            missed = room.last_seq - known[id] + changed[id] if id in behind else 0
            standings[id] = Standing(room.rev, reset=revs[id] > room.rev or missed > MAX_CHANGED_OBJECTS)
        return standings

    def since(self, conversation: str, user: str, rev: int, *, limit: int) -> ChangesSince | None:
        with self._pool.reading() as db:
            room = _room_of(db, conversation, user)
            if room is None:
                return None
            last = _last_known(db, [(room.conversation, rev)], depth=room.conversation.last_seq)[conversation]
            new = db.run(_NEW_SINCE, (conversation, last, limit + 1))
            found = [*map(rows.message, new), *_changed_since(db, conversation, rev, limit + 1)]
            through, participants, messages = cut(room, rev, found, limit)
            people = [p.user for p in participants]
            return ChangesSince(
                room=room,
                through=through,
                participants=participants,
                messages=tuple(with_files(db, messages, self._files, self._listed)),
                membership=_memberships(db, [room], user)[0],
                users=with_placeholders(self._users(db, people), people),
            )


def _room_of(db: Connection, conversation: str, user: str) -> Room | None:
    """The conversation, where the user takes part.

    Whether it is foreign or there is none takes the same statement: nobody can tell one from the other by its time.
    """
    if db.one(_TAKES_PART, (conversation, user, user)) is None:
        return None
    room = rows.rooms(db, [conversation]).get(conversation)
    return room if room is not None and room.present(user) else None


def _seat(room: Room, user: str) -> Participant:
    return next(p for p in room.participants if p.user == user)


def _memberships(db: Connection, rooms: Iterable[Room], user: str) -> list[Membership]:
    """The user's own, in each of the conversations."""
    seats = [(_seat(room, user), room.conversation.last_seq) for room in rooms]
    counts = Counts()
    for seat in seats:
        membership_of(*seat, counts.note)
    count = counts.answers(db)
    return [membership_of(*seat, count) for seat in seats]


def _changed_since(db: Connection, conversation: str, rev: int, limit: int) -> Iterable[Message]:
    for row in db.run(_CHANGED_SINCE, (conversation, rev, limit, conversation, conversation)):
        seq, changed, at = row[-3:]
        if row[0] is not None:
            yield rows.message(row)
        elif at is not None:
            yield tombstones.tombstone(conversation, seq, changed, at)


def _last_known(db: Connection, places: list[tuple[Conversation, int]], *, depth: int) -> dict[str, int]:
    """Return the seq of each conversation's last message at a rev, if among the newest `depth`; else the one before."""
    found = {}
    asked = []
    for room, rev in places:
        low = max(1, room.last_seq + 1 - max(0, room.rev - rev), room.last_seq + 1 - depth)
        found[room.id] = low - 1
        asked.append((room.id, room.id, low, rev))
    for id, seq in _united(db, _LAST_KNOWN, asked):
        found[id] = seq
    return found


def _count_changed(db: Connection, places: list[tuple[str, int, int]]) -> dict[str, int]:
    """Return the number of messages up to a seq that changed since a rev, for each (conversation, rev, seq)."""
    asked = [(id, id, rev, last, MAX_CHANGED_OBJECTS + 1) for id, rev, last in places]
    return dict(_united(db, _COUNT_CHANGED, asked))


def _united(db: Connection, statement: str, asked: list[tuple[Any, ...]]) -> Iterable[Row]:
    for start in range(0, len(asked), PARTS_PER_UNION):
        some = asked[start : start + PARTS_PER_UNION]
        values = [value for one in some for value in one]
        yield from db.run_many("{}", statement, len(some), values, between=" UNION ALL ")
