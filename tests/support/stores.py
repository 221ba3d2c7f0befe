"""The stores that the contract is tested on, and a desk that writes changes for them."""

import contextlib
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage import sqlite
from storage.changes import (
    AddParticipant,
    AdvanceReceipt,
    Change,
    Changed,
    CreateGroup,
    DeleteMessage,
    EditMessage,
    Leave,
    OpenDirect,
    Outcome,
    PutRow,
    PutUser,
    React,
    Refused,
    RemoveParticipant,
    SeeUser,
    SendMessage,
    SetMembership,
    SetTitle,
    Unchanged,
)
from storage.contract import Store
from storage.keyed import KeptFile
from storage.memory import MemoryStore
from storage.mysql.store import MysqlStore
from storage.mysql.values import time_text
from storage.records import ChangesSince, Message, Participant

from . import mariadb
from .shaped_ids import ShapedStore


def memory(folder: Path) -> Store:
    return MemoryStore(epoch="memory")


def sqlite_file(folder: Path) -> Store:
    return sqlite.SqliteStore(folder / "chat.db", new_epoch=lambda: "sqlite")


def sqlite_single(folder: Path) -> Store:
    """As where the system's SQLite is too old for several connections."""
    with mock.patch("storage.sqlite.file.SAFE_VERSION", (9, 9, 9)):
        return sqlite_file(folder)


_databases: dict[Path, tuple[str, str]] = {}  # folder -> database, and the test that it is for


def mysql_database(folder: Path) -> str:
    """The address of the database that stands for a folder: a new one, or one that an earlier test is done with."""
    server, test = mariadb.server(), os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    if folder not in _databases:
        done = next((known for known, (_, whose) in _databases.items() if whose != test), None)
        if done is None:
            name = server.database()
        else:
            name, _ = _databases.pop(done)
            server.empty(name)
            with server.session(name) as cursor:
                cursor.execute("INSERT INTO chatd_meta VALUES ('epoch', 'mysql'), ('development', '0'), ('schema', 1)")
        _databases[folder] = name, test
    return server.url(_databases[folder][0])


def done_with(folder: Path) -> None:
    """Its database may stand for another folder now."""
    _databases[folder] = _databases[folder][0], ""


def mysql(folder: Path) -> MysqlStore:
    return MysqlStore(mysql_database(folder), new_epoch=lambda: "mysql")


@attrs.frozen
class Kind:
    """One kind of store. `open` on the same folder again finds what was kept there, where the store is `durable`."""

    name: str
    open: Callable[[Path], Store]
    durable: bool = True


KINDS = (
    Kind("memory", memory, durable=False),
    Kind("sqlite", sqlite_file),
    Kind("sqlite-single", sqlite_single),
    Kind("mysql", mysql),
)


def by_hand(store: Store, statement: str, *values: object) -> None:
    """Run a statement with chatd's own names of tables and columns on MySQL, past the store."""
    if isinstance(store, ShapedStore):
        store = store.store
    assert isinstance(store, MysqlStore)
    db = store._require_writer()
    db.run("SET foreign_key_checks = 0")
    db.run(statement, values)
    db.run("SET foreign_key_checks = 1")
    db.commit()


def id_in(store: Store, user: str) -> str:
    """Return a user's id in the database."""
    return store.ids.id(user) if isinstance(store, ShapedStore) else user


def disable(store: Store, user: str) -> None:
    """As an administrator does, for which there is no change yet."""
    if isinstance(store, MemoryStore):
        store._users[user] = attrs.evolve(store._users[user], disabled_at=1)
    elif isinstance(store, sqlite.SqliteStore):
        with contextlib.closing(sqlite3.connect(store.path)) as db, db:
            db.execute('UPDATE "User" SET "disabledAt" = 1 WHERE "id" = ?', (user,))
    else:
        scale = store.ids.scale if isinstance(store, ShapedStore) else 1
        by_hand(store, 'UPDATE "User" SET "disabledAt" = ? WHERE "id" = ?', time_text(scale), id_in(store, user))


OWNER = frozenset({"owner"})
ANYBODY = frozenset({"owner", "member"})
SENDER = frozenset({"sender"})
STAFF = frozenset({"sender", "participant"})


