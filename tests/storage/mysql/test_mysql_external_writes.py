"""What an app writes beside chatd is found, by every daemon once; and chatd's own writes are none of it."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.contract import SharedStore
from storage.mysql.external_writes import scan
from storage.mysql.store import MysqlStore
from support import mariadb
from support.beside import App, ingest, now, past_desk, retitled
from support.cutter import Cutter
from support.shown import history, rev, seats
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


def test_chatds_own_writes_are_not_waiting(store: MysqlStore, desk: Desk) -> None:
    assert isinstance(store, SharedStore)
    place = store.scan(None).next
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1", "2")
    desk.do(
        desk.receipt(c, "ben", read=1), desk.edit(c, "ada", 1, "one"), desk.settings(c, "ben", muted=True),
        desk.delete(c, "ada", 2), desk.react(c, "ben", 1), desk.see("ada"), desk.leave(c, "ben"),
    )  # fmt: skip
    g = desk.group("ada", "ben", "cleo")
    desk.do(desk.remove(g, "ada", "ben"), desk.title(g, "ada", "T"))
    moves = store.scan(place)
    assert not moves.waiting
    assert moves.conversations == {c: rev(store, c), g: rev(store, g)}
    assert sorted(user.id for user in moves.users) == ["ada", "ben", "cleo"]
    assert not store.has_pending(c)
    assert not store.has_pending(g)


def test_scan_old_write_is_not_told_again(store: MysqlStore, desk: Desk, app: App) -> None:
    c = desk.chat("ada", "ben")
    app.run("UPDATE Conversation SET chatdTouched = NOW(3) - INTERVAL 20 SECOND")
    app.run("UPDATE User SET chatdTouched = NOW(3) - INTERVAL 20 SECOND WHERE id = 'ada'")
    place = store.scan(None).next
    moves = store.scan(place)
    assert (moves.conversations, [user.id for user in moves.users]) == ({}, ["ben"])
    desk.say(c, "ada", "hi")
    assert store.scan(moves.next).conversations == {c: 2}
    assert store.scan(store.scan(moves.next).next).conversations == {c: 2}, "a commit may come late"


@pytest.mark.parametrize("at_once", [False, True])
def test_full_page_is_read_on(
    store: MysqlStore, desk: Desk, app: App, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    monkeypatch.setattr(scan, "MAX_SCANNED", 2)
    place = store.scan(None).next
    desk.people("ada")
    for n in range(5):
        desk.chat("ada", f"den-{n}")
    if at_once:  # one statement of an app's: all rows have one time
        for table in "Conversation", "User":
            app.run(f"UPDATE {table} SET chatdTouched = NOW(3) - INTERVAL 1 SECOND")
    rooms: set[str] = set()
    users: set[str] = set()
    for _ in range(4):
        moves = store.scan(place)
        place = moves.next
        rooms.update(moves.conversations)
        users.update(user.id for user in moves.users)
    assert (len(rooms), len(users)) == (5, 6)


def test_conversation_spelled_otherwise_has_nothing_pending() -> None:
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
        assert store.has_pending("Conv")
        assert not store.has_pending("conv")


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
        ingest(store)
        ingest(store, c)
        assert [(m.seq, m.body, m.reply_to) for m in history(store, c)] == [(1, "1", None), (2, "", None), (3, "3", 1)]
        assert {user: seat.read_seq for user, seat in seats(store, c).items()} == {"ada": 3, "ben": 2}
        cursor.execute("UPDATE threads SET subject = 'Filling'")
        assert retitled(store) == (c,)
        ingest(store, c)
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
                threads = [threading.Thread(target=ingest_quietly, args=(one,)) for one in (store, other)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        ingest(store)
    found = history(store, c)
    assert [(m.seq, m.id) for m in found] == [(n + 1, f"m-{n:02}") for n in range(60)]
    assert len({m.rev for m in found}) == 60
    assert app.unread(c) == {"ada": 0, "ben": 60}


def ingest_quietly(store: MysqlStore) -> None:
    while store.ingest(None, now()):
        pass


def test_connection_lost_in_commit_does_no_harm(store: MysqlStore, desk: Desk, app: App) -> None:
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
                    proxied.ingest(None, now())
                assert cutter.cuts == 1
                ingest(proxied)
        finally:
            cutter.close()
    assert [(m.seq, m.id) for m in history(store, c)] == [(1, "m before"), (2, "m after"), (3, "m at once")]
    assert seats(store, c)["ben"].read_seq == 3
