"""SQLite's connections: the writer beside other programs, readers that wait or fail, and one connection for all."""

import contextlib
import functools
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.changes import OpenDirect
from storage.contract import Unavailable
from storage.sqlite import SqliteStore, file
from support.sqlite_files import IOERR_FSYNC, IOERR_READ, FailingConnection, bodies, failure, make, other_process
from support.stores import Desk, sqlite_file, sqlite_single


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


# -- the log --


def test_log_that_a_reader_let_grow_is_cut_once_it_has_gone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "CHECKPOINT_PAGES", 20)
    monkeypatch.setattr(file, "LOG_LIMIT_BYTES", 200_000)
    log = path.with_name(path.name + "-wal")
    with contextlib.closing(make(path)) as store:
        desk = Desk(store)
        c = desk.chat("ada", "ben")
        with other_process(path) as other:
            other.execute("BEGIN")
            other.execute('SELECT COUNT(*) FROM "Message"').fetchone()
            while log.stat().st_size < 1_000_000:
                desk.say(c, "ada", "x" * 5000)
            assert store.checkpoint() == log.stat().st_size, "blocked"
            other.execute("ROLLBACK")
            assert store.checkpoint() == 0, "all was copied"
        desk.say(c, "ada", "it begins anew")
        desk.say(c, "ada", "and ends with its limit")
        assert log.stat().st_size <= 200_000
        assert store.checkpoint() == 0


# -- what other programs write --


def test_commit_sees_what_another_process_wrote(store: SqliteStore, desk: Desk, path: Path) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    with other_process(path) as other:
        other.execute('UPDATE "Conversation" SET "lastSeq" = 5, "rev" = 9 WHERE "id" = ?', (c,))
        sent = desk.changed(desk.send(c, "ada", "two"))
        assert (sent.from_rev, sent.rev, sent.messages[0].seq) == (9, 10, 6)
        other.execute('UPDATE "ConversationParticipant" SET "leftAt" = 1 WHERE "userId" = ?', ("ada",))
        assert desk.refused(desk.send(c, "ada", "three")).reason == "not_found"


def test_commit_sees_what_was_written_while_the_file_was_reopened(store: SqliteStore, desk: Desk, path: Path) -> None:
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


def test_read_that_fails_gives_its_place_to_a_new_connection(store: SqliteStore, desk: Desk) -> None:
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


def test_read_that_cannot_even_open_the_file_gives_its_place_back(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(store._places):  # opening the store has read already
        place = store._readers.get()
        if place is not None:
            place.close()
        store._readers.put(None)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", mock.Mock(side_effect=failure(14)))
        for _ in range(5):
            with pytest.raises(Unavailable):
                store.user("ada")
    assert store.user("ada") is None
    assert store._readers.qsize() == store._places


def test_connection_that_cannot_be_set_up_is_closed(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_bug_in_a_read_costs_no_place(store: SqliteStore) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), store._reading():
            raise ZeroDivisionError
    assert store.user("ada") is None


@pytest.mark.parametrize("open_one", [sqlite_file, sqlite_single])
def test_closed_store_says_so(open_one: Callable[[Path], SqliteStore], tmp_path: Path) -> None:
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


def test_old_sqlite_gets_one_connection(single: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert single.single
    desk = Desk(single)
    monkeypatch.setattr(single, "_connect", mock.Mock(side_effect=AssertionError("a second connection")))
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    assert bodies(single, c) == ["one"]
    with single._reading() as db:
        assert db is single._writer


def test_single_connection_is_repaired_by_reads_too(single: SqliteStore) -> None:
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
def test_single_connection_waits_for_the_read_that_runs(single: SqliteStore, action: str) -> None:
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
