"""The default store: one SQLite file in WAL mode, one writer, a few readers.

Every commit is synced before `commit` returns (`synchronous=FULL`). After a failure of the disk the file is closed,
checkpointed, synced and opened again before anything more is acknowledged: the operating system may have dropped the
pages that it could not write, so what was written since the last good sync must not be built upon.
"""

import os
import queue
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from sqlite_utils import Database
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from . import sql
from .apply import Unit, apply_all, finish, keys_of, membership_of, users_behind
from .changes import Change, Outcome
from .contract import MAX_CHANGED, StoreError, Unavailable
from .records import (
    Conversation,
    Membership,
    Message,
    MessagePage,
    Participant,
    ReceiptTime,
    Room,
    Since,
    Standing,
    Summary,
    SummaryPage,
    User,
)
from .schema import migrate

SAFE_VERSION = (3, 51, 3)
"""Below it a WAL database may be corrupted when several connections use it (the WAL-reset bug): one connection then."""

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process that holds the file."""

CACHE_KIB = 32_768
"""KiB of pages that each connection may keep: the busy ends of the indexes of a large file."""

CHECKPOINT_PAGES = 8_000
"""Pages in the log before they are copied into the file (32 MiB): a page that changed often is copied once."""

CACHED_ROOMS = 10_000
"""Conversations whose rows are kept from one commit to the next."""

CHUNK = 64
"""Most values in one IN list; lists are padded to powers of two, so that few statements are prepared."""

_OUT_OF_SPACE = 13  # SQLITE_FULL
_BUSY = 5  # SQLITE_BUSY
_NOT_WRITTEN = 778  # SQLITE_IOERR_WRITE: a quota, say; nothing was synced, so nothing is in doubt

Connection = Any  # sqlite3.Connection of whichever module sqlite-utils found


class SqliteStore:
    """A `Store` in the SQLite file at `path`; its folder is made where it is missing, readable by its owner alone.

    `new_epoch` names a new file's lineage; `development` marks a new file. Raises StoreError where the file can't be
    used.
    """

    def __init__(
        self,
        path: Path,
        *,
        new_epoch: Callable[[], str],
        development: bool = False,
        durability: Literal["full", "normal"] = "full",
        readers: int = 2,
    ) -> None:
        self.path = path
        self.generation = 0
        self.single = sqlite3.sqlite_version_info < SAFE_VERSION
        self._durability = durability
        self._failed = False  # the connections must be opened anew
        self._refused = False  # the last commit failed, and left the connection sound
        self._closed = False
        # The rows of rooms as of the writer's last commit, valid while no other connection writes.
        self._cache: dict[str, tuple[Conversation, dict[str, Participant]]] = {}
        self._cached_version = 0
        self._lock = threading.RLock()  # of the writer, which reads use too where it is the only connection
        self._writer: Connection | None = None
        # A place holds a connection, or None where one is to be opened at next use.
        self._readers: queue.SimpleQueue[Connection | None] = queue.SimpleQueue()
        self._places = 1 if self.single else readers
        for _ in range(self._places):
            self._readers.put(None)
        try:
            self._make_folder()
            self._writer = self._connect()
            migrate(Database(self._writer, recursive_triggers=False))
            self._writer.execute(
                "INSERT OR IGNORE INTO chatd_meta VALUES ('epoch', ?), ('development', ?)",
                [new_epoch(), str(int(development))],
            )
            meta = dict(self._writer.execute("SELECT key, value FROM chatd_meta").fetchall())
        except StoreError as error:
            self.close()
            raise StoreError(f"{path}: {error}") from None
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise StoreError(f"{path}: cannot be used as the database: {_why(error)}") from error
        self.epoch: str = meta["epoch"]
        self.development = meta["development"] == "1"

    # -- opening, failing, repairing --

    def _make_folder(self) -> None:
        folder = self.path.parent
        if not folder.exists():
            folder.mkdir(parents=True, mode=0o700)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, f"the folder {folder} is not writable")
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))

    def _connect(self) -> Connection:
        if self._closed:
            raise Unavailable("the store is closed")
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",  # never makes a file: an empty one would pass for the store
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_TIMEOUT,
            cached_statements=256,
        )
        try:
            connection.create_function("casefold", 1, str.casefold, deterministic=True)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._durability}")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        except BaseException:
            connection.close()
            raise
        return connection

    def repair(self) -> None:
        with self._lock:
            self._require_writer()
            if self._refused:
                self._try_out()

    def _require_writer(self) -> None:
        if self._failed or self._writer is None:
            self._reopen()

    def _try_out(self) -> None:
        """After a commit for which there was no space: write a page. Raises Unavailable."""
        writer = self._writer
        assert writer is not None
        try:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("INSERT INTO chatd_meta VALUES ('probe', '')")
            writer.execute("DELETE FROM chatd_meta WHERE key = 'probe'")
            writer.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._gave_up(writer, error) from error
        self._refused = False

    def _reopen(self) -> None:
        """Close every connection, then open, checkpoint and sync. Raises Unavailable.

        Reads wait meanwhile, so none sees what a failed commit left before `generation` tells of it.
        """
        with self._all_closed():
            try:
                connection = self._connect()
                try:
                    (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                    epoch = connection.execute("SELECT value FROM chatd_meta WHERE key = 'epoch'").fetchone()
                    if busy or epoch != (self.epoch,):
                        raise Unavailable("the database file is held or was replaced by another process")
                except BaseException:
                    connection.close()
                    raise
            except sqlite3.Error as error:
                raise Unavailable(_why(error)) from error
            self._writer = connection
            self._failed = self._refused = False
            self.generation += 1

    @contextmanager
    def _all_closed(self) -> Iterator[None]:
        """With every connection closed, once the reads that run have ended; those that come wait."""
        places = [self._readers.get() for _ in range(self._places)]
        try:
            for connection in (*places, self._writer):
                if connection is not None:
                    with suppress(sqlite3.Error):
                        connection.close()
            self._writer = None
            self._cache.clear()  # a new connection counts other connections' writes anew
            yield
        finally:
            for _ in places:
                self._readers.put(None)

    def close(self) -> None:
        with self._lock, self._all_closed():
            self._closed = True

    # -- writing --

    def commit(self, changes: Sequence[Change]) -> list[Outcome]:
        with self._lock:
            self._require_writer()
            writer = self._writer
            assert writer is not None
            try:
                writer.execute("BEGIN IMMEDIATE")
                unit = self._load(writer, changes)
                outcomes, moved = apply_all(unit, changes)
                self._save(writer, unit)
                outcomes = finish(outcomes, moved, _counter(writer))
                writer.execute("COMMIT")
                self._refused = False
                self._keep(unit)
                return outcomes
            except sqlite3.IntegrityError:
                self._roll_back(writer)  # a rule was broken that apply should have kept: a bug, not the disk
                raise
            except sqlite3.Error as error:
                raise self._gave_up(writer, error) from error
            except BaseException:
                self._roll_back(writer)
                raise

    def _gave_up(self, writer: Connection, error: Exception) -> Unavailable:
        """After a transaction failed: what must come before the next one, and what to raise."""
        clean = self._roll_back(writer)
        self._refused = clean and (_code(error) in (_OUT_OF_SPACE, _BUSY) or _extended(error) == _NOT_WRITTEN)
        self._failed = not self._refused
        return Unavailable(_why(error))

    def _roll_back(self, writer: Connection) -> bool:
        """Whether the connection is good for another transaction."""
        self._cache.clear()
        try:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
        except sqlite3.Error:
            self._failed = True
            return False
        return True

    def _load(self, db: Connection, changes: Sequence[Change]) -> Unit:
        keys = keys_of(changes)
        unit = Unit()
        for pair, conversation in _many(db, 'SELECT "pairKey", "id" FROM "Conversation" WHERE "pairKey"', keys.pairs):
            unit.pairs[pair] = conversation
        (version,) = db.execute("PRAGMA data_version").fetchone()
        if version != self._cached_version:  # another connection wrote
            self._cache.clear()
            self._cached_version = version
        wanted = keys.conversations.union(unit.pairs.values())
        for room in _rooms(db, wanted.difference(self._cache)).values():
            self._cache[room.conversation.id] = room.conversation, {p.user: p for p in room.participants}
        for id in wanted:
            if id in self._cache:
                unit.conversations[id], participants = self._cache[id]
                unit.participants[id] = dict(participants)
        unit.users = _users(db, users_behind(unit, keys))
        for message in _sent(db, keys.sent):
            assert message.sender is not None
            assert message.client_id is not None
            unit.sent[message.sender, message.client_id] = message
        return unit

    def _save(self, db: Connection, unit: Unit) -> None:
        users = unit.users
        if unit.new_users:
            _write(db, sql.INSERT_USER, [(*sql.user_row(users[id]), at, at) for id, at in unit.new_users.items()])
        for id, at in unit.changed_users.items():
            db.execute(sql.UPDATE_USER, (*sql.user_row(users[id])[1:], at, id))
        conversations = [unit.conversations[id] for id in unit.changed_conversations]
        rows = [(*sql.conversation_row(c), c.active_at) for c in conversations]
        _write(db, sql.INSERT_CONVERSATION, rows, _UPSERT_CONVERSATION)
        rows = [sql.participant_row(unit.participants[id][user]) for id, user in unit.changed_participants]
        _write(db, sql.INSERT_PARTICIPANT, rows, _UPSERT_PARTICIPANT)
        _write(db, sql.INSERT_MESSAGE, [sql.message_row(message) for message in unit.new_messages])
        _write(db, sql.INSERT_RECEIPT, unit.receipts)

    def _keep(self, unit: Unit) -> None:
        """After a commit: what was written needn't be read for the next one."""
        if len(self._cache) > CACHED_ROOMS:
            self._cache.clear()
        for id in (*unit.changed_conversations, *(id for id, _ in unit.changed_participants)):
            self._cache[id] = unit.conversations[id], unit.participants[id]

    # -- reading --

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection in a transaction of its own: one moment of the store. Raises Unavailable."""
        with self._lock if self.single else _nothing():
            place: Any = None if self.single else self._readers.get()
            try:
                if self.single:
                    self._require_writer()
                    place = self._writer
                elif place is None:
                    place = self._connect()
                    place.execute("PRAGMA query_only = ON")
                place.execute("BEGIN")
                try:
                    yield place
                finally:
                    if place.in_transaction:
                        place.execute("ROLLBACK")
            except sqlite3.Error as error:
                if self.single:
                    self._failed = True
                elif place is not None:
                    place.close()
                    place = None
                raise Unavailable(_why(error)) from error
            finally:
                if not self.single:
                    self._readers.put(place)

    def user(self, user: str) -> User | None:
        return self.users([user]).get(user)

    def users(self, ids: Collection[str]) -> dict[str, User]:
        with self._reading() as db:
            return _users(db, ids)

    def list_users(
        self, *, roles: Collection[str], but: str, query: str | None, after: tuple[Any, ...] | None, limit: int
    ) -> tuple[list[User], tuple[Any, ...] | None]:
        marks = ", ".join("?" * len(roles))
        statement = (
            f'SELECT {sql.USER}, casefold("name") AS "key" FROM "User" '
            f'WHERE "role" IN ({marks}) AND "id" <> ? AND "disabledAt" IS NULL'
        )
        values: list[Any] = [*roles, but]
        if query is not None:
            statement += ' AND instr(casefold("name"), ?) > 0'
            values.append(query.casefold())
        if after is not None:
            statement += ' AND (casefold("name"), "id") > (?, ?)'
            values += after
        with self._reading() as db:
            rows = db.execute(f'{statement} ORDER BY "key", "id" LIMIT ?', (*values, limit + 1)).fetchall()
        page = [sql.user(row[:-1]) for row in rows[:limit]]
        return page, (rows[limit - 1][-1], rows[limit - 1][0]) if len(rows) > limit else None

    def room(self, conversation: str) -> Room | None:
        with self._reading() as db:
            return _rooms(db, [conversation]).get(conversation)

    def summaries(self, user: str, *, archived: bool, after: tuple[Any, ...] | None, limit: int) -> SummaryPage:
        start = after or (2, 0, "")  # above every row: isPinned is 0 or 1
        with self._reading() as db:
            rows = db.execute(sql.SUMMARIES, (user, int(archived), *start, limit + 1)).fetchall()
            rooms = _rooms(db, [row[0] for row in rows[:limit]])
            page = tuple(_summary(db, rooms[row[0]], user) for row in rows[:limit])
            users = _users(db, {p.user for room in rooms.values() for p in room.participants})
        return SummaryPage(page, users, self.key_of(page[-1]) if len(rows) > limit else None)

    def summary(self, conversation: str, user: str) -> tuple[Summary, dict[str, User]] | None:
        with self._reading() as db:
            room = _rooms(db, [conversation]).get(conversation)
            if room is None or not room.present(user):
                return None
            return _summary(db, room, user), _users(db, [p.user for p in room.participants])

    def key_of(self, summary: Summary) -> tuple[Any, ...]:
        c = summary.room.conversation
        return int(summary.membership.pinned), c.active_at, c.id

    def history(
        self, conversation: str, user: str, *, before: int | None, after: int | None, limit: int
    ) -> MessagePage | None:
        with self._reading() as db:
            room = _rooms(db, [conversation]).get(conversation)
            if room is None or not room.present(user):
                return None
            if after is not None:
                rows = db.execute(sql.HISTORY_AFTER, (conversation, after, limit + 1)).fetchall()
                page = rows[:limit]
            else:
                end = room.conversation.last_seq + 1 if before is None else before
                rows = db.execute(sql.HISTORY_BEFORE, (conversation, end, limit + 1)).fetchall()
                page = rows[:limit][::-1]
            return MessagePage(tuple(map(sql.message, page)), len(rows) > limit, room.participants)

    def standings(self, user: str, revs: Mapping[str, int]) -> dict[str, Standing]:
        with self._reading() as db:
            rooms = _rooms(db, revs)
            return {id: _standing(db, rooms.get(id), user, rev) for id, rev in revs.items()}

    def since(self, conversation: str, user: str, rev: int, *, limit: int) -> Since | None:
        with self._reading() as db:
            room = _rooms(db, [conversation]).get(conversation)
            if room is None or not room.present(user):
                return None
            first = _first_newer(db, room.conversation, rev)
            rows = db.execute(sql.HISTORY_AFTER, (conversation, first - 1, limit + 1)).fetchall()
            messages = list(map(sql.message, rows))
            changed = [p for p in room.participants if p.rev > rev]
            through = room.conversation.rev
            revs = sorted([m.rev for m in messages] + [p.rev for p in changed])
            if len(revs) > limit and revs[limit - 1] < through:
                through = revs[limit - 1]
            participants = tuple(p for p in changed if p.rev <= through)
            return Since(
                room,
                through,
                participants,
                tuple(m for m in messages if m.rev <= through),
                _membership(db, room, user),
                _users(db, [p.user for p in participants]),
            )

    def memberships(self, user: str) -> list[tuple[str, int, frozenset[str]]]:
        found: dict[tuple[str, int], list[str]] = {}
        with self._reading() as db:
            for conversation, rev, other in db.execute(sql.MEMBERSHIPS, (user,)):
                found.setdefault((conversation, rev), []).append(other)
        return [(conversation, rev, frozenset(others)) for (conversation, rev), others in found.items()]

    def receipt_times(self, conversation: str, seq: int) -> list[ReceiptTime]:
        with self._reading() as db:
            return [ReceiptTime(*row) for row in db.execute(sql.RECEIPT_TIMES, (seq, seq, conversation)).fetchall()]


@contextmanager
def _nothing() -> Iterator[None]:
    yield


# -- the dialect's named points --


def _many(db: Connection, statement: str, values: Iterable[str]) -> Iterator[sql.Row]:
    """The rows of `statement` (which ends in a column) where the column is one of the values."""
    rest = list(values)
    while rest:
        chunk, rest = rest[:CHUNK], rest[CHUNK:]
        size = 1
        while size < len(chunk):
            size *= 2
        chunk += chunk[:1] * (size - len(chunk))
        yield from db.execute(f"{statement} IN ({', '.join('?' * size)})", chunk).fetchall()


_UPSERT_CONVERSATION = ' ON CONFLICT ("id") DO UPDATE SET ' + ", ".join(
    f'"{column}" = excluded."{column}"' for column in ("title", "updatedAt", "lastMessageAt", "lastSeq", "rev")
)
_UPSERT_PARTICIPANT = ' ON CONFLICT ("conversationId", "userId") DO UPDATE SET ' + ", ".join(
    f"{column} = excluded.{column}" for column in sql.PARTICIPANT.split(", ")[2:]
)


def _write(db: Connection, statement: str, rows: Sequence[sql.Row], tail: str = "") -> None:
    """Insert rows in statements of 64, 32, ... 1 of them, so that few are prepared.

    Not `executemany`: it takes the interpreter's lock again after each row, and queues for it behind the event loop.
    """
    start, size = 0, CHUNK
    while start < len(rows):
        while size > len(rows) - start:
            size //= 2
        chunk = rows[start : start + size]
        marks = ", ".join(["(" + ", ".join("?" * len(chunk[0])) + ")"] * size)
        db.execute(f"{statement} VALUES {marks}{tail}", [column for row in chunk for column in row])
        start += size


def _sent(db: Connection, keys: Collection[tuple[str, str]]) -> Iterator[Message]:
    """The messages of these (sender, client_id). One statement for all: a look-up each costs five times as much."""
    rest = list(keys)
    while rest:
        chunk, rest = rest[:CHUNK], rest[CHUNK:]
        size = 1
        while size < len(chunk):
            size *= 2
        chunk += chunk[:1] * (size - len(chunk))
        columns = ", ".join(f"m.{column}" for column in sql.MESSAGE.split(", "))
        statement = (
            f'WITH k("sender", "client") AS (VALUES {", ".join(["(?, ?)"] * size)}) SELECT {columns} FROM k '
            'CROSS JOIN "Message" m ON m."senderId" = k."sender" AND m."clientId" = k."client"'
        )
        yield from map(sql.message, db.execute(statement, [part for key in chunk for part in key]).fetchall())


# -- pieces of reads --


def _rooms(db: Connection, ids: Iterable[str]) -> dict[str, Room]:
    wanted = list(ids)
    rows: dict[str, list[Participant]] = {}
    statement = f'SELECT {sql.PARTICIPANT} FROM "ConversationParticipant" WHERE "conversationId"'
    for row in _many(db, statement, wanted):
        rows.setdefault(row[0], []).append(sql.participant(row))
    statement = f'SELECT {sql.CONVERSATION} FROM "Conversation" WHERE "id"'
    found = map(sql.conversation, _many(db, statement, wanted))
    return {c.id: Room(c, tuple(rows.get(c.id, ()))) for c in found}


def _users(db: Connection, ids: Iterable[str]) -> dict[str, User]:
    return {row[0]: sql.user(row) for row in _many(db, f'SELECT {sql.USER} FROM "User" WHERE "id"', ids)}


def _counter(db: Connection) -> Callable[[str, str, int, int], int]:
    def count(conversation: str, user: str, after: int, upto: int) -> int:
        number: int = db.execute(sql.COUNT_UNREAD, (conversation, after, upto, user)).fetchone()[0]
        return number

    return count


def _membership(db: Connection, room: Room, user: str) -> Membership:
    row = next(p for p in room.participants if p.user == user)
    return membership_of(row, room.conversation.last_seq, _counter(db))


def _summary(db: Connection, room: Room, user: str) -> Summary:
    last = db.execute(sql.HISTORY_AFTER, (room.conversation.id, room.conversation.last_seq - 1, 1)).fetchone()
    return Summary(room, _membership(db, room, user), None if last is None else sql.message(last))


def _first_newer(db: Connection, room: Conversation, rev: int) -> int:
    """The seq of the first message after `rev`, or the next one's where there is none: revs ascend with seqs."""
    low, high = max(1, room.last_seq + 1 - max(0, room.rev - rev)), room.last_seq + 1
    while low < high:
        middle = (low + high) // 2
        if db.execute(sql.REV_OF_SEQ, (room.id, middle)).fetchone()[0] > rev:
            high = middle
        else:
            low = middle + 1
    return low


def _standing(db: Connection, room: Room | None, user: str, rev: int) -> Standing:
    if room is None or not room.present(user):
        return Standing(0, reset=True)
    now = room.conversation
    newer = 0 if rev >= now.rev else now.last_seq + 1 - _first_newer(db, now, rev)
    return Standing(now.rev, reset=rev > now.rev or newer > MAX_CHANGED)


def _extended(error: BaseException) -> int:
    """SQLite's extended result code."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0)


def _code(error: BaseException) -> int:
    """SQLite's primary result code."""
    return _extended(error) & 0xFF


def _why(error: BaseException) -> str:
    """For people, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
