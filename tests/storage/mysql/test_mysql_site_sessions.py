"""A site's own table of sessions, read beside the store's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.times import from_rfc3339
from storage.contract import StoreError
from storage.mysql.store import MysqlStore
from storage.site_sessions import SiteSession, SiteSessions, SiteTable
from support import mariadb, stores

NEXTAUTH = SiteTable(table="Session", token="sessionToken", user="userId", expires="expires")
DRIZZLE = SiteTable(table="site_sessions", token="id", user="user_id", expires="expires_at")
EXPIRES = from_rfc3339("2026-12-24T18:00:00.250Z")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[MysqlStore, Any]]:
    """A store, and a cursor on its database, in which a site has its sessions, too."""
    url = stores.mysql_database(tmp_path)
    store = stores.mysql(tmp_path)
    with mariadb.server().session(url.rpartition("/")[2]) as cursor:
        for statement in MADE:
            cursor.execute(statement)
        yield store, cursor
        cursor.execute("DROP TABLE `Session`, `site_sessions`")
    store.close()


MADE = (
    "CREATE TABLE `Session` (`id` VARCHAR(191) PRIMARY KEY, `sessionToken` VARCHAR(191) NOT NULL UNIQUE, `userId` "
    "VARCHAR(191) NOT NULL, `expires` DATETIME(3) NOT NULL) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
    "INSERT INTO `Session` VALUES ('1', 'Token-of-Ada', 'ada', '2026-12-24 18:00:00.250'), "
    "('2', 'token-of-bo', 'bo', '2026-12-24 18:00:00.250')",
    "CREATE TABLE `site_sessions` (`id` VARCHAR(64) PRIMARY KEY, `user_id` INT, `expires_at` TIMESTAMP(3) NULL)",
    "SET time_zone = '+00:00'",
    "INSERT INTO `site_sessions` VALUES ('a', 7, '2026-12-24 18:00:00.250'), ('b', NULL, '2026-12-24 18:00:00'), "
    "('c', 8, NULL)",
)


def test_session_is_found_by_its_token(site: tuple[MysqlStore, Any]) -> None:
    store, _ = site
    assert isinstance(store, SiteSessions)
    found = store.site_sessions(NEXTAUTH, ["Token-of-Ada", "token-of-nobody", "'); DROP TABLE Session; --", "?"])
    assert found == {"Token-of-Ada": SiteSession(token="Token-of-Ada", user="ada", expires_at=EXPIRES)}
    assert store.site_sessions(NEXTAUTH, []) == {}


def test_token_counts_to_the_letter(site: tuple[MysqlStore, Any]) -> None:
    store, _ = site
    assert store.site_sessions(NEXTAUTH, ["token-of-ada", "Token-of-Ada ", "Tokén-of-Ada"]) == {}


def test_other_columns_and_types_are_read(site: tuple[MysqlStore, Any]) -> None:
    store, _ = site
    assert store.site_sessions(DRIZZLE, ["a", "b", "c"]) == {"a": SiteSession(token="a", user="7", expires_at=EXPIRES)}


def test_thousands_are_one_query(site: tuple[MysqlStore, Any]) -> None:
    store, cursor = site
    cursor.execute("SHOW GLOBAL STATUS LIKE 'Com_select'")
    before = int(cursor.fetchone()[1])
    store.site_sessions(NEXTAUTH, [f"token-{n:05d}" for n in range(5000)])
    cursor.execute("SHOW GLOBAL STATUS LIKE 'Com_select'")
    assert int(cursor.fetchone()[1]) - before == 1


def test_signed_out_is_seen_by_the_next_look(site: tuple[MysqlStore, Any]) -> None:
    store, cursor = site
    assert store.site_sessions(NEXTAUTH, ["token-of-bo"])
    cursor.execute("DELETE FROM `Session` WHERE `userId` = 'bo'")
    assert store.site_sessions(NEXTAUTH, ["token-of-bo"]) == {}


def test_table_that_is_not_as_named_is_told(site: tuple[MysqlStore, Any]) -> None:
    store, _ = site
    store.check_site_table(NEXTAUTH)
    store.check_site_table(DRIZZLE)
    with pytest.raises(StoreError, match="there is no table Sessions with the site's sessions"):
        store.check_site_table(SiteTable(table="Sessions", token="a", user="b", expires="c"))
    with pytest.raises(StoreError, match="the table Session lacks one of the columns token, userId, expires"):
        store.check_site_table(SiteTable(table="Session", token="token", user="userId", expires="expires"))
