"""What the MySQL store is to the app beside it, and to other daemons: rows, locks, round trips, names."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import pymysql
import pytest

from storage.changes import Change, Changed, Outcome, Refused, Unchanged
from storage.contract import Store, StoreError
from storage.memory import MemoryStore
from storage.mysql import schema, tables
from storage.mysql.connection import TEXT, Connection
from storage.mysql.names import Names
from storage.mysql.pool import Pool
from storage.mysql.rows import Into, Roles
from storage.mysql.saving import seat_id
from storage.mysql.store import SUSPICIOUS, MysqlStore
from storage.mysql.upgrade import upgrade
from storage.mysql.url import parse
from storage.records import Membership, Participant, User, status_of
from support import mariadb
from support.stores import Desk, Replica, mysql, mysql_database
from support.trips import counted


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MysqlStore]:
    with contextlib.closing(mysql(tmp_path)) as found:
        yield found


@pytest.fixture
def desk(store: MysqlStore) -> Desk:
    return Desk(store)


@pytest.fixture
def app(store: MysqlStore) -> Iterator[Any]:
    """The app's session on the same database; its time zone is the server's."""
    with mariadb.server().session(store.database) as cursor:
        yield cursor


def rows(app: Any, statement: str, *values: object) -> list[tuple[Any, ...]]:
    app.execute(statement, values)
    return list(app.fetchall())


def moment(ms: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(milliseconds=ms)


# -- what the app reads --


def test_the_app_reads_what_was_sent(desk: Desk, app: Any) -> None:
    c = desk.chat("ada", "ben")
    one, two = desk.say(c, "ada", "Es schmerzt 🦷", "sehr")
    desk.changed(desk.send(c, "ben", "oh", reply_to=1))
    found = rows(
        app, "SELECT id, conversationId, senderId, content, status, replyToId, createdAt FROM Message ORDER BY seq"
    )
    assert found[:2] == [
        (one.id, c, "ada", "Es schmerzt 🦷", "SENT", None, moment(one.sent_at)),
        (two.id, c, "ada", "sehr", "SENT", None, moment(two.sent_at)),
    ]
    assert found[2][5] == one.id
    newest = found[2][6]
    assert rows(app, "SELECT createdAt, updatedAt, lastMessageAt FROM Conversation") == [(moment(3), newest, newest)]
    joined = rows(
        app, "SELECT userId, joinedAt, leftAt, isMuted, isPinned FROM ConversationParticipant ORDER BY userId"
    )
    assert joined == [("ada", moment(3), None, 0, 0), ("ben", moment(3), None, 0, 0)]


def test_a_reply_in_the_same_batch_has_its_message(desk: Desk, app: Any) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "first")
    desk.do(
        desk.send(c, "ada", "one"), desk.send(c, "ben", "two", reply_to=2), desk.send(c, "ben", "three", reply_to=1)
    )
    found = dict(rows(app, "SELECT m.content, r.content FROM Message m JOIN Message r ON r.id = m.replyToId"))
    assert found == {"two": "one", "three": "first"}


def test_a_system_message_bears_who_did_it(store: MysqlStore, desk: Desk, app: Any) -> None:
    desk.people("ada", "ben")
    c = desk.group("ada", "ben")
    desk.changed(desk.remove(c, "ada", "ben"))
    assert rows(app, "SELECT senderId, kind FROM Message") == [("ada", "system")]
    page = store.history(c, "ada", before=None, after=None, limit=5)
    assert page is not None
    assert [message.sender for message in page.messages] == [None]


def test_a_tombstone_is_an_empty_message(desk: Desk, app: Any) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "secret")
    stone = desk.changed(desk.delete(c, "ada", 1)).messages[0]
    assert rows(app, "SELECT content, deletedAt FROM Message") == [("", moment(stone.deleted_at or 0))]


def statuses(app: Any) -> list[str]:
    return [status for (status,) in rows(app, "SELECT status FROM Message ORDER BY conversationId, seq")]


def test_status_follows_the_watermarks(desk: Desk, app: Any) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1", "2", "3")
    desk.say(c, "ben", "4")
    desk.changed(desk.receipt(c, "ben", delivered=2))
    assert statuses(app) == ["DELIVERED", "DELIVERED", "SENT", "SENT"]
    desk.changed(desk.receipt(c, "ben", read=1))
    assert statuses(app) == ["READ", "DELIVERED", "SENT", "SENT"]
    desk.changed(desk.receipt(c, "ada", delivered=4))
    assert statuses(app) == ["READ", "DELIVERED", "SENT", "DELIVERED"]
    desk.do(desk.receipt(c, "ada", read=4), desk.receipt(c, "ben", delivered=3))
    assert statuses(app) == ["READ", "DELIVERED", "DELIVERED", "READ"]


def test_in_a_group_status_waits_for_the_last_one(store: MysqlStore, desk: Desk, app: Any) -> None:
    c = desk.group("ada", "ben", "cleo")
    desk.say(c, "ada", "1", "2")
    desk.changed(desk.receipt(c, "ben", read=2))
    assert statuses(app) == ["SENT", "SENT"]
    desk.changed(desk.receipt(c, "cleo", delivered=2))
    assert statuses(app) == ["DELIVERED", "DELIVERED"]
    desk.changed(desk.receipt(c, "cleo", read=1))
    assert statuses(app) == ["READ", "DELIVERED"]
    desk.changed(desk.remove(c, "ada", "cleo"))
    assert statuses(app)[:2] == ["READ", "READ"], "who has gone needn't read it any more"
    desk.changed(desk.add(c, "ada", "cleo"))
    assert statuses(app)[:2] == ["READ", "READ"], "it never goes back"
    page = store.history(c, "ada", before=None, after=None, limit=9)
    assert page is not None
    assert [status_of(m, page.participants) for m in page.messages[:2]] == ["read", "read"]


def unread(app: Any) -> dict[str, tuple[int, int]]:
    found = rows(app, "SELECT userId, unreadCount, chatdUnread FROM ConversationParticipant")
    return {user: (theirs, ours) for user, theirs, ours in found}


def test_unread_counts_are_kept_up(desk: Desk, app: Any) -> None:
    c = desk.group("ada", "ben", "cleo")
    desk.say(c, "ada", "1", "2", "3")
    assert unread(app) == {"ada": (0, 0), "ben": (3, 3), "cleo": (3, 3)}
    desk.do(desk.receipt(c, "ben", read=2), desk.send(c, "cleo", "4"))
    assert unread(app) == {"ada": (1, 1), "ben": (2, 2), "cleo": (3, 3)}
    desk.changed(desk.delete(c, "ada", 3))
    assert unread(app) == {"ada": (1, 1), "ben": (1, 1), "cleo": (2, 2)}
    desk.do(desk.send(c, "ada", "5"), desk.delete(c, "ada", 5))
    assert unread(app) == {"ada": (1, 1), "ben": (1, 1), "cleo": (2, 2)}
    desk.changed(desk.title(c, "ada", "Recall of today"))
    assert unread(app) == {"ada": (1, 1), "ben": (1, 1), "cleo": (2, 2)}, "the system's don't count"
    desk.changed(desk.leave(c, "ben"))
    desk.say(c, "ada", "6")
    assert unread(app)["cleo"] == (3, 3)
    desk.changed(desk.add(c, "ada", "ben"))
    assert unread(app)["ben"] == (2, 2), "what was missed is unread"


def test_what_the_app_did_to_a_count_stays_to_be_seen(desk: Desk, app: Any) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1", "2")
    app.execute("UPDATE ConversationParticipant SET unreadCount = 0 WHERE userId = 'ben'")
    desk.say(c, "ada", "3")
    assert unread(app)["ben"] == (1, 3)


# -- what tells that the app wrote --


def touched(app: Any, table: str) -> int:
    return int(rows(app, f"SELECT COUNT(*) FROM {table} WHERE chatdTouched IS NOT NULL")[0][0])


def test_own_writes_leave_no_trace_and_hide_none(desk: Desk, app: Any) -> None:
    c = desk.group("ada", "ben", "cleo")
    desk.say(c, "ada", "1", "2")
    desk.do(
        desk.receipt(c, "ben", read=1), desk.edit(c, "ada", 1, "one"), desk.react(c, "ben", 1),
        desk.delete(c, "ada", 2), desk.settings(c, "ben", muted=True), desk.leave(c, "cleo"), desk.see("ada"),
    )  # fmt: skip
    assert touched(app, "ConversationParticipant") == 0
    assert touched(app, "Message") == 0
    assert touched(app, "Conversation") == 1, "other daemons see by it that it moved"
    app.execute("UPDATE Message SET content = 'ONE' WHERE seq = 1")
    app.execute("UPDATE ConversationParticipant SET isMuted = 0 WHERE userId = 'ben'")
    before = rows(app, "SELECT chatdTouched FROM Message WHERE seq = 1 UNION SELECT chatdTouched "
                       "FROM ConversationParticipant WHERE userId = 'ben' ORDER BY 1")  # fmt: skip
    desk.do(desk.receipt(c, "ben", read=2), desk.react(c, "ben", 1, "🙏"), desk.send(c, "ada", "3"))
    assert touched(app, "ConversationParticipant") == 1
    assert touched(app, "Message") == 1
    assert before == rows(app, "SELECT chatdTouched FROM Message WHERE seq = 1 UNION SELECT chatdTouched "
                               "FROM ConversationParticipant WHERE userId = 'ben' ORDER BY 1")  # fmt: skip


def test_a_user_is_touched_by_what_others_see(desk: Desk, app: Any) -> None:
    desk.people("ada")
    app.execute("UPDATE User SET chatdTouched = NULL")
    desk.do(desk.see("ada"))
    assert touched(app, "User") == 0
    desk.do(desk.put("ada", name="Ada L."))
    assert touched(app, "User") == 1


def test_what_the_app_changed_meanwhile_is_not_undone(desk: Desk, app: Any) -> None:
    c = desk.chat("ada", "ben")
    app.execute("UPDATE ConversationParticipant SET isMuted = 1 WHERE userId = 'ben'")
    app.execute("UPDATE User SET name = 'Ada L.', role = 'STAFF' WHERE id = 'ada'")
    desk.say(c, "ada", "hi")
    desk.do(desk.receipt(c, "ben", read=1), desk.see("ada"))
    assert rows(app, "SELECT isMuted FROM ConversationParticipant ORDER BY userId") == [(0,), (1,)]
    assert rows(app, "SELECT name, role FROM User WHERE id = 'ada'") == [("Ada L.", "STAFF")]


def test_what_the_app_changes_in_the_middle_waits_for_its_turn(store: MysqlStore, desk: Desk, app: Any) -> None:
    """Else it would be undone by the row as it was loaded."""
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "hi")
    save = store._saver.save
    answers = []

    def meanwhile(*loaded: Any) -> None:
        for statement in (
            "UPDATE ConversationParticipant SET isMuted = 1 WHERE userId = 'ben'",
            "UPDATE Conversation SET title = 'x'",
            "UPDATE User SET name = 'x' WHERE id = 'ben'",
        ):
            with pytest.raises(pymysql.OperationalError) as error:
                app.execute(statement)
            answers.append(error.value.args[0])
        save(*loaded)

    app.execute("SET SESSION innodb_lock_wait_timeout = 0")
    with mock.patch.object(store._saver, "save", meanwhile):
        desk.do(desk.receipt(c, "ben", read=1), desk.see("ben"))
    assert answers == [1205] * 3


def test_the_servers_own_times_are_read_in_utc(store: MysqlStore, desk: Desk) -> None:
    desk.chat("ada", "ben")
    with store._pool.reading() as db:
        found = db.one('SELECT "chatdTouched" FROM "Conversation"')
    assert found is not None
    assert abs(found[0] / 1000 - time.time()) < 60


def test_rows_that_were_not_taken_in_are_nothing(store: MysqlStore, desk: Desk, app: Any) -> None:
    c = desk.chat("ada", "ben")
    desk.people("cleo")
    desk.say(c, "ada", "hi")
    app.execute("INSERT INTO Conversation (id, updatedAt) VALUES ('x', NOW(3))")
    app.execute("INSERT INTO ConversationParticipant (id, conversationId, userId) VALUES ('p1', 'x', 'ada'), "
                "('p2', %s, 'cleo'), ('p3', %s, 'ada')", (c, c))  # fmt: skip
    app.execute("INSERT INTO Message (id, conversationId, senderId, content) VALUES ('m', %s, 'ada', 'unseen')", (c,))
    assert touched(app, "Message") == 1
    assert touched(app, "ConversationParticipant") == 3
    assert store.room("x") is None
    assert [id for id, _, _ in store.memberships("ada")] == [c]
    assert store.memberships("cleo") == []
    assert store.memberships("ben") == [(c, 2, frozenset({"ada", "ben"}))]
    page = store.summaries("ada", archived=False, after=None, limit=9)
    assert [summary.room.conversation.id for summary in page.summaries] == [c]
    room = store.room(c)
    assert room is not None
    assert sorted(p.user for p in room.participants) == ["ada", "ben"]
    assert len(store.receipt_times(c, 1)) == 2
    assert desk.refused(desk.send("x", "ada")).reason == "not_found"
    assert desk.refused(desk.send(c, "cleo")).reason == "not_found"
    assert [m.seq for m in desk.say(c, "ada", "two")] == [2]


# -- several daemons --


def test_two_stores_number_without_gaps(store: MysqlStore, tmp_path: Path) -> None:
    other = mysql(tmp_path)
    desk = Desk(store)
    chats = [desk.chat("ada", f"u{n}") for n in range(4)]
    outcomes: list[Outcome] = []
    start = threading.Barrier(4)

    def send(one: Store, first: int) -> None:
        mine = Desk(one, first=first)
        start.wait(30)
        for turn in range(12):
            order = chats if turn % 2 else chats[::-1]  # locks are taken in one order all the same
            changes: list[Change] = [mine.send(c, "ada", f"{first} {turn}") for c in order]
            changes += [mine.receipt(order[0], "ada", delivered=turn + 1)]
            outcomes.extend(mine.do(*changes))

    threads = [threading.Thread(target=send, args=(one, 1000 * (n + 1))) for n, one in enumerate((store, other) * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    other.close()
    changed = [outcome for outcome in outcomes if isinstance(outcome, Changed)]
    for c in chats:
        mine = [outcome for outcome in changed if outcome.room.id == c]
        assert sorted(m.seq for outcome in mine for m in outcome.messages) == list(range(1, 49))
        assert sorted((outcome.from_rev, outcome.rev) for outcome in mine) == [
            (n, n + 1) for n in range(1, len(mine) + 1)
        ]
        page = store.history(c, "ada", before=None, after=0, limit=100)
        assert page is not None
        assert [m.seq for m in page.messages] == list(range(1, 49))
        assert [m.rev for m in page.messages] == sorted(m.rev for m in page.messages)


def at_once(*works: Callable[[], Any]) -> list[Any]:
    start = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def run(place: int) -> None:
        start.wait(30)
        results[place] = works[place]()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def first_of(desk: Desk, change: Change) -> Any:
    return desk.do(change)[0]


def test_two_stores_make_one_thing(store: MysqlStore, tmp_path: Path) -> None:
    """A pair, a message of one client_id in two conversations, a group of one client_id."""
    with contextlib.closing(mysql(tmp_path)) as other:
        one, two = Desk(store, first=1000), Desk(other, first=2000)
        for n in range(8):
            one.people("ada", f"u{n}")
            opened = at_once(*(partial(first_of, d, d.open("ada", f"u{n}")) for d in (one, two)))
            assert sorted(type(outcome).__name__ for outcome in opened) == ["Changed", "Unchanged"]
            (c,) = {outcome.room.id for outcome in opened}
            second = one.chat("ada", f"v{n}")
            sent = at_once(
                partial(first_of, one, one.send(second, "ada", client_id=f"k{n}")),
                partial(first_of, two, two.send(c, "ada", client_id=f"k{n}")),
            )
            assert sorted(type(outcome).__name__ for outcome in sent) == ["Changed", "Refused"]
            made = at_once(*(partial(first_of, d, d.create("ada", f"u{n}", client_id=f"g{n}")) for d in (one, two)))
            assert sorted(type(outcome).__name__ for outcome in made) == ["Changed", "Unchanged"]
            assert len({outcome.room.id for outcome in made}) == 1


def test_what_another_store_does_before_the_locks_is_counted(store: MysqlStore, desk: Desk, tmp_path: Path) -> None:
    c = desk.chat("ada", "ben")
    ask_many = Connection.ask_many
    with contextlib.closing(mysql(tmp_path)) as other:

        def meanwhile(db: Connection, statement: str, *rest: Any, **more: Any) -> Any:
            found = ask_many(db, statement, *rest, **more)
            if statement.startswith('SELECT "pairKey"') and db is store._writer:
                db.flush()
                Desk(other, first=100).say(c, "ben", "just in time")
            return found

        with mock.patch.object(Connection, "ask_many", meanwhile):
            opened = desk.unchanged(desk.open("ada", "ben"))
    assert opened.room.last_seq == 1
    assert [membership.unread for membership in opened.memberships] == [1]


def test_a_read_sees_what_another_store_has_committed(store: MysqlStore, tmp_path: Path) -> None:
    with contextlib.closing(mysql(tmp_path)) as other:
        c = Desk(store).chat("ada", "ben")
        for n in range(1, 20):
            Desk(store, first=100 * n).say(c, "ada", "hi")
            room = other.room(c)
            assert room is not None
            assert room.conversation.last_seq == n


# -- round trips --


@pytest.mark.parametrize("conversations", [1, 50])
def test_a_batch_of_messages_takes_few_round_trips(desk: Desk, conversations: int) -> None:
    chats = [desk.chat("ada", f"u{n}") for n in range(conversations)]
    desk.do(*(desk.send(c, "ada") for c in chats))
    sends = [desk.send(chats[n % conversations], "ada", reply_to=1 if n % 2 else None) for n in range(50)]
    with counted() as trips:
        outcomes = desk.do(*sends)
    assert all(isinstance(outcome, Changed) for outcome in outcomes)
    assert trips[0] <= 4, "locks and look-ups, what is replied to, rows, COMMIT"
    receipts = [desk.receipt(chats[n % conversations], f"u{n % conversations}", read=1 + n) for n in range(50)]
    with counted() as trips:
        outcomes = desk.do(*receipts[:conversations])
    assert trips[0] <= 3


def test_what_was_sent_before_is_found_whether_it_was_looked_for_or_not(
    store: MysqlStore, desk: Desk, tmp_path: Path
) -> None:
    """Where messages are taken for new, the unique key finds it, and the batch is done again."""
    c, elsewhere = desk.chat("ada", "ben"), desk.chat("ada", "cid")
    with contextlib.closing(mysql(tmp_path)) as other:
        first = desk.changed(desk.send(c, "ada", "one", client_id="x")).messages
        with mock.patch("storage.mysql.store.SUSPICIOUS", 2):
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
        assert trips[0] == 2, "looked for at once: nothing failed"
        assert store._suspicious == SUSPICIOUS, "and more may come"


def test_a_conversation_that_is_not_taken_in_yet_is_none_whatever_its_participants(
    store: MysqlStore, desk: Desk
) -> None:
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


def test_after_one_that_fails_the_rest_is_left_out_and_forgotten(store: MysqlStore) -> None:
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


def test_what_goes_together_has_a_bound(store: MysqlStore) -> None:
    db = store._require_writer()
    with counted() as trips:
        found = [db.ask_many("SELECT LENGTH({})", "?", 1, ("x" * (TEXT // 2),)) for _ in range(4)]
        assert [list(rows) for rows in found] == [[(TEXT // 2,)]] * 4
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
        assert trips[0] <= 9
    with counted() as trips:
        assert len(store.standings("ada", dict.fromkeys(chats, 2))) == 40
        assert trips[0] <= 6


def test_nothing_is_left_to_an_apps_defaults(store: MysqlStore, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    db = store._require_writer()
    db.run('ALTER TABLE "Message" MODIFY "kind" VARCHAR(16) NOT NULL DEFAULT \'image\', '
           'MODIFY "replyToSeq" INT DEFAULT 7, MODIFY "data" JSON DEFAULT (\'{}\'), '
           'MODIFY "replyToId" VARCHAR(191) DEFAULT \'none\'')  # fmt: skip
    desk.say(c, "ada", "1")
    assert db.run('SELECT "kind", "replyToSeq", "data", "replyToId" FROM "Message"') == [("text", None, None, None)]
    db.commit()


def test_a_large_batch_goes_in_several_statements(store: MysqlStore, desk: Desk) -> None:
    """The server takes no packet beyond max_allowed_packet."""
    c = desk.chat("ada", "ben")
    statement = mock.Mock(return_value=())
    into = Into.of("Message", '"id", "content"')
    db = mock.Mock(ask_written=statement)
    into.write(db, [(str(n), "x" * (TEXT // 4)) for n in range(6)])
    assert [len(call.args[1]) for call in statement.call_args_list] == [3, 3]
    statement.reset_mock()
    into.write(db, [(str(n), "x") for n in range(2001)])
    assert [len(call.args[1]) for call in statement.call_args_list] == [1000, 1000, 1]
    assert [m.seq for m in desk.say(c, "ada", *["é" * 10_000] * 120)] == list(range(1, 121))


# -- exact, whatever the collation --


def test_ids_are_compared_exactly_in_our_own_tables(store: MysqlStore, desk: Desk) -> None:
    desk.people("ada", "Ada", "ben")
    one, two = desk.changed(desk.open("ada", "ben")).room.id, desk.changed(desk.open("Ada", "ben")).room.id
    assert one != two
    assert store.users(["ADA", "Ada"]).keys() == {"Ada"}
    assert [id for id, _, _ in store.memberships("Ada")] == [two]


@pytest.fixture
def adopted() -> Iterator[tuple[str, Any]]:
    """An app's database as Prisma makes it, and its session: ids in any case are one, enums of its own, `updatedAt`s
    without default, a field of its own, tables and columns by other names."""
    server = mariadb.server()
    name = server.database()
    with server.session(name) as cursor:
        cursor.execute("SET sql_mode = 'ANSI_QUOTES,STRICT_TRANS_TABLES'")
        for statement in APP.split(";\n"):
            cursor.execute(statement)
        yield server.url(name), cursor


APP = """
CREATE TABLE "users" ("id" VARCHAR(191) NOT NULL PRIMARY KEY, "email" VARCHAR(191) NOT NULL, "fullName" VARCHAR(191),
  "role" ENUM('USER', 'PRO', 'OWNER', 'BOT') NOT NULL DEFAULT 'USER', "createdAt" DATETIME(3) NOT NULL DEFAULT
  CURRENT_TIMESTAMP(3), "updatedAt" DATETIME(3) NOT NULL) COLLATE utf8mb4_unicode_ci;
