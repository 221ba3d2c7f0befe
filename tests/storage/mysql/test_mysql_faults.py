"""What the MySQL store does when the server, the network or another program is in its way."""

import contextlib
import re
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pymysql
import pytest

from storage.changes import Changed, Unchanged
from storage.contract import StoreError, Unavailable
from storage.mysql import connection, store
from storage.mysql.errors import why
from storage.mysql.store import READERS, MysqlStore
from storage.mysql.url import parse
from support import mariadb
from support.cutter import Cut, Cutter
from support.stores import Desk, mysql_database


@pytest.fixture
def url(tmp_path: Path) -> str:
    return mysql_database(tmp_path)


@pytest.fixture
def open_store(url: str) -> Iterator[Callable[..., MysqlStore]]:
    with contextlib.ExitStack() as stack:

        def open_one(address: str = url) -> MysqlStore:
            return stack.enter_context(contextlib.closing(MysqlStore(address, new_epoch=lambda: "e")))

        yield open_one


@pytest.fixture
def chat(open_store: Callable[..., MysqlStore]) -> MysqlStore:
    """With ada and ben in c1."""
    found = open_store()
    Desk(found).chat("ada", "ben")
    return found


def seqs(found: MysqlStore) -> list[int]:
    page = found.history("c1", "ada", before=None, after=0, limit=1000)
    assert page is not None
    return [message.seq for message in page.messages]


def until(condition: Callable[[], object], *, pause: float = 0.01) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(pause)


UNCACHED = 0.2
"""s: InnoDB's tables about locks stay as they are while they are looked at more often than ten times a second."""


# -- the connection is lost --


def kill_all(found: MysqlStore) -> int:
    """Every connection to the store's database, from outside; how many."""
    with mariadb.server().session() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", (found.database,))
        ids = [id for (id,) in cursor.fetchall()]
        for id in ids:
            cursor.execute("KILL %s", (id,))
        until(
            lambda: not cursor.execute("SELECT 1 FROM information_schema.processlist WHERE db = %s", (found.database,))
        )
    return len(ids)


def test_connection_that_was_lost_meanwhile_is_replaced(chat: MysqlStore) -> None:
    desk = Desk(chat, first=10)
    for _ in range(READERS):
        assert chat.user("ada") is not None
    assert kill_all(chat) == READERS + 1
    for _ in range(READERS):
        assert seqs(chat) == []
    assert kill_all(chat) == READERS
    assert [message.seq for message in desk.say("c1", "ada", "one", "two")] == [1, 2]
    assert chat.generation == 0, "nothing was in doubt"


@pytest.mark.parametrize("cut", ["before", "after", "at once"])
def test_batch_whose_commit_was_lost_is_there_once(
    url: str, chat: MysqlStore, open_store: Callable[..., MysqlStore], cut: Cut
) -> None:
    address = parse(url)
    cutter = Cutter(address.port)
    try:
        proxied = open_store(url.replace(f":{address.port}/", f":{cutter.port}/"))
        desk = Desk(proxied, first=10)
        desk.say("c1", "ada", "before")
        cutter.arm(cut)
        sent = desk.changed(desk.send("c1", "ada", "in doubt", client_id="x"))
        assert cutter.cuts == 1
        assert [message.seq for message in sent.messages] == [2]
        assert (sent.from_rev, sent.rev) == (2, 3)
        assert proxied.generation == 0, "the message's id told what happened"
        again = desk.unchanged(desk.send("c1", "ada", "in doubt", client_id="x"))
        assert again.duplicate
        assert seqs(chat) == [1, 2]
    finally:
        cutter.close()


