"""An app and chatd write at the same time: each message has one number, and whoever follows misses none."""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import pytest

from storage.changes import Changed, Outcome, SendMessage
from storage.contract import Unavailable
from storage.mysql.links import OWN_SEATS
from storage.mysql.store import MysqlStore
from support import mariadb, prisma_app, shapes
from support.beside import ingest, now
from support.prisma_app import App, adopt, adoption_of, served
from support.stores import Desk

RATE = 50
"""Messages a second, of each."""

SECONDS = 10


def is_linked(tables: Sequence[str]) -> bool:
    """Return True where the app keeps participants in an implicit many-to-many, without counts."""
    return any("_ConversationToUser" in statement for statement in tables)


@contextlib.contextmanager
def clinic(tables: Sequence[str], *, numbered: bool) -> Iterator[App]:
    """Two people and their conversation, whose ids are 1, 2 and 1."""
    with prisma_app.app(*tables) as app:
        for id in "1", "2":
            app.run("INSERT INTO User (id, name, updatedAt) VALUES (%s, 'Somebody', NOW(3))", id)
        app.run("INSERT INTO Conversation (id, updatedAt) VALUES ('1', NOW(3))")
        for user in "1", "2":
            if is_linked(tables):
                app.run("INSERT INTO _ConversationToUser (A, B) VALUES ('1', %s)", user)
                continue
            named, mark = ("", "") if numbered else ("id, ", f"'p{user}', ")
            app.run(f"INSERT INTO ConversationParticipant ({named}conversationId, userId) VALUES ({mark}'1', %s)", user)
        adopt(app)
        yield app


def write(cursor: Any, body: str, *, numbered: bool, counted: bool) -> None:
    """What an app does for a message of user 1, in one transaction: the row, the list's order, the other's count."""
    cursor.execute("BEGIN")
    columns, values = ("", ()) if numbered else ("id, ", (f"m-{body}",))
    marks = ", ".join(["%s"] * (len(values) + 1))
    cursor.execute(f"INSERT INTO Message ({columns}content, conversationId, senderId, createdAt) "
                   f"VALUES ({marks}, '1', '1', UTC_TIMESTAMP(3))", (*values, body))  # fmt: skip
    cursor.execute(
        "UPDATE Conversation SET lastMessageAt = UTC_TIMESTAMP(3), updatedAt = UTC_TIMESTAMP(3) WHERE id = '1'"
    )
    if counted:
        cursor.execute("UPDATE ConversationParticipant SET unreadCount = unreadCount + 1 "
                       "WHERE conversationId = '1' AND userId <> '1'")  # fmt: skip
    cursor.execute("COMMIT")


@attrs.define
class Follower:
    """A client that catches up again and again, a few objects at a time."""

    store: MysqlStore
    rev: int = 0
    bodies: dict[int, str] = attrs.Factory(dict)

    def catch_up(self) -> None:
        while True:
            chunk = self.store.since("1", "2", self.rev, limit=7)
            assert chunk is not None
            self.bodies.update((m.seq, m.body) for m in chunk.messages)
            assert sorted(self.bodies) == list(range(1, len(self.bodies) + 1)), "a gap"
            self.rev = chunk.through
            if self.rev == chunk.room.conversation.rev:
                return


def check(app: App, store: MysqlStore, expected: Sequence[str]) -> None:
    """Each text once, numbered without a gap, unread by the other, and numbers that agree."""
    follower = Follower(store)
    follower.catch_up()
    assert sorted(follower.bodies.values()) == sorted(expected)
    found = store.summary("1", "2")
    assert found is not None
    assert found[0].membership.unread == len(expected)
    seats = OWN_SEATS if app.run(f"SHOW TABLES LIKE '{OWN_SEATS}'") else "ConversationParticipant"
    counts = app.run(f"SELECT unreadCount, chatdUnread FROM {seats} WHERE userId = '2'")
    assert counts == [(len(expected), len(expected))]
    assert adoption_of(app).disagreements() == []


