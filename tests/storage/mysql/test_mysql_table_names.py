"""Servers that compare names of tables without regard to capitals (`lower_case_table_names` 1, as on Windows)."""

import contextlib
from collections.abc import Iterator

import pytest

from storage.mysql.checkup import check_up
from storage.mysql.layout import ByTable
from storage.mysql.store import MysqlStore
from storage.mysql.upgrade import upgrade
from support import mariadb, prisma_app, shapes
from support.searches import bodies
from support.stores import Desk


@pytest.fixture(scope="module")
def folding() -> Iterator[mariadb.Server]:
    server = mariadb.start("--lower-case-table-names=1")
    yield server
    mariadb.stop(server)


def test_upgrade_then_serve_finds_its_tables(folding: mariadb.Server) -> None:
    url = folding.url(folding.database())
    assert "table Message" in upgrade(url, new_epoch=lambda: "epoch")
    assert upgrade(url, new_epoch=lambda: "other") == []
    for _ in range(2):
        with contextlib.closing(MysqlStore(url, new_epoch=lambda: "other", new=False)) as store:
            assert store.epoch == "epoch"
            desk = Desk(store)
            assert desk.do(desk.put("ada"), desk.put("ben"))
    assert {level for level, _ in check_up(url, names={}, roles={})} <= {"ok", "warning"}
    with contextlib.closing(MysqlStore(url, new_epoch=lambda: "other", new=False)) as store:
        desk = Desk(store)
        c = desk.chat("ada", "ben")
        assert [m.seq for m in desk.say(c, "ada", "hello")] == [1]
    with folding.session(url.rpartition("/")[2]) as cursor:
        cursor.execute("SHOW TABLES LIKE 'message'")
        assert cursor.fetchall() == (("message",),), "the server tells another spelling"


def test_numbers_as_ids_are_texts_on_such_a_server(folding: mariadb.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mariadb, "server", lambda: folding)
    with prisma_app.app(*shapes.numbered("BIGINT")) as app:
        for name in "Ada", "Bo":
            app.run("INSERT INTO User (name, updatedAt) VALUES (%s, NOW(3))", name)
        prisma_app.adopt(app)
        with prisma_app.served(app) as store:
            desk = Desk(store)
            c = desk.changed(desk.open("1", "2")).room.id
            assert (c, [m.id for m in desk.say(c, "1", "hello", "there")]) == ("1", ["1", "2"])
            while store.refill(1):
                pass
            assert bodies(store, "2", "e", limit=1) == ["there", "hello"]


@pytest.mark.parametrize("names", [{}, prisma_app.RENAMED])
def test_app_of_such_a_server_is_adopted(
    folding: mariadb.Server, monkeypatch: pytest.MonkeyPatch, names: dict[str, str]
) -> None:
    monkeypatch.setattr(mariadb, "server", lambda: folding)
    with prisma_app.app(*(prisma_app.renamed() if names else prisma_app.PLAIN)) as app:
        adoption = prisma_app.adoption_of(app, names=names)
        assert adoption.examine().only("wrong") == []
        prisma_app.adopt(app, names=names)
        assert not adoption.examine().steps
        assert adoption.disagreements() == []
        with prisma_app.served(app, names=names) as store:
            desk = Desk(store)
            desk.do(desk.put("ada"), desk.put("ben"))
            assert desk.say(desk.chat("ada", "ben"), "ada", "hello")


@pytest.mark.parametrize("folds", [True, False])
def test_names_of_tables_are_compared_as_the_server_does(folds: bool) -> None:
    """As given in statements, though told as they were made (2), or in small letters (1)."""
    found = ByTable[int](folds=folds)
    found["message"] = 1
    found["User"] = 2
    assert ("Message" in found) == ("user" in found) == folds
    assert found.get("MESSAGE", 0) == (1 if folds else 0)
    assert (found["message"], found["User"]) == (1, 2)
    assert sorted(found) == ["User", "message"]
