"""Ids that the app's server counts, participants without ids, and ids in the form that an app checks."""

import contextlib
import re
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from storage.changes import Changed, Refused, RevokeTokens
from storage.contract import StoreError
from storage.mysql import rows
from storage.mysql.ids import cuid
from storage.mysql.store import MysqlStore
from support import prisma_app, shapes
from support.beside import ingest
from support.prisma_app import App, adopt, adoption_of, layout, served
from support.searches import pages
from support.stores import Desk

NUMBERED = {
    "int": shapes.numbered(),
    "bigint": shapes.numbered("BIGINT"),
    "int pairs": shapes.numbered_pairs(),
}


@contextlib.contextmanager
def clinic(tables: tuple[str, ...], first: int = 1) -> Iterator[App]:
    """Users first, first + 1 and first + 2; a conversation of the first two, with three messages; not adopted yet."""
    with prisma_app.app(*tables) as app:
        for table in "User", "Conversation", "Message":
            app.run(f"ALTER TABLE {table} AUTO_INCREMENT = {first}")
        for name in "Ada", "Bo", "Eve":
            app.run("INSERT INTO User (name, updatedAt) VALUES (%s, NOW(3))", name)
        app.run("INSERT INTO Conversation (updatedAt) VALUES (NOW(3))")
        for user in first, first + 1:
            app.run("INSERT INTO ConversationParticipant (conversationId, userId, joinedAt, unreadCount) "
                    "VALUES (%s, %s, %s, %s)", first, user, app.tick(), user - first)  # fmt: skip
        for body in "one", "two", "three":
            write(app, first, first, body)
        yield app


def write(app: App, conversation: int, user: int, body: str) -> None:
    app.run("INSERT INTO Message (conversationId, senderId, content, createdAt) VALUES (%s, %s, %s, %s)",
            conversation, user, body, app.tick())  # fmt: skip


def texts(store: MysqlStore, conversation: str, user: str) -> list[tuple[int, str, str | None, str]]:
    page = store.history(conversation, user, before=None, after=0, limit=1000)
    assert page is not None
    return [(m.seq, m.id, m.sender, m.body) for m in page.messages]


@pytest.mark.parametrize(("shape", "first"), [("int", 8), ("bigint", 9_007_199_254_740_991)])
def test_search_goes_through_numbers_as_ids_page_by_page(shape: str, first: int) -> None:
    """Before the refill and after it, also of messages that have the same time in several conversations."""
    ada, bo, eve = (str(first + n) for n in range(3))
    with clinic(NUMBERED[shape], first) as app:
        adopt(app)
        app.run("UPDATE Message SET createdAt = (SELECT t FROM (SELECT MIN(createdAt) AS t FROM Message) x)")
        with served(app) as store:
            desk = Desk(store)
            desk.now = app.now
            others = [desk.changed(desk.create(ada, bo, eve, title="Recall")).room.id for _ in range(2)]
            desk.do(*(attrs.evolve(desk.send(c, ada, f"one {n}"), at=desk.now) for n in range(3) for c in others))
            write(app, first, first, "one of the app")
            ingest(store, None)
            for _ in range(2):
                found = pages(store, ada, "o", limit=1)
                assert sorted(body for *_, body in found) == sorted(
                    ["one", "two", "one of the app", *["one 0", "one 1", "one 2"] * 2]
                )
                for c in (ada, *others):
                    seqs = [seq for conversation, seq, _ in found if conversation == c]
                    assert seqs == sorted(seqs, reverse=True)
                while store.refill(2):
                    pass
            assert app.run("SELECT COUNT(*) FROM Message WHERE chatdActivity IS NULL") == [(0,)]


