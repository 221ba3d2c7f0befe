"""What an app writes beside chatd, found and taken in; and that chatd's own writes are none of it."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.contract import Shared
from storage.mysql import taking, touched
from storage.mysql.store import MysqlStore
from storage.records import Message, Participant
from support import mariadb
from support.cutter import Cutter
from support.stores import Desk, mysql


def now() -> int:
    return time.time_ns() // 1_000_000


class App:
    """The app's own session on the same database. It writes as Prisma does: ids and times are its own, in UTC."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.run("SET time_zone = '+00:00'")

    def run(self, statement: str, *values: object) -> None:
        self._cursor.execute(statement, values)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        self.run(statement, *values)
        return list(self._cursor.fetchall())

    def user(self, id: str) -> None:
        self.run("INSERT INTO User (id, name, updatedAt) VALUES (%s, %s, NOW(3))", id, id.title())

    def conversation(self, id: str, *users: str) -> None:
        self.run("INSERT INTO Conversation (id, updatedAt) VALUES (%s, NOW(3))", id)
        for user in users:
            self.seat(id, user)

    def seat(self, conversation: str, user: str, *, row: str | None = None) -> None:
        self.run("INSERT INTO ConversationParticipant (id, conversationId, userId) VALUES (%s, %s, %s)",
                 row or f"{conversation}-{user}", conversation, user)  # fmt: skip

    def message(self, conversation: str, sender: str, id: str, at: int | None = None, **more: object) -> None:
        given = {"id": id, "conversationId": conversation, "senderId": sender, "content": f"text of {id}", **more}
        names, marks = ", ".join(given), ", ".join(["%s"] * len(given))
        moment = "NOW(3)" if at is None else f"FROM_UNIXTIME({at} / 1000)"
        self.run(f"INSERT INTO Message ({names}, createdAt) VALUES ({marks}, {moment})", *given.values())

    def change(self, conversation: str, user: str, what: str) -> None:
        self.run(f"UPDATE ConversationParticipant SET {what} WHERE conversationId = %s AND userId = %s",
                 conversation, user)  # fmt: skip

    def unread(self, conversation: str) -> dict[str, int]:
        """As the app reads it; chatd's own note of it is the same."""
        found = self.rows(
            "SELECT userId, unreadCount, chatdUnread FROM ConversationParticipant WHERE conversationId = %s",
            conversation,
        )
        assert all(theirs == ours for _, theirs, ours in found), found
        return {user: count for user, count, _ in found}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MysqlStore]:
    with contextlib.closing(mysql(tmp_path)) as found:
        yield found


@pytest.fixture
def app(store: MysqlStore) -> Iterator[App]:
    with mariadb.server().session(store.database) as cursor:
        yield App(cursor)


@pytest.fixture
def desk(store: MysqlStore) -> Desk:
    """Its messages are of a minute ago."""
    desk = Desk(store)
    desk.now = now() - 60_000
    return desk


def take_in(store: MysqlStore, conversation: str | None = None) -> int:
    """Until nothing is left; how many times there was more."""
    rounds = 0
    while store.take_in(conversation, now()):
        rounds += 1
        assert rounds < 100
    assert not store.moves(None).waiting
    return rounds


def history(store: MysqlStore, conversation: str, user: str = "ada") -> list[Message]:
    page = store.history(conversation, user, before=None, after=None, limit=200)
    assert page is not None
    return list(page.messages)


def seats(store: MysqlStore, conversation: str) -> dict[str, Participant]:
    room = store.room(conversation)
    assert room is not None
    return {p.user: p for p in room.participants}


def rev(store: MysqlStore, conversation: str) -> int:
    room = store.room(conversation)
    assert room is not None
    return room.conversation.rev


def unread(store: MysqlStore, conversation: str, user: str) -> int:
    found = store.summary(conversation, user)
    assert found is not None
    return found[0].membership.unread


def test_chatds_own_writes_are_not_waiting(store: MysqlStore, desk: Desk) -> None:
    assert isinstance(store, Shared)
    place = store.moves(None).next
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1", "2")
    desk.do(
        desk.receipt(c, "ben", read=1), desk.edit(c, "ada", 1, "one"), desk.settings(c, "ben", muted=True),
        desk.delete(c, "ada", 2), desk.react(c, "ben", 1), desk.see("ada"), desk.leave(c, "ben"),
    )  # fmt: skip
    g = desk.group("ada", "ben", "cleo")
    desk.do(desk.remove(g, "ada", "ben"), desk.title(g, "ada", "T"))
    moves = store.moves(place)
    assert not moves.waiting
    assert moves.conversations == {c: rev(store, c), g: rev(store, g)}
    assert sorted(user.id for user in moves.users) == ["ada", "ben", "cleo"]
    assert not store.lacks(c)
    assert not store.lacks(g)


