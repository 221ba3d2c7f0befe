"""Tables of an app's that say who has read which message: what is read in the app is noticed, and what in chatd."""

import contextlib
import re
from collections.abc import Iterator, Sequence

import pytest

from storage.mysql.store import MysqlStore
from support import prisma_app, shapes
from support.beside import ingest
from support.prisma_app import PLAIN, App, adopt, adoption_of, layout, served
from support.stores import Desk

NO_COUNT = "    `unreadCount` INTEGER NOT NULL DEFAULT 0,\n"
PLAIN_UNCOUNTED = tuple(statement.replace(NO_COUNT, "") for statement in PLAIN)
LINK = "`messageId` VARCHAR(191) NOT NULL, `userId` VARCHAR(191) NOT NULL"
READ_AT = "`readAt` DATETIME(3) NOT NULL, UNIQUE (`userId`, `messageId`)"
KINDS = {
    "MessageRead": f"{LINK}, `id` VARCHAR(191) PRIMARY KEY, {READ_AT}",
    "message_seen": f"{LINK}, PRIMARY KEY (`messageId`, `userId`)",
    "readreceipts": f"`id` INTEGER AUTO_INCREMENT PRIMARY KEY, {LINK}, `read_at` DATETIME(3) NULL",
    "MessageReceipt": f"`id` VARCHAR(36) PRIMARY KEY, {LINK}, `status` ENUM('delivered', 'read') NOT NULL",
}  # fmt: skip
NEW = {
    "MessageRead": "(id, messageId, userId, readAt) SELECT id, id, 'bo', NOW(3)",
    "message_seen": "(messageId, userId) SELECT id, 'bo'",
    "readreceipts": "(messageId, userId, read_at) SELECT id, 'bo', NOW(3)",
    "MessageReceipt": "(id, messageId, userId, status) SELECT id, id, 'bo', 'read'",
}


def create(name: str, columns: str) -> str:
    return f"CREATE TABLE `{name}` ({columns}) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"


@contextlib.contextmanager
def clinic(name: str, columns: str, tables: Sequence[str] = PLAIN_UNCOUNTED) -> Iterator[App]:
    """Ada sends three messages to bo, in the app."""
    with prisma_app.app(*tables, create(name, columns)) as app:
        prisma_app.people(app)
        app.run("INSERT INTO Conversation (id, updatedAt) VALUES ('c1', NOW(3))")
        for user in "ada", "bo":
            app.run("INSERT INTO ConversationParticipant (id, conversationId, userId, joinedAt) "
                    "VALUES (%s, 'c1', %s, %s)", f"p-{user}", user, app.tick())  # fmt: skip
        app.say("c1", "ada", "one", "two", "three")
        yield app


def read_in_app(app: App, name: str, body: str) -> None:
    app.run(f"INSERT INTO {name} {NEW[name]} FROM Message WHERE content = %s", body)


def unread(store: MysqlStore, user: str = "bo") -> int:
    found = store.summary("c1", user)
    assert found is not None
    return found[0].membership.unread


@pytest.mark.parametrize("name", KINDS)
def test_seen_table_of_the_app_is_adopted_noticed_and_kept_up(name: str) -> None:
    with clinic(name, KINDS[name]) as app:
        read_in_app(app, name, "one")
        if name == "readreceipts":
            app.run(f"INSERT INTO {name} (messageId, userId) SELECT id, 'bo' FROM Message WHERE content = 'three'")
        adopt(app)
        with served(app) as store:
            assert not store.scan(None).waiting, "the adoption has counted them"
            assert (unread(store), unread(store, "ada")) == (2, 0)
            read_in_app(app, name, "two")
            assert store.scan(None).waiting
            assert store.has_pending("c1")
            ingest(store)
            assert not store.has_pending("c1")
            assert unread(store) == 1
            room = store.room("c1")
            assert room is not None
            assert [p.read_seq for p in room.participants] == [0, 2]
            desk = Desk(store)
            desk.now = app.now
            desk.say("c1", "ada", "four", "five")
            desk.say("c1", "bo", "mine")
            desk.changed(desk.delete("c1", "ada", 4))
            desk.changed(desk.receipt("c1", "bo", read=6))
            assert not store.scan(None).waiting, "chatd's own rows are no news"
            says = {"readreceipts": "s.read_at IS NOT NULL", "MessageReceipt": "s.status = 'read'"}.get(name, "TRUE")
            found = app.run(f"SELECT m.content, s.userId FROM {name} s JOIN Message m ON m.id = s.messageId "
                            f"WHERE {says} ORDER BY m.seq, s.userId")  # fmt: skip
            assert found == [("one", "bo"), ("two", "bo"), ("three", "bo"), ("five", "bo")]
            app.say("c1", "ada", "six")
            read_in_app(app, name, "six")
            ingest(store)
            assert unread(store) == 0, "of a message that was not numbered yet, too"
        if name == "MessageRead":
            ids = [id for (id,) in app.run("SELECT id FROM MessageRead WHERE id NOT LIKE 'm0%'")]
            assert len(ids) == 2
            assert all(re.fullmatch("c[0-9a-f]{24}", id) for id in ids)
        assert app.run("SELECT DISTINCT status FROM Message WHERE senderId = 'ada' AND deletedAt IS NULL") == [
            ("READ",)
        ]