CREATE TABLE "chats" ("id" VARCHAR(191) NOT NULL PRIMARY KEY, "createdAt" DATETIME(3) NOT NULL DEFAULT
  CURRENT_TIMESTAMP(3), "updatedAt" DATETIME(3) NOT NULL) COLLATE utf8mb4_unicode_ci;
CREATE TABLE "seats" ("id" VARCHAR(191) NOT NULL PRIMARY KEY, "chatId" VARCHAR(191) NOT NULL, "who" VARCHAR(191) NOT
  NULL, "joinedAt" DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), "leftAt" DATETIME(3), "unreadCount" INTEGER NOT
  NULL DEFAULT 0, "updatedAt" DATETIME(3) NOT NULL, FOREIGN KEY ("chatId") REFERENCES "chats" ("id"), FOREIGN KEY
  ("who") REFERENCES "users" ("id")) COLLATE utf8mb4_unicode_ci;
CREATE TABLE "texts" ("id" VARCHAR(191) NOT NULL PRIMARY KEY, "chatId" VARCHAR(191) NOT NULL, "from" VARCHAR(191) NOT
  NULL, "text" TEXT NOT NULL, "status" VARCHAR(20) NOT NULL DEFAULT 'SENT', "seq" VARCHAR(3), "at" DATETIME(3) NOT NULL
  DEFAULT CURRENT_TIMESTAMP(3), "updatedAt" DATETIME(3) NOT NULL, FOREIGN KEY ("chatId") REFERENCES "chats" ("id"),
  FOREIGN KEY ("from") REFERENCES "users" ("id")) COLLATE utf8mb4_unicode_ci;
