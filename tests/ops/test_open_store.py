"""The store that the settings name, as the daemon and its commands open it."""

import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import pytest
import structlog
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from chatd import config
from chatd.config import Config
from chatd.ops import open_store as database
from storage.contract import StoreError
from storage.mysql.store import MysqlStore
from storage.sqlite import SqliteStore
from support import mariadb, process
from support.stores import Desk


def settings(url: str, **mysql: Any) -> Config:
    return attrs.evolve(Config(), storage=config.Storage(database=url), mysql=config.Mysql(**mysql))


@pytest.fixture
def url() -> str:
    server = mariadb.server()
    return server.url(server.database())


def test_a_file_or_a_server(tmp_path: Path, url: str) -> None:
    file = settings(f"sqlite:///{tmp_path}/chat.db")
    store, warnings = database.open_store(file, new_epoch=lambda: "e", new=True)
    with closing(store):
        assert isinstance(store, SqliteStore)
        assert database.place_of(file) == f"{tmp_path}/chat.db"
        assert warnings == [f"made a new, empty database {tmp_path}/chat.db: nobody is in it yet"]
    store, warnings = database.open_store(settings(url), new_epoch=lambda: "e", development=True, new=True)
    with closing(store):
        assert isinstance(store, MysqlStore)
        assert store.development
        assert database.place_of(settings(url)) == store.address
        assert mariadb.PASSWORD not in store.address
        assert warnings == store.warnings != []


def test_the_names_and_roles_of_the_settings(url: str) -> None:
    named = settings(url, names=("Message=texts", "Message.content=body"), roles=("PRO=dentist",))
    assert "table texts" in database.upgrade(named, new_epoch=lambda: "e")
    store, _ = database.open_store(named, new_epoch=lambda: "other")
    with closing(store):
        desk = Desk(store)
        c = desk.chat("ada", "ben")
        desk.say(c, "ada", "hi")
        assert store.epoch == "e"
        assert isinstance(store, MysqlStore)
        with mariadb.server().session(store.database) as cursor:
            cursor.execute("SELECT body FROM texts")
            assert cursor.fetchall() == (("hi",),)
            cursor.execute("ALTER TABLE User MODIFY role ENUM('PATIENT', 'PRO') NOT NULL DEFAULT 'PATIENT'")
            cursor.execute("UPDATE User SET role = 'PRO' WHERE id = 'ben'")
        assert store.users(["ben"])["ben"].role == "dentist"


@pytest.mark.parametrize(
    "work",
    [
        database.place_of,
        partial(database.open_store, new_epoch=lambda: "e"),
        partial(database.upgrade, new_epoch=lambda: "e"),
    ],
)
def test_without_the_driver_it_says_what_to_install(work: Callable[[Config], object]) -> None:
    gone = {name: None for name in sys.modules if name.startswith("storage.mysql.")}
    with mock.patch.dict(sys.modules, {**gone, "pymysql": None}), pytest.raises(StoreError) as error:
        work(settings("mysql://u:p@h/d"))
    assert str(error.value) == (
        "database: mysql:// needs the driver PyMySQL: python3 -m pip install PyMySQL, where chatd is installed"
    )


def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = process.run(*arguments, cwd=folder, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_commands_on_a_server(tmp_path: Path, url: str) -> None:
    flags = ("--data", str(tmp_path / "data"), "--database", url)
    place = database.place_of(settings(url))
    status, out, _ = run(tmp_path, "db", "upgrade", *flags)
    assert status == 0
    assert "added table Message\n" in out
    assert out.endswith(f"{place}: upgraded\n")
    assert run(tmp_path, "db", "upgrade", *flags) == (0, f"{place}: nothing to do, it is up to date\n", "")
    assert run(tmp_path, "user", "add", "pat-1", "--name", "Ada", "--role", "patient", *flags)[0] == 0
    status, out, _ = run(tmp_path, "user", "list", *flags)
    assert status == 0
    assert "Ada" in out


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda url: url.replace("://chatd:", "://chatd:x"), "the database server refuses this user and password"),
        (lambda url: url + "?ssl=1", "the option ssl is not known here"),
        (lambda url: url + "x", "there is no such database: CREATE DATABASE it first"),
    ],
)
def test_why_it_cannot_serve_is_one_line(tmp_path: Path, url: str, break_it: Callable[[str], str], reason: str) -> None:
    wrong = break_it(url)
    status, out, err = run(
        tmp_path, "serve", "--dev", "--port", "0", "--data", str(tmp_path / "d"), "--database", wrong
    )
    assert (status, out) == (2, "")
    assert reason in err
    assert err.count("\n") == 1
    assert url.split(":")[2].split("@")[0] not in err, "the password"


def test_a_server_of_an_app_is_not_touched(tmp_path: Path, url: str) -> None:
    name = url.rpartition("/")[2]
    with mariadb.server().session(name) as cursor:
        cursor.execute("CREATE TABLE User (id VARCHAR(191) PRIMARY KEY)")
        for arguments in (("serve", "--dev", "--port", "0"), ("db", "upgrade"), ("user", "list")):
            status, _, err = run(tmp_path, *arguments, "--data", str(tmp_path / "data"), "--database", url)
            assert status == 2
            assert "there are an app's tables: `chatd db adopt` shows what chatd would add to them" in err
        cursor.execute("SHOW TABLES")
        assert cursor.fetchall() == (("User",),)


def test_store_damaged_message_is_logged_once_without_its_text(tmp_path: Path) -> None:
    file = settings(f"sqlite:///{tmp_path}/chat.db")
    store, _ = database.open_store(file, new_epoch=lambda: "e", new=True)
    with closing(store), structlog.testing.capture_logs() as logged:
        desk = Desk(store)
        conversation = desk.chat("ada", "ben")
        desk.say(conversation, "ada", "one", "two")
        with closing(sqlite3.connect(file.database_path())) as db, db:
            db.execute('UPDATE "Message" SET "content" = \'secret\' WHERE "seq" = 1')
        for _ in range(2):
            store.history(conversation, "ada", before=None, after=None, limit=9)
    assert logged == [
        {
            "event": "a message is damaged; run `chatd db check`",
            "log_level": "error",
            "conversation": conversation,
            "seq": 1,
        }
    ]
