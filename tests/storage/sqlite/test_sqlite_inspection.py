"""A look at a store leaves it as it is, and says what is to be known before it is opened."""

import os
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.changes import OpenDirect, PutUser, SendMessage
from storage.contract import StoreError
from storage.sqlite import SqliteStore
from storage.sqlite.inspection import inspect
from storage.sqlite.schema import migrations

KNOWN = tuple(migration.name for migration in migrations._migrations)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chatd.db"


def opened(path: Path) -> SqliteStore:
    return SqliteStore(path, new_epoch=lambda: "epoch")


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder))}


def test_inspection_of_a_current_store_finds_nothing(path: Path) -> None:
    opened(path).close()
    before = files(path.parent)
    seen = inspect(path)
    assert (seen.pending, seen.newer, seen.newest) == ((), (), None)
    assert files(path.parent) == before


def test_inspection_of_an_older_store_does_not_migrate_it(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parents[2] / "support" / "schema_001.sql").read_text())
    before = files(path.parent)
    assert inspect(path).pending == KNOWN[1:]
    assert inspect(path).newer == ()
    assert files(path.parent) == before


def test_inspection_of_a_newer_store_names_what_is_new(path: Path) -> None:
    opened(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        values = ("chatd", "m999_telepathy", "2039-01-01")
        db.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)", values)
    assert inspect(path).newer == ("m999_telepathy",)
    assert inspect(path).pending == ()


def test_inspection_of_a_store_in_use_tells_its_newest_message(path: Path) -> None:
    """Its log is read, too: what a running daemon, or one that was killed, has not copied into the file."""
    store = opened(path)
    try:
        store.commit([PutUser("ada", "Ada", "patient", 1), PutUser("bo", "Bo", "dentist", 1)])
        store.commit([OpenDirect("c", "ada", "bo", 2)])
        store.commit(
            [
                SendMessage(
                    conversation="c", user="ada", client_id="1", message="m1", body="hello", reply_to=None, at=5_000
                )
            ]
        )
        assert path.with_name("chatd.db-wal").stat().st_size > 0
        assert inspect(path).newest == 5_000
    finally:
        store.close()


def test_inspection_of_an_empty_file_lacks_everything(path: Path) -> None:
    path.touch()
    assert inspect(path).pending == KNOWN
    assert path.read_bytes() == b""


@pytest.mark.parametrize("content", [b"my holiday pictures " * 1000, None])
def test_inspection_of_no_database_is_refused(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=r"chatd.db: cannot be read as the database: "):
        inspect(path)
    assert path.exists() == (content is not None)
