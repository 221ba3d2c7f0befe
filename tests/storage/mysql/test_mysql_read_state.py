"""Who has read what, by an app's own columns: counted at its adoption, kept up, and noticed."""

from typing import Any

import pytest

from support import prisma_app, shapes
from support.beside import ingest
from support.prisma_app import PLAIN, App, adopt, served
from support.stores import Desk

NO_COUNT = "    `unreadCount` INTEGER NOT NULL DEFAULT 0,\n"


def tables(*, seat: str = "", message: str = "", counted: bool = False) -> tuple[str, ...]:
    found = []
    for statement in PLAIN:
        if not counted:
            statement = statement.replace(NO_COUNT, "")
        if "CREATE TABLE `ConversationParticipant`" in statement:
            statement = statement.replace("`isMuted`", f"{seat} `isMuted`")
        if "CREATE TABLE `Message`" in statement:
            statement = statement.replace("`createdAt`", f"{message} `createdAt`")
        found.append(statement)
    return tuple(found)


def seat(app: App, user: str) -> None:
    app.run("INSERT INTO ConversationParticipant (id, conversationId, userId, joinedAt) VALUES (%s, 'c1', %s, %s)",
            f"p-{user}", user, app.tick())  # fmt: skip


def begin(app: App) -> list[int]:
    """Ada sends three messages to bo; their times."""
    prisma_app.people(app)
    app.conversation("c1")
    seat(app, "ada")
    seat(app, "bo")
    times = []
    for body in "one", "two", "three":
        app.say("c1", "ada", body)
        times.append(app.now)
    return times


def unread(store: Any, user: str = "bo") -> int:
    found = store.summary("c1", user)
    assert found is not None
    return int(found[0].membership.unread)


@pytest.mark.parametrize("name", ["lastReadAt", "last_seen_at"])
def test_read_state_of_a_time_is_adopted_kept_up_and_noticed(name: str) -> None:
    with prisma_app.app(*tables(seat=f"`{name}` DATETIME(3) NULL,")) as app:
        times = begin(app)
        app.run(f"UPDATE ConversationParticipant SET {name} = %s WHERE userId = 'bo'", app.time(times[1]))
        adopt(app)
        with served(app) as store:
            assert unread(store) == 1
            desk = Desk(store)
            desk.now = app.now
            desk.changed(desk.receipt("c1", "bo", read=3))
            at = app.run(f"SELECT {name} FROM ConversationParticipant WHERE userId = 'bo'")[0][0]
            assert str(at) >= app.time(times[2])[:19]
            desk.say("c1", "ada", "four", "five")
            assert unread(store) == 2
            app.run("UPDATE ConversationParticipant SET isMuted = true WHERE userId = 'bo'")
            ingest(store, None)
            assert unread(store) == 2, "that time is chatd's own"
            app.run(f"UPDATE ConversationParticipant SET {name} = %s WHERE userId = 'bo'", app.time(desk.now + 5000))
            ingest(store, None)
            assert unread(store) == 0
        assert app.run("SELECT DISTINCT status FROM Message") == [("READ",)]


@pytest.mark.parametrize(
    ("column", "read"),
    [
        ("`isRead` BOOLEAN NOT NULL DEFAULT false,", "isRead = true"),
        ("`seen` BOOLEAN NOT NULL DEFAULT false,", "seen = true"),
        ("`readAt` DATETIME(3) NULL,", "readAt = NOW(3)"),
    ],
)
def test_read_state_of_messages_is_adopted_kept_up_and_noticed(column: str, read: str) -> None:
    name = column.split("`")[1]
    with prisma_app.app(*tables(message=column)) as app:
        begin(app)
        app.run(f"UPDATE Message SET {read} WHERE content = 'one'")
        adopt(app)
        with served(app) as store:
            assert unread(store) == 2
            desk = Desk(store)
            desk.now = app.now
            desk.changed(desk.receipt("c1", "bo", read=2))
            marks = [bool(mark) for (mark,) in app.run(f"SELECT {name} FROM Message ORDER BY seq")]
            assert marks == [True, True, False]
            desk.say("c1", "ada", "four")
            app.run(f"UPDATE Message SET {read} WHERE senderId = 'ada'")
            ingest(store, None)
            assert unread(store) == 0
        assert app.run("SELECT DISTINCT status FROM Message") == [("READ",)]


def test_read_state_of_a_table_is_adopted() -> None:
    seen = (
        "CREATE TABLE `MessageRead` (`id` VARCHAR(191) PRIMARY KEY, `messageId` VARCHAR(191) NOT NULL, "
        "`userId` VARCHAR(191) NOT NULL) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
    )
    with prisma_app.app(*tables(), seen) as app:
        begin(app)
        app.run("INSERT INTO MessageRead SELECT id, id, 'bo' FROM Message WHERE content = 'two'")
        adopt(app)
        with served(app) as store:
            assert (unread(store), unread(store, "ada")) == (1, 0)


def test_without_any_read_state_everything_is_read() -> None:
    with prisma_app.app(*tables()) as app:
        begin(app)
        adopt(app)
        with served(app) as store:
            assert unread(store) == 0


def test_read_state_of_a_table_with_numbers_is_adopted() -> None:
    tables = (statement.replace(NO_COUNT, "") for statement in shapes.numbered())
    seen = "CREATE TABLE `MessageRead` (`messageId` INTEGER, `userId` INTEGER, PRIMARY KEY (`messageId`, `userId`))"
    with prisma_app.app(*tables, seen) as app:
        for name in "Ada", "Bo":
            app.run("INSERT INTO User (name, updatedAt) VALUES (%s, NOW(3))", name)
        app.run("INSERT INTO Conversation (updatedAt) VALUES (NOW(3))")
        for user in 1, 2:
            app.run("INSERT INTO ConversationParticipant (conversationId, userId) VALUES (1, %s)", user)
        for body in "one", "two", "three":
            app.run("INSERT INTO Message (conversationId, senderId, content, createdAt) VALUES (1, 1, %s, %s)",
                    body, app.tick())  # fmt: skip
        app.run("INSERT INTO MessageRead VALUES (2, 2)")
        adopt(app)
        with served(app) as store:
            found = store.summary("1", "2")
            assert found is not None
            assert found[0].membership.unread == 1
