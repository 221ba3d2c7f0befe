"""The database of an app beside chatd: tables as Prisma's migrations make them, rows as its client writes them."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import attrs

from storage.mysql.adoption.adopt import Adoption
from storage.mysql.store import MysqlStore
from storage.mysql.values import time_text

from . import mariadb

USER = """
CREATE TABLE `User` (
    `id` VARCHAR(191) NOT NULL,
    `email` VARCHAR(191) NULL,
    `name` VARCHAR(191) NULL,
    `role` ENUM('PATIENT', 'DENTIST', 'ADMIN') NOT NULL DEFAULT 'PATIENT',
    `createdAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    `updatedAt` DATETIME(3) NOT NULL,
    UNIQUE INDEX `User_email_key`(`email`),
    PRIMARY KEY (`id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci
"""
CONVERSATION = """
CREATE TABLE `Conversation` (
    `id` VARCHAR(191) NOT NULL,
    `createdAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    `updatedAt` DATETIME(3) NOT NULL,
    `lastMessageAt` DATETIME(3) NULL,
    PRIMARY KEY (`id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci
"""
PARTICIPANT = """
CREATE TABLE `ConversationParticipant` (
    `id` VARCHAR(191) NOT NULL,
    `conversationId` VARCHAR(191) NOT NULL,
    `userId` VARCHAR(191) NOT NULL,
    `joinedAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    `leftAt` DATETIME(3) NULL,
    `unreadCount` INTEGER NOT NULL DEFAULT 0,
    `isMuted` BOOLEAN NOT NULL DEFAULT false,
    `isPinned` BOOLEAN NOT NULL DEFAULT false,
    PRIMARY KEY (`id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci
"""
MESSAGE = """
CREATE TABLE `Message` (
    `id` VARCHAR(191) NOT NULL,
    `conversationId` VARCHAR(191) NOT NULL,
    `senderId` VARCHAR(191) NOT NULL,
    `content` TEXT NOT NULL,
    `status` ENUM('SENT', 'DELIVERED', 'READ') NOT NULL DEFAULT 'SENT',
    `createdAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (`id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci
"""
TABLES = (USER, CONVERSATION, PARTICIPANT, MESSAGE)
KEYS = tuple(
    f"ALTER TABLE `{table}` ADD CONSTRAINT `{table}_{column}_fkey` FOREIGN KEY (`{column}`) "
    f"REFERENCES `{target}`(`id`) ON DELETE RESTRICT ON UPDATE CASCADE"
    for table, column, target in (
        ("ConversationParticipant", "conversationId", "Conversation"),
        ("ConversationParticipant", "userId", "User"),
        ("Message", "conversationId", "Conversation"),
        ("Message", "senderId", "User"),
    )
)
FILES = (
    """
CREATE TABLE `Attachment` (
    `id` VARCHAR(191) NOT NULL,
    `messageId` VARCHAR(191) NOT NULL,
    `fileName` VARCHAR(191) NOT NULL,
    `mimeType` VARCHAR(191) NOT NULL,
    `fileSize` INTEGER NOT NULL,
    `url` VARCHAR(500) NOT NULL,
    `width` INTEGER NULL,
    `height` INTEGER NULL,
    `thumbnailUrl` VARCHAR(500) NULL,
    `createdAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (`id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci
""",
    "ALTER TABLE `Attachment` ADD CONSTRAINT `Attachment_messageId_fkey` FOREIGN KEY (`messageId`) "
    "REFERENCES `Message`(`id`) ON DELETE CASCADE ON UPDATE CASCADE",
)
"""A table of files, which the app may have beside the others."""

UNLINKED = TABLES
"""As with `relationMode = "prisma"`."""

PLAIN = (*TABLES, *KEYS)
"""The schema that the app started with: no unique key on (conversationId, userId), nor on a pair."""

RENAMED = {
    "User": "users", "Conversation": "chats", "ConversationParticipant": "chat_members", "Message": "chat_messages",
    "Message.content": "body", "Message.conversationId": "chat_id", "ConversationParticipant.conversationId": "chat_id",
    "ConversationParticipant.userId": "user_id", "ConversationParticipant.unreadCount": "unread", "Message.seq": "no",
    "Message.createdAt": "sent_at", "Message.id": "message_id", "ConversationParticipant.id": "member_id",
}  # fmt: skip
"""What an app calls its things with @@map and @map."""


RECORDED: tuple[tuple[str, tuple[object, ...]], ...] = (
    # conversation.create, with its participants
    (
        "INSERT INTO `Conversation` (`id`,`createdAt`,`updatedAt`) VALUES (%s,%s,%s)",
        ("cmwstlbrp0000", "2026-11-23 05:23:21.683", "2026-11-23 05:23:21.683"),
    ),
    (
        "INSERT INTO `ConversationParticipant` (`id`,`conversationId`,`userId`,`joinedAt`,`unreadCount`,`isMuted`,"
        "`isPinned`) VALUES (%s,%s,%s,%s,%s,%s,%s), (%s,%s,%s,%s,%s,%s,%s)",
        (
            *("cmwstlbrs0001", "cmwstlbrp0000", "ada", "2026-11-23 05:23:21.683", 0, False, False),
            *("cmwstlbrs0002", "cmwstlbrp0000", "bo", "2026-11-23 05:23:21.683", 0, False, False),
        ),
    ),
    # message.create and what goes with it
    (
        "INSERT INTO `Message` (`id`,`conversationId`,`senderId`,`content`,`status`,`createdAt`) "
        "VALUES (%s,%s,%s,%s,%s,%s)",
        ("cmwstlbs90003", "c1", "ada", "Es schmerzt", "SENT", "2026-11-23 05:23:21.705"),
    ),
    (
        "SELECT `Message`.`id`, `Message`.`conversationId`, `Message`.`senderId`, `Message`.`content`, "
        "`Message`.`status`, `Message`.`createdAt` FROM `Message` WHERE `Message`.`id` = %s LIMIT %s OFFSET %s",
        ("cmwstlbs90003", 1, 0),
    ),
    (
        "UPDATE `Conversation` SET `lastMessageAt` = %s, `updatedAt` = %s WHERE (`Conversation`.`id` IN (%s) AND "
        "(`Conversation`.`id` = %s AND 1=1))",
        ("2026-11-23 05:23:21.713", "2026-11-23 05:23:21.721", "c1", "c1"),
    ),
    (
        "UPDATE `ConversationParticipant` SET `unreadCount` = (`ConversationParticipant`.`unreadCount` + %s) WHERE "
        "(`ConversationParticipant`.`conversationId` = %s AND `ConversationParticipant`.`userId` <> %s)",
        (1, "c1", "ada"),
    ),
    # updateMany, to have read
    (
        "UPDATE `ConversationParticipant` SET `unreadCount` = %s WHERE "
        "(`ConversationParticipant`.`conversationId` = %s AND `ConversationParticipant`.`userId` = %s)",
        (0, "c1", "bo"),
    ),
    (
        "UPDATE `Message` SET `status` = %s WHERE (`Message`.`conversationId` = %s AND `Message`.`senderId` <> %s AND "
        "`Message`.`status` <> %s)",
        ("READ", "c1", "bo", "READ"),
    ),
    # conversation.findMany with a filter
    (
        "SELECT `Conversation`.`id`, `Conversation`.`createdAt`, `Conversation`.`updatedAt`, "
        "`Conversation`.`lastMessageAt` FROM `Conversation` WHERE EXISTS(SELECT `t0`.`conversationId` FROM "
        "`ConversationParticipant` AS `t0` WHERE (`t0`.`userId` = %s AND `t0`.`leftAt` IS NULL AND "
        "(`Conversation`.`id`) = (`t0`.`conversationId`) AND `t0`.`conversationId` IS NOT NULL)) "
        "ORDER BY `Conversation`.`updatedAt` DESC",
        ("ada",),
    ),
    # conversationParticipant.update, to leave and be muted
    (
        "UPDATE `ConversationParticipant` SET `isMuted` = %s, `leftAt` = %s WHERE "
        "(`ConversationParticipant`.`id` IN (%s) AND (`ConversationParticipant`.`id` = %s AND 1=1))",
        (True, "2026-11-23 05:23:21.771", "cmwstlbrs0002", "cmwstlbrs0002"),
    ),
    # user.create, user.update
    (
        "INSERT INTO `User` (`id`,`email`,`name`,`role`,`createdAt`,`updatedAt`) VALUES (%s,%s,%s,%s,%s,%s)",
        ("cy", "cy@example.org", "Cy", "PATIENT", "2026-11-23 05:23:21.775", "2026-11-23 05:23:21.775"),
    ),
    (
        "UPDATE `User` SET `role` = %s, `updatedAt` = %s WHERE (`User`.`id` IN (%s) AND (`User`.`id` = %s AND 1=1))",
        ("DENTIST", "2026-11-23 05:23:21.778", "cy", "cy"),
    ),
    # deleteMany
    (
        "DELETE FROM `Message` WHERE (`Message`.`conversationId` = %s AND `Message`.`content` = %s)",
        ("c1", "nothing"),
    ),
)
"""Statements of a Prisma 6 client that knows nothing of chatd's columns, from its log."""


def renamed() -> tuple[str, ...]:
    """PLAIN in those names."""
    found = []
    for statement in PLAIN:
        (table,) = [name for name in ("ConversationParticipant", "Conversation", "Message", "User")
                    if f"TABLE `{name}`" in statement]  # fmt: skip
        for logical, actual in RENAMED.items():
            where, _, column = logical.partition(".")
            if column and where == table:
                mine, reference, theirs = statement.partition("REFERENCES")
                statement = mine.replace(f"`{column}`", f"`{actual}`") + reference + theirs
        for logical, actual in RENAMED.items():
            statement = statement.replace(f"TABLE `{logical}`", f"TABLE `{actual}`")
            statement = statement.replace(f"REFERENCES `{logical}`", f"REFERENCES `{actual}`")
        found.append(statement)
    return tuple(found)


START = 1_700_000_000_000


@attrs.define
class App:
    """An app at work on its database. Times: ms since 1970; each thing done takes a second."""

    database: str
    cursor: Any
    now: int = START
    numbers: Iterator[int] = attrs.Factory(lambda: itertools.count(1))

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        self.cursor.execute(statement, values or None)
        return list(self.cursor.fetchall())

    def tick(self) -> str:
        """The next second, as Prisma sends a time."""
        self.now += 1000
        return self.time(self.now)

    @staticmethod
    def time(ms: int) -> str:
        """In UTC; the session's zone has nothing to do with DATETIME."""
        return str(time_text(ms))

    def users(self, *ids: str, role: str = "PATIENT") -> None:
        for id in ids:
            self.run("INSERT INTO `User` (`id`,`name`,`role`,`updatedAt`) VALUES (%s,%s,%s,%s)", id, id.title(), role,
                     self.tick())  # fmt: skip

    def conversation(self, id: str, *users: str) -> str:
        """A new one; participants are not made twice, though nothing forbids it."""
        at = self.tick()
        self.run("INSERT INTO `Conversation` (`id`,`createdAt`,`updatedAt`) VALUES (%s,%s,%s)", id, at, at)
        for user in users:
            self.participant(id, user)
        return id

    def participant(self, conversation: str, user: str, *, unread: int = 0, left: bool = False) -> str:
        id = f"p{next(self.numbers):03}"
        at = self.tick()
        self.run(
            "INSERT INTO `ConversationParticipant` (`id`,`conversationId`,`userId`,`joinedAt`,`leftAt`,`unreadCount`,"
            "`isMuted`,`isPinned`) VALUES (%s,%s,%s,%s,%s,%s,%s,%s)",
            id, conversation, user, at, self.tick() if left else None, unread, False, False,
        )  # fmt: skip
        return id

    def attach(self, message: str, id: str, **more: object) -> str:
        """A file of a message."""
        given = {"id": id, "messageId": message, "fileName": f"{id}.png", "mimeType": "image/png", "fileSize": 1024,
                 "url": f"/files/{id}.png", "createdAt": self.tick()} | more  # fmt: skip
        names, marks = ", ".join(f"`{name}`" for name in given), ", ".join(["%s"] * len(given))
        self.run(f"INSERT INTO `Attachment` ({names}) VALUES ({marks})", *given.values())
        return id

    def unread(self, conversation: str, user: str, count: int) -> None:
        where = "`conversationId` = %s AND `userId` = %s"
        self.run(f"UPDATE `ConversationParticipant` SET `unreadCount` = %s WHERE {where}", count, conversation, user)

    def say(self, conversation: str, user: str, *bodies: str, status: str = "SENT") -> list[str]:
        """The ids of the messages. Counts are another matter."""
        ids = []
        for body in bodies:
            ids.append(f"m{next(self.numbers):03}")
            self.run(
                "INSERT INTO `Message` (`id`,`conversationId`,`senderId`,`content`,`status`,`createdAt`) "
                "VALUES (%s,%s,%s,%s,%s,%s)",
                ids[-1], conversation, user, body, status, self.tick(),
            )  # fmt: skip
        return ids


@contextlib.contextmanager
def app(*statements: str) -> Iterator[App]:
    """With these tables in a database of its own."""
    server = mariadb.server()
    database = server.database()
    with server.session(database) as cursor:
        for statement in statements or PLAIN:
            cursor.execute(statement)
        yield App(database, cursor)


@contextlib.contextmanager
def with_people() -> Iterator[App]:
    """The plain schema, with ada and eve, who are patients, and bo, who is a dentist."""
    with app() as found:
        people(found)
        yield found


@contextlib.contextmanager
def with_files() -> Iterator[App]:
    """The plain schema and its table of files, with people and a conversation of ada and bo."""
    with app(*PLAIN, *FILES) as found:
        people(found)
        found.conversation("c1", "ada", "bo")
        yield found


def people(app: App) -> None:
    app.users("ada", "eve")
    app.users("bo", role="DENTIST")


def changed(table: str, old: str, new: str) -> tuple[str, ...]:
    """PLAIN with one thing otherwise in one table."""
    found = []
    for statement in PLAIN:
        if f"CREATE TABLE `{table}`" in statement:
            assert old in statement
            statement = statement.replace(old, new)
        found.append(statement)
    return tuple(found)


def fill(app: App) -> None:
    """Something of everything, in six conversations."""
    for place in range(5):
        c = app.conversation(f"c{place}", "ada", "bo")
        for round in range(place):
            app.say(c, "ada", f"a{round}", status="READ" if round < 2 else "SENT")
            app.say(c, "bo", f"b{round}")
        app.unread(c, "ada", place // 2)
    app.conversation("g", "eve", "ada", "bo")
    app.say("g", "ada", "hello", "all")
    app.participant("c1", "bo", left=True)
    app.say("c2", "eve", "let me in")


def layout(app: App) -> list[tuple[Any, ...]]:
    columns = app.run(
        "SELECT table_name, column_name, column_type, is_nullable, column_default, collation_name, extra "
        "FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY 1, 2"
    )
    indexes = app.run(
        "SELECT table_name, index_name, seq_in_index, column_name, non_unique FROM information_schema.statistics "
        "WHERE table_schema = DATABASE() ORDER BY 1, 2, 3"
    )
    return [*columns, *indexes]


def adoption_of(app: App, **known: Any) -> Adoption:
    return Adoption(mariadb.server().url(app.database), **known)


def adopt(app: App, **known: Any) -> None:
    adoption_of(app, **known).apply(new_epoch=lambda: "e")


@contextlib.contextmanager
def served(app: App, **known: Any) -> Iterator[MysqlStore]:
    """What a daemon would have."""
    with contextlib.closing(
        MysqlStore(mariadb.server().url(app.database), new_epoch=lambda: "another", **known)
    ) as found:
        yield found


def history(store: MysqlStore, conversation: str, user: str) -> list[str]:
    page = store.history(conversation, user, before=None, after=0, limit=1000)
    assert page is not None
    assert [message.seq for message in page.messages] == list(range(1, len(page.messages) + 1))
    return [message.body for message in page.messages]
