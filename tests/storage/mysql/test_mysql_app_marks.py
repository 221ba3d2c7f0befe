"""What an app marks in its own way, heeded and kept up: what is deleted, who has left, whose account is shut."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.changes import SetDisabled
from storage.mysql.external_writes import deletions
from storage.mysql.store import MysqlStore
from storage.records import Shrunk
from support import mariadb, prisma_app
from support.beside import ingest
from support.prisma_app import App, adopt, adoption_of, changed, served
from support.stores import Desk, mysql


def marked(table: str, column: str) -> tuple[str, ...]:
    before = {"User": "`createdAt`", "ConversationParticipant": "`isMuted`", "Message": "`createdAt`"}[table]
    return changed(table, before, f"{column}, {before}")


@contextlib.contextmanager
def app_with(table: str, column: str) -> Iterator[App]:
    with prisma_app.app(*marked(table, column)) as app:
        prisma_app.people(app)
        app.conversation("c1", "ada", "bo")
        yield app


def bodies(store: MysqlStore) -> list[tuple[int, str, bool]]:
    page = store.history("c1", "ada", before=None, after=0, limit=10)
    assert page is not None
    return [(m.seq, m.body, m.deleted_at is not None) for m in page.messages]


def test_message_marked_as_deleted_is_shown_without_its_text() -> None:
    with app_with("Message", "`isDeleted` BOOLEAN NOT NULL DEFAULT false") as app:
        first, _ = app.say("c1", "ada", "secret", "two")
        app.run("UPDATE Message SET isDeleted = true WHERE id = %s", first)
        adopt(app)
        with served(app) as store:
            desk = Desk(store)
            assert bodies(store) == [(1, "", True), (2, "two", False)]
            app.run("UPDATE Message SET isDeleted = true WHERE content = 'two'")
            ingest(store, None)
            assert bodies(store) == [(1, "", True), (2, "", True)]
            since = store.since("c1", "ada", 3, limit=10)
            assert since is not None
            assert [(m.seq, m.body) for m in since.messages] == [(2, "")]
            app.run("UPDATE Message SET isDeleted = false WHERE content = 'two'")
            ingest(store, None)
            assert bodies(store)[1] == (2, "two", False), "the app may take its word back"
            desk.changed(desk.delete("c1", "ada", 2))
        assert app.run("SELECT content, isDeleted FROM Message ORDER BY seq") == [("secret", 1), ("", 1)]


@pytest.mark.parametrize(
    ("column", "shut", "open_"),
    [
        ("`isActive` BOOLEAN NOT NULL DEFAULT true", "isActive = false", "isActive = true"),
        ("`isBlocked` BOOLEAN NOT NULL DEFAULT false", "isBlocked = true", "isBlocked = false"),
        ("`banned` TINYINT NULL", "banned = 1", "banned = NULL"),
        ("`deletedAt` DATETIME(3) NULL", "deletedAt = NOW(3)", "deletedAt = NULL"),
        ("`suspended_at` DATETIME NULL", "suspended_at = NOW()", "suspended_at = NULL"),
    ],
)
def test_user_whom_the_app_shut_out_is_disabled(column: str, shut: str, open_: str) -> None:
    with app_with("User", column) as app:
        adopt(app)
        with served(app) as store:
            place = store.scan(None).next
            for statement, disabled in (shut, True), (open_, False):
                app.run(f"UPDATE User SET {statement} WHERE id = 'bo'")
                scan = store.scan(place)
                (found,) = [user for user in scan.users if user.id == "bo"]
                assert (found.disabled_at is not None) == disabled
                credentials = store.credentials("bo", "")
                assert credentials.user is not None
                assert (credentials.user.disabled_at is not None) == disabled
                Desk(store).do(Desk(store).put("bo", name=f"Bo {disabled}"))  # writes the row
            app.run(f"UPDATE User SET {shut} WHERE id = 'bo'")
            store.commit([SetDisabled("bo", disabled=False, at=1)])
            user = store.user("bo")
            assert user is not None
            assert user.disabled_at is not None, "that word is the app's"
            users, _ = store.list_users(roles=["dentist"], but="ada", query=None, after=None, limit=9)
            assert users == []


@pytest.mark.parametrize(
    ("column", "out"),
    [
        ("`deletedAt` DATETIME(3) NULL", "deletedAt = NOW(3)"),
        ("`isActive` BOOLEAN NOT NULL DEFAULT true", "isActive = false"),
    ],
)
def test_participant_marked_as_gone_is_out_until_brought_back(column: str, out: str) -> None:
    with app_with("ConversationParticipant", column) as app:
        app.conversation("c2", "ada", "eve")
        app.run(f"UPDATE ConversationParticipant SET {out} WHERE conversationId = 'c2' AND userId = 'eve'")
        before = app.run("SELECT * FROM ConversationParticipant WHERE conversationId = 'c1' AND userId = 'bo'")
        adopt(app)
        with served(app) as store:
            desk = Desk(store)
            assert store.summary("c2", "eve") is None
            app.run(f"UPDATE ConversationParticipant SET {out} WHERE conversationId = 'c1' AND userId = 'bo'")
            ingest(store, None)
            assert store.summary("c1", "bo") is None
            assert store.summary("c1", "ada") is not None
            name = column.split("`")[1]
            app.run(
                f"UPDATE ConversationParticipant SET {name} = DEFAULT WHERE conversationId = 'c1' AND userId = 'bo'"
            )
            ingest(store, None)
            assert store.summary("c1", "bo") is not None, "the app may take its word back"
            app.run(f"UPDATE ConversationParticipant SET {out} WHERE conversationId = 'c1' AND userId = 'bo'")
            ingest(store, None)
            desk.say("c1", "ada", "still there?")  # brings back, in a conversation of two
            assert store.summary("c1", "bo") is not None
            desk.changed(desk.receipt("c1", "bo", read=1))
        after = app.run(f"SELECT leftAt, {name} FROM ConversationParticipant "
                        "WHERE conversationId = 'c1' AND userId = 'bo'")  # fmt: skip
        assert after in ([(None, None)], [(None, 1)])
        assert before


def test_marks_that_are_not_heeded_are_named() -> None:
    tables = [s.replace("`content`", "`hiddenAt` DATETIME(3) NULL, `isDeleted` JSON NULL, `content`")
              for s in marked("User", "`status` ENUM('ACTIVE', 'SUSPENDED') NOT NULL DEFAULT 'ACTIVE', "
                                      "`isBlocked` BOOLEAN NOT NULL DEFAULT false")]  # fmt: skip
    with prisma_app.app(*tables) as app:
        notes = {(f.table, f.text.split(" ", 2)[1]) for f in adoption_of(app).examine().only("note")
                 if "isn't heeded" in f.text}  # fmt: skip
        assert notes == {("Message", "hiddenAt"), ("Message", "isDeleted"), ("User", "status")}
        assert adoption_of(app).examine().only("wrong") == []


def test_marks_by_other_names_are_set(tmp_path: Path) -> None:
    with app_with("Message", "`gone` BOOLEAN NOT NULL DEFAULT false") as app:
        app.say("c1", "ada", "one")
        app.run("UPDATE Message SET gone = true")
        adopt(app, names={"Message.isDeleted": "gone"})
        with served(app) as store:
            assert bodies(store) == [(1, "", True)]


# -- rows that are deleted --


def test_rows_that_the_app_deletes_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletions, "MESSAGES_PER_LOOK", 5)
    with contextlib.closing(mysql(tmp_path)) as store:
        desk = Desk(store)
        chats = [desk.chat("ada", f"u{n}") for n in range(4)]
        for c in chats:
            desk.say(c, "ada", "one", "two", "three")
        watched = dict.fromkeys(chats, ("ada",))
        assert store.shrunk(watched) == Shrunk(), "so far it knows nothing to compare with"
        with mariadb.server().session(store.database) as app:
            app.execute("DELETE FROM Message WHERE seq = 2")
            found: list[str] = []
            for _ in range(4):
                found += store.shrunk(watched).messages
            assert sorted(found) == sorted(chats), "some with each look"
            for c in chats[1:]:
                ingest(store, c)
            app.execute("DELETE FROM Message WHERE seq = 3 AND conversationId = %s", (chats[0],))
            again = [c for _ in range(4) for c in store.shrunk(watched).messages]
            assert again == [chats[0]]
        ingest(store, chats[0])
        page = store.history(chats[0], "ada", before=None, after=0, limit=10)
        assert page is not None
        assert [(m.seq, m.deleted_at is None) for m in page.messages] == [(1, True), (2, False), (3, False)]


def test_deleted_row_of_a_participant_takes_one_rev(tmp_path: Path) -> None:
    """However many daemons find it; a group whose owner it was has another."""
    with contextlib.closing(mysql(tmp_path)) as store:
        desk = Desk(store)
        group = desk.group("ada", "bo", "cy")
        watched = {group: ("ada", "bo", "cy")}
        assert store.shrunk(watched) == Shrunk()
        before = store.room(group)
        assert before is not None
        rev = before.conversation.rev
        with mariadb.server().session(store.database) as app:
            app.execute("DELETE FROM ConversationParticipant WHERE userId = 'ada'")
        assert store.shrunk(watched) == Shrunk(people=(group,))
        for _ in range(2):
            store.ingest(group, 1, people_gone_at=rev)
            room = store.room(group)
            assert room is not None
            assert room.conversation.rev == rev + 1
            assert [(p.user, p.role) for p in room.participants] == [("bo", "owner"), ("cy", "member")]