@pytest.mark.parametrize(
    ("shape", "first"),
    [*((shape, 1) for shape in NUMBERED), ("bigint", 9_007_199_254_740_991)],  # and beyond floating point
)
def test_numbers_as_ids_are_served_in_decimal(shape: str, first: int) -> None:
    ada, bo, eve = (str(first + n) for n in range(3))
    with clinic(NUMBERED[shape], first) as app:
        adopt(app)
        with served(app) as store:
            desk = Desk(store)
            desk.now = app.now
            c = ada  # the first conversation has the first number, too
            assert texts(store, c, bo) == [(n + 1, str(first + n), ada, ("one", "two", "three")[n]) for n in range(3)]
            found = store.summary(c, bo)
            assert found is not None
            assert found[0].membership.unread == 1
            assert store.memberships(bo) == [(c, 4, frozenset({ada, bo}))]
            assert desk.unchanged(desk.open(ada, bo)).room.id == c
            told = desk.say(c, bo, "four", "five")
            assert [int(m.id) for m in told] == sorted(int(m.id) for m in told)
            desk.changed(desk.send(c, ada, "six", reply_to=4))
            desk.changed(desk.edit(c, bo, 4, "four!"))
            desk.changed(desk.receipt(c, ada, read=6))
            made = desk.changed(desk.open(ada, eve))
            assert made.room.id.isdecimal()
            desk.say(made.room.id, eve, "hello")
            group = desk.changed(desk.create(ada, bo, eve, title="Recall"))
            sent = desk.changed(desk.title(group.room.id, ada, "Recall 2"))
            assert sent.messages[0].id.isdecimal()
            last = app.run("SELECT MAX(id) FROM Message")[0][0]
            write(app, first, first, "of the app")
            assert app.run("SELECT MAX(id) FROM Message")[0][0] > last
            ingest(store, None)
            assert texts(store, c, ada)[-1][1:] == (
                str(app.run("SELECT MAX(id) FROM Message")[0][0]),
                ada,
                "of the app",
            )
            assert app.run("SELECT content, replyToId FROM Message WHERE content = 'six'") == [("six", int(told[0].id))]
            unread = app.run("SELECT userId, unreadCount FROM ConversationParticipant WHERE conversationId = %s "
                             "ORDER BY userId", first)  # fmt: skip
            assert unread == [(first, 0), (first + 1, 3)]
            users, _ = store.list_users(roles=["patient"], but=ada, query=None, after=None, limit=9)
            assert [user.id for user in users] == [bo, eve]
            for strange in f"{c}x", f"0{c}", " 1", "nobody":
                assert store.room(strange) is None
                assert store.history(strange, ada, before=None, after=0, limit=1) is None
                assert store.user(strange) is None
                assert isinstance(desk.do(desk.send(strange, ada))[0], Refused)
            assert desk.refused(desk.put("somebody")).reason == "forbidden"
            assert store.since(c, ada, 0, limit=100) is not None
            assert store.receipt_times(c, 1)
            app.run("DELETE FROM Message WHERE content = 'two'")
            ingest(store, c)
            assert [seq for seq, *_ in texts(store, c, ada)] == list(range(1, 8))
        assert adoption_of(app).disagreements() == []


def test_counts_and_cut_offs_know_their_users_by_number() -> None:
    """The server tells of some columns neither their table nor, so, that their numbers are ids."""
    with clinic(NUMBERED["int"]) as app:
        adopt(app)
        with served(app) as store:
            desk = Desk(store)
            desk.now = app.now
            desk.do(desk.receipt("1", "2", read=2), desk.send("1", "2", "four"))
            told = desk.do(desk.settings("1", "1", archived=True), desk.settings("1", "2", archived=True))
            assert [row.memberships[0].unread for row in told if isinstance(row, Changed)] == [1, 1]
            store.commit([RevokeTokens("1", 2000)])
            store.commit([RevokeTokens("1", 1000)])
            assert store.credentials("1", "t").cut_off == 2000


