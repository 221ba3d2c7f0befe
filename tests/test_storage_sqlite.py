"""What only the SQLite store has: its file, its connections, and what it does when the disk fails."""

import contextlib
import functools
import itertools
import os
import queue
import sqlite3 as system_sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import attrs
import pytest
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage import sql
from storage.changes import Change, Changed, OpenDirect
from storage.contract import StoreError, Unavailable
from storage.sqlite import SqliteStore
from support.stores import Desk, Replica, sqlite_file, sqlite_single

FULL, IOERR_FSYNC, IOERR_READ = 13, 1034, 266


def make(path: Path, epoch: str = "e", **options: Any) -> SqliteStore:
    return SqliteStore(path, new_epoch=lambda: epoch, **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "chat.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with contextlib.closing(make(path)) as store:
        yield store


@pytest.fixture
def single(tmp_path: Path) -> Iterator[SqliteStore]:
    store = sqlite_single(tmp_path)
    assert isinstance(store, SqliteStore)
    with contextlib.closing(store):
        yield store


@pytest.fixture
def desk(store: SqliteStore) -> Desk:
    return Desk(store)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.sqlite.file.BUSY_TIMEOUT", 0.01)


def pragma(connection: Any, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def bodies(store: SqliteStore, conversation: str, user: str = "ada") -> list[str]:
    page = store.history(conversation, user, before=None, after=0, limit=1000)
    assert page is not None
    return [message.body for message in page.messages]


def failure(code: int) -> Exception:
    error = sqlite3.OperationalError(f"simulated error {code}")
    error.sqlite_errorcode = code
    assert isinstance(error, Exception)
    return error


class FailingConnection:
    """Passes everything on, but for statements that begin with a key of `errors`; `after` it had its effect."""

    def __init__(self, connection: Any, errors: dict[str, int], *, after: bool = False) -> None:
        self._connection = connection
        self._errors = errors
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        for start, code in self._errors.items():
            if statement.startswith(start):
                if self._after:
                    self._connection.execute(statement, *values)
                raise failure(code)
        return self._connection.execute(statement, *values)


def other_process(path: Path) -> contextlib.closing[Any]:
    return contextlib.closing(sqlite3.connect(str(path), isolation_level=None))


# -- the file --


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_settings_of_the_connections(path: Path, durability: Literal["full", "normal"], synchronous: int) -> None:
    with contextlib.closing(make(path, durability=durability)) as store:
        assert not store.single
        assert pragma(store._writer, "journal_mode") == "wal"
        assert pragma(store._writer, "synchronous") == synchronous
        assert pragma(store._writer, "query_only") == 0
        with store._reading() as reader:
            assert reader is not store._writer
            assert pragma(reader, "journal_mode") == "wal"
            assert pragma(reader, "query_only") == 1
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                reader.execute("DELETE FROM chatd_meta")


def test_full_durability_is_the_default(store: SqliteStore) -> None:
    assert pragma(store._writer, "synchronous") == 2


def test_a_reopened_writer_has_the_same_settings(store: SqliteStore) -> None:
    store._failed = True
    store.repair()
    assert (pragma(store._writer, "journal_mode"), pragma(store._writer, "synchronous")) == ("wal", 2)


def test_nobody_else_may_read_the_files(store: SqliteStore, desk: Desk, path: Path) -> None:
    desk.chat("ada", "ben")
    assert store.user("ada") is not None
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {
        "chat.db": 0o600, "chat.db-wal": 0o600, "chat.db-shm": 0o600,
    }  # fmt: skip


def test_a_path_with_signs_that_mean_something_in_a_uri(tmp_path: Path) -> None:
    path = tmp_path / "50%20 of #1?mode=memory" / "ü&.db"
    with contextlib.closing(make(path)) as store:
        Desk(store).people("ada")
    assert [file.name for file in path.parent.iterdir()] == ["ü&.db"]


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("chat.db")).close()
    assert (tmp_path / "chat.db").stat().st_size > 0


def test_the_epoch_is_the_files_own(tmp_path: Path) -> None:
    numbers = itertools.count()

    def make_one(name: str) -> str:
        with contextlib.closing(SqliteStore(tmp_path / name, new_epoch=lambda: f"e{next(numbers)}")) as store:
            return store.epoch

    first, second = make_one("one.db"), make_one("two.db")
    assert first != second
    assert [make_one("one.db"), make_one("two.db"), make_one("one.db")] == [first, second, first]


def test_a_file_is_marked_for_development_only_when_it_is_made(tmp_path: Path) -> None:
    for name, first, second in (("dev.db", True, False), ("real.db", False, True)):
        for development in (first, second):
            with contextlib.closing(make(tmp_path / name, development=development)) as store:
                assert store.development == first


def test_unread_counts_for_other_programs(store: SqliteStore, desk: Desk, path: Path) -> None:
    c = desk.chat("ada", "ben")
    gone = desk.chat("ada", "cleo")
    desk.say(c, "ada", *"123")
    desk.say(c, "ben", "4")
    desk.changed(desk.receipt(c, "ben", read=1))
    desk.changed(desk.leave(gone, "cleo"))
    with contextlib.closing(system_sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        rows = db.execute('SELECT "conversationId", "userId", "unreadCount" FROM "unreadCount"').fetchall()
    assert sorted(rows) == sorted([(c, "ada", 1), (c, "ben", 2), (gone, "ada", 0)])


# -- files that can't be used --


def refusal(path: Path) -> str:
    with pytest.raises(StoreError) as caught:
        make(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_newer_schema_is_left_alone(store: SqliteStore, path: Path) -> None:
    assert store._writer is not None
    store._writer.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('chatd', 'm999_later', '')"
    )
    store.close()
    before = contents(path.parent)
    assert "newer version" in refusal(path)
    assert "m999_later" in refusal(path)
    assert contents(path.parent) == before


def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"Dear diary, " * 1000)
    before = contents(path.parent)
    assert "not a database" in refusal(path)
    assert contents(path.parent) == before


def test_a_folder_in_its_place(path: Path) -> None:
    path.mkdir(parents=True)
    refusal(path)


def test_a_file_in_place_of_the_folder(path: Path) -> None:
    path.parent.write_text("")
    refusal(path)
    refusal(path.parent / "deeper" / "chat.db")


def test_a_folder_that_is_not_writable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "not writable" in refusal(path)


def test_a_folder_that_cannot_be_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", mock.Mock(side_effect=PermissionError(13, "Permission denied")))
    assert refusal(path).endswith("Permission denied")


@pytest.mark.usefixtures("impatient")
def test_a_file_that_another_process_writes_to(store: SqliteStore, path: Path) -> None:
    assert store._writer is not None
    store._writer.execute("DELETE FROM chatd_meta WHERE key = 'development'")
    store.close()
    with other_process(path) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in refusal(path)
    make(path).close()


# -- batches that fail --


@pytest.mark.parametrize("broken", ["integrity", "too large", "not text"])
def test_a_batch_that_breaks_leaves_nothing(store: SqliteStore, desk: Desk, broken: str) -> None:
    c = desk.chat("ada", "ben")
    (first,) = desk.say(c, "ada", "one")
    before = Replica.of(store, c, "ada")
    bad = desk.send(c, "ada", "bad")
    error: type[Exception]
    match broken:
        case "integrity":
            bad, error = attrs.evolve(bad, message=first.id), sqlite3.IntegrityError
        case "too large":
            bad, error = attrs.evolve(bad, at=2**63), OverflowError
        case _:
            bad, error = attrs.evolve(bad, body="\ud800"), UnicodeEncodeError
    with pytest.raises(error):
        desk.do(desk.put("cleo"), desk.send(c, "ada", "good"), desk.receipt(c, "ben", read=1), bad)
    assert Replica.of(store, c, "ada") == before
    assert store.user("cleo") is None
    desk.changed(desk.send(c, "ada", "two"))
    assert store.generation == 0


def test_a_full_disk(store: SqliteStore, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    assert store._writer is not None
    pages = pragma(store._writer, "page_count")
    pragma(store._writer, f"max_page_count = {pages}")
    large = desk.send(c, "ada", "x" * 100_000, client_id="k")
    for _ in range(2):
        with pytest.raises(Unavailable, match="full"):
            desk.do(desk.receipt(c, "ben", read=1), large)
        assert bodies(store, c) == ["one"], "reads go on"
    pragma(store._writer, f"max_page_count = {2**32 - 2}")
    desk.changed(large)
    assert desk.unchanged(large).duplicate
    assert bodies(store, c) == ["one", large.body]
    assert store.generation == 0


@pytest.mark.usefixtures("impatient")
def test_another_process_holds_the_file(path: Path) -> None:
    with contextlib.closing(make(path)) as store, other_process(path) as other:
        desk = Desk(store)
        c = desk.chat("ada", "ben")
        other.execute("BEGIN IMMEDIATE")
        message = desk.send(c, "ada", "one")
        for _ in range(2):
            with pytest.raises(Unavailable, match="locked"):
                desk.do(message)
            assert bodies(store, c) == []
        other.execute("ROLLBACK")
        desk.changed(message)
        assert store.generation == 0


@pytest.mark.parametrize("happened", [False, True], ids=["lost", "kept"])
def test_a_commit_that_could_not_be_synced(store: SqliteStore, desk: Desk, *, happened: bool) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    store._writer = FailingConnection(store._writer, {"COMMIT": IOERR_FSYNC}, after=happened)
    message = desk.send(c, "ada", "two", client_id="k")
    with pytest.raises(Unavailable, match="1034"):
        desk.do(message)
    assert store.generation == 0
    assert bodies(store, c)[:1] == ["one"], "reads go on"
    (outcome,) = desk.do(message)
    assert isinstance(outcome, Changed) != happened
    assert store.generation == 1
    assert bodies(store, c) == ["one", "two"]
    desk.changed(desk.send(c, "ada", "three"))
    assert store.generation == 1


def test_a_writer_that_cannot_even_roll_back(store: SqliteStore, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    store._writer = FailingConnection(store._writer, {"COMMIT": FULL, "ROLLBACK": IOERR_FSYNC})
    with pytest.raises(Unavailable, match="error 13"):
        desk.do(desk.send(c, "ada", "lost"))
    store.repair()
    assert store.generation == 1
    store.repair()
    assert store.generation == 1
    desk.changed(desk.send(c, "ada", "kept"))
    assert bodies(store, c) == ["kept"]


def test_after_a_full_disk_repair_tries_to_write(store: SqliteStore, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    writer: Any = store._writer
    store._writer = FailingConnection(writer, {"COMMIT": FULL})
    with pytest.raises(Unavailable, match="error 13"):
        desk.do(desk.send(c, "ada", "lost"))
    for _ in range(2):
        with pytest.raises(Unavailable, match="error 13"):
            store.repair()
    store._writer = writer
    for _ in range(2):
        store.repair()
    desk.changed(desk.send(c, "ada", "kept"))
    assert bodies(store, c) == ["kept"]
    assert store.generation == 0
    assert writer.execute("SELECT * FROM chatd_meta WHERE key = 'probe'").fetchall() == []


def test_a_try_that_could_not_be_synced_reopens_the_file(store: SqliteStore, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    store._writer = FailingConnection(store._writer, {"COMMIT": FULL})
    with pytest.raises(Unavailable, match="error 13"):
        desk.do(desk.send(c, "ada", "lost"))
    store._writer = FailingConnection(store._writer._connection, {"COMMIT": IOERR_FSYNC})
    with pytest.raises(Unavailable, match="1034"):
        store.repair()
    desk.changed(desk.send(c, "ada", "kept"))
    assert store.generation == 1
    assert bodies(store, c) == ["kept"]


def test_the_writer_holds_the_file_before_it_reads(store: SqliteStore, desk: Desk, path: Path) -> None:
    c = desk.chat("ada", "ben")
    load = store._load

    def load_beside_another(*args: Any) -> Any:
        with other_process(path) as other:
            other.execute("PRAGMA busy_timeout = 0")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        return load(*args)

    with mock.patch.object(store, "_load", load_beside_another):
        desk.changed(desk.send(c, "ada", "one"))


def test_reopening_may_fail_and_is_tried_again(store: SqliteStore, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    c = desk.chat("ada", "ben")
    message = desk.send(c, "ada", "one")
    store._failed = True
    with monkeypatch.context() as patch:
        patch.setattr(store, "_connect", mock.Mock(side_effect=failure(IOERR_READ)))
        for _ in range(2):
            with pytest.raises(Unavailable, match="266"):
                desk.do(message)
            with pytest.raises(Unavailable, match="266"):
                store.room(c)
    assert bodies(store, c) == []
    assert store.generation == 0
    desk.changed(message)
    assert store.generation == 1


def test_a_file_that_has_gone_is_not_made_anew(store: SqliteStore, desk: Desk, path: Path) -> None:
    c = desk.chat("ada", "ben")
    store._failed = True
    away = path.parent.with_name("away")
    path.parent.rename(away)
    path.parent.mkdir()
    message = desk.send(c, "ada", "one")
    for _ in range(2):
        with pytest.raises(Unavailable):
            desk.do(message)
        with pytest.raises(Unavailable):
            store.room(c)
        assert contents(path.parent) == {}
    path.parent.rmdir()
    away.rename(path.parent)
    desk.changed(message)
    assert bodies(store, c) == ["one"]


@pytest.mark.parametrize("epoch", ["another", None])
def test_another_file_in_its_place_is_not_written_to(
    store: SqliteStore, desk: Desk, path: Path, epoch: str | None
) -> None:
    c = desk.chat("ada", "ben")
    assert store._writer is not None
    pragma(store._writer, "wal_checkpoint(TRUNCATE)")
    away = path.with_name("away")
    path.rename(away)
    with contextlib.closing(make(path.with_name("new.db"), epoch="another")) as new:
        assert new._writer is not None
        if epoch is None:
            new._writer.execute("DELETE FROM chatd_meta")
    path.with_name("new.db").rename(path)
    store._failed = True
    message = desk.send(c, "ada", "one")
    with pytest.raises(Unavailable, match="replaced"):
        desk.do(message)
    away.rename(path)
    desk.changed(message)
    assert bodies(store, c) == ["one"]


@pytest.mark.usefixtures("impatient")
def test_a_reader_elsewhere_holds_up_the_repair_but_no_reads(path: Path) -> None:
    with contextlib.closing(make(path)) as store, other_process(path) as other:
        desk = Desk(store)
        c = desk.chat("ada", "ben")
        other.execute("BEGIN")
        other.execute("SELECT * FROM chatd_meta").fetchall()
        desk.say(c, "ada", "one")
        store._failed = True
        for _ in range(2):
            with pytest.raises(Unavailable, match="held"):
                store.repair()
            assert bodies(store, c) == ["one"]
        other.execute("ROLLBACK")
        store.repair()
        assert store.generation == 1
        desk.changed(desk.send(c, "ada", "two"))


# -- what other programs write --


def test_a_commit_sees_what_another_process_wrote(store: SqliteStore, desk: Desk, path: Path) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    with other_process(path) as other:
        other.execute('UPDATE "Conversation" SET "lastSeq" = 5, "rev" = 9 WHERE "id" = ?', (c,))
        sent = desk.changed(desk.send(c, "ada", "two"))
        assert (sent.from_rev, sent.rev, sent.messages[0].seq) == (9, 10, 6)
        other.execute('UPDATE "ConversationParticipant" SET "leftAt" = 1 WHERE "userId" = ?', ("ada",))
        assert desk.refused(desk.send(c, "ada", "three")).reason == "not_found"


def test_a_commit_sees_what_was_written_while_the_file_was_reopened(store: SqliteStore, desk: Desk, path: Path) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    connect = store._connect

    def write_then_connect() -> Any:
        with other_process(path) as other:
            other.execute('UPDATE "Conversation" SET "lastSeq" = 5, "rev" = 9 WHERE "id" = ?', (c,))
        return connect()

    store._failed = True
    with mock.patch.object(store, "_connect", write_then_connect):
        store.repair()
    sent = desk.changed(desk.send(c, "ada", "two"))
    assert (sent.from_rev, sent.rev, sent.messages[0].seq) == (9, 10, 6)


def test_more_rooms_than_are_remembered(store: SqliteStore, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.sqlite.store.CACHED_ROWS", 9)
    chats = [desk.chat("ada", f"u{n}") for n in range(7)]
    for rev in (2, 3):
        for c in chats:
            assert desk.changed(desk.send(c, "ada")).rev == rev
        assert store._cache.rows == 3 * len(store._cache.rooms) <= 12


def statements(store: SqliteStore, *changes: Change) -> int:
    """How many it takes to commit these in one batch."""
    seen: list[str] = []
    assert store._writer is not None
    store._writer.set_trace_callback(seen.append)
    outcomes = store.commit(changes)
    store._writer.set_trace_callback(None)
    assert all(isinstance(outcome, Changed) for outcome in outcomes)
    return len([statement for statement in seen if not statement.startswith("--")])  # those that run inside others


def test_a_batch_costs_the_same_number_of_statements_whatever_it_holds(store: SqliteStore, desk: Desk) -> None:
    """Of one kind of change, as many as go into one statement: what grows is only what each may count."""
    one, *many = [desk.group("ada", f"u{n}") for n in range(65)]
    for group in (one, *many):
        desk.say(group, "ada", *"123")
    kinds: list[Callable[[str], Change]] = [
        lambda group: desk.send(group, "ada"),
        lambda group: desk.react(group, "ada", 1),
        lambda group: desk.edit(group, "ada", 2, "zwei"),
        lambda group: desk.title(group, "ada", "Other"),
        lambda group: desk.receipt(group, "ada", delivered=1),
        lambda group: desk.create("ada", client_id=f"k-{group}"),
    ]
    for kind in kinds:
        alone = statements(store, kind(one))
        assert statements(store, *map(kind, many)) == alone > 4


def plan(store: SqliteStore, statement: str) -> str:
    with store._reading() as db:
        rows = db.execute(f"EXPLAIN QUERY PLAN {statement}", [0] * statement.count("?")).fetchall()
    return "; ".join(row[-1] for row in rows)


def test_how_messages_are_found(store: SqliteStore) -> None:
    by_rev = "USING INDEX Message_conversationId_changedRev_idx (conversationId=? AND changedRev>?)"
    by_seq = "USING INDEX Message_conversationId_seq_key (conversationId=? AND seq"
    for statement, index in (
        (sql.CHANGED_SINCE, by_rev), (sql.COUNT_CHANGED, by_rev), (sql.NEW_SINCE, by_seq), (sql.HISTORY_AFTER, by_seq),
        (sql.HISTORY_BEFORE, by_seq), (sql.COUNT_UNREAD, by_seq), (sql.REV_OF_SEQ, by_seq),
        (f'WITH k("low", "high") AS (VALUES (?, ?)) {sql.COUNT_TEXTS}', by_seq),
        (f'WITH k("one", "two") AS (VALUES (?, ?)) {sql.MESSAGE_AT}', by_seq),
        (f'WITH k("one", "two") AS (VALUES (?, ?)) {sql.GROUP_MADE}', "INDEX Conversation_creatorId_clientId_key"),
    ):  # fmt: skip
        assert index in plan(store, statement), statement
        assert "SCAN m" not in plan(store, statement)
        assert "SCAN Message" not in plan(store, statement)
    assert "TEMP B-TREE" not in plan(store, sql.CHANGED_SINCE) + plan(store, sql.NEW_SINCE)


# -- reads --


def test_reads_see_one_moment_while_the_writer_goes_on(store: SqliteStore, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    stage = threading.Barrier(3, timeout=30)
    counts: list[list[int]] = []

    def read() -> None:
        with store._reading() as db:
            seen = [db.execute('SELECT COUNT(*) FROM "Message"').fetchone()[0]]
            stage.wait()  # both are reading
            stage.wait()  # the writer has written
            seen.append(db.execute('SELECT COUNT(*) FROM "Message"').fetchone()[0])
            seen.append(db.execute('SELECT "lastSeq" FROM "Conversation"').fetchone()[0])
        seen.append(len(bodies(store, c)))
        counts.append(seen)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    stage.wait()
    desk.say(c, "ada", "two", "three")
    stage.wait()
    for reader in readers:
        reader.join()
    assert counts == [[1, 1, 1, 3]] * 2


class WatchedQueue:
    """The places of the readers; tells when somebody comes and finds none free."""

    def __init__(self, places: "queue.SimpleQueue[Any]") -> None:
        self._places = places
        self.waiting = threading.Event()
        self.put = places.put

    def get(self) -> Any:
        try:
            return self._places.get_nowait()
        except queue.Empty:
            self.waiting.set()
            return self._places.get()


@pytest.mark.parametrize("end", ["repair", "close"])
def test_repair_and_close_wait_for_the_reads_that_run(store: SqliteStore, desk: Desk, end: str) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    places = WatchedQueue(store._readers)
    with mock.patch.object(store, "_readers", places):
        store._failed = True
        waiter = threading.Thread(target=store.repair if end == "repair" else store.close)
        with store._reading() as db:
            waiter.start()
            assert places.waiting.wait(30)
            assert db.execute('SELECT COUNT(*) FROM "Message"').fetchone() == (1,)
        waiter.join()
    if end == "repair":
        assert store.generation == 1
        assert bodies(store, c) == ["one"]


def test_a_read_that_fails_gives_its_place_to_a_new_connection(store: SqliteStore, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    for statement in ("SELECT", "BEGIN", "ROLLBACK"):
        bad = [store._readers.get() for _ in range(store._places)]
        for connection in bad:
            store._readers.put(FailingConnection(connection or store._connect(), {statement: IOERR_READ}))
        for _ in bad:
            with pytest.raises(Unavailable, match="266"):
                store.room(c)
        for _ in range(3):
            assert bodies(store, c) == ["one"]
    assert store.generation == 0


def test_a_read_that_cannot_even_open_the_file_gives_its_place_back(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", mock.Mock(side_effect=failure(14)))
        for _ in range(5):
            with pytest.raises(Unavailable):
                store.user("ada")
    assert store.user("ada") is None
    assert store._readers.qsize() == store._places


def test_a_connection_that_cannot_be_set_up_is_closed(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    connect = sqlite3.connect

    def connect_badly(*args: Any, **options: Any) -> FailingConnection:
        made.append(connect(*args, **options))
        return FailingConnection(made[-1], {"PRAGMA synchronous": IOERR_READ})

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect_badly)
        with pytest.raises(Unavailable):
            store.user("ada")
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        made[0].execute("SELECT 1")


def test_a_bug_in_a_read_costs_no_place(store: SqliteStore) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), store._reading():
            raise ZeroDivisionError
    assert store.user("ada") is None


@pytest.mark.parametrize("open_one", [sqlite_file, sqlite_single])
def test_a_closed_store_says_so(open_one: Callable[[Path], SqliteStore], tmp_path: Path) -> None:
    store = open_one(tmp_path)
    Desk(store).people("ada")
    assert store.user("ada") is not None
    store.close()
    calls = (functools.partial(store.user, "ada"), functools.partial(store.commit, []), store.repair)
    for call in calls:
        with pytest.raises(Unavailable, match="closed"):
            call()
    store.close()
    assert [file.name for file in tmp_path.iterdir()] == ["chat.db"], "nothing is left open"


# -- one connection for all --


def test_an_old_sqlite_gets_one_connection(single: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert single.single
    desk = Desk(single)
    monkeypatch.setattr(single, "_connect", mock.Mock(side_effect=AssertionError("a second connection")))
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    assert bodies(single, c) == ["one"]
    with single._reading() as db:
        assert db is single._writer


def test_one_connection_is_repaired_by_reads_too(single: SqliteStore) -> None:
    desk = Desk(single)
    c = desk.chat("ada", "ben")
    single._writer = FailingConnection(single._writer, {"COMMIT": IOERR_FSYNC})
    with pytest.raises(Unavailable):
        desk.do(desk.send(c, "ada", "lost"))
    assert bodies(single, c) == []
    assert single.generation == 1
    single._writer = FailingConnection(single._writer, {"SELECT": IOERR_READ, "ROLLBACK": IOERR_READ})
    with pytest.raises(Unavailable):
        single.room(c)
    assert bodies(single, c) == []
    assert single.generation == 2
    desk.changed(desk.send(c, "ada", "kept"))


class WatchedLock:
    """Tells when somebody finds it held by another thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.waiting = threading.Event()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self.waiting.set()
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@pytest.mark.parametrize("action", ["commit", "repair", "close"])
def test_one_connection_waits_for_the_read_that_runs(single: SqliteStore, action: str) -> None:
    Desk(single).people("ada", "ben")
    lock = WatchedLock()
    actions: dict[str, Callable[[], object]] = {
        "commit": lambda: single.commit([OpenDirect("c", "ada", "ben", 1)]),
        "repair": single.repair,
        "close": single.close,
    }
    with mock.patch.object(single, "_lock", lock):
        other = threading.Thread(target=actions[action])
        with single._reading() as db:
            single._failed = action == "repair"
            other.start()
            assert lock.waiting.wait(10)
            assert db.execute('SELECT COUNT(*) FROM "Conversation"').fetchone() == (0,)
        other.join()
    assert single.generation == (1 if action == "repair" else 0)