def test_what_was_written_long_ago_is_not_told_again(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    app.run("UPDATE Conversation SET chatdTouched = NOW(3) - INTERVAL 20 SECOND")
    app.run("UPDATE User SET chatdTouched = NOW(3) - INTERVAL 20 SECOND WHERE id = 'ada'")
    place = store.moves(None).next
    moves = store.moves(place)
    assert (moves.conversations, [user.id for user in moves.users]) == ({}, ["ben"])
    desk.say(c, "ada", "hi")
    assert store.moves(moves.next).conversations == {c: 2}
    assert store.moves(store.moves(moves.next).next).conversations == {c: 2}, "a commit may come late"


@pytest.mark.parametrize("at_once", [False, True])
def test_a_full_page_is_read_on(
    store: MysqlStore, desk: Desk, app: App, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    monkeypatch.setattr(touched, "PAGE", 2)
    place = store.moves(None).next
    desk.people("ada")
    for n in range(5):
        desk.chat("ada", f"den-{n}")
    if at_once:  # one statement of an app's: all rows have one time
        for table in "Conversation", "User":
            app.run(f"UPDATE {table} SET chatdTouched = NOW(3) - INTERVAL 1 SECOND")
    rooms: set[str] = set()
    users: set[str] = set()
    for _ in range(4):
        moves = store.moves(place)
        place = moves.next
        rooms.update(moves.conversations)
        users.update(user.id for user in moves.users)
    assert (len(rooms), len(users)) == (5, 6)


# -- messages --


def test_messages_of_the_app_are_numbered_by_their_time(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    (first,) = desk.say(c, "ada", "first")
    at = first.sent_at
    app.message(c, "ben", "a-late", at + 300)
    app.message(c, "ada", "m-b", at + 200)
    app.message(c, "ada", "m-a", at + 200, replyToId=first.id)
    assert store.moves(None).waiting
    assert [m.id for m in history(store, c)] == [first.id], "not taken in, not there"
    take_in(store)
    found = history(store, c)
    assert [(m.seq, m.rev, m.id) for m in found[1:]] == [(2, 3, "m-a"), (3, 4, "m-b"), (4, 5, "a-late")]
    assert [(m.kind, m.sender, m.body, m.client_id) for m in found[3:]] == [("text", "ben", "text of a-late", None)]
    assert [m.reply_to for m in found] == [None, 1, None, None]
    room = store.room(c)
    assert room is not None
    assert (room.conversation.last_seq, room.conversation.rev) == (4, 5)
    assert room.conversation.last_message_at == at + 300
    assert app.unread(c) == {"ada": 1, "ben": 3}
    assert (unread(store, c, "ada"), unread(store, c, "ben")) == (1, 3)
    since = store.since(c, "ada", 2, limit=10)
    assert since is not None
    assert [m.seq for m in since.messages] == [2, 3, 4]
    desk.now = now()
    assert desk.say(c, "ada", "next")[0].seq == 5


def test_an_answer_to_a_message_of_the_same_moment(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    app.message(c, "ada", "m-1", 1000)
    app.message(c, "ben", "m-2", 2000, replyToId="m-1")
    take_in(store)
    assert [m.reply_to for m in history(store, c)] == [None, 1]


def test_an_older_message_does_not_turn_back_the_clock(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    (sent,) = desk.say(c, "ada", "hi")
    desk.changed(desk.settings(c, "ben", archived=True))
    app.message(c, "ada", "m-1", sent.sent_at - 5000)
    take_in(store)
    room = store.room(c)
    assert room is not None
    assert room.conversation.last_message_at == sent.sent_at
    assert not seats(store, c)["ben"].archived, "a new message from another un-archives"


def test_many_messages_are_taken_in_a_few_at_a_time(
    store: MysqlStore, desk: Desk, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(touched, "ROWS", 10)
    monkeypatch.setattr(touched, "CONVERSATIONS", 2)
    monkeypatch.setattr(taking, "_TOGETHER", 3)
    people = ["ben", "cleo", "dan"]
    conversations = [desk.chat("ada", other) for other in people]
    for n in range(45):
        app.message(conversations[n % 3], "ada", f"m-{n:02}", 1000 + n)
    assert take_in(store) >= 4
    for c, other in zip(conversations, people, strict=True):
        found = history(store, c)
        assert [m.seq for m in found] == list(range(1, 16))
        assert [m.rev for m in found] == list(range(2, 17))
        assert sorted(m.id for m in found) == [m.id for m in found]
        assert app.unread(c) == {"ada": 0, other: 15}


def test_what_the_app_still_writes_holds_nobody_up(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    app.message(c, "ada", "m-1", 1000)
    app.message(c, "ada", "m-2", 2000)
    with mariadb.server().session(store.database) as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE Message SET content = 'not done yet' WHERE id = 'm-1'")
        began = time.monotonic()
        store.take_in(None, now())
        assert time.monotonic() - began < 2, "it doesn't wait for the row"
        assert [m.id for m in history(store, c)] == ["m-2"]
        cursor.execute("COMMIT")
    take_in(store)
    assert [(m.seq, m.id, m.body) for m in history(store, c)] == [(1, "m-2", "text of m-2"), (2, "m-1", "not done yet")]


def test_a_text_that_the_app_changed(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    one, two, _ = desk.say(c, "ada", "1", "2", "3")
    app.run("UPDATE Message SET content = 'another' WHERE id = %s", one.id)
    app.run("UPDATE Message SET deletedAt = NOW(3) WHERE id = %s", two.id)
    take_in(store)
    since = store.since(c, "ben", 4, limit=10)
    assert since is not None
    assert {(m.seq, m.body, m.deleted_at is None) for m in since.messages} == {(1, "another", True), (2, "", False)}
    assert {m.rev for m in since.messages} == {5, 6}
    assert rev(store, c) == 6
    assert app.unread(c) == {"ada": 0, "ben": 2}


# -- conversations and people --


def test_a_new_conversation_of_two(store: MysqlStore, desk: Desk, app: App) -> None:
    desk.people("ada", "ben")
    app.conversation("conv-1", "ada", "ben")
    app.message("conv-1", "ada", "m-1", 1000)
    assert store.room("conv-1") is None
    assert store.moves(store.moves(None).next).conversations == {}
    assert store.lacks("conv-1")
    take_in(store, "conv-1")
    assert not store.lacks("conv-1")
    room = store.room("conv-1")
    assert room is not None
    assert (room.conversation.kind, room.conversation.pair) == ("direct", "ada ben")
    assert (room.conversation.rev, room.conversation.last_seq) == (2, 1)
    assert {p.user: (p.role, p.from_seq, p.read_seq, p.rev) for p in room.participants} == {
        "ada": ("member", 1, 0, 1), "ben": ("member", 1, 0, 1),
    }  # fmt: skip
    assert (unread(store, "conv-1", "ben"), app.unread("conv-1")) == (1, {"ada": 0, "ben": 1})
    assert desk.unchanged(desk.open("ben", "ada")).room.id == "conv-1"
    assert [m.seq for m in desk.say("conv-1", "ben", "hi")] == [2]


def test_a_conversation_that_grows(store: MysqlStore, desk: Desk, app: App) -> None:
    """An app may write without a transaction: what is seen of it in between is a conversation, too."""
    desk.people("ada", "ben", "cleo")
    app.conversation("conv-1")
    take_in(store)
    assert store.room("conv-1") is None, "nobody is in it"
    found = []
    for user in ("ben", "ada", "cleo"):
        app.seat("conv-1", user)
        take_in(store)
        room = store.room("conv-1")
        assert room is not None
        found.append((room.conversation.kind, room.conversation.pair, room.conversation.rev))
    assert found == [("direct", None, 1), ("direct", "ada ben", 2), ("group", None, 3)]
    assert {user: seat.role for user, seat in seats(store, "conv-1").items()} == {
        "ben": "owner", "ada": "member", "cleo": "member",
    }  # fmt: skip
    assert desk.changed(desk.open("ada", "ben")).created, "the pair is free again"


def test_the_newest_conversation_of_two_is_the_one_that_is_found(store: MysqlStore, desk: Desk, app: App) -> None:
    old = desk.chat("ada", "ben")
    app.conversation("conv-2", "ben", "ada")
    take_in(store)
    assert desk.unchanged(desk.open("ada", "ben")).room.id == "conv-2"
    app.change(old, "ben", "isMuted = 1")
    take_in(store)
    assert desk.unchanged(desk.open("ada", "ben")).room.id == "conv-2", "the old one doesn't take it back"
    assert [m.seq for m in desk.say(old, "ada", "still here")] == [1]


def test_who_is_added_has_nothing_unread(store: MysqlStore, desk: Desk, app: App) -> None:
    g = desk.group("ada", "ben")
    desk.people("cleo")
    desk.say(g, "ada", "1", "2")
    before = rev(store, g)
    app.seat(g, "cleo")
    take_in(store)
    seat = seats(store, g)["cleo"]
    assert (seat.role, seat.from_seq, seat.read_seq, seat.delivered_seq, seat.rev) == ("member", 3, 2, 2, before + 1)
    assert unread(store, g, "cleo") == 0
    assert seats(store, g)["ada"].rev == 1, "the others have not moved"


def test_who_left_in_the_app(store: MysqlStore, desk: Desk, app: App) -> None:
    g = desk.group("ada", "ben", "cleo")
    desk.say(g, "ada", "1")
    desk.changed(desk.receipt(g, "ben", read=1))
    before = rev(store, g)
    app.change(g, "cleo", "leftAt = NOW(3), unreadCount = 0")
    take_in(store)
    seat = seats(store, g)["cleo"]
    assert (seat.present, seat.rev, rev(store, g)) == (False, before + 1, before + 1)
    assert app.rows("SELECT status FROM Message WHERE seq = 1") == [("READ",)], "cleo needn't read it any more"
    assert store.history(g, "cleo", before=None, after=None, limit=5) is None
    app.change(g, "ada", "leftAt = NOW(3)")
    take_in(store)
    assert seats(store, g)["ben"].role == "owner", "a group keeps an owner"
    app.change(g, "cleo", "leftAt = NULL")
    take_in(store)
    assert seats(store, g)["cleo"].present
    assert unread(store, g, "cleo") == 1


def test_a_second_row_of_a_user_counts_when_the_first_has_left(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1", "2")
    desk.changed(desk.receipt(c, "ben", read=1))
    before = rev(store, c)
    app.seat(c, "ben", row="again")
    take_in(store)
    assert rev(store, c) == before, "a second row of who is in is nothing"
    app.run("UPDATE ConversationParticipant SET leftAt = NOW(3) WHERE userId = 'ben' AND id <> 'again'")
    take_in(store)
    seat = seats(store, c)["ben"]
    assert (seat.present, seat.read_seq, seat.rev) == (True, 1, before + 1)
    assert len(seats(store, c)) == 2
    assert unread(store, c, "ben") == 1
    assert [m.seq for m in desk.say(c, "ben", "3")] == [3]
    assert app.rows("SELECT id, rev IS NULL FROM ConversationParticipant WHERE userId = 'ben' AND leftAt IS NULL") == [
        ("again", 0)
    ]


@pytest.mark.parametrize("column", ["isMuted", "isPinned", "isArchived"])
def test_a_flag_that_the_app_set_is_a_change(store: MysqlStore, desk: Desk, app: App, column: str) -> None:
    c = desk.chat("ada", "ben")
    before = rev(store, c)
    app.change(c, "ben", f"{column} = 1")
    take_in(store)
    since = store.since(c, "ben", before, limit=10)
    assert since is not None
    assert [p.user for p in since.participants] == ["ben"]
    membership = since.membership
    assert {"isMuted": membership.muted, "isPinned": membership.pinned, "isArchived": membership.archived}[column]
    assert rev(store, c) == before + 1
    take_in(store)
    assert rev(store, c) == before + 1, "once"


# -- titles --


def retitled(store: MysqlStore) -> tuple[str, ...]:
    """As found by who has looked all the time; who has just begun to look finds the same."""
    place = store.moves(None).next
    found = store.moves(place).retitled
    assert sorted(found) == sorted(store.moves(None).retitled)
    return found


@pytest.mark.parametrize("title", ["Another", "recall", "Recall ", None, "", "複診 🦷"])
def test_a_title_that_the_app_changed_is_a_change(store: MysqlStore, desk: Desk, app: App, title: str | None) -> None:
    g = desk.group("ada", "ben", "cleo")
    before = rev(store, g)
    assert retitled(store) == ()
    app.run("UPDATE Conversation SET title = %s", title)
    assert retitled(store) == (g,)
    assert store.lacks(g)
    take_in(store, g)
    assert (retitled(store), store.lacks(g)) == ((), False)
    since = store.since(g, "ben", before, limit=10)
    assert since is not None
    assert (since.room.conversation.title, since.through) == (title, before + 1)
    assert (since.messages, since.participants) == ((), ()), "nobody knows who did it"
    take_in(store, g)
    assert rev(store, g) == before + 1, "once"


def test_a_title_is_not_hidden_by_what_chatd_writes(store: MysqlStore, desk: Desk, app: App) -> None:
    g = desk.group("ada", "ben", "cleo")
    app.run("UPDATE Conversation SET title = 'Another'")
    desk.say(g, "ada", "hi")
    assert retitled(store) == (g,)
    take_in(store)
    assert retitled(store) == (g,), "only what waits is looked for in all conversations"
    desk.changed(desk.title(g, "ada", "Mine"))
    assert retitled(store) == (), "chatd's own is the newest"
    app.run("UPDATE Conversation SET title = 'Another'")
    app.message(g, "ben", "m-1")
    before = rev(store, g)
    take_in(store)
    assert (retitled(store), rev(store, g)) == ((), before + 2), "taken in with the message"


def test_a_title_of_two(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    app.run("UPDATE Conversation SET title = 'Root canal'")
    take_in(store, c)
    assert retitled(store) == ()
    found = desk.unchanged(desk.open("ben", "ada")).room
    assert (found.id, found.kind, found.title, found.rev) == (c, "direct", "Root canal", 2)


def test_a_title_of_the_apps_own_conversation_is_nothing_new(store: MysqlStore, desk: Desk, app: App) -> None:
    desk.people("ada", "ben")
    app.conversation("conv-1", "ada", "ben")
    app.run("UPDATE Conversation SET title = 'Root canal'")
    assert retitled(store) == (), "it has to be taken in first"
    take_in(store)
    assert (retitled(store), rev(store, "conv-1")) == ((), 1)


# -- reading in the app --


@pytest.mark.parametrize("count", [0, 2])
def test_a_lower_count_means_read(store: MysqlStore, desk: Desk, app: App, count: int) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1", "2", "3")
    app.change(c, "ben", f"unreadCount = {count}")
    take_in(store)
    seat = seats(store, c)["ben"]
    assert (seat.read_seq, seat.delivered_seq, seat.rev) == (3, 3, rev(store, c))
    assert app.unread(c) == {"ada": 0, "ben": 0}
    assert app.rows("SELECT DISTINCT status FROM Message") == [("READ",)]
    assert store.receipt_times(c, 3)[1].read_at is not None


def test_what_came_later_stays_unread(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1", "2")
    app.change(c, "ben", "unreadCount = 1")
    desk.now = now() + 5000
    desk.say(c, "ada", "3")
    assert app.rows("SELECT unreadCount, chatdUnread FROM ConversationParticipant WHERE userId = 'ben'") == [(2, 3)]
    take_in(store)
    assert seats(store, c)["ben"].read_seq == 2
    assert app.unread(c) == {"ada": 0, "ben": 1}


def test_a_daemons_clock_that_is_wrong_is_allowed_for(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    hour = 3_600_000
    desk.now += hour
    desk.say(c, "ada", "1", "2")
    app.change(c, "ben", "unreadCount = 1")
    desk.now += 65_000
    desk.say(c, "ada", "3")
    while store.take_in(None, now() + hour):
        pass
    assert seats(store, c)["ben"].read_seq == 2


def test_a_count_of_zero_means_all_that_chatd_sent(store: MysqlStore, desk: Desk, app: App) -> None:
    """Whatever the clocks say: chatd would have counted up."""
    c = desk.chat("ada", "ben")
    desk.now = now() + 60_000
    desk.say(c, "ada", "1", "2")
    app.change(c, "ben", "unreadCount = 0")
    take_in(store)
    assert seats(store, c)["ben"].read_seq == 2


def test_a_higher_count_is_overwritten(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1")
    before = rev(store, c)
    app.change(c, "ben", "unreadCount = unreadCount + 5")
    take_in(store)
    assert app.unread(c) == {"ada": 0, "ben": 1}
    assert rev(store, c) == before, "nobody has to hear of that"


def test_a_status_of_read_means_read(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1", "2")
    desk.say(c, "ben", "3")
    app.run("UPDATE Message SET status = 'READ' WHERE seq = 1")
    take_in(store)
    found = seats(store, c)
    assert (found["ben"].read_seq, found["ada"].read_seq) == (3, 0), "up to the newest, and only who it was sent to"
    assert app.unread(c) == {"ada": 1, "ben": 0}
    assert app.rows("SELECT status FROM Message ORDER BY seq") == [("READ",), ("READ",), ("SENT",)]


def test_a_message_that_was_read_before_it_was_numbered(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    app.message(c, "ada", "m-1", status="READ")
    app.message(c, "ben", "m-2", status="DELIVERED")
    take_in(store)
    found = seats(store, c)
    assert found["ben"].read_seq >= 1
    assert (found["ada"].delivered_seq, found["ada"].read_seq) == (2, 0)
    assert app.unread(c) == {"ada": 1, "ben": 0}


def test_in_a_group_one_status_does_not_tell_who_has_read(store: MysqlStore, desk: Desk, app: App) -> None:
    g = desk.group("ada", "ben", "cleo")
    desk.say(g, "ada", "1")
    app.run("UPDATE Message SET status = 'READ'")
    take_in(store)
    assert {seat.read_seq for seat in seats(store, g).values()} == {0}


# -- what is gone --


def test_a_message_that_the_app_deleted_is_a_tombstone(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    sent = desk.say(c, "ada", *"12345")
    desk.changed(desk.edit(c, "ada", 2, "two"))
    before = rev(store, c)
    app.run("DELETE FROM Message WHERE seq IN (2, 5)")
    assert store.lacks(c)
    take_in(store, c)
    assert not store.lacks(c)
    found = history(store, c)
    assert [(m.seq, m.deleted_at is None) for m in found] == [(1, True), (2, False), (3, True), (4, True), (5, False)]
    for stone in found[1], found[4]:
        assert (stone.sender, stone.body, stone.rev > before) == (None, "", True)
        assert stone.id not in {m.id for m in sent}
    assert rev(store, c) == before + 2
    assert app.unread(c) == {"ada": 0, "ben": 3}
    assert desk.say(c, "ben", "6")[0].seq == 6, "a number is not used again"
    assert desk.refused(desk.edit(c, "ada", 2, "x")).reason == "not_found"


def test_pages_over_what_is_gone(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *map(str, range(1, 21)))
    app.run("DELETE FROM Message WHERE seq BETWEEN 3 AND 9 OR seq > 17")
    take_in(store, c)

    def pages(*, back: bool) -> list[list[int]]:
        found: list[list[int]] = []
        place = None if back else 0
        while True:
            page = store.history(c, "ben", before=place if back else None, after=None if back else place, limit=4)
            assert page is not None
            found.append([m.seq for m in page.messages])
            if not page.more:
                return found
            place = found[-1][0 if back else -1]

    assert pages(back=False) == [list(range(n, n + 4)) for n in range(1, 21, 4)]
    assert pages(back=True) == [list(range(n, n + 4)) for n in range(17, 0, -4)]


def test_those_who_catch_up_hear_of_what_is_gone(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *"1234")
    app.run("DELETE FROM Message WHERE seq <= 3")
    take_in(store, c)
    found: dict[int, Message] = {}
    place = 5
    while True:
        since = store.since(c, "ben", place, limit=1)
        assert since is not None
        found.update((m.seq, m) for m in since.messages)
        place = since.through
        if place == since.room.conversation.rev:
            break
    assert sorted(found) == [1, 2, 3]
    assert all(m.deleted_at is not None for m in found.values())
    assert not store.standings("ben", {c: 5})[c].reset


def test_a_conversation_that_is_gone_is_nothing(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1")
    app.message(c, "ada", "m-1", 1000)
    app.run("SET foreign_key_checks = 0")
    app.run("DELETE FROM Conversation")
    take_in(store)
    assert store.room(c) is None
    assert not store.lacks(c)
    assert not store.lacks("no such conversation")


def test_another_one_is_not_what_was_asked_for() -> None:
    """In an adopted database ids may be compared without regard to case."""
    server = mariadb.server()
    name = server.database()
    with (
        contextlib.closing(MysqlStore(server.url(name), new_epoch=lambda: "e")) as store,
        server.session(name) as cursor,
    ):
        for table, key in ("ConversationParticipant", "conversationId"), ("Message", "conversationId"):
            cursor.execute(f"ALTER TABLE {table} DROP FOREIGN KEY {table}_{key}_fkey")
        cursor.execute("ALTER TABLE Conversation MODIFY id VARCHAR(191) COLLATE utf8mb4_unicode_ci NOT NULL")
        App(cursor).conversation("Conv")
        assert store.lacks("Conv")
        assert not store.lacks("conv")


def test_tables_and_columns_may_have_other_names() -> None:
    names = {
        "Conversation": "threads", "Conversation.title": "subject",
        "ConversationParticipant": "members", "ConversationParticipant.userId": "person",
        "Message": "posts", "Message.content": "body", "Message.conversationId": "thread", "Message.seq": "place",
        "Message.senderId": "author", "Message.chatdTouched": "touched", "Message.status": "state",
    }  # fmt: skip
    server = mariadb.server()
    name = server.database()
    with (
        contextlib.closing(MysqlStore(server.url(name), new_epoch=lambda: "e", names=names)) as store,
        server.session(name) as cursor,
    ):
        desk = Desk(store)
        c = desk.chat("ada", "ben")
        desk.say(c, "ada", "1", "2")
        cursor.execute("INSERT INTO posts (id, thread, author, body, state, replyToId) VALUES (%s, %s, %s, %s, %s, %s)",
                       ("p-1", c, "ben", "3", "READ", history(store, c)[0].id))  # fmt: skip
        cursor.execute("UPDATE members SET unreadCount = 0 WHERE person = 'ben'")
        cursor.execute("DELETE FROM posts WHERE place = 2")
        cursor.execute("UPDATE threads SET subject = 'Root canal'")
        take_in(store)
        take_in(store, c)
        assert [(m.seq, m.body, m.reply_to) for m in history(store, c)] == [(1, "1", None), (2, "", None), (3, "3", 1)]
        assert {user: seat.read_seq for user, seat in seats(store, c).items()} == {"ada": 3, "ben": 2}
        cursor.execute("UPDATE threads SET subject = 'Filling'")
        assert retitled(store) == (c,)
        take_in(store, c)
        assert retitled(store) == ()


# -- several daemons, and faults --


def test_two_daemons_take_in_the_same_things_once(store: MysqlStore, desk: Desk, app: App, tmp_path: Path) -> None:
    c = desk.chat("ada", "ben")
    with contextlib.closing(mysql(tmp_path)) as other:
        for n in range(60):
            app.message(c, "ada", f"m-{n:02}", 1000 + n)
            if n % 10 == 0:
                app.change(c, "ben", "isMuted = 1 - isMuted")
            if n % 20 == 5:
                threads = [threading.Thread(target=take_in_quietly, args=(one,)) for one in (store, other)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        take_in(store)
    found = history(store, c)
    assert [(m.seq, m.id) for m in found] == [(n + 1, f"m-{n:02}") for n in range(60)]
    assert len({m.rev for m in found}) == 60
    assert app.unread(c) == {"ada": 0, "ben": 60}


def take_in_quietly(store: MysqlStore) -> None:
    while store.take_in(None, now()):
        pass


def test_a_connection_lost_in_commit_does_no_harm(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    server = mariadb.server()
    address = server.url(store.database)
    port = int(address.rpartition(":")[2].partition("/")[0])
    for cut in ("before", "after", "at once"):
        cutter = Cutter(port)
        try:
            with contextlib.closing(
                MysqlStore(address.replace(f":{port}/", f":{cutter.port}/"), new_epoch=lambda: "e")
            ) as proxied:
                app.message(c, "ada", f"m {cut}", status="READ")
                cutter.arm(cut)
                with contextlib.suppress(Exception):
                    proxied.take_in(None, now())
                assert cutter.cuts == 1
                take_in(proxied)
        finally:
            cutter.close()
    assert [(m.seq, m.id) for m in history(store, c)] == [(1, "m before"), (2, "m after"), (3, "m at once")]
    assert seats(store, c)["ben"].read_seq == 3
