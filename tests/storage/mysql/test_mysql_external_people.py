"""Conversations, their people and titles that an app makes and changes beside chatd, taken in."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.mysql.store import MysqlStore
from support import mariadb
from support.beside import App, ingest, past_desk, retitled
from support.shown import rev, seats, unread
from support.stores import Desk, mysql


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
    return past_desk(store)


# -- conversations and people --


def test_new_conversation_of_two(store: MysqlStore, desk: Desk, app: App) -> None:
    desk.people("ada", "ben")
    app.conversation("conv-1", "ada", "ben")
    app.message("conv-1", "ada", "m-1", 1000)
    assert store.room("conv-1") is None
    assert store.scan(store.scan(None).next).conversations == {}
    assert store.has_pending("conv-1")
    ingest(store, "conv-1")
    assert not store.has_pending("conv-1")
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


def test_conversation_that_grows(store: MysqlStore, desk: Desk, app: App) -> None:
    """An app may write without a transaction: what is seen of it in between is a conversation, too."""
    desk.people("ada", "ben", "cleo")
    app.conversation("conv-1")
    ingest(store)
    assert store.room("conv-1") is None, "nobody is in it"
    found = []
    for user in ("ben", "ada", "cleo"):
        app.seat("conv-1", user)
        ingest(store)
        room = store.room("conv-1")
        assert room is not None
        found.append((room.conversation.kind, room.conversation.pair, room.conversation.rev))
    assert found == [("direct", None, 1), ("direct", "ada ben", 2), ("group", None, 3)]
    assert {user: seat.role for user, seat in seats(store, "conv-1").items()} == {
        "ben": "owner", "ada": "member", "cleo": "member",
    }  # fmt: skip
    assert desk.changed(desk.open("ada", "ben")).created, "the pair is free again"


def test_newest_conversation_of_two_is_the_one_that_is_found(store: MysqlStore, desk: Desk, app: App) -> None:
    old = desk.chat("ada", "ben")
    app.conversation("conv-2", "ben", "ada")
    ingest(store)
    assert desk.unchanged(desk.open("ada", "ben")).room.id == "conv-2"
    app.change(old, "ben", "isMuted = 1")
    ingest(store)
    assert desk.unchanged(desk.open("ada", "ben")).room.id == "conv-2", "the old one doesn't take it back"
    assert [m.seq for m in desk.say(old, "ada", "still here")] == [1]


def test_external_newcomer_has_nothing_unread(store: MysqlStore, desk: Desk, app: App) -> None:
    g = desk.group("ada", "ben")
    desk.people("cleo")
    desk.say(g, "ada", "1", "2")
    before = rev(store, g)
    app.seat(g, "cleo")
    ingest(store)
    seat = seats(store, g)["cleo"]
    assert (seat.role, seat.from_seq, seat.read_seq, seat.delivered_seq, seat.rev) == ("member", 3, 2, 2, before + 1)
    assert unread(store, g, "cleo") == 0
    assert seats(store, g)["ada"].rev == 1, "the others have not moved"


def test_external_leave_is_ingested(store: MysqlStore, desk: Desk, app: App) -> None:
    g = desk.group("ada", "ben", "cleo")
    desk.say(g, "ada", "1")
    desk.changed(desk.receipt(g, "ben", read=1))
    before = rev(store, g)
    app.change(g, "cleo", "leftAt = NOW(3), unreadCount = 0")
    ingest(store)
    seat = seats(store, g)["cleo"]
    assert (seat.present, seat.rev, rev(store, g)) == (False, before + 1, before + 1)
    assert app.rows("SELECT status FROM Message WHERE seq = 1") == [("READ",)], "cleo needn't read it any more"
    assert store.history(g, "cleo", before=None, after=None, limit=5) is None
    app.change(g, "ada", "leftAt = NOW(3)")
    ingest(store)
    assert seats(store, g)["ben"].role == "owner", "a group keeps an owner"
    app.change(g, "cleo", "leftAt = NULL")
    ingest(store)
    assert seats(store, g)["cleo"].present
    assert unread(store, g, "cleo") == 1


def test_second_row_of_a_user_counts_when_the_first_has_left(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1", "2")
    desk.changed(desk.receipt(c, "ben", read=1))
    before = rev(store, c)
    app.seat(c, "ben", row="again")
    ingest(store)
    assert rev(store, c) == before, "a second row of who is in is nothing"
    app.run("UPDATE ConversationParticipant SET leftAt = NOW(3) WHERE userId = 'ben' AND id <> 'again'")
    ingest(store)
    seat = seats(store, c)["ben"]
    assert (seat.present, seat.read_seq, seat.rev) == (True, 1, before + 1)
    assert len(seats(store, c)) == 2
    assert unread(store, c, "ben") == 1
    assert [m.seq for m in desk.say(c, "ben", "3")] == [3]
    assert app.rows("SELECT id, rev IS NULL FROM ConversationParticipant WHERE userId = 'ben' AND leftAt IS NULL") == [
        ("again", 0)
    ]


@pytest.mark.parametrize("column", ["isMuted", "isPinned", "isArchived"])
def test_flag_that_the_app_set_is_a_change(store: MysqlStore, desk: Desk, app: App, column: str) -> None:
    c = desk.chat("ada", "ben")
    before = rev(store, c)
    app.change(c, "ben", f"{column} = 1")
    ingest(store)
    since = store.since(c, "ben", before, limit=10)
    assert since is not None
    assert [p.user for p in since.participants] == ["ben"]
    membership = since.membership
    assert {"isMuted": membership.muted, "isPinned": membership.pinned, "isArchived": membership.archived}[column]
    assert rev(store, c) == before + 1
    ingest(store)
    assert rev(store, c) == before + 1, "once"


# -- titles --


@pytest.mark.parametrize("title", ["Another", "recall", "Recall ", None, "", "複診 🦷"])
def test_title_that_the_app_changed_is_a_change(store: MysqlStore, desk: Desk, app: App, title: str | None) -> None:
    g = desk.group("ada", "ben", "cleo")
    before = rev(store, g)
    assert retitled(store) == ()
    app.run("UPDATE Conversation SET title = %s", title)
    assert retitled(store) == (g,)
    assert store.has_pending(g)
    ingest(store, g)
    assert (retitled(store), store.has_pending(g)) == ((), False)
    since = store.since(g, "ben", before, limit=10)
    assert since is not None
    assert (since.room.conversation.title, since.through) == (title, before + 1)
    assert (since.messages, since.participants) == ((), ()), "nobody knows who did it"
    ingest(store, g)
    assert rev(store, g) == before + 1, "once"


def test_title_is_not_hidden_by_what_chatd_writes(store: MysqlStore, desk: Desk, app: App) -> None:
    g = desk.group("ada", "ben", "cleo")
    app.run("UPDATE Conversation SET title = 'Another'")
    desk.say(g, "ada", "hi")
    assert retitled(store) == (g,)
    ingest(store)
    assert retitled(store) == (g,), "only what waits is looked for in all conversations"
    desk.changed(desk.title(g, "ada", "Mine"))
    assert retitled(store) == (), "chatd's own is the newest"
    app.run("UPDATE Conversation SET title = 'Another'")
    app.message(g, "ben", "m-1")
    before = rev(store, g)
    ingest(store)
    assert (retitled(store), rev(store, g)) == ((), before + 2), "taken in with the message"


def test_title_of_two(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    app.run("UPDATE Conversation SET title = 'Root canal'")
    ingest(store, c)
    assert retitled(store) == ()
    found = desk.unchanged(desk.open("ben", "ada")).room
    assert (found.id, found.kind, found.title, found.rev) == (c, "direct", "Root canal", 2)


def test_title_of_the_apps_own_conversation_is_nothing_new(store: MysqlStore, desk: Desk, app: App) -> None:
    desk.people("ada", "ben")
    app.conversation("conv-1", "ada", "ben")
    app.run("UPDATE Conversation SET title = 'Root canal'")
    assert retitled(store) == (), "it has to be taken in first"
    ingest(store)
    assert (retitled(store), rev(store, "conv-1")) == ((), 1)


# -- users --


@pytest.mark.parametrize("ids", [[], ["ada"], ["gone"], ["ada", "ben", "gone", "ADA"]])
def test_missing_users_are_those_without_a_row_of_exactly_that_id(
    store: MysqlStore, desk: Desk, ids: list[str]
) -> None:
    desk.people("ada", "ben", "gone")
    with mariadb.server().session(store.database) as cursor:
        cursor.execute("DELETE FROM User WHERE id = 'gone'")
    assert store.missing_users(ids) == sorted({"gone", "ADA"}.intersection(ids))


def test_missing_users_of_many_are_found(store: MysqlStore, desk: Desk) -> None:
    desk.people(*(f"u{n}" for n in range(10)))
    assert len(store.missing_users([f"u{n}" for n in range(2500)])) == 2490