INSERT INTO "users" ("id", "email", "fullName", "role", "updatedAt") VALUES ('ada', 'a', 'Ada', 'USER', NOW(3)),
  ('ben', 'b', 'Dr. Ben', 'PRO', NOW(3)), ('cleo', 'c', NULL, 'OWNER', NOW(3)), ('dan', 'd', '', 'BOT', NOW(3))
"""

NAMES = {
    "User": "users", "User.name": "fullName", "Conversation": "chats", "ConversationParticipant": "seats",
    "ConversationParticipant.conversationId": "chatId", "ConversationParticipant.userId": "who", "Message": "texts",
    "Message.conversationId": "chatId", "Message.senderId": "from", "Message.content": "text", "Message.seq": "number",
    "Message.createdAt": "at", "Message.clientId": "cid", "Conversation.rev": "version", "User.lastSeenAt": "seen",
    "ConversationParticipant.rev": "version", "ConversationParticipant.readSeq": "read", "Conversation.pairKey": "pair",
    "ConversationParticipant.role": "seatRole", "Message.chatdTouched": "touched", "Message.changedRev": "changed",
    "ConversationParticipant.chatdTouched": "touched", "User.chatdTouched": "touched", "User.id": "id",
}  # fmt: skip
ROLES = {"USER": "patient", "PRO": "dentist", "OWNER": "admin"}


def adopt(url: str) -> MysqlStore:
    """As far as the tables go; rows of conversations there are none."""
    names = Names.checked(NAMES)
    with contextlib.closing(Pool(parse(url), names, readers=0).connect(writer=True)) as db:
        for step in schema.missing(schema.layout_of(db), names):
            db.run(step.statement)
        db.run('INSERT INTO "chatd_meta" VALUES (?, ?), (?, ?)', ("epoch", "e", "development", "0"))
        db.commit()
    return MysqlStore(url, new_epoch=lambda: "new", names=NAMES, roles=ROLES)


def test_everything_by_other_names_is_as_on_a_reference(adopted: tuple[str, Any]) -> None:
    """One story, told to a store over an app's tables and to one in memory."""
    url, app = adopted
    app.execute("UPDATE users SET fullName = id, role = 'USER'")
    memory = MemoryStore(epoch="e")
    Desk(memory).people("ada", "ben", "cleo", "dan")
    told: list[Any] = []
    seen: list[Any] = []
    with contextlib.closing(adopt(url)) as store:
        assert store.epoch == "e"
        for one in (memory, store):
            desk = Desk(one, first=50)
            outcomes = [
                desk.do(desk.open("ada", "ben"), desk.create("ben", "ada", "cleo", client_id="g")),
                desk.do(desk.send("c50", "ada", "one"), desk.send("c50", "ben", "two", reply_to=1)),
                desk.do(desk.send("c51", "ben")),
                desk.do(desk.receipt("c50", "ben", read=1), desk.settings("c51", "ada", archived=True, pinned=True)),
                desk.do(desk.edit("c50", "ada", 1, "ONE"), desk.react("c50", "ben", 1), desk.delete("c50", "ben", 2)),
                desk.do(desk.leave("c50", "ada"), desk.title("c51", "ben", "Today"), desk.remove("c51", "ben", "cleo")),
                desk.do(desk.open("ben", "ada"), desk.add("c51", "ben", "dan")),
                desk.do(desk.send("c51", "ben", client_id="again")),
                desk.do(desk.send("c51", "ben", client_id="again"), desk.send("c50", "ben", client_id="again"),
                        desk.send("c51", "cleo"), desk.create("ben", "ada", client_id="g"), desk.see("ada")),
            ]  # fmt: skip
            told.append(plain(outcomes))
            found = one.search("ben", ("one",), conversation=None, before=None, limit=5)
            assert found is not None
            seen.append([
                [plain(one.summaries(user, archived=archived, after=None, limit=9))
                 for user in ("ada", "ben", "cleo", "dan") for archived in (False, True)],
                [one.memberships(user) and sorted(one.memberships(user)) for user in ("ada", "ben", "cleo", "dan")],
                [plain(one.since(c, "ben", rev, limit=3)) for c in ("c50", "c51") for rev in range(6)],
                [plain(one.history(c, "ben", before=None, after=None, limit=9)) for c in ("c50", "c51")],
                one.standings("ben", {"c50": 1, "c51": 2, "c52": 3}),
                [one.receipt_times("c50", seq) for seq in (1, 2)],
                one.versions("c50", 1),
                Replica.of(one, "c51", "ben"),
                [hit.message.seq for hit in found.hits],
            ])  # fmt: skip
        assert told[1] == told[0]
        assert seen[1] == seen[0]
        texts = rows(
            app, 'SELECT "from", "text", "status", "number" FROM "texts" WHERE "chatId" = \'c50\' ORDER BY "number"'
        )
        assert texts == [
            ("ada", "ONE", "READ", 1),
            ("ben", "", "SENT", 2),
            ("ada", "ada left the conversation.", "SENT", 3),
        ]
        assert rows(app, 'SELECT COUNT(*) FROM "texts" WHERE "updatedAt" < "at" OR "touched" IS NOT NULL') == [(0,)]


