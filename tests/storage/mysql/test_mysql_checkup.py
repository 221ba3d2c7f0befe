"""`chatd check` of a MySQL server: what it says of rights, schema and settings, and that it changes nothing."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from storage.mysql import checkup
from storage.mysql.store import MysqlStore
from support import mariadb

LIMITED = "chatd_limited"


def said(url: str) -> list[tuple[str, str]]:
    return list(checkup.check_up(url, names={}, roles={}))


@pytest.fixture(scope="module")
def database() -> str:
    server = mariadb.server()
    name = server.database()
    MysqlStore(server.url(name), new_epoch=lambda: "e").close()
    return name


@pytest.fixture
def admin(database: str) -> Iterator[Any]:
    with mariadb.server().session(database) as cursor:
        yield cursor


@pytest.fixture
def limited(database: str, admin: Any) -> Iterator[str]:
    """The address for a user that has no rights yet."""
    admin.execute(f"CREATE OR REPLACE USER {LIMITED}@'127.0.0.1' IDENTIFIED BY 'p'")
    yield mariadb.server().url(database).replace(f"chatd:{quote(mariadb.PASSWORD, safe='')}", f"{LIMITED}:p")
    admin.execute(f"DROP USER {LIMITED}@'127.0.0.1'")


def test_check_of_a_good_database_says_what_it_looked_at_and_changes_nothing(database: str, admin: Any) -> None:
    def state() -> list[tuple[Any, ...]]:
        return mariadb.rows(admin, "SELECT * FROM chatd_meta ORDER BY 1")

    before = state()
    found = said(mariadb.server().url(database))
    assert [level for level, _ in found if level == "wrong"] == []
    assert "answers (version " in found[0][1]
    assert found[-1][1].endswith("its tables are those of this version, and this user has the rights")
    assert any("innodb_flush_log_at_trx_commit is 0" in text for level, text in found if level == "warning")
    assert any("innodb_doublewrite is off" in text for level, text in found if level == "warning")
    assert mariadb.PASSWORD not in str(found)
    assert state() == before


@pytest.mark.parametrize("right", ["INSERT", "UPDATE", "DELETE"])
def test_check_names_each_right_that_is_lacking(database: str, limited: str, admin: Any, right: str) -> None:
    others = ", ".join({"SELECT", "INSERT", "UPDATE", "DELETE"} - {right})
    admin.execute(f"GRANT {others} ON {database}.* TO {LIMITED}@'127.0.0.1'")
    level, text = said(limited)[-1]
    assert level == "wrong"
    assert f"this user lacks {right} on chatd_meta, {right} on " in text
    assert ("on User" in text) == (right != "DELETE"), "an app's rows are never removed"


def test_check_with_the_rights_of_the_documents_is_content(database: str, limited: str, admin: Any) -> None:
    admin.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO {LIMITED}@'127.0.0.1'")
    assert said(limited)[-1][0] == "ok"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda url: url.replace("://chatd:", "://chatd:x"), "refuses this user and password"),
        (lambda url: url.replace("127.0.0.1", "nobody.invalid"), "nobody.invalid"),
        (lambda url: url + "x", "there is no such database"),
    ],
)
def test_check_says_why_there_is_no_server(database: str, wrong: Any, words: str) -> None:
    ((level, text),) = said(wrong(mariadb.server().url(database)))
    assert level == "wrong"
    assert words in text


def test_check_of_an_empty_database_leaves_it_empty() -> None:
    server = mariadb.server()
    name = server.database()
    level, text = said(server.url(name))[-1]
    assert (level, "it is empty" in text, "chatd db upgrade" in text) == ("wrong", True, True)
    with server.session(name) as cursor:
        assert mariadb.rows(cursor, "SHOW TABLES") == []


def test_check_of_a_table_that_lacks_something_names_it(admin: Any, database: str) -> None:
    admin.execute("ALTER TABLE chatd_token DROP COLUMN revokedAt")
    try:
        level, text = said(mariadb.server().url(database))[-1]
    finally:
        admin.execute("ALTER TABLE chatd_token ADD COLUMN revokedAt BIGINT NULL")
    assert level == "wrong"
    assert "column revokedAt of chatd_token" in text


def test_check_names_a_server_that_is_read_only_or_logs_statements() -> None:
    server = mariadb.start("--log-bin", "--binlog-format=STATEMENT", "--server-id=1", "--read-only")
    found = said(server.url("mysql"))
    wrong = [text for level, text in found if level == "wrong"]
    assert any("binlog_format is STATEMENT" in text for text in wrong)
    assert any("read-only" in text for text in wrong)
    mariadb.stop(server)
