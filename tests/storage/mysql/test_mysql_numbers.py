"""Numbers in a MySQL database: what disagrees is found, what is sound and what an app edits is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.mysql.adoption.adopt import Adoption
from storage.mysql.store import MysqlStore
from support import mariadb
from support.stores import Desk, mysql


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MysqlStore]:
    store = mysql(tmp_path)
    desk = Desk(store)
    one = desk.chat("ada", "ben")
    desk.say(one, "ada", "one", "two", "three")
    desk.do(desk.receipt(one, "ben", read=2), desk.edit(one, "ada", 2, "zwei"), desk.delete(one, "ada", 3))
    desk.say(desk.group("ada", "ben", "cleo"), "cleo", "hi")
    yield store
    store.close()


@pytest.fixture
def app(store: MysqlStore) -> Iterator[Any]:
    with mariadb.server().session(store.database) as session:
        yield session


def wrong(store: MysqlStore) -> dict[str, int]:
    found = Adoption(mariadb.server().url(store.database)).disagreements()
    assert all(each.example for each in found)
    return {each.what: each.count for each in found}


def test_numbers_of_a_sound_database_agree(store: MysqlStore, app: Any) -> None:
    app.execute("UPDATE Message SET content = 'edited by the app'")
    assert wrong(store) == {}


@pytest.mark.parametrize(
    ("change", "what", "count"),
    [
        ("Conversation SET lastSeq = 2 WHERE lastSeq = 3", "whose last number is below that of a message", 1),
        ("Message SET seq = 0 WHERE seq = 1", "with a message numbered below 1", 2),
        ("Message SET rev = 99 WHERE seq = 3", "messages whose rev is beyond their conversation's", 1),
        ("Message SET changedRev = 1 WHERE seq = 2", "that changed before they were sent", 1),
        ("Message SET rev = 2 WHERE seq = 2", "whose rev is not above that of the one before", 1),
        ("ConversationParticipant SET rev = 99 WHERE userId = 'ben'", "participants whose rev is beyond", 2),
        ("ConversationParticipant SET readSeq = 9 WHERE userId = 'ben'", "whose watermarks are not in order", 2),
    ],
)
def test_numbers_that_disagree_are_found(store: MysqlStore, app: Any, change: str, what: str, count: int) -> None:
    app.execute(f"UPDATE {change}")
    assert {known: n for known, n in wrong(store).items() if what in known} == {
        next(known for known in wrong(store) if what in known): count
    }
