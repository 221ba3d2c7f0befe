"""Our own tables: what is in them, and what becomes of those of other versions, or of a making that was cut short."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pymysql
import pytest

from storage.contract import StoreError
from storage.mysql import schema, tables
from storage.mysql.connection import Connection
from storage.mysql.ids import seat_id
from storage.mysql.layout import read_layout
from storage.mysql.names import Names
from storage.mysql.store import MysqlStore
from storage.mysql.upgrade import upgrade
from support import mariadb
from support.stores import Desk, mysql, mysql_database


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MysqlStore]:
    with contextlib.closing(mysql(tmp_path)) as found:
        yield found


@pytest.fixture
def app(store: MysqlStore) -> Iterator[Any]:
    """The app's session on the same database; its time zone is the server's."""
    with mariadb.server().session(store.database) as cursor:
        yield cursor


def test_tables_made_are_those_declared(store: MysqlStore) -> None:
    with contextlib.closing(store._pool.connect(writer=True)) as db:
        layout = read_layout(db)
        assert list(schema.missing(layout, Names())) == []
        assert set(layout.columns) == {table.name for table in tables.TABLES}
    for table in tables.TABLES:
        assert set(layout.columns[table.name]) == {column.name for column in table.columns if not column.spare}


def test_newer_versions_tables_are_left_alone(store: MysqlStore, app: Any, tmp_path: Path) -> None:
    app.execute("UPDATE chatd_meta SET value = '99' WHERE `key` = 'schema'")
    with pytest.raises(StoreError, match="made by a newer version of chatd"):
        mysql(tmp_path)
    with pytest.raises(StoreError, match="made by a newer version of chatd"):
        upgrade(mysql_database(tmp_path), new_epoch=lambda: "e")


def test_database_of_an_earlier_version_is_upgraded(store: MysqlStore, desk: Desk, app: Any, tmp_path: Path) -> None:
    c = desk.chat("ada", "ben")
    app.execute("ALTER TABLE Message DROP COLUMN reactions")
    app.execute("DROP TABLE chatd_version")
    with pytest.raises(StoreError, match=r"there is no .* yet: run `chatd db upgrade`"):
        mysql(tmp_path)
    url = mysql_database(tmp_path)
    assert upgrade(url, new_epoch=lambda: "other") == ["column reactions of Message", "table chatd_version"]
    assert upgrade(url, new_epoch=lambda: "other") == []
    with contextlib.closing(mysql(tmp_path)) as again:
        assert again.epoch == "mysql"
        assert again.room(c) is not None


@pytest.mark.parametrize("after", range(1, len(tables.TABLES) + 4))
@pytest.mark.untraced
def test_making_that_was_cut_short_goes_on(after: int) -> None:
    """Wherever: no later run takes the half for an app's tables, or for a store."""
    server = mariadb.server()
    url = server.url(server.database())
    run, left = Connection.run, after

    def cut(self: Connection, statement: str, *values: Any) -> Any:
        nonlocal left
        if statement.startswith(("CREATE TABLE", "INSERT IGNORE", "UPDATE")):
            left -= 1
            if not left:
                raise pymysql.OperationalError(2013, "lost")
        return run(self, statement, *values)

    with mock.patch.object(Connection, "run", cut), pytest.raises(StoreError, match="was lost"):
        MysqlStore(url, new_epoch=lambda: "first")
    if after > 3:  # else it is as good as empty
        with pytest.raises(StoreError, match="run `chatd db upgrade`"):
            MysqlStore(url, new_epoch=lambda: "second")
    upgrade(url, new_epoch=lambda: "third")
    with contextlib.closing(MysqlStore(url, new_epoch=lambda: "fourth")) as store:
        assert store.epoch == "third"
        Desk(store).chat("ada", "ben")


def test_ids_are_compared_exactly_in_our_own_tables(store: MysqlStore, desk: Desk) -> None:
    desk.people("ada", "Ada", "ben")
    one, two = desk.changed(desk.open("ada", "ben")).room.id, desk.changed(desk.open("Ada", "ben")).room.id
    assert one != two
    assert store.users(["ADA", "Ada"]).keys() == {"Ada"}
    assert [id for id, _, _ in store.memberships("Ada")] == [two]


def test_seat_has_one_id_whoever_makes_it() -> None:
    assert seat_id("c", "u") == seat_id("c", "u")
    assert len({seat_id("a", "b c"), seat_id("a", "c"), seat_id("b", "c")}) == 3
    assert all(len(seat_id("x" * n, "y")) == 25 for n in (1, 128))
