"""Servers with settings that would change what statements do: each session says what it needs."""

import contextlib
from collections.abc import Iterator

import pytest

from storage.mysql.store import MysqlStore
from support import mariadb
from support.stores import Desk

ODD = {
    "completion_type": "'CHAIN'",
    "foreign_key_checks": "0",
    "sql_auto_is_null": "1",
    "sql_safe_updates": "1",
    "sql_select_limit": "2",
    "tx_read_only": "1",
}


@pytest.fixture(scope="module")
def odd() -> Iterator[mariadb.Server]:
    server = mariadb.start("--max-allowed-packet=65536")
    yield server
    mariadb.stop(server)


@pytest.fixture
def store(odd: mariadb.Server) -> Iterator[MysqlStore]:
    name = odd.database()
    with odd.session(name) as cursor:
        for setting, value in ODD.items():
            cursor.execute(f"SET GLOBAL {setting} = {value}")
        try:
            with contextlib.closing(MysqlStore(odd.url(name), new_epoch=lambda: "epoch")) as found:
                yield found
        finally:
            for setting in ODD:
                cursor.execute(f"SET GLOBAL {setting} = DEFAULT")


def test_store_on_a_server_of_odd_settings_works(store: MysqlStore) -> None:
    desk = Desk(store)
    people = [f"u{n}" for n in range(8)]
    group = desk.group("ada", *people)
    desk.say(group, "ada", *map(str, range(20)))
    page = store.history(group, "u1", before=None, after=0, limit=50)
    assert page is not None
    assert [m.body for m in page.messages] == [str(n) for n in range(20)]
    room = store.room(group)
    assert room is not None
    assert len(room.participants) == 9
    users, _ = store.list_users(roles=("patient",), but="ada", query=None, after=None, limit=50)
    assert len(users) == 8


def test_batch_larger_than_a_packet_is_split_and_said_at_the_start(store: MysqlStore) -> None:
    (warning,) = [warning for warning in store.warnings if "max_allowed_packet" in warning]
    assert warning.startswith("max_allowed_packet is 65536: batches are split")
    desk = Desk(store)
    c = desk.chat("ada", "ben")
    texts = [f"{n} " + "🦷" * 5000 for n in range(20)]  # 20,000 bytes each
    desk.do(*(desk.send(c, "ada", text) for text in texts))
    page = store.history(c, "ada", before=None, after=0, limit=50)
    assert page is not None
    assert [m.body for m in page.messages] == texts
