"""An implicit many-to-many of conversations and users: adopted, written by chatd, and what the app writes noticed."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from storage.contract import StoreError
from storage.mysql.links import PAUSE_FACTOR, ImplicitTable, LinkWatch
from storage.mysql.store import MysqlStore
from support import prisma_app, shapes
from support.beside import ingest
from support.prisma_app import UNLINKED, App, adopt, adoption_of, history, layout, served
from support.stores import Desk


def conversation(app: App, id: str, *users: str) -> None:
    app.run("INSERT INTO Conversation (id, createdAt, updatedAt) VALUES (%s, %s, NOW(3))", id, app.tick())
    for user in users:
        app.run("INSERT IGNORE INTO `_ConversationToUser` (`A`, `B`) VALUES (%s, %s)", id, user)


@contextlib.contextmanager
def clinic() -> Iterator[App]:
    with prisma_app.app(*shapes.linked()) as app:
        prisma_app.people(app)
        conversation(app, "c1", "ada", "bo")
        conversation(app, "g", "ada", "bo", "eve")
        app.say("c1", "ada", "one", "two")
        conversation(app, "s", "ada", "bo")
        app.say("s", "eve", "let me in")
        app.say("g", "bo", "hello", "all")
        yield app


def people(store: MysqlStore, conversation: str) -> list[str]:
    room = store.room(conversation)
    assert room is not None
    return sorted(p.user for p in room.participants if p.present)


def linked(app: App) -> list[tuple[str, str]]:
    return [(a, b) for a, b in app.run("SELECT A, B FROM `_ConversationToUser` ORDER BY A, B")]


def test_implicit_many_to_many_is_adopted_and_written() -> None:
    with clinic() as app:
        before = linked(app)
        adopt(app)
        assert linked(app) == before
        assert adoption_of(app).examine().steps == ()
        with served(app) as store:
            assert not store.scan(None).waiting
            assert (people(store, "c1"), people(store, "g")) == (["ada", "bo"], ["ada", "bo", "eve"])
            assert history(store, "c1", "bo") == ["one", "two"]
            assert (history(store, "s", "bo"), people(store, "s")) == (["let me in"], ["ada", "bo"])
            assert store.summary("s", "eve") is None, "who wrote without taking part has left"
            found = store.summary("g", "eve")
            assert found is not None
            assert found[0].membership.unread == 0
            assert {p.from_seq for p in found[0].room.participants} == {1}, "each was in it from the beginning"
            desk = Desk(store, first=100)
            desk.now = app.now
            assert desk.unchanged(desk.open("ada", "bo")).room.id == "c1"
            made = desk.changed(desk.open("ada", "eve")).room.id
            desk.changed(desk.leave("g", "eve"))
            desk.changed(desk.leave("c1", "bo"))
            assert linked(app) == sorted(
                [("c1", "ada"), ("g", "ada"), ("g", "bo"), ("s", "ada"), ("s", "bo"), (made, "ada"), (made, "eve")]
            )
            desk.say("c1", "ada", "come back")
            assert ("c1", "bo") in linked(app)
            assert not store.scan(None).waiting, "chatd's own rows are no news"
            assert store.ingest(None, app.now) is False
        assert adoption_of(app).disagreements() == []


def test_rows_of_the_app_are_noticed() -> None:
    with clinic() as app:
        adopt(app)
        with served(app) as store:
            app.run("DELETE FROM `_ConversationToUser` WHERE A = 'g' AND B = 'eve'")
            app.run("INSERT IGNORE INTO `_ConversationToUser` (`A`, `B`) VALUES ('c1', 'eve')")
            assert store.scan(None).waiting
            assert store.has_pending("g")
            assert store.has_pending("c1", "eve")
            ingest(store)
            assert not store.has_pending("g")
            assert not store.has_pending("c1")
            assert (people(store, "c1"), people(store, "g")) == (["ada", "bo", "eve"], ["ada", "bo"])
            room = store.room("c1")
            assert room is not None
            assert room.conversation.kind == "group"
            conversation(app, "new", "bo", "eve")
            app.say("new", "bo", "hi")
            assert store.has_pending("new", "eve")
            ingest(store, "new")
            assert (history(store, "new", "eve"), people(store, "new")) == (["hi"], ["bo", "eve"])
            app.run("INSERT IGNORE INTO `_ConversationToUser` (`A`, `B`) VALUES ('g', 'eve')")
            ingest(store)
            assert people(store, "g") == ["ada", "bo", "eve"], "whoever was there is back"
            app.run("DELETE FROM Message WHERE conversationId = 'new'")
            app.run("DELETE FROM Conversation WHERE id = 'new'")
            ingest(store)
            assert store.room("new") is None


@pytest.mark.parametrize("tables", [shapes.linked(shapes.numbered()), shapes.linked(UNLINKED)[:-2]])
def test_implicit_many_to_many_of_numbers_and_without_keys(tables: tuple[str, ...]) -> None:
    numbered = "AUTO_INCREMENT" in tables[0]
    with prisma_app.app(*tables) as app:
        for id in "1", "2", "3":
            app.run("INSERT INTO User (id, name, updatedAt) VALUES (%s, %s, NOW(3))", id, id)
        conversation(app, "1", "1", "2")
        adopt(app)
        with served(app) as store:
            desk = Desk(store, first=100)
            desk.now = app.now
            desk.say("1", "1", "one")
            made = desk.changed(desk.open("1", "3")).room.id
            assert (int(made) if numbered else made, 3 if numbered else "3") in app.run(
                "SELECT A, B FROM `_ConversationToUser`"
            )
            app.run("INSERT IGNORE INTO `_ConversationToUser` (`A`, `B`) VALUES ('1', '3')")
            ingest(store)
            assert people(store, "1") == ["1", "2", "3"]


def test_undo_leaves_the_apps_table() -> None:
    with clinic() as app:
        before = layout(app)
        adopt(app)
        assert "model ChatdParticipant {\n  chatdId String? @db.VarChar(383)\n" in adoption_of(app).examine().fragment()
        for statement in adoption_of(app).examine().undo().split(";\n"):
            lines = "\n".join(line for line in statement.splitlines() if not line.startswith("--"))
            if lines.strip():
                app.run(lines)
        assert layout(app) == before


def test_many_to_many_that_the_app_gave_up_is_named() -> None:
    with clinic() as app:
        adopt(app)
        app.run("DROP TABLE `_ConversationToUser`")
        with pytest.raises(StoreError, match="implicit many-to-many of conversations and users, which is not there"):
            served(app).__enter__()


class CountedLink(ImplicitTable):
    """A table whose rows are counted in 0.01 s and compared in 0.5 s."""

    now = 100.0
    rows = 0
    differing = False
    comparisons = 0

    def excess(self, db: Any) -> int:
        CountedLink.now += 0.01
        return self.rows

    def differs(self, db: Any, conversation: str | None = None) -> bool:
        CountedLink.now += 0.5
        CountedLink.comparisons += 1
        return self.differing


def test_rows_are_compared_where_their_number_tells_something_and_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "now", "rows", "differing", "comparisons":
        monkeypatch.setattr(CountedLink, name, getattr(CountedLink, name))
    watch = LinkWatch(CountedLink("_ConversationToUser", "A", "B"), clock=lambda: CountedLink.now)
    db: Any = None

    def looks(*, at_once: bool = False, after: float = PAUSE_FACTOR * 0.011) -> tuple[bool, int]:
        CountedLink.now += after
        before = CountedLink.comparisons
        return watch.differs(db, at_once=at_once), CountedLink.comparisons - before

    assert looks() == (False, 1)
    assert looks() == (False, 0), "the number is as it was"
    CountedLink.rows, CountedLink.differing = 1, True
    assert looks(after=0.0) == (False, 0), "it was counted just before"
    assert looks() == (True, 1)
    CountedLink.differing = False
    assert looks() == (False, 1)
    assert looks() == (False, 0), "a row that stands for nobody is not looked at again and again"
    CountedLink.differing = True  # one came, and one went
    assert looks() == (False, 0)
    assert looks(after=PAUSE_FACTOR * 0.5) == (True, 1)
    CountedLink.differing = False
    assert looks(at_once=True, after=0.0) == (False, 1)