@pytest.mark.parametrize("cut", ["before", "after"])
def test_commit_lost_without_a_message_is_unavailable_and_reads_go_on(
    url: str, chat: MysqlStore, open_store: Callable[..., MysqlStore], cut: Cut
) -> None:
    Desk(chat, first=10).say("c1", "ada", "hi")
    address = parse(url)
    cutter = Cutter(address.port)
    try:
        proxied = open_store(url.replace(f":{address.port}/", f":{cutter.port}/"))
        desk = Desk(proxied, first=20)
        cutter.arm(cut)
        with pytest.raises(Unavailable):
            desk.do(desk.receipt("c1", "ben", read=1))
        assert proxied.generation == 1
        happened = cut == "after"
        outcome = desk.do(desk.receipt("c1", "ben", read=1))[0]
        assert isinstance(outcome, Unchanged if happened else Changed)
        assert proxied.generation == 1
    finally:
        cutter.close()


def test_old_transaction_is_over_before_anything_else_is_written(
    url: str, chat: MysqlStore, open_store: Callable[..., MysqlStore]
) -> None:
    """The server still holds the connection that was given up, its locks and its transaction."""
    desk = Desk(chat, first=10)
    held = chat._require_writer()
    held.run('UPDATE "Conversation" SET "title" = ? WHERE "id" = ?', ("never", "c1"))
    chat._doubt, chat._writer = held.name, None
    chat._unsettled = True
    assert [message.seq for message in desk.say("c1", "ada", "one")] == [1]
    assert chat.generation == 1
    with pytest.raises(pymysql.MySQLError):
        held.commit()
    held.close()
    room = chat.room("c1")
    assert room is not None
    assert room.conversation.title is None


def test_writer_whose_old_transaction_lives_writes_nothing(chat: MysqlStore) -> None:
    desk = Desk(chat, first=10)
    held = chat._require_writer()
    chat._doubt, chat._writer = held.name, None
    stays = mock.patch.object(type(held), "end_other", return_value=False)
    with stays, pytest.raises(Unavailable, match="earlier transaction"):
        desk.say("c1", "ada", "one")
    held.close()
    assert [message.seq for message in desk.say("c1", "ada", "one")] == [1]


def test_server_that_restarts() -> None:
    server = mariadb.start("--innodb-flush-log-at-trx-commit=1")
    try:
        with contextlib.closing(MysqlStore(server.url(server.database()), new_epoch=lambda: "e")) as found:
            assert found.warnings == []
            desk = Desk(found)
            desk.chat("ada", "ben")
            desk.say("c1", "ada", "one")
            assert seqs(found) == [1]
            mariadb.stop(server, signal.SIGKILL)
            for _ in range(3):
                with pytest.raises(Unavailable, match=r"cannot be reached|was lost"):
                    desk.say("c1", "ada", "two")
            with pytest.raises(Unavailable):
                found.user("ada")
            server.again()

            def repaired() -> bool:
                try:
                    found.repair()
                except Unavailable:
                    return False
                return True

            until(repaired)
            assert [message.seq for message in desk.say("c1", "ada", "three")] == [2]
            assert seqs(found) == [1, 2]
            assert found.generation == 0, "COMMIT was never sent"
    finally:
        mariadb.stop(server)


def test_attempt_after_a_failed_one_waits_a_little(chat: MysqlStore) -> None:
    """So nobody waits for a server that doesn't answer, again and again."""
    clock = mock.Mock(return_value=0.0)
    pool = chat._pool
    pool._clock = clock
    with mock.patch("storage.mysql.pool.Connection", side_effect=pymysql.OperationalError(2003, "x")) as connect:
        for now, attempts in ((0.0, 1), (0.09, 1), (0.11, 2), (0.3, 2), (0.32, 3), (60.0, 4), (61.0, 5), (62.5, 5)):
            clock.return_value = now
            with pytest.raises(Unavailable, match="cannot be reached"):
                pool.connect(writer=True)
            assert connect.call_count == attempts, now
    clock.return_value = 100.0
    pool.connect(writer=False).close()
    with mock.patch("storage.mysql.pool.Connection", side_effect=pymysql.OperationalError(2003, "x")) as connect:
        for now, attempts in ((100.0, 1), (100.11, 2)):
            clock.return_value = now
            with pytest.raises(Unavailable):
                pool.connect(writer=True)
            assert connect.call_count == attempts, "the pause is short again"


