"""How often a store waits for the server, and what goes there together."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pymysql
import pytest

from storage.changes import Changed, Refused, Unchanged
from storage.mysql.connection import PACKET_CHARS
from storage.mysql.rows import Into
from storage.mysql.store import BATCHES_LOOKED_UP, READERS, MysqlStore
from support import mariadb
from support.round_trips import counted
from support.stores import Desk, mysql


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MysqlStore]:
    with contextlib.closing(mysql(tmp_path)) as found:
        yield found


@pytest.mark.parametrize("conversations", [1, 50])
def test_batch_of_messages_takes_few_round_trips(desk: Desk, conversations: int) -> None:
    chats = [desk.chat("ada", f"u{n}") for n in range(conversations)]
    desk.do(*(desk.send(c, "ada") for c in chats))
    sends = [desk.send(chats[n % conversations], "ada", reply_to=1 if n % 2 else None) for n in range(50)]
    with counted() as trips:
        outcomes = desk.do(*sends)
    assert all(isinstance(outcome, Changed) for outcome in outcomes)
    assert trips[0] <= 4, "locks and look-ups, what is replied to, rows, COMMIT"
    with counted() as trips:
        outcomes = desk.do(*(desk.receipt(c, f"u{n}", read=2) for n, c in enumerate(chats)))
    assert all(isinstance(outcome, Changed) for outcome in outcomes)
    assert trips[0] <= 4, "locks and look-ups, rows, what is unread now, COMMIT"


def test_round_trips_repeat_is_found_with_or_without_a_look_up(store: MysqlStore, desk: Desk, tmp_path: Path) -> None:
    """Where messages are taken for new, the unique key finds it, and the batch is done again."""
    c, elsewhere = desk.chat("ada", "ben"), desk.chat("ada", "cid")
    with contextlib.closing(mysql(tmp_path)) as other:
        first = desk.changed(desk.send(c, "ada", "one", client_id="x")).messages
        with mock.patch("storage.mysql.store.BATCHES_LOOKED_UP", 2):
            for known in first, first, ():
                for _ in range(2):
                    desk.say(c, "ben", "new")
                assert store._suspicious == 0
                place = c if known else elsewhere
                new, again = desk.do(desk.send(c, "ben", "with it"), desk.send(place, "ada", "one", client_id="x"))
                assert isinstance(new, Changed)
                if known:
                    assert isinstance(again, Unchanged)
                    assert (again.messages, again.duplicate) == (first, True)
                else:
                    assert isinstance(again, Refused)
                    assert again.reason == "conflict"
                assert store._suspicious > 0, "whoever was cut off sends more than one again"
        room = other.room(c)
        assert room is not None
        assert room.conversation.last_seq == 1 + 3 * 3
        with counted() as trips:
            desk.do(desk.send(c, "ada", "one", client_id="x"))
        assert trips[0] == 3, "looked for at once, with its files: nothing failed"
        assert store._suspicious == BATCHES_LOOKED_UP, "and more may come"


def test_conversation_that_is_not_taken_in_yet_is_none_whatever_its_participants(store: MysqlStore, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    db = store._require_writer()
    db.run('UPDATE "Conversation" SET "rev" = NULL WHERE "id" = ?', (c,))
    db.commit()
    (outcome,) = desk.do(desk.send(c, "ada", "one"))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "not_found"


def test_statements_that_nobody_waits_for_go_with_the_next(store: MysqlStore) -> None:
    db = store._require_writer()
    with counted() as trips:
        for key in "a", "b":
            db.ask_many('INSERT INTO "chatd_meta" ("key", "value") VALUES {}', "(?, ?)", 1, (key, "1;'%s"))
        first = db.ask_many('SELECT "key", "value" FROM "chatd_meta" WHERE "key" IN ({})', "?", 2, ("a", "b"))
        assert trips[0] == 0
        assert db.run('SELECT COUNT(*) FROM "chatd_meta" WHERE "key" IN (?, ?)', ("b", "c")) == [(1,)]
        assert sorted(first) == [("a", "1;'%s"), ("b", "1;'%s")]
        assert trips[0] == 1
    db.ask_many('UPDATE "chatd_meta" SET "value" = {} WHERE "key" = \'a\'', "?", 1, ("2",))
    db.commit()
    db.roll_back()
    assert sorted(db.run('SELECT "value" FROM "chatd_meta" WHERE "key" IN (?, ?)', ("a", "b"))) == [("1;'%s",), ("2",)]


def test_statements_behind_one_that_fails_are_left_out_and_forgotten(store: MysqlStore) -> None:
    db = store._require_writer()
    insert = 'INSERT INTO "chatd_meta" ("key", "value") VALUES {}'
    for key in "a", "a", "b":
        db.ask_many(insert, "(?, ?)", 1, (key, "1"))
    with pytest.raises(pymysql.err.IntegrityError):
        db.flush()
    assert db.run('SELECT "key" FROM "chatd_meta" WHERE "key" IN (?, ?)', ("a", "b")) == [("a",)]
    db.ask_many(insert, "(?, ?)", 1, ("c", "1"))
    db.roll_back()
    assert db.run('SELECT "key" FROM "chatd_meta" WHERE "key" IN (?, ?, ?)', ("a", "b", "c")) == []
    db.roll_back()


def test_round_trips_packet_has_a_bound(store: MysqlStore) -> None:
    db = store._require_writer()
    with counted() as trips:
        found = [db.ask_many("SELECT LENGTH({})", "?", 1, ("x" * (PACKET_CHARS // 2),)) for _ in range(4)]
        assert [list(rows) for rows in found] == [[(PACKET_CHARS // 2,)]] * 4
    assert trips[0] == 4
    db.roll_back()


def test_reads_take_few_round_trips(store: MysqlStore, desk: Desk) -> None:
    chats = [desk.chat("ada", f"u{n}") for n in range(40)]
    for c in chats:
        desk.say(c, "ada", "1", "2")
    for _ in range(2):  # every reader is connected now
        assert store.user("ada") is not None
    with counted() as trips:
        assert len(store.summaries("ada", archived=False, after=None, limit=50).summaries) == 40
        assert trips[0] <= 10  # one of them for the files
    with counted() as trips:
        assert len(store.standings("ada", dict.fromkeys(chats, 2))) == 40
        assert trips[0] <= 6


def test_large_batch_goes_in_several_statements(store: MysqlStore, desk: Desk) -> None:
    """The server takes no packet beyond max_allowed_packet."""
    c = desk.chat("ada", "ben")
    statement = mock.Mock(return_value=())
    into = Into.of("Message", '"id", "content"')
    db = mock.Mock(ask_written=statement, packet_chars=PACKET_CHARS)
    into.write(db, [(str(n), "x" * (PACKET_CHARS // 4)) for n in range(6)])
    assert [len(call.args[1]) for call in statement.call_args_list] == [3, 3]
    statement.reset_mock()
    into.write(db, [(str(n), "x") for n in range(2001)])
    assert [len(call.args[1]) for call in statement.call_args_list] == [1000, 1000, 1]
    assert [m.seq for m in desk.say(c, "ada", *["é" * 10_000] * 120)] == list(range(1, 121))


# -- what is nobody's business --


@contextlib.contextmanager
def statements() -> Iterator[list[str]]:
    """What goes to the server, without the values."""
    found: list[str] = []
    raw: Any = pymysql.connections.Connection
    execute = raw._execute_command

    def note(self: Any, command: int, statement: Any) -> None:
        text = statement.decode() if isinstance(statement, bytes) else str(statement)
        found.append(re.sub("'[^']*'|[0-9]+", "?", text))
        execute(self, command, statement)

    with mock.patch.object(raw, "_execute_command", note):
        yield found


ASKED: dict[str, Callable[[MysqlStore, str], object]] = {
    "summary": lambda store, c: store.summary(c, "eve"),
    "history": lambda store, c: store.history(c, "eve", before=None, after=None, limit=50),
    "since": lambda store, c: store.since(c, "eve", 1, limit=50),
    "search": lambda store, c: store.search("eve", ("one",), conversation=c, before=None, limit=50),
    "room": lambda store, c: store.room(c),
    "has_pending": lambda store, c: store.has_pending(c, "eve"),
}


@pytest.mark.parametrize("asked", ASKED)
def test_foreign_conversation_takes_the_statements_of_an_absent_one(store: MysqlStore, desk: Desk, asked: str) -> None:
    desk.people("eve")
    foreign = desk.chat("ada", "ben")
    desk.say(foreign, "ada", "one", "two")
    for _ in range(READERS):  # each connects once
        store.user("eve")
    sent: dict[str, list[str]] = {}
    for conversation in foreign, "absent":
        with statements() as sent[conversation]:
            assert (ASKED[asked](store, conversation) or None) is None or asked == "room"
    assert sent[foreign] == sent["absent"] != []


def test_foreign_conversation_that_the_app_wrote_to_is_not_looked_into(store: MysqlStore, desk: Desk) -> None:
    desk.people("eve")
    foreign = desk.chat("ada", "ben")
    desk.say(foreign, "ada", "one")
    with mariadb.server().session(store.database) as cursor:
        cursor.execute("DELETE FROM Message WHERE conversationId = %s", (foreign,))
    assert store.has_pending(foreign)
    assert store.has_pending(foreign, "ada")
    assert not store.has_pending(foreign, "eve")