def test_numbers_of_app_and_chatd_at_once_are_each_used_once() -> None:
    """Neither waits for the other, and no number is lost or doubled."""
    with clinic(NUMBERED["int"]) as app, contextlib.ExitStack() as stack:
        adopt(app)
        store, other = (stack.enter_context(served(app)) for _ in range(2))
        sent: list[Any] = []

        def send(one: MysqlStore, first: int) -> None:
            desk = Desk(one, first=first)
            for turn in range(25):
                sent.extend(desk.do(desk.send("1", "1", f"{first} {turn}"), desk.send("1", "2", f"{first} {turn}b")))

        threads = [threading.Thread(target=send, args=pair) for pair in ((store, 1000), (other, 2000))]
        for thread in threads:
            thread.start()
        for turn in range(50):
            write(app, 1, 2, f"app {turn}")
            if turn % 10 == 9:
                ingest(store, None)
        for thread in threads:
            thread.join(60)
        ingest(store, None)
        assert all(isinstance(outcome, Changed) for outcome in sent)
        found = texts(store, "1", "1")
        assert [seq for seq, *_ in found] == list(range(1, 154))
        assert len({id for _, id, *_ in found}) == 153
        ids = {outcome.messages[0].id: outcome.messages[0].body for outcome in sent}
        assert ids.items() <= {id: body for _, id, _, body in found}.items()


def test_participants_without_ids_are_served() -> None:
    with prisma_app.app(*shapes.paired()) as app:
        app.users("ada", "bo", "eve")
        at = app.tick()
        app.run("INSERT INTO Conversation (id, createdAt, updatedAt) VALUES ('c1', %s, %s)", at, at)
        for user in "ada", "bo":
            app.run("INSERT INTO ConversationParticipant (conversationId, userId, joinedAt) VALUES ('c1', %s, %s)",
                    user, app.tick())  # fmt: skip
        app.say("c1", "ada", "one")
        app.say("c1", "eve", "let me in")
        adopt(app)
        with served(app) as store:
            desk = Desk(store)
            desk.now = app.now
            desk.say("c1", "bo", "two")
            g = desk.changed(desk.create("ada", "bo")).room.id
            desk.changed(desk.add(g, "ada", "eve"))
            app.run("INSERT INTO ConversationParticipant (conversationId, userId) VALUES ('c1', 'eve') "
                    "ON DUPLICATE KEY UPDATE leftAt = NULL")  # fmt: skip
            ingest(store, None)
            room = store.room("c1")
            assert room is not None
            assert {p.user for p in room.participants if p.present} == {"ada", "bo", "eve"}
            desk.say("c1", "eve", "three")
            assert app.run("SELECT userId, unreadCount FROM ConversationParticipant WHERE conversationId = 'c1' "
                           "ORDER BY userId") == [("ada", 2), ("bo", 1), ("eve", 1)]  # fmt: skip
        assert adoption_of(app).examine().steps == ()


def test_numbers_that_the_server_does_not_count_are_refused() -> None:
    with prisma_app.app(*(s.replace(" AUTO_INCREMENT", "") for s in shapes.numbered())) as app:
        before = layout(app)
        with pytest.raises(StoreError, match="column id is a number that the server doesn't count"):
            adopt(app)
        assert layout(app) == before


CUID = re.compile(r"c[0-9a-z]{24}")


@pytest.mark.parametrize(("tables", "form"), [(shapes.short_ids(), ""), (prisma_app.PLAIN, "cuid")])
def test_ids_are_cuids_where_the_app_wants_them(tables: tuple[str, ...], form: Any) -> None:
    with prisma_app.app(*tables) as app:
        prisma_app.people(app)
        app.conversation("c1", "ada", "bo")
        adopt(app, ids=form)
        with served(app, ids=form) as store:
            desk = Desk(store)
            desk.say("c1", "ada", "one")
            made = desk.changed(desk.open("ada", "eve")).room.id
            assert CUID.fullmatch(made)
        for table in "Message", "ConversationParticipant":
            ids = [id for (id,) in app.run(f"SELECT id FROM {table} WHERE id NOT LIKE 'p%'")]
            assert ids
            assert all(CUID.fullmatch(id) for id in ids), ids


def test_ids_are_uuids_where_the_app_wants_them() -> None:
    with prisma_app.app() as app:
        prisma_app.people(app)
        adopt(app, ids="uuid")
        with served(app, ids="uuid") as store:
            desk = Desk(store)
            desk.changed(desk.open("ada", "eve"))
        assert [uuid.UUID(id).version for (id,) in app.run("SELECT id FROM ConversationParticipant")] == [5, 5]
    with prisma_app.app(*shapes.short_ids()) as app, pytest.raises(StoreError, match="have 36 characters"):
        adopt(app, ids="uuid")


