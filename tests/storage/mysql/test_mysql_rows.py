"""What the app beside chatd reads in the rows, and what tells chatd that the app wrote."""

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pymysql
import pytest

from storage.mysql.store import MysqlStore
from storage.records import status_of
from support import mariadb
from support.mariadb import rows
from support.stores import Desk, mysql


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MysqlStore]:
    with contextlib.closing(mysql(tmp_path)) as found:
        yield found


@pytest.fixture
def app(store: MysqlStore) -> Iterator[Any]:
    """The app's session on the same database; its time zone is the server's."""
    with mariadb.server().session(store.database) as cursor:
        yield cursor


def moment(ms: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(milliseconds=ms)


# -- what the app reads --


def test_app_reads_what_was_sent(desk: Desk, app: Any) -> None:
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


def test_reply_in_the_same_batch_has_its_message(desk: Desk, app: Any) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "first")
    desk.do(
        desk.send(c, "ada", "one"), desk.send(c, "ben", "two", reply_to=2), desk.send(c, "ben", "three", reply_to=1)
    )
    found = dict(rows(app, "SELECT m.content, r.content FROM Message m JOIN Message r ON r.id = m.replyToId"))
    assert found == {"two": "one", "three": "first"}


def test_system_message_bears_who_did_it(store: MysqlStore, desk: Desk, app: Any) -> None:
    desk.people("ada", "ben")
    c = desk.group("ada", "ben")
    desk.changed(desk.remove(c, "ada", "ben"))
    assert rows(app, "SELECT senderId, kind FROM Message") == [("ada", "system")]
    page = store.history(c, "ada", before=None, after=None, limit=5)
    assert page is not None
    assert [message.sender for message in page.messages] == [None]


def test_tombstone_is_an_empty_message(desk: Desk, app: Any) -> None:
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


def test_status_in_a_group_waits_for_the_last_one(store: MysqlStore, desk: Desk, app: Any) -> None:
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


def test_rows_count_set_by_the_app_stays_to_be_seen(desk: Desk, app: Any) -> None:
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


def test_user_is_touched_by_what_others_see(desk: Desk, app: Any) -> None:
    desk.people("ada")
    app.execute("UPDATE User SET chatdTouched = NULL")
    desk.do(desk.see("ada"))
    assert touched(app, "User") == 0
    desk.do(desk.put("ada", name="Ada L."))
    assert touched(app, "User") == 1


def test_rows_changed_by_the_app_meanwhile_are_not_undone(desk: Desk, app: Any) -> None:
    c = desk.chat("ada", "ben")
    app.execute("UPDATE ConversationParticipant SET isMuted = 1 WHERE userId = 'ben'")
    app.execute("UPDATE User SET name = 'Ada L.', role = 'STAFF' WHERE id = 'ada'")
    desk.say(c, "ada", "hi")
    desk.do(desk.receipt(c, "ben", read=1), desk.see("ada"))
    assert rows(app, "SELECT isMuted FROM ConversationParticipant ORDER BY userId") == [(0,), (1,)]
    assert rows(app, "SELECT name, role FROM User WHERE id = 'ada'") == [("Ada L.", "STAFF")]


def test_rows_changed_by_the_app_in_a_commit_wait_their_turn(store: MysqlStore, desk: Desk, app: Any) -> None:
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


def test_servers_own_times_are_read_in_utc(store: MysqlStore, desk: Desk) -> None:
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


def test_rows_inserted_leave_nothing_to_an_apps_defaults() -> None:
    url = mariadb.server().url(mariadb.server().database())  # its own: others are used again, as they are
    with contextlib.closing(MysqlStore(url, new_epoch=lambda: "e")) as store:
        desk = Desk(store)
        c = desk.chat("ada", "ben")
        db = store._require_writer()
        db.run('ALTER TABLE "Message" MODIFY "kind" VARCHAR(16) NOT NULL DEFAULT \'image\', '
               'MODIFY "replyToSeq" INT DEFAULT 7, MODIFY "data" JSON DEFAULT (\'{}\'), '
               'MODIFY "replyToId" VARCHAR(191) DEFAULT \'none\'')  # fmt: skip
        desk.say(c, "ada", "1")
        found = db.run('SELECT "kind", "replyToSeq", "data", "replyToId" FROM "Message"')
        assert found == [("text", None, None, None)]
        db.commit()