def test_database_that_was_replaced_is_not_written_to(chat: MysqlStore) -> None:
    desk = Desk(chat, first=10)
    with mariadb.server().session(chat.database) as cursor:
        cursor.execute("UPDATE chatd_meta SET value = 'other' WHERE `key` = 'epoch'")
    desk.say("c1", "ada", "still the same connection")
    kill_all(chat)
    with pytest.raises(Unavailable, match="replaced"):
        desk.say("c1", "ada", "to another")


# -- somebody else is in the way --


def test_deadlock_is_tried_again(chat: MysqlStore) -> None:
    desk = Desk(chat, first=10)
    with mariadb.server().session(chat.database) as app, mariadb.server().session() as observer:
        app.execute("CREATE TABLE heavy (id INT PRIMARY KEY)")
        app.execute("BEGIN")
        # The server ends who has changed less: chatd.
        app.executemany("INSERT INTO heavy VALUES (%s)", [(n,) for n in range(2000)])
        app.execute("SELECT id FROM ConversationParticipant FOR UPDATE")
        done: list[list[int]] = []
        thread = threading.Thread(target=lambda: done.append([m.seq for m in desk.say("c1", "ada", "one")]))
        thread.start()
        until(
            lambda: observer.execute("SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"),
            pause=UNCACHED,
        )
        app.execute("UPDATE Conversation SET updatedAt = updatedAt + INTERVAL 1 SECOND WHERE id = 'c1'")
        app.execute("COMMIT")
        thread.join(30)
        assert done == [[1]]
        app.execute("DROP TABLE heavy")


@pytest.mark.parametrize("released", [True, False])
def test_row_that_stays_locked(open_store: Callable[..., MysqlStore], released: bool) -> None:
    with mock.patch.object(connection, "LOCK_TIMEOUT_S", 1), mock.patch.object(store, "RETRY_LIMIT_S", 1.5):
        found = open_store()
        desk = Desk(found)
        desk.chat("ada", "ben")
        given_up = threading.Event()
        give_up = found._give_up

        def noted(*args: Any) -> None:
            give_up(*args)
            given_up.set()

        with mariadb.server().session(found.database) as app, mock.patch.object(found, "_give_up", noted):
            app.execute("BEGIN")
            app.execute("SELECT id FROM Conversation WHERE id = 'c1' FOR UPDATE")
            results: list[object] = []

            def send() -> None:
                try:
                    results.extend(m.seq for m in desk.say("c1", "ada", "one"))
                except Unavailable as error:
                    results.append(str(error))

            thread = threading.Thread(target=send)
            thread.start()
            assert given_up.wait(30)
            assert seqs(found) == [], "reads go on"
            if released:
                app.execute("ROLLBACK")
            thread.join(30)
            app.execute("ROLLBACK")
        assert results == ([1] if released else ["a row or a table of the database stays locked by another program"])
        assert [message.seq for message in desk.say("c1", "ada", "two")] == [2 if released else 1]
        assert found.generation == 0


@pytest.fixture
def limited(url: str) -> Iterator[str]:
    """The address of the database for a user who may nothing but read and write it."""
    address = parse(url)
    with mariadb.server().session() as cursor:
        cursor.execute("DROP USER IF EXISTS modest@'127.0.0.1'")
        cursor.execute("CREATE USER modest@'127.0.0.1' IDENTIFIED BY 'pw'")
        cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {address.database}.* TO modest@'127.0.0.1'")
    yield f"mysql://modest:pw@127.0.0.1:{address.port}/{address.database}"
    with mariadb.server().session() as cursor:
        cursor.execute("DROP USER modest@'127.0.0.1'")


@pytest.mark.usefixtures("chat")
def test_server_that_becomes_read_only(limited: str, open_store: Callable[..., MysqlStore]) -> None:
    found = open_store(limited)
    desk = Desk(found, first=10)
    with mariadb.server().session() as cursor:
        cursor.execute("SET GLOBAL read_only = 1")
        try:
            for write in (lambda: desk.say("c1", "ada", "one"), found.repair, found.repair):
                with pytest.raises(Unavailable, match="read-only"):
                    write()
            assert seqs(found) == [], "reads go on"
        finally:
            cursor.execute("SET GLOBAL read_only = 0")
    found.repair()
    assert [message.seq for message in desk.say("c1", "ada", "two")] == [1]
    assert found.generation == 0