def plain(value: Any) -> Any:
    """With people in an order: the contract names none."""
    if isinstance(value, tuple | list):
        found = [plain(item) for item in value]
        people = all(isinstance(item, Participant | Membership | User) for item in value)
        return sorted(found, key=repr) if people else found
    if attrs.has(type(value)):
        return type(value).__name__, {
            field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))
        }
    return value


def test_roles_are_the_apps(adopted: tuple[str, Any]) -> None:
    url, app = adopted
    with contextlib.closing(adopt(url)) as store:
        users = store.users(["ada", "ben", "cleo", "dan"])
        assert {id: (user.name, user.role) for id, user in users.items()} == {
            "ada": ("Ada", "patient"), "ben": ("Dr. Ben", "dentist"), "cleo": ("cleo", "admin"),
            "dan": ("dan", "patient"),
        }  # fmt: skip

        def listed(*roles: str, query: str | None = None) -> list[str]:
            page, _ = store.list_users(roles=roles, but="", query=query, after=None, limit=9)
            return [user.id for user in page]

        assert listed("patient") == ["ada", "dan"]
        assert listed("dentist", "staff") == ["ben"]
        assert listed("patient", "admin") == ["ada", "cleo", "dan"]
        assert listed("staff") == []
        assert listed("patient", "dentist", "admin", query="b") == ["ben"]
        desk = Desk(store)
        desk.do(desk.put("dan", name="Dan"), desk.put("ada", role="dentist"), desk.see("ben"))
        assert rows(app, "SELECT id, role, fullName FROM users ORDER BY id") == [
            ("ada", "PRO", "Ada"), ("ben", "PRO", "Dr. Ben"), ("cleo", "OWNER", None), ("dan", "BOT", "Dan"),
        ]  # fmt: skip