def until_done(store: MysqlStore, send: SendMessage) -> list[Outcome]:
    """Send it as clients do: again under the same `client_id`, where the store is unavailable for a moment."""
    for _ in range(5):
        with contextlib.suppress(Unavailable):
            return store.commit([send])
    return store.commit([send])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tables", "numbered"),
    [(prisma_app.PLAIN, False), (shapes.numbered(), True), (shapes.linked(), False)],
    ids=["seed", "int", "linked"],
)
def test_fifty_messages_a_second_of_each_lose_and_double_none(tables: Sequence[str], numbered: bool) -> None:
    with clinic(tables, numbered=numbered) as app, served(app) as store, served(app) as other:
        done, outcomes = threading.Event(), []
        begin = time.monotonic()

        def pace(n: int) -> None:
            time.sleep(max(0.0, begin + n / RATE - time.monotonic()))

        def app_writes() -> None:
            with mariadb.server().session(app.database) as cursor:
                for n in range(RATE * SECONDS):
                    pace(n)
                    write(cursor, f"app-{n}", numbered=numbered, counted=not is_linked(tables))

        def chatd_sends() -> None:
            desk = Desk(store, first=1)
            for n in range(RATE * SECONDS):
                pace(n)
                desk.now = max(desk.now, now())
                outcomes.extend(until_done(store, desk.send("1", "1", f"chatd-{n}")))

        def follow() -> None:
            follower = Follower(other)
            while not done.is_set():
                with contextlib.suppress(Unavailable):  # later, then
                    store.ingest(None, now())
                follower.catch_up()
                followed.append(follower.rev)

        followed: list[int] = []
        failures: list[BaseException] = []

        def guarded(work: Any) -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        writers = [threading.Thread(target=guarded, args=(work,)) for work in (app_writes, chatd_sends)]
        reader = threading.Thread(target=guarded, args=(follow,))
        for thread in (*writers, reader):
            thread.start()
        for thread in writers:
            thread.join(120)
        took = time.monotonic() - begin
        done.set()
        reader.join(30)
        assert not failures
        assert all(isinstance(outcome, Changed) for outcome in outcomes)
        ingest(store)
        check(app, store, [f"{who}-{n}" for who in ("app", "chatd") for n in range(RATE * SECONDS)])
        print(f"{2 * RATE * SECONDS} messages in {took:.1f} s, followed in {len(followed)} rounds")


def orders() -> list[str]:
    """Orders of: an app's transactions a and b written (a, b) and committed (A, B), chatd's two sends, an ingest."""
    found = {"".join(order) for order in itertools.permutations("aAbBssi")}
    return sorted(o for o in found if o.index("a") < o.index("A") and o.index("b") < o.index("B"))


def test_transactions_that_commit_late_leave_no_gap() -> None:
    """Some orders of an app's transactions, chatd's sends and looks. With foreign keys chatd would wait for the app."""
    server = mariadb.server()
    with (
        clinic(prisma_app.UNLINKED, numbered=False) as app,
        served(app) as store,
        server.session(app.database) as one,
        server.session(app.database) as two,
    ):
        desk, follower, expected = Desk(store), Follower(store), 0
        sessions = {"a": one, "b": two}
        for place, order in enumerate(orders()[::40]):
            for step in order:
                desk.now += 1000
                if step in sessions:
                    cursor = sessions[step]
                    cursor.execute("BEGIN")
                    cursor.execute("INSERT INTO Message (id, content, conversationId, senderId, createdAt) "
                                   "VALUES (%s, 'text', '1', '1', %s)", (f"m-{place}-{step}", app.tick()))  # fmt: skip
                elif step.lower() in sessions:
                    sessions[step.lower()].execute("COMMIT")
                elif step == "s":
                    desk.say("1", "1", "text")
                else:
                    store.ingest(None, desk.now)
                follower.catch_up()
            ingest(store)
            expected += 4
            follower.catch_up()
            assert len(follower.bodies) == expected, order
        check(app, store, ["text"] * expected)
