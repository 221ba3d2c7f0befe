"""What an app writes beside chatd is noticed on its tables in each shape that is served."""

import contextlib
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from storage.mysql.adoption.adopt import Adoption
from storage.mysql.links import OWN_SEATS
from storage.mysql.store import MysqlStore
from support import mariadb, prisma_app
from support.beside import ingest
from support.prisma_app import App, history, served
from support.shaped_stores import SHAPES, Shape
from support.stores import Desk

ALWAYS = ("linked", "int")
"""Shapes that every run looks at."""

LINK = "_ConversationToUser"


@attrs.define
class ShapedApp:
    """An app at work on tables of a shape, in the logical names of columns."""

    app: App
    shape: Shape
    linked: bool

    def name(self, logical: str) -> str:
        return self.shape.names.get(logical, logical.rpartition(".")[2])

    def insert(self, table: str, **values: Any) -> str:
        """The id of a new row, where it has one."""
        if self.shape.numbered:
            values.pop("id", None)
        columns = ", ".join(f"`{self.name(f'{table}.{column}')}`" for column in values)
        marks = ", ".join(["%s"] * len(values))
        self.app.run(f"INSERT INTO `{self.name(table)}` ({columns}) VALUES ({marks})", *values.values())
        return str(values.get("id") or self.app.run("SELECT LAST_INSERT_ID()")[0][0])

    def update(self, table: str, column: str, value: Any, **where: Any) -> None:
        parts = " AND ".join(f"`{self.name(f'{table}.{name}')}` = %s" for name in where)
        name = self.name(f"{table}.{column}")
        self.app.run(f"UPDATE `{self.name(table)}` SET `{name}` = %s WHERE {parts}", value, *where.values())

    def user(self, id: str) -> str:
        return self.insert("User", id=id, name=id.title(), updatedAt=self.app.tick())

    def conversation(self, id: str, *users: str) -> str:
        at = self.app.tick()
        made = self.insert("Conversation", id=id, createdAt=at, updatedAt=at)
        for user in users:
            self.join(made, user)
        return made

    def join(self, conversation: str, user: str) -> None:
        if self.linked:
            self.app.run(f"INSERT IGNORE INTO `{LINK}` (`A`, `B`) VALUES (%s, %s)", conversation, user)
            return
        row: dict[str, Any] = {"conversationId": conversation, "userId": user, "joinedAt": self.app.tick()}
        if self.shape.name != "pairs":
            row["id"] = f"seat-{conversation}-{user}"[:25]
        self.insert("ConversationParticipant", **row)

    def leave(self, conversation: str, user: str) -> None:
        if self.linked:
            self.app.run(f"DELETE FROM `{LINK}` WHERE `A` = %s AND `B` = %s", conversation, user)
        else:
            at = self.app.tick()
            self.update("ConversationParticipant", "leftAt", at, conversationId=conversation, userId=user)

    def say(self, conversation: str, user: str, body: str) -> str:
        return self.insert("Message", id=f"m-{body}", conversationId=conversation, senderId=user, content=body,
                           createdAt=self.app.tick())  # fmt: skip

    def has_read(self, conversation: str, user: str, *messages: str) -> None:
        if self.linked:  # it has no count
            for message in messages:
                self.update("Message", "status", "READ", id=message)
        else:
            self.update("ConversationParticipant", "unreadCount", 0, conversationId=conversation, userId=user)


@contextlib.contextmanager
def at_work(shape: Shape) -> Iterator[tuple[ShapedApp, MysqlStore, str, list[str]]]:
    """An adopted app, its store, a conversation of the first two, and three users."""
    with prisma_app.app(*shape.tables) as app:
        linked = any(LINK in statement for statement in shape.tables)
        found = ShapedApp(app, shape, linked)
        users = [found.user(id) for id in ("ada", "bo", "eve")]
        conversation = found.conversation("c1", *users[:2])
        found.say(conversation, users[0], "old")
        adoption = Adoption(mariadb.server().url(app.database), names=shape.names)
        adoption.apply(new_epoch=lambda: "e")
        with served(app, names=shape.names) as store:
            yield found, store, conversation, users
        assert adoption.disagreements() == []
        if linked:
            present = app.run(f"SELECT conversationId, userId FROM {OWN_SEATS} WHERE leftAt IS NULL ORDER BY 1, 2")
            assert app.run(f"SELECT A, B FROM `{LINK}` ORDER BY 1, 2") == present


@pytest.mark.parametrize(
    "shape",
    [pytest.param(shape, id=shape.name, marks=() if shape.name in ALWAYS else pytest.mark.shapes) for shape in SHAPES],
)
def test_app_writes_are_noticed_on_each_shape(shape: Shape) -> None:
    with at_work(shape) as (app, store, c, (ada, bo, eve)):
        desk = Desk(store, first=100)
        desk.now = app.app.now

        def unread(user: str, conversation: str = c) -> int:
            found = store.summary(conversation, user)
            assert found is not None
            return found[0].membership.unread

        def people(conversation: str = c) -> set[str]:
            room = store.room(conversation)
            assert room is not None
            return {p.user for p in room.participants if p.present}

        assert (history(store, c, bo), unread(bo)) == (["old"], 0)
        # messages of both, and reading in the app
        desk.say(c, ada, "of chatd")
        first = app.say(c, ada, "of the app")
        assert store.scan(None).waiting
        ingest(store)
        assert (history(store, c, bo), unread(bo)) == (["old", "of chatd", "of the app"], 2)
        page = store.history(c, bo, before=None, after=2, limit=1)
        assert page is not None
        assert page.messages[0].id == first
        app.has_read(c, bo, first)
        ingest(store)
        assert unread(bo) == 0
        # an edit and a deletion
        room = store.room(c)
        assert room is not None
        app.update("Message", "content", "of the app!", id=first)
        ingest(store)
        since = store.since(c, bo, room.conversation.rev, limit=10)
        assert since is not None
        assert [(m.seq, m.body) for m in since.messages] == [(3, "of the app!")]
        app.app.run(f"DELETE FROM `{app.name('Message')}` WHERE `{app.name('Message.content')}` = 'of chatd'")
        ingest(store, c)
        assert history(store, c, bo) == ["old", "", "of the app!"]
        # who comes and goes
        app.join(c, eve)
        ingest(store)
        assert people() == {ada, bo, eve}
        desk.now = max(desk.now, app.app.now)
        desk.say(c, eve, "hello")
        assert (unread(ada), unread(eve)) == (1, 0)
        app.leave(c, bo)
        ingest(store)
        assert people() == {ada, eve}
        assert store.summary(c, bo) is None
        # a conversation of the app's
        new = app.conversation("c2", bo, eve)
        app.say(new, bo, "shall we?")
        assert store.has_pending(new, eve)
        ingest(store)
        assert (history(store, new, eve), people(new), unread(eve, new)) == (["shall we?"], {bo, eve}, 1)
        assert desk.unchanged(desk.open(eve, bo)).room.id == new
