"""The default store: one SQLite file in WAL mode, one writer, a few readers.

Every commit is synced before `commit` returns (`synchronous=FULL`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from storage import sql
from storage.apply import apart, apply_all, finish, keys_of, together, users_behind
from storage.bounds import cut, page_length
from storage.changes import Change, Outcome
from storage.columns import Row
from storage.files import waits_for
from storage.keyed import KEPT_FILE, KeptFile, R, RowKind, SqlRows
from storage.records import (
    ChangesSince,
    Credentials,
    Hit,
    IssuedToken,
    Message,
    MessagePage,
    MessageVersion,
    Place,
    ReceiptTime,
    Room,
    SearchPage,
    Standing,
    Summary,
    SummaryPage,
    User,
    with_placeholders,
)
from storage.rules.unit import Unit
from storage.search import fold

from . import refill, search, statements
from .damage import MessageReader, changed_row, rows_of, sent_row
from .file import Connection, SqliteFile

CACHED_ROWS = 100_000
"""Conversations and participants kept from one commit to the next (some 400 bytes each)."""


class SqliteStore(SqliteFile):
    """A `Store` in the SQLite file at `path`, made and upgraded as `SqliteFile` says. Raises StoreError.

    `report`: told of each damaged message that is read, by conversation and seq.
    """

    def __init__(
        self,
        path: Path,
        *,
        new_epoch: Callable[[], str],
        development: bool = False,
        durability: Literal["full", "normal"] = "full",
        readers: int = 2,
        report: Callable[[str, int], None] = lambda conversation, seq: None,
        new: bool = True,
        upgrade: bool = True,
    ) -> None:
        self._messages = MessageReader(report)
        self._cache = statements.RoomCache()
        super().__init__(
            path,
            new_epoch=new_epoch,
            development=development,
            durability=durability,
            readers=readers,
            new=new,
            upgrade=upgrade,
        )
        with self._reading() as db:
            (self._newest,) = db.execute('SELECT COALESCE(MAX("chatdActivity"), -1) FROM "Conversation"').fetchone()

    def _forget(self) -> None:
        self._cache.clear()

    @property
    def damaged(self) -> Sequence[tuple[str, int]]:
        return self._messages.damaged

    # -- writing --

    def commit(self, changes: Sequence[Change]) -> list[Outcome]:
        with self._lock:
            with self._writing() as writer:
                keyed, others = apart(SqlRows(writer.execute), changes)
                unit = self._load(writer, others)
                outcomes, moved = apply_all(unit, others)
                self._save(writer, unit)
                outcomes = together(finish(unit, outcomes, moved, statements.counter(writer)), keyed)
            self._keep(unit)
            if unit.new_epoch is not None:
                self.epoch = unit.new_epoch
            return outcomes

    def _load(self, db: Connection, changes: Sequence[Change]) -> Unit:
        keys = keys_of(changes)
        unit = Unit()
        unit.begin(self._newest)
        if keys.pairs:
            known = statements.many(db, 'SELECT "pairKey", "id" FROM "Conversation" WHERE "pairKey"', keys.pairs)
            unit.pairs = dict(known)
        if keys.created:
            unit.created = {row[:2]: row[2] for row in statements.by_pair(db, sql.GROUP_MADE, keys.created)}
        (version,) = db.execute("PRAGMA data_version").fetchone()
        if version != self._cache.version:  # another connection wrote
            self._cache.clear()
            self._cache.version = version
        cached = self._cache.rooms
        wanted = keys.conversations.union(unit.pairs.values(), unit.created.values())
        if missing := wanted.difference(cached):
            for room in statements.rooms(db, missing).values():
                self._cache.keep(room.conversation, {p.user: p for p in room.participants})
        for id in wanted:
            if id in cached:
                unit.conversations[id], participants = cached[id]
                unit.participants[id] = dict(participants)
        if people := users_behind(unit, keys):
            unit.users = statements.users(db, people)
        if keys.sent and (found := statements.by_pair(db, statements.MESSAGE_SENT, keys.sent)):
            unit.sent = self._by_key(db, found)
        if keys.messages and (found := statements.by_pair(db, statements.MESSAGE_AT, keys.messages)):
            unit.messages = self._by_key(db, found)
        for id in keys.files:
            if (file := SqlRows(db.execute).get(KEPT_FILE, id)) is not None:
                unit.files[id] = file
        if keys.tokens or keys.tokens_of:
            statements.load_tokens(db, keys, unit.tokens)
        return unit

    def _by_key(self, db: Connection, found: Sequence[Row]) -> dict[tuple[str, Any], Message]:
        """The messages of rows that end in the keys by which they were looked up."""
        messages = statements.with_files(db, [self._messages.one(row[:-2]) for row in found])
        return {row[-2:]: message for row, message in zip(found, messages, strict=True)}

    def _save(self, db: Connection, unit: Unit) -> None:
        users = unit.users
        if unit.new_users:
            statements.write(
                db, sql.INSERT_USER, [(*sql.user_row(users[id]), at, at) for id, at in unit.new_users.items()]
            )
        for id, at in unit.changed_users.items():
            db.execute(sql.UPDATE_USER, (*sql.user_row(users[id])[1:], at, id))
        conversations = [unit.conversations[id] for id in unit.changed_conversations]
        rows = [(*sql.conversation_row(c), c.active_at) for c in conversations]
        if unit.new_groups:
            made = {conversation: (user, client_id) for user, client_id, conversation in unit.new_groups}
            statements.write(db, sql.INSERT_GROUP, [(*row, *made[row[0]]) for row in rows if row[0] in made])
        statements.write(db, sql.INSERT_CONVERSATION, rows, statements.UPSERT_CONVERSATION)
        rows = [sql.participant_row(unit.participants[id][user]) for id, user in unit.changed_participants]
        statements.write(db, sql.INSERT_PARTICIPANT, rows, statements.UPSERT_PARTICIPANT)
        rows = [sent_row(message) for message in unit.new_messages]
        statements.write(db, statements.INSERT_MESSAGE, rows)
        rows = [changed_row(unit.messages[key]) for key in unit.changed_messages]
        statements.write(db, statements.CHANGE_MESSAGE, rows, statements.UPSERT_MESSAGE)
        statements.write(db, sql.INSERT_VERSION, unit.versions)
        statements.write(db, sql.INSERT_RECEIPT, unit.receipts)
        for id in unit.sent_files:
            SqlRows(db.execute).put(KEPT_FILE, unit.files[id])
        if unit.dropped_files:
            SqlRows(db.execute).delete(KEPT_FILE, unit.dropped_files)
        statements.save_tokens(db, unit.tokens)
        if unit.retexted:
            search.retext(db, unit.retexted)
        if unit.new_epoch is not None:
            db.execute(sql.SET_EPOCH, (unit.new_epoch,))

    def _keep(self, unit: Unit) -> None:
        """After a commit: what was written needn't be read for the next one."""
        self._newest = unit.newest
        if self._cache.rows > CACHED_ROWS:
            self._cache.clear()
        for id in (*unit.changed_conversations, *(id for id, _ in unit.changed_participants)):
            self._cache.keep(unit.conversations[id], unit.participants[id])

    def index(self, limit: int) -> int:
        with self._writing() as writer:
            return search.index(writer, limit)

    def refill(self, limit: int) -> int:
        with self._writing() as writer:
            return refill.refill(writer, limit)

    # -- reading --

    def user(self, user: str) -> User | None:
        return self.users([user]).get(user)

    def users(self, ids: Collection[str]) -> dict[str, User]:
        with self._reading() as db:
            return statements.users(db, ids)

    def list_users(
        self, *, roles: Collection[str], but: str, query: str | None, after: tuple[Any, ...] | None, limit: int
    ) -> tuple[list[User], tuple[Any, ...] | None]:
        marks = ", ".join("?" * len(roles))
        statement = (
            f'SELECT {sql.USER_COLUMNS}, fold("name") AS "key" FROM "User" '
            f'WHERE "role" IN ({marks}) AND "id" <> ? AND "disabledAt" IS NULL'
        )
        values: list[Any] = [*roles, but]
        if query is not None:
            statement += ' AND instr(fold("name"), ?) > 0'
            values.append(fold(query))
        if after is not None:
            statement += ' AND (fold("name"), "id") > (?, ?)'
            values += after
        with self._reading() as db:
            rows = db.execute(f'{statement} ORDER BY "key", "id" LIMIT ?', (*values, limit + 1)).fetchall()
        page = [sql.user(row) for row in rows[:limit]]
        return page, (rows[limit - 1][-1], rows[limit - 1][0]) if len(rows) > limit else None

    def credentials(self, user: str, jti: str) -> Credentials:
        with self._reading() as db:
            row = db.execute(sql.CREDENTIALS, (jti, user)).fetchone()
        if row is None:
            return Credentials(None, None, None)
        return Credentials(sql.user(row[6:]), None if row[1] is None else sql.token(row[1:6]), row[0])

    def all_users(self, *, after: str | None, limit: int) -> list[User]:
        with self._reading() as db:
            return list(map(sql.user, db.execute(sql.ALL_USERS, (after or "", limit)).fetchall()))

    def tokens(self, *, user: str | None, after: tuple[int, str] | None, limit: int) -> list[IssuedToken]:
        place = (*(after or (-1, "")), limit)
        with self._reading() as db:
            found = db.execute(sql.TOKENS, place) if user is None else db.execute(sql.TOKENS_OF, (user, *place))
            return list(map(sql.token, found.fetchall()))

    def row(self, kind: RowKind[R], key: str) -> R | None:
        with self._reading() as db:
            return SqlRows(db.execute).get(kind, key)

    def rows(self, kind: RowKind[R], field: str | None, value: str | None, *, after: str, limit: int) -> list[R]:
        with self._reading() as db:
            return SqlRows(db.execute).find(kind, field, value, after=after, limit=limit)

    def room(self, conversation: str) -> Room | None:
        with self._reading() as db:
            return statements.rooms(db, [conversation]).get(conversation)

    def summaries(self, user: str, *, archived: bool, after: tuple[Any, ...] | None, limit: int) -> SummaryPage:
        start = after or (2, 0, "")  # above every row: isPinned is 0 or 1
        with self._reading() as db:
            found = [
                row[0] for row in db.execute(statements.SUMMARIES, (user, int(archived), *start, limit + 1)).fetchall()
            ]
            sizes: dict[str, int] = dict(statements.many(db, sql.SIZES, found[:limit], ' GROUP BY "conversationId"'))
            ids = found[: page_length(sizes[id] for id in found[:limit])]
            rooms = statements.rooms(db, ids)
            page = tuple(statements.summary(db, rooms[id], user, self._messages) for id in ids)
            users = _people(db, {p.user for room in rooms.values() for p in room.participants})
        return SummaryPage(page, users, self.key_of(page[-1]) if len(found) > len(ids) else None)

    def summary(self, conversation: str, user: str) -> tuple[Summary, dict[str, User]] | None:
        with self._reading() as db:
            room = statements.rooms(db, [conversation]).get(conversation)
            if room is None or not room.present(user):
                return None
            return statements.summary(db, room, user, self._messages), _people(db, [p.user for p in room.participants])

    def key_of(self, summary: Summary) -> tuple[Any, ...]:
        c = summary.room.conversation
        return int(summary.membership.pinned), c.listed_by, c.id

    def history(
        self, conversation: str, user: str, *, before: int | None, after: int | None, limit: int
    ) -> MessagePage | None:
        with self._reading() as db:
            room = statements.rooms(db, [conversation]).get(conversation)
            if room is None or not room.present(user):
                return None
            if after is not None:
                rows = rows_of(db, statements.HISTORY_AFTER, (conversation, after, limit + 1))
                page = rows[:limit]
            else:
                end = room.conversation.last_seq + 1 if before is None else before
                rows = rows_of(db, statements.HISTORY_BEFORE, (conversation, end, limit + 1))
                page = rows[:limit][::-1]
            messages = statements.with_files(db, self._messages.all_of(page))
            return MessagePage(tuple(messages), len(rows) > limit, room.participants)

    def file(self, id: str, user: str, at: int) -> KeptFile | None:
        with self._reading() as db:
            file = SqlRows(db.execute).get(KEPT_FILE, id)
            if file is None or file.conversation is None:
                return file if file is not None and waits_for(file, user, at) else None
            room = statements.rooms(db, [file.conversation]).get(file.conversation)
            return file if room is not None and room.present(user) else None

    def standings(self, user: str, revs: Mapping[str, int]) -> dict[str, Standing]:
        with self._reading() as db:
            rooms = statements.rooms(db, revs)
            return {id: statements.standing(db, rooms.get(id), user, rev) for id, rev in revs.items()}

    def since(self, conversation: str, user: str, rev: int, *, limit: int) -> ChangesSince | None:
        with self._reading() as db:
            room = statements.rooms(db, [conversation]).get(conversation)
            if room is None or not room.present(user):
                return None
            last = statements.first_newer(db, room.conversation, rev) - 1
            new = rows_of(db, statements.NEW_SINCE, (conversation, last, limit + 1))
            old = rows_of(db, statements.CHANGED_SINCE, (conversation, rev, limit + 1))
            through, participants, messages = cut(room, rev, self._messages.all_of(new + old), limit)
            return ChangesSince(
                room=room,
                through=through,
                participants=participants,
                messages=tuple(statements.with_files(db, list(messages))),
                membership=statements.membership(db, room, user),
                users=_people(db, [p.user for p in participants]),
            )

    def memberships(self, user: str) -> list[tuple[str, int, frozenset[str]]]:
        found: dict[tuple[str, int], list[str]] = {}
        with self._reading() as db:
            for conversation, rev, other in db.execute(statements.MEMBERSHIPS, (user,)):
                found.setdefault((conversation, rev), []).append(other)
        return [(conversation, rev, frozenset(others)) for (conversation, rev), others in found.items()]

    def receipt_times(self, conversation: str, seq: int) -> list[ReceiptTime]:
        with self._reading() as db:
            return [
                ReceiptTime(*row) for row in db.execute(statements.RECEIPT_TIMES, (seq, seq, conversation)).fetchall()
            ]

    def search(
        self, user: str, words: Sequence[str], *, conversation: str | None, before: Place | None, limit: int
    ) -> SearchPage | None:
        with self._reading() as db:
            found = search.find(db, self._messages, user, words, conversation=conversation, before=before, limit=limit)
            if found is None:
                return None
            messages = statements.with_files(db, [hit.message for hit in found.hits])
            return SearchPage(tuple(Hit(hit.place, m) for hit, m in zip(found.hits, messages, strict=True)), found.next)

    def versions(self, conversation: str, seq: int) -> list[MessageVersion]:
        with self._reading() as db:
            return list(map(sql.version, db.execute(sql.VERSIONS, (conversation, seq)).fetchall()))


def _people(db: Connection, ids: Collection[str]) -> dict[str, User]:
    return with_placeholders(statements.users(db, ids), ids)
