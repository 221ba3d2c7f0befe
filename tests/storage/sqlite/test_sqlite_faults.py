"""Batches that fail: a disk that is full or broken, a file that is held, gone or another; and how the store goes on."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import pytest
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.changes import Changed
from storage.contract import Unavailable
from storage.sqlite import SqliteStore
from support.sqlite_files import (
    FULL,
    IOERR_FSYNC,
    IOERR_READ,
    FailingConnection,
    bodies,
    contents,
    failure,
    make,
    other_process,
    pragma,
)
from support.stores import Desk, Replica


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "chat.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with contextlib.closing(make(path)) as store:
        yield store


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.sqlite.file.BUSY_TIMEOUT_S", 0.01)


@pytest.mark.parametrize("broken", ["integrity", "too large", "not text"])
def test_batch_that_breaks_leaves_nothing(store: SqliteStore, desk: Desk, broken: str) -> None:
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


def test_disk_that_is_full_refuses_and_harms_nothing(store: SqliteStore, desk: Desk) -> None:
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
def test_file_held_by_another_process_is_unavailable(path: Path) -> None:
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
def test_commit_that_could_not_be_synced_reopens_the_file(store: SqliteStore, desk: Desk, *, happened: bool) -> None:
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


def test_writer_that_cannot_even_roll_back_is_replaced(store: SqliteStore, desk: Desk) -> None:
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


def test_repair_after_a_full_disk_tries_to_write(store: SqliteStore, desk: Desk) -> None:
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


def test_try_that_could_not_be_synced_reopens_the_file(store: SqliteStore, desk: Desk) -> None:
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


def test_writer_holds_the_file_before_it_reads(store: SqliteStore, desk: Desk, path: Path) -> None:
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


def test_file_that_has_gone_is_not_made_anew(store: SqliteStore, desk: Desk, path: Path) -> None:
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
def test_file_put_in_its_place_is_not_written_to(store: SqliteStore, desk: Desk, path: Path, epoch: str | None) -> None:
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
def test_reader_elsewhere_holds_up_the_repair_but_no_reads(path: Path) -> None:
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