def test_cuids_sort_like_the_uuids_that_they_are_of() -> None:
    names = [str(uuid.UUID(int=(n << 80) | 7 << 76 | (n % 7) << 64 | 2 << 62 | n)) for n in (1, 2, 2**40, 2**48 - 1)]
    made = [cuid(name) for name in names]
    assert made == sorted(made)
    assert len(set(made)) == len(names)
    assert all(CUID.fullmatch(id) for id in (*made, cuid("m1")))


def test_statuses_in_small_letters_are_served() -> None:
    with prisma_app.app(*shapes.lower_statuses()) as app:
        prisma_app.people(app)
        app.conversation("c1", "ada", "bo")
        app.say("c1", "ada", "one", "two", status="sent")
        app.unread("c1", "bo", 2)
        adopt(app)
        with served(app) as store:
            desk = Desk(store)
            desk.changed(desk.receipt("c1", "bo", delivered=2, read=1))
            assert app.run("SELECT status FROM Message ORDER BY seq") == [("read",), ("delivered",)]
            app.run("UPDATE Message SET status = 'read'")
            ingest(store, None)
            found = store.summary("c1", "bo")
            assert found is not None
            assert found[0].membership.unread == 0


def test_numbers_beyond_floating_point_are_told_apart_in_pairs() -> None:
    """Whatever the server's plan: where it reads no range of the index, it compares with texts as floating point."""
    first = 2**53
    one, two = str(first), str(first + 1)  # as floating point the same
    statement = (
        'SELECT m."conversationId", m."seq" FROM "Message" m IGNORE INDEX (Message_conversationId_seq_key) '
        'WHERE (m."conversationId", m."seq") IN ({})'
    )
    with clinic(NUMBERED["bigint"], first) as app:
        app.run("INSERT INTO Conversation (updatedAt) VALUES (NOW(3))")
        for body in "vier", "fünf":
            write(app, first + 1, first, body)
        adopt(app)
        with served(app) as store:
            db = store._require_writer()
            found = list(
                rows.by_pair(db, statement, [(one, 1), (two, 2), ("nobody", 1), (f"0{one}", 2), (f"{one} ", 2)])
            )
            assert sorted(found) == [(one, 1), (two, 2)]
            db.roll_back()


def test_new_users_of_one_batch_that_the_database_takes_for_one_are_told_apart() -> None:
    """By its own collation, which knows more than capitals; nobody else of the batch is held up."""
    with prisma_app.app() as app:
        prisma_app.people(app)
        adopt(app)
        with served(app) as store:
            desk = Desk(store)
            outcomes = desk.do(
                desk.put("Zoe"), desk.put("zoe"), desk.put("zoé"), desk.put("Zoe", name="Zoe B"), desk.put("ADA"),
                desk.put("x" * 30, name="x" * 200), desk.put("X" * 30), desk.put("max"), desk.open("Zoe", "max"),
                desk.open("zoe", "max"),
            )  # fmt: skip
            assert [getattr(outcome, "reason", "") for outcome in outcomes] == [
                "", "conflict", "conflict", "", "conflict", "bad_request", "", "", "", "not_found",
            ]  # fmt: skip
            assert sorted(user.id for user in store.all_users(after=None, limit=20)) == [
                "X" * 30, "Zoe", "ada", "bo", "eve", "max",
            ]  # fmt: skip


def test_new_users_of_one_batch_are_told_apart_where_ids_are_compared_exactly() -> None:
    tables = (s.replace("VARCHAR(191) NOT NULL", "VARCHAR(191) COLLATE utf8mb4_bin NOT NULL") for s in prisma_app.PLAIN)
    with prisma_app.app(*tables) as app:
        adopt(app)
        with served(app) as store:
            desk = Desk(store)
            assert not [o for o in desk.do(desk.put("zoe"), desk.put("Zoe")) if isinstance(o, Refused)]