def test_an_almost_equal_id_is_nobody(adopted: tuple[str, Any]) -> None:
    url, app = adopted
    with contextlib.closing(adopt(url)) as store:
        desk = Desk(store)
        c = desk.changed(desk.open("ada", "ben")).room.id
        assert store.user("ADA") is None
        assert store.users(["ADA", "ben"]).keys() == {"ben"}
        assert store.credentials("ADA", "x").user is None
        assert store.memberships("ADA") == []
        assert store.summaries("ADA", archived=False, after=None, limit=9).summaries == ()
        assert store.search("ADA", ("x",), conversation=c, before=None, limit=9) is None
        assert store.room(c.upper()) is None
        assert desk.refused(desk.send(c.upper(), "ada")).reason == "not_found"
        assert desk.refused(desk.send(c, "ADA")).reason == "not_found"
        assert desk.refused(desk.open("ADA", "ben")).reason == "not_found"
        outcomes = desk.do(desk.put("ben"), desk.put("ADA", name="Another"), desk.send(c, "ada"), desk.put("new"))
        assert isinstance(outcomes[1], Refused)
        assert outcomes[1].reason == "conflict"
        assert isinstance(outcomes[2], Changed)
        assert isinstance(outcomes[3], Refused)
        assert outcomes[3] == Refused(
            "forbidden", "users of this database are made by its app, which also knows their email"
        )
        assert rows(app, "SELECT fullName FROM users WHERE id = 'ada'") == [("Ada",)]


