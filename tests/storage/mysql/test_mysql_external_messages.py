"""Messages that an app writes, changes, reads and deletes beside chatd, taken in."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.mysql.external_writes import ingest as ingest_module
from storage.mysql.external_writes import scan
from storage.mysql.store import MysqlStore
from storage.records import Message
from support import mariadb
from support.beside import App, ingest, now, past_desk
from support.shown import history, rev, seats, unread
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


# -- messages --


def test_messages_of_the_app_are_numbered_by_their_time(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    (first,) = desk.say(c, "ada", "first")
    at = first.sent_at
    app.message(c, "ben", "a-late", at + 300)
    app.message(c, "ada", "m-b", at + 200)
    app.message(c, "ada", "m-a", at + 200, replyToId=first.id)
    assert store.scan(None).waiting
    assert [m.id for m in history(store, c)] == [first.id], "not taken in, not there"
    ingest(store)
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


def test_answer_to_a_message_of_the_same_moment(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    app.message(c, "ada", "m-1", 1000)
    app.message(c, "ben", "m-2", 2000, replyToId="m-1")
    ingest(store)
    assert [m.reply_to for m in history(store, c)] == [None, 1]


def test_older_message_does_not_turn_back_the_clock(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    (sent,) = desk.say(c, "ada", "hi")
    desk.changed(desk.settings(c, "ben", archived=True))
    app.message(c, "ada", "m-1", sent.sent_at - 5000)
    ingest(store)
    room = store.room(c)
    assert room is not None
    assert room.conversation.last_message_at == sent.sent_at
    assert not seats(store, c)["ben"].archived, "a new message from another un-archives"


def test_ingest_many_messages_goes_a_few_at_a_time(
    store: MysqlStore, desk: Desk, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "ROWS_PER_INGEST", 10)
    monkeypatch.setattr(scan, "CONVERSATIONS_PER_INGEST", 2)
    monkeypatch.setattr(ingest_module, "_ROWS_PER_UPDATE", 3)
    people = ["ben", "cleo", "dan"]
    conversations = [desk.chat("ada", other) for other in people]
    for n in range(45):
        app.message(conversations[n % 3], "ada", f"m-{n:02}", 1000 + n)
    assert ingest(store) >= 4
    for c, other in zip(conversations, people, strict=True):
        found = history(store, c)
        assert [m.seq for m in found] == list(range(1, 16))
        assert [m.rev for m in found] == list(range(2, 17))
        assert sorted(m.id for m in found) == [m.id for m in found]
        assert app.unread(c) == {"ada": 0, other: 15}


def test_ingest_rows_still_locked_hold_nobody_up(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    app.message(c, "ada", "m-1", 1000)
    app.message(c, "ada", "m-2", 2000)
    with mariadb.server().session(store.database) as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE Message SET content = 'not done yet' WHERE id = 'm-1'")
        began = time.monotonic()
        store.ingest(None, now())
        assert time.monotonic() - began < 2, "it doesn't wait for the row"
        assert [m.id for m in history(store, c)] == ["m-2"]
        cursor.execute("COMMIT")
    ingest(store)
    assert [(m.seq, m.id, m.body) for m in history(store, c)] == [(1, "m-2", "text of m-2"), (2, "m-1", "not done yet")]


def test_text_that_the_app_changed(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    one, two, _ = desk.say(c, "ada", "1", "2", "3")
    app.run("UPDATE Message SET content = 'another' WHERE id = %s", one.id)
    app.run("UPDATE Message SET deletedAt = NOW(3) WHERE id = %s", two.id)
    ingest(store)
    since = store.since(c, "ben", 4, limit=10)
    assert since is not None
    assert {(m.seq, m.body, m.deleted_at is None) for m in since.messages} == {(1, "another", True), (2, "", False)}
    assert {m.rev for m in since.messages} == {5, 6}
    assert rev(store, c) == 6
    assert app.unread(c) == {"ada": 0, "ben": 2}


# -- reading in the app --


@pytest.mark.parametrize("count", [0, 2])
def test_lower_count_means_read(store: MysqlStore, desk: Desk, app: App, count: int) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1", "2", "3")
    app.change(c, "ben", f"unreadCount = {count}")
    ingest(store)
    seat = seats(store, c)["ben"]
    assert (seat.read_seq, seat.delivered_seq, seat.rev) == (3, 3, rev(store, c))
    assert app.unread(c) == {"ada": 0, "ben": 0}
    assert app.rows("SELECT DISTINCT status FROM Message") == [("READ",)]
    assert store.receipt_times(c, 3)[1].read_at is not None


def test_ingest_message_after_the_read_mark_stays_unread(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1", "2")
    app.change(c, "ben", "unreadCount = 1")
    desk.now = now() + 5000
    desk.say(c, "ada", "3")
    assert app.rows("SELECT unreadCount, chatdUnread FROM ConversationParticipant WHERE userId = 'ben'") == [(2, 3)]
    ingest(store)
    assert seats(store, c)["ben"].read_seq == 2
    assert app.unread(c) == {"ada": 0, "ben": 1}


def test_daemons_clock_that_is_wrong_is_allowed_for(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    hour = 3_600_000
    desk.now += hour
    desk.say(c, "ada", "1", "2")
    app.change(c, "ben", "unreadCount = 1")
    desk.now += 65_000
    desk.say(c, "ada", "3")
    while store.ingest(None, now() + hour):
        pass
    assert seats(store, c)["ben"].read_seq == 2


def test_count_of_zero_means_all_that_chatd_sent(store: MysqlStore, desk: Desk, app: App) -> None:
    """Whatever the clocks say: chatd would have counted up."""
    c = desk.chat("ada", "ben")
    desk.now = now() + 60_000
    desk.say(c, "ada", "1", "2")
    app.change(c, "ben", "unreadCount = 0")
    ingest(store)
    assert seats(store, c)["ben"].read_seq == 2


def test_higher_count_is_overwritten(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1")
    before = rev(store, c)
    app.change(c, "ben", "unreadCount = unreadCount + 5")
    ingest(store)
    assert app.unread(c) == {"ada": 0, "ben": 1}
    assert rev(store, c) == before, "nobody has to hear of that"


def test_status_of_read_means_read(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1", "2")
    desk.say(c, "ben", "3")
    app.run("UPDATE Message SET status = 'READ' WHERE seq = 1")
    ingest(store)
    found = seats(store, c)
    assert (found["ben"].read_seq, found["ada"].read_seq) == (3, 0), "up to the newest, and only who it was sent to"
    assert app.unread(c) == {"ada": 1, "ben": 0}
    assert app.rows("SELECT status FROM Message ORDER BY seq") == [("READ",), ("READ",), ("SENT",)]


def test_message_that_was_read_before_it_was_numbered(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    app.message(c, "ada", "m-1", status="READ")
    app.message(c, "ben", "m-2", status="DELIVERED")
    ingest(store)
    found = seats(store, c)
    assert found["ben"].read_seq >= 1
    assert (found["ada"].delivered_seq, found["ada"].read_seq) == (2, 0)
    assert app.unread(c) == {"ada": 1, "ben": 0}


def test_status_in_a_group_does_not_tell_who_has_read(store: MysqlStore, desk: Desk, app: App) -> None:
    g = desk.group("ada", "ben", "cleo")
    desk.say(g, "ada", "1")
    app.run("UPDATE Message SET status = 'READ'")
    ingest(store)
    assert {seat.read_seq for seat in seats(store, g).values()} == {0}


# -- what is gone --


def test_message_that_the_app_deleted_is_a_tombstone(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    sent = desk.say(c, "ada", *"12345")
    desk.changed(desk.edit(c, "ada", 2, "two"))
    before = rev(store, c)
    app.run("DELETE FROM Message WHERE seq IN (2, 5)")
    assert store.has_pending(c)
    ingest(store, c)
    assert not store.has_pending(c)
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
    ingest(store, c)

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


def test_ingest_deletion_is_told_to_those_who_catch_up(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *"1234")
    app.run("DELETE FROM Message WHERE seq <= 3")
    ingest(store, c)
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


def test_conversation_that_is_gone_is_nothing(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1")
    app.message(c, "ada", "m-1", 1000)
    app.run("SET foreign_key_checks = 0")
    app.run("DELETE FROM Conversation")
    ingest(store)
    assert store.room(c) is None
    assert not store.has_pending(c)
    assert not store.has_pending("no such conversation")