class Desk:
    """Writes changes with ids, numbered from `first`, and times of its own: a millisecond passes with each."""

    def __init__(self, store: Store, *, first: int = 1) -> None:
        self.store = store
        self.now = 0
        self._numbers = itertools.count(first)

    def tick(self) -> int:
        self.now += 1
        return self.now

    def do(self, *changes: Change) -> list[Outcome]:
        """One batch."""
        return self.store.commit(changes)

    def changed(self, change: Change) -> Changed:
        (outcome,) = self.do(change)
        assert isinstance(outcome, Changed), outcome
        return outcome

    def unchanged(self, change: Change) -> Unchanged:
        (outcome,) = self.do(change)
        assert isinstance(outcome, Unchanged), outcome
        return outcome

    def refused(self, change: Change) -> Refused:
        (outcome,) = self.do(change)
        assert isinstance(outcome, Refused), outcome
        return outcome

    def people(self, *users: str) -> None:
        self.do(*(self.put(user) for user in users))

    def chat(self, user: str, other: str) -> str:
        """The id of the new conversation of two, who become known with it."""
        self.people(user, other)
        return self.changed(self.open(user, other)).room.id

    def group(self, owner: str, *members: str) -> str:
        """The id of a new group of people, who become known with it."""
        self.people(owner, *members)
        return self.changed(self.create(owner, *members)).room.id

    def say(self, conversation: str, user: str, *bodies: str) -> list[Message]:
        """Sends each text, all in one batch."""
        outcomes = self.do(*(self.send(conversation, user, body) for body in bodies))
        return [message for outcome in outcomes if isinstance(outcome, Changed) for message in outcome.messages]

    def put(self, user: str, name: str | None = None, role: str | None = None) -> PutUser:
        return PutUser(user, name, role, self.tick())

    def see(self, user: str) -> SeeUser:
        return SeeUser(user, self.tick())

    def open(self, user: str, other: str) -> OpenDirect:
        return OpenDirect(f"c{next(self._numbers)}", user, other, self.tick())

    def send(
        self,
        conversation: str,
        user: str,
        body: str = "hello",
        *,
        client_id: str | None = None,
        reply_to: int | None = None,
        attachments: Sequence[str] = (),
    ) -> SendMessage:
        number = next(self._numbers)
        return SendMessage(
            conversation=conversation,
            user=user,
            client_id=client_id or f"k{number}",
            message=f"m{number}",
            body=body,
            reply_to=reply_to,
            at=self.tick(),
            attachments=tuple(attachments),
        )

    def upload(self, user: str, id: str, **fields: Any) -> KeptFile:
        """A file that waits for its message, for a second where nothing else is said."""
        values = {"name": f"{id}.jpg", "type": "image/jpeg", "size": 7, "blob": f"hash of {id}"}
        now = self.tick()
        file = KeptFile(id=id, user=user, created_at=now, **{**values, "expires_at": now + 1_000, **fields})
        self.do(PutRow(row=file))
        return file

    def receipt(
        self, conversation: str, user: str, *, delivered: int | None = None, read: int | None = None
    ) -> AdvanceReceipt:
        return AdvanceReceipt(conversation=conversation, user=user, delivered=delivered, read=read, at=self.tick())

    def leave(self, conversation: str, user: str) -> Leave:
        return Leave(conversation, user, f"m{next(self._numbers)}", self.tick())

    def create(
        self, user: str, *members: str, title: str = "Recall", client_id: str | None = None, limit: int = 500
    ) -> CreateGroup:
        return CreateGroup(
            conversation=f"c{next(self._numbers)}",
            user=user,
            title=title,
            members=members,
            client_id=client_id,
            at=self.tick(),
            limit=limit,
        )

    def title(self, conversation: str, user: str, title: str, *, by: frozenset[str] = OWNER) -> SetTitle:
        return SetTitle(
            conversation=conversation, user=user, title=title, message=f"m{next(self._numbers)}", at=self.tick(), by=by
        )

    def add(
        self, conversation: str, user: str, other: str, *, by: frozenset[str] = OWNER, limit: int = 500
    ) -> AddParticipant:
        return AddParticipant(
            conversation=conversation,
            user=user,
            other=other,
            message=f"m{next(self._numbers)}",
            at=self.tick(),
            by=by,
            limit=limit,
        )

    def remove(self, conversation: str, user: str, other: str, *, by: frozenset[str] = OWNER) -> RemoveParticipant:
        return RemoveParticipant(
            conversation=conversation, user=user, other=other, message=f"m{next(self._numbers)}", at=self.tick(), by=by
        )

    def edit(self, conversation: str, user: str, seq: int, body: str, *, since: int | None = None) -> EditMessage:
        return EditMessage(conversation=conversation, user=user, seq=seq, body=body, at=self.tick(), since=since)

    def delete(
        self, conversation: str, user: str, seq: int, *, since: int | None = None, by: frozenset[str] = SENDER
    ) -> DeleteMessage:
        return DeleteMessage(conversation=conversation, user=user, seq=seq, at=self.tick(), since=since, by=by)

    def react(self, conversation: str, user: str, seq: int, emoji: str = "👍", *, on: bool = True) -> React:
        return React(conversation=conversation, user=user, seq=seq, emoji=emoji, on=on, at=self.tick())

    def settings(
        self,
        conversation: str,
        user: str,
        *,
        muted: bool | None = None,
        pinned: bool | None = None,
        archived: bool | None = None,
    ) -> SetMembership:
        return SetMembership(conversation=conversation, user=user, muted=muted, pinned=pinned, archived=archived)


@attrs.define
class Replica:
    """What a client holds of a conversation: whole objects, put in place of the old."""

    rev: int = 0
    messages: dict[int, Message] = attrs.Factory(dict)
    participants: dict[str, Participant] = attrs.Factory(dict)

    @classmethod
    def of(cls, store: Store, conversation: str, user: str) -> "Replica":
        """Everything, by plain reads."""
        room = store.room(conversation)
        page = store.history(conversation, user, before=None, after=0, limit=10_000)
        assert room is not None
        assert page is not None
        return cls(
            room.conversation.rev, {m.seq: m for m in page.messages}, {p.user: shared(p) for p in room.participants}
        )

    def copy(self) -> "Replica":
        return Replica(self.rev, dict(self.messages), dict(self.participants))

    def apply(self, chunk: ChangesSince) -> None:
        assert chunk.through >= self.rev
        self.rev = chunk.through
        self.messages.update((m.seq, m) for m in chunk.messages)
        self.participants.update((p.user, shared(p)) for p in chunk.participants)

    def catch_up(self, store: Store, conversation: str, user: str, *, limit: int) -> int:
        """Read on until nothing is missing; the number of chunks that it took."""
        for count in itertools.count(1):
            chunk = store.since(conversation, user, self.rev, limit=limit)
            assert chunk is not None
            before = self.rev
            self.apply(chunk)
            if self.rev == chunk.room.conversation.rev:
                return count
            assert self.rev > before, "a chunk that brings nothing on"
        raise AssertionError


def shared(row: Participant) -> Participant:
    """What others see of a participant, and what moves its rev."""
    return attrs.evolve(row, muted=False, pinned=False, archived=False)


def by_user(rows: Sequence[Participant]) -> dict[str, Participant]:
    return {row.user: row for row in rows}