# -- the tables --


def test_what_is_there_is_what_is_listed(store: MysqlStore) -> None:
    with contextlib.closing(store._pool.connect(writer=True)) as db:
        layout = schema.layout_of(db)
        assert list(schema.missing(layout, Names())) == []
        assert set(layout.columns) == {table.name for table in tables.TABLES}
    for table in tables.TABLES:
        assert set(layout.columns[table.name]) == {column.name for column in table.columns if not column.spare}


def test_what_chatd_adds_is_no_trouble_to_an_app(adopted: tuple[str, Any]) -> None:
    """Its statements, made before, still run, and every column that came is NULL or has a default."""
    url, app = adopted
    adopt(url).close()
    app.execute("INSERT INTO users (id, email, updatedAt) VALUES ('eve', 'e', NOW(3))")
    app.execute("INSERT INTO chats (id, updatedAt) VALUES ('x', NOW(3)), ('y', NOW(3))")
    app.execute(
        "INSERT INTO seats (id, chatId, who, updatedAt) VALUES ('1', 'x', 'eve', NOW(3)), ('2', 'x', 'eve', NOW(3))"
    )
    app.execute("INSERT INTO texts (id, chatId, `from`, text, updatedAt) VALUES ('1', 'x', 'eve', 't', NOW(3)), "
                "('2', 'x', 'eve', 't', NOW(3))")  # fmt: skip
    app.execute("DELETE FROM texts")
    app.execute("DELETE FROM seats")
    app.execute("DELETE FROM chats")
    app.execute("DELETE FROM users WHERE id = 'eve'")


