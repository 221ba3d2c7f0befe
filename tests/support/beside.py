"""An app that writes beside chatd on the same tables, and how that is taken in."""

import time
from typing import Any

from storage.mysql.store import MysqlStore

from .stores import Desk


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


def past_desk(store: MysqlStore) -> Desk:
    """Its messages are of a minute ago."""
    desk = Desk(store)
    desk.now = now() - 60_000
    return desk


def ingest(store: MysqlStore, conversation: str | None = None) -> int:
    """Until nothing is left; how many times there was more."""
    rounds = 0
    while store.ingest(conversation, now()):
        rounds += 1
        assert rounds < 100
    assert not store.scan(None).waiting
    return rounds


def retitled(store: MysqlStore) -> tuple[str, ...]:
    """As found by who has looked all the time; who has just begun to look finds the same."""
    place = store.scan(None).next
    found = store.scan(place).retitled
    assert sorted(found) == sorted(store.scan(None).retitled)
    return found