@pytest.mark.usefixtures("chat")
def test_right_that_is_missing_is_said_at_the_start(limited: str, open_store: Callable[..., MysqlStore]) -> None:
    with mariadb.server().session() as cursor:
        cursor.execute(f"REVOKE INSERT ON {parse(limited).database}.* FROM modest@'127.0.0.1'")
    with pytest.raises(StoreError, match="lacks a right on a table: GRANT"):
        open_store(limited)


@pytest.mark.usefixtures("chat")
def test_right_that_is_taken_away_later(limited: str, open_store: Callable[..., MysqlStore]) -> None:
    found = open_store(limited)
    with mariadb.server().session() as cursor:
        cursor.execute(f"REVOKE UPDATE ON {parse(limited).database}.* FROM modest@'127.0.0.1'")
    kill_all(found)  # those that are open know their rights from when they were
    with pytest.raises(Unavailable, match="lacks a right"):
        Desk(found, first=10).say("c1", "ada", "one")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda url: url.replace("://chatd:", "://chatd:not-"), "refuses this user and password"),
        (lambda url: url.replace("://chatd:", "://nobody:"), "refuses this user and password"),
        (lambda url: url + "_not", "no such database: CREATE DATABASE it first"),
        (lambda url: url.replace("127.0.0.1", "127.0.0.2"), "cannot be reached"),
        (lambda url: url + "?sslaccept=strict", "encrypted connection|certificate is not trusted"),
    ],
)
def test_database_that_does_not_open_says_why_in_one_line(
    url: str, open_store: Callable[..., MysqlStore], change: Callable[[str], str], reason: str
) -> None:
    wrong = change(url)
    with pytest.raises(StoreError) as error:
        open_store(wrong)
    text = str(error.value)
    assert re.search(reason, text)
    assert parse(wrong).database in text
    assert "\n" not in text
    assert mariadb.PASSWORD not in text
    assert parse(url).password not in text


def test_server_that_may_lose_what_it_acknowledged_is_warned_of(chat: MysqlStore) -> None:
    with mariadb.server().session() as cursor:
        cursor.execute("SELECT @@innodb_flush_log_at_trx_commit")
        ((setting,),) = cursor.fetchall()
    assert [warning[:35] for warning in chat.warnings] == [
        f"innodb_flush_log_at_trx_commit is {setting}" for _ in range(setting != 1)
    ]


def test_certificate_that_is_not_trusted_is_told_from_a_server_that_is_away() -> None:
    error: Any = pymysql.OperationalError(2003, "Can't connect")
    assert why(error) == "the database server cannot be reached"
    error.original_exception = ssl.SSLCertVerificationError(1, "self-signed")
    assert why(error) == "the database server's certificate is not trusted: name its authority's with ?sslcert="
    error.original_exception = ssl.SSLError(1, "no shared cipher")
    assert why(error) == "no encrypted connection to the database server"


def test_errors_never_hold_what_people_write(chat: MysqlStore) -> None:
    """The server's own text would quote it."""
    secret = "my tooth hurts"
    with mariadb.server().session(chat.database) as cursor:
        cursor.execute("ALTER TABLE Message MODIFY content VARCHAR(5) NOT NULL")
    with pytest.raises(Exception, match=r"^MySQL error 1406$") as error:
        Desk(chat, first=10).say("c1", "ada", secret)
    assert error.value.__suppress_context__
    assert error.value.__cause__ is None
    assert secret not in str(error.value)
    with mariadb.server().session(chat.database) as cursor:
        cursor.execute("ALTER TABLE Message MODIFY content TEXT NOT NULL")
    assert [message.seq for message in Desk(chat, first=20).say("c1", "ada", secret)] == [1]
    assert why(pymysql.ProgrammingError(1064, f"near '{secret}'")) == "the database server answers with error 1064"