def test_an_apps_tables_are_left_alone(adopted: tuple[str, Any]) -> None:
    url, app = adopted
    before = rows(app, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()")
    with pytest.raises(StoreError, match=r"there are an app's tables: `chatd db adopt` shows"):
        MysqlStore(url, new_epoch=lambda: "e", names=NAMES, roles=ROLES)
    with pytest.raises(StoreError, match=r"there are an app's tables: `chatd db adopt` shows"):
        upgrade(url, new_epoch=lambda: "e", names=NAMES)
    after = rows(app, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()")
    assert after == before


def test_a_newer_versions_tables_are_left_alone(store: MysqlStore, app: Any, tmp_path: Path) -> None:
    app.execute("UPDATE chatd_meta SET value = '99' WHERE `key` = 'schema'")
    with pytest.raises(StoreError, match="made by a newer version of chatd"):
        mysql(tmp_path)
    with pytest.raises(StoreError, match="made by a newer version of chatd"):
        upgrade(mysql_database(tmp_path), new_epoch=lambda: "e")


def test_a_database_of_an_earlier_version_is_upgraded(store: MysqlStore, desk: Desk, app: Any, tmp_path: Path) -> None:
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
def test_a_making_that_was_cut_short_goes_on(after: int) -> None:
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


def test_the_upper_bounds_of_a_name() -> None:
    long = "T" * 64
    names = Names({"Message": long})
    statement = schema.creation(tables.MESSAGE, names)
    found = [part.split('"')[1] for part in statement.split("INDEX ")[1:] + statement.split("CONSTRAINT ")[1:]]
    assert all(len(name) <= 64 for name in found)
    assert max(Counter(found).values()) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"Messages": "x"},
        {"Message.body": "x"},
        {"chatd_meta": "x"},
        {"Message": 'x"; DROP'},
        {"Message": ""},
        {"": "x"},
    ],
)
def test_wrong_names_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(StoreError, match=r"mysql\.names"):
        Names.checked(given)