def test_seen_table_with_a_column_of_the_apps_alone_is_only_read() -> None:
    with clinic("MessageRead", f"{KINDS['MessageRead']}, `deviceId` INTEGER NOT NULL") as app:
        notes = [finding.text for finding in adoption_of(app).examine().only("note") if finding.table == "MessageRead"]
        assert notes == ["tells who has read what: it counts, and chatd adds no rows, having nothing for deviceId"]
        adopt(app)
        with served(app) as store:
            desk = Desk(store)
            desk.changed(desk.receipt("c1", "bo", read=1))
            assert app.run("SELECT * FROM MessageRead") == []
            app.run("INSERT INTO MessageRead (id, messageId, userId, readAt, deviceId) SELECT id, id, 'bo', NOW(3), 1 "
                    "FROM Message")  # fmt: skip
            ingest(store, "c1")
            assert unread(store) == 0


def test_seen_table_with_numbers_is_noticed_and_kept_up() -> None:
    tables = (statement.replace(NO_COUNT, "") for statement in shapes.numbered("BIGINT"))
    seen = create("MessageSeen", "`messageId` BIGINT, `userId` BIGINT, PRIMARY KEY (`messageId`, `userId`)")
    first = 2**53
    with prisma_app.app(*tables, seen) as app:
        for table in "User", "Conversation", "Message":
            app.run(f"ALTER TABLE {table} AUTO_INCREMENT = {first}")
        for name in "Ada", "Bo":
            app.run("INSERT INTO User (name, updatedAt) VALUES (%s, NOW(3))", name)
        app.run("INSERT INTO Conversation (updatedAt) VALUES (NOW(3))")
        for user in first, first + 1:
            app.run("INSERT INTO ConversationParticipant (conversationId, userId) VALUES (%s, %s)", first, user)
        adopt(app)
        with served(app) as store:
            c, ada, bo = str(first), str(first), str(first + 1)
            desk = Desk(store)
            desk.now = app.now
            desk.say(c, ada, "one", "two", "three")
            app.run("INSERT INTO MessageSeen (messageId, userId) SELECT id, %s FROM Message WHERE content = 'two'",
                    first + 1)  # fmt: skip
            ingest(store)
            found = store.summary(c, bo)
            assert found is not None
            assert found[0].membership.unread == 1
            desk.changed(desk.receipt(c, bo, read=3))
        assert app.run("SELECT m.content, s.userId FROM MessageSeen s JOIN Message m ON m.id = s.messageId "
                       "ORDER BY m.seq") == [(body, first + 1) for body in ("one", "two", "three")]  # fmt: skip


def test_seen_table_is_left_as_it_was() -> None:
    with clinic("MessageRead", KINDS["MessageRead"], PLAIN) as app:
        before = layout(app)
        adopt(app)
        assert (
            "// To the model of the table MessageRead:\n  chatdTouched DateTime?"
            in adoption_of(app).examine().fragment()
        )
        assert layout(app) != before
        for statement in adoption_of(app).examine().undo().split(";\n"):
            lines = "\n".join(line for line in statement.splitlines() if not line.startswith("--"))
            if lines.strip():
                app.run(lines)
        assert layout(app) == before


@pytest.mark.parametrize("name", ["ThreadReaction", "UnreadMessage", "DeliveryReceipt", "ReadableMessage_"])
def test_table_of_something_else_is_left_alone(name: str) -> None:
    columns = KINDS["message_seen"] if name != "ReadableMessage_" else "`messageId` VARCHAR(191) PRIMARY KEY"
    with clinic(name, columns) as app:
        before = app.run(f"SHOW CREATE TABLE {name}")
        adopt(app)
        assert app.run(f"SHOW CREATE TABLE {name}") == before
