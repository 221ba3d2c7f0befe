"""SQLite's file: how it is set up, what it keeps for itself and for other programs, and which are refused."""

import contextlib
import itertools
import sqlite3 as system_sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from unittest import mock

import pytest
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.contract import StoreError
from storage.sqlite import SqliteStore
from support.sqlite_files import contents, make, other_process, pragma
from support.stores import Desk


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


# -- the file --


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_connections_have_their_settings(path: Path, durability: Literal["full", "normal"], synchronous: int) -> None:
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


def test_reopened_writer_has_the_same_settings(store: SqliteStore) -> None:
    store._failed = True
    store.repair()
    assert (pragma(store._writer, "journal_mode"), pragma(store._writer, "synchronous")) == ("wal", 2)


def test_file_is_readable_by_its_owner_alone(store: SqliteStore, desk: Desk, path: Path) -> None:
    desk.chat("ada", "ben")
    assert store.user("ada") is not None
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {
        "chat.db": 0o600, "chat.db-wal": 0o600, "chat.db-shm": 0o600,
    }  # fmt: skip


def test_path_with_signs_that_mean_something_in_a_uri_works(tmp_path: Path) -> None:
    path = tmp_path / "50%20 of #1?mode=memory" / "ü&.db"
    with contextlib.closing(make(path)) as store:
        Desk(store).people("ada")
    assert [file.name for file in path.parent.iterdir()] == ["ü&.db"]


def test_path_that_is_relative_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("chat.db")).close()
    assert (tmp_path / "chat.db").stat().st_size > 0


def test_epoch_is_the_files_own(tmp_path: Path) -> None:
    numbers = itertools.count()

    def make_one(name: str) -> str:
        with contextlib.closing(SqliteStore(tmp_path / name, new_epoch=lambda: f"e{next(numbers)}")) as store:
            return store.epoch

    first, second = make_one("one.db"), make_one("two.db")
    assert first != second
    assert [make_one("one.db"), make_one("two.db"), make_one("one.db")] == [first, second, first]


def test_file_is_marked_for_development_only_when_it_is_made(tmp_path: Path) -> None:
    for name, first, second in (("dev.db", True, False), ("real.db", False, True)):
        for development in (first, second):
            with contextlib.closing(make(tmp_path / name, development=development)) as store:
                assert store.development == first


def test_unread_counts_are_there_for_other_programs(store: SqliteStore, desk: Desk, path: Path) -> None:
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


def test_newer_schema_is_left_alone(store: SqliteStore, path: Path) -> None:
    assert store._writer is not None
    store._writer.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('chatd', 'm999_later', '')"
    )
    store.close()
    before = contents(path.parent)
    assert "newer version" in refusal(path)
    assert "m999_later" in refusal(path)
    assert contents(path.parent) == before


def test_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"Dear diary, " * 1000)
    before = contents(path.parent)
    assert "not a database" in refusal(path)
    assert contents(path.parent) == before


def test_folder_in_the_place_of_the_file_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    refusal(path)


def test_file_in_the_place_of_the_folder_is_refused(path: Path) -> None:
    path.parent.write_text("")
    for file in (path, path.parent / "deeper" / "chat.db"):
        with pytest.raises(StoreError, match=f"{path.parent}: is not a folder|Not a directory"):
            make(file)


def test_folder_that_cannot_be_made_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", mock.Mock(side_effect=PermissionError(13, "Permission denied")))
    assert refusal(path).endswith("Permission denied")


@pytest.mark.usefixtures("impatient")
def test_file_that_another_process_writes_to_is_refused_until_it_is_free(store: SqliteStore, path: Path) -> None:
    assert store._writer is not None
    store._writer.execute("DELETE FROM chatd_meta WHERE key = 'development'")
    store.close()
    with other_process(path) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in refusal(path)
    make(path).close()
