"""A table that is locked as a whole, as by LOCK TABLES or an ALTER that copies: nobody waits long, and it is told."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.contract import Unavailable
from storage.mysql import connection
from storage.mysql.store import MysqlStore
from support import mariadb
from support.stores import Desk, mysql

ANSWER_LIMIT_S = 5.0

LOCKED = "a row or a table of the database stays locked by another program"


@pytest.fixture
def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MysqlStore]:
    """With ada and ben in c1."""
    monkeypatch.setattr(connection, "TABLE_LOCK_TIMEOUT_S", 1)
    with contextlib.closing(mysql(tmp_path)) as found:
        Desk(found).chat("ada", "ben")
        yield found


def send(store: MysqlStore) -> object:
    return Desk(store, first=100).say("c1", "ada", "one")


def read(store: MysqlStore) -> object:
    return store.history("c1", "ada", before=None, after=0, limit=10)


@pytest.mark.parametrize("ask", [send, read, MysqlStore.repair])
def test_locked_table_ends_requests_in_time(chat: MysqlStore, ask: Callable[[MysqlStore], object]) -> None:
    with mariadb.server().session(chat.database) as app:
        app.execute("LOCK TABLES Message WRITE")
        began = time.monotonic()
        with pytest.raises(Unavailable, match=LOCKED):
            ask(chat)
        assert time.monotonic() - began < ANSWER_LIMIT_S
        app.execute("UNLOCK TABLES")
    ask(chat)


def test_table_locked_against_writes_can_be_read(chat: MysqlStore) -> None:
    """As while the app's migration copies it; the look for what is wrong finds it."""
    with mariadb.server().session(chat.database) as app:
        app.execute("LOCK TABLES Message READ, ConversationParticipant READ, Conversation READ, User READ")
        assert read(chat) is not None
        with pytest.raises(Unavailable, match=LOCKED):
            chat.repair()
        app.execute("UNLOCK TABLES")
    chat.repair()
