"""A store whose files this user may not use: which, by whom, and what mends it; and nothing is left behind."""

import os
import pwd
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.contract import StoreError
from storage.sqlite.access import mend_side_files
from storage.sqlite.inspection import inspect
from support.sqlite_files import contents, make
from support.users import NOBODY, as_another, reachable_folder

NAME = pwd.getpwuid(NOBODY).pw_name


@pytest.fixture
def path() -> Iterator[Path]:
    """A store of the other user's, with a log and its index as a kill leaves them."""
    with reachable_folder() as folder:
        with as_another():
            make(folder / "chat.db").close()
            for name in ("chat.db-wal", "chat.db-shm"):
                (folder / name).touch(0o600)
        yield folder / "chat.db"


@pytest.mark.parametrize("name", ["chat.db", "chat.db-wal", "chat.db-shm"])
def test_store_file_of_another_owner_is_named_with_mode_owner_and_asker(path: Path, name: str) -> None:
    file = path.with_name(name)
    os.chown(file, 0, 0)
    before = contents(path.parent)
    with as_another():
        for work in (make, inspect):
            with pytest.raises(StoreError) as caught:
                work(path)
            assert str(caught.value) == (
                f"{file}: the user {NAME} may not read and write this file (mode 0600, owner root): "
                f"run this as root, or: chown {NAME} {file}"
            )
    assert contents(path.parent) == before


def test_store_folder_of_another_owner_is_named(path: Path) -> None:
    path.parent.chmod(0o755)
    os.chown(path.parent, 0, 0)
    with as_another(), pytest.raises(StoreError, match=r"this folder \(mode 0755, owner root\)"):
        make(path)


def test_store_read_only_file_leaves_nothing_that_fails_after_it_is_mended(path: Path) -> None:
    for name in ("chat.db-wal", "chat.db-shm"):
        path.with_name(name).unlink()
    path.chmod(0o400)
    with as_another():
        with pytest.raises(StoreError, match=rf"mode 0400, owner {NAME}\): chmod u\+rw {path}"):
            make(path)
        assert os.listdir(path.parent) == ["chat.db"]
        path.chmod(0o600)
        make(path).close()


def test_store_side_files_that_were_left_read_only_are_mended(path: Path) -> None:
    with as_another():
        for name in ("chat.db-wal", "chat.db-shm"):
            path.with_name(name).chmod(0o400)
        with closing(make(path)) as store:
            assert store.epoch == "e"


def test_side_files_of_a_read_only_store_are_left_alone(path: Path) -> None:
    path.chmod(0o400)
    log = path.with_name("chat.db-wal")
    log.chmod(0o400)
    with as_another():
        mend_side_files(path)
    assert log.stat().st_mode & 0o777 == 0o400


# -- files that are another program's, empty, or of another version --


def test_file_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE note (text)")
    before = contents(tmp_path)
    for development in (False, True):
        with pytest.raises(StoreError, match="is not chatd's, as it has note"):
            make(path, development=development)
    assert contents(tmp_path) == before


def test_file_whose_making_was_cut_short_is_filled(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute('CREATE TABLE "_sqlite_migrations" (id INTEGER PRIMARY KEY, migration_set, name, applied_at)')
    with pytest.raises(StoreError, match="is empty: restore a backup"):
        make(path, new=False)
    with closing(make(path)) as store:
        assert store.made


@pytest.mark.parametrize("there", [False, True])
def test_file_that_is_missing_or_empty_is_made_only_where_one_may_be(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "data" / "chat.db"
    if there:
        path.parent.mkdir()
        path.touch()
    with pytest.raises(StoreError, match="is empty" if there else "there is no database"):
        make(path, new=False)
    assert path.exists() == there
    with closing(make(path)) as store:
        assert store.made
    with closing(make(path, new=False)) as store:
        assert not store.made