def test_names_and_marks_are_translated() -> None:
    names = Names({"Message": "m", "Message.content": "text", "User.id": "uid"})
    assert names.sql('SELECT "content" FROM "Message" WHERE "id" = ? AND "seq" % 4 = 1') == (
        'SELECT "text" FROM "m" WHERE "id" = %s AND "seq" %% 4 = 1'
    )
    joined = 'SELECT u."id", x."id" FROM "User" u JOIN "Message" x ON x."content" = u."name" ORDER BY "activity"'
    assert names.sql(joined) == (
        'SELECT u."uid", x."id" FROM "User" u JOIN "m" x ON x."text" = u."name" ORDER BY "activity"'
    )


def test_an_unmapped_role_may_the_least() -> None:
    roles = Roles({"PRO": "dentist", "STAFF": "admin"})
    assert [roles.of(name) for name in ("PRO", "PATIENT", "Dentist", "ROOT", "STAFF", None, "")] == [
        "dentist", "patient", "dentist", "patient", "admin", "patient", "patient",
    ]  # fmt: skip
    assert [roles.theirs(role) for role in ("dentist", "admin", "staff")] == ["PRO", "STAFF", "STAFF"]


def test_a_seat_has_one_id_whoever_makes_it() -> None:
    assert seat_id("c", "u") == seat_id("c", "u")
    assert len({seat_id("a", "b c"), seat_id("a", "c"), seat_id("b", "c")}) == 3
    assert all(len(seat_id("x" * n, "y")) == 25 for n in (1, 128))
