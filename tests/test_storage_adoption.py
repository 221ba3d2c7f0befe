"""An app's database becomes chatd's, too: whatever it holds, whoever writes meanwhile, wherever it is cut short."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chatd.cli import main
from storage.changes import Changed
from storage.contract import StoreError
from storage.mysql import adoption, adoption_rows
from storage.mysql.adoption import Adoption
from storage.mysql.connection import Connection
from storage.mysql.schema import merged
from storage.mysql.store import MysqlStore
from storage.mysql.tables import TABLES, app_tables
from support import mariadb, prisma_app
from support.prisma_app import CONVERSATION, KEYS, MESSAGE, PARTICIPANT, PLAIN, RECORDED, RENAMED, UNLINKED, USER, App
from support.stores import Desk


@pytest.fixture
def app() -> Iterator[App]:
    """The plain schema, with ada and eve, who are patients, and bo, who is a dentist."""
    with prisma_app.app() as found:
        found.users("ada", "eve")
        found.users("bo", role="DENTIST")
        yield found


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


def numbers(app: App, conversation: str) -> list[tuple[Any, ...]]:
    return app.run("SELECT id, seq, rev FROM Message WHERE conversationId = %s ORDER BY seq", conversation)


def marks(app: App, conversation: str) -> dict[str, tuple[int, int]]:
    """User -> delivered, read, of the rows that were taken in."""
    found = app.run("SELECT userId, deliveredSeq, readSeq FROM ConversationParticipant "
                    "WHERE conversationId = %s AND rev IS NOT NULL", conversation)  # fmt: skip
    assert len(dict((row[0], row) for row in found)) == len(found)
    return {user: (delivered, read) for user, delivered, read in found}


def kinds(app: App) -> dict[str, tuple[str, str | None]]:
    return {id: (kind, pair) for id, kind, pair in app.run("SELECT id, kind, pairKey FROM Conversation")}


# -- what was written is served --


def test_old_history_is_served(app: App) -> None:
    """With its times, whatever the server's zone (its is far from UTC), counts and order; and goes on."""
    app.conversation("c1", "ada", "bo")
    app.say("c1", "ada", "Es schmerzt 🦷", status="READ")
    sent = app.now
    app.say("c1", "bo", "oh", "dear")
    app.unread("c1", "ada", 2)
    adopt(app)
    with served(app) as store:
        assert store.epoch == "e"
        assert not store.development
        assert history(store, "c1", "ada") == ["Es schmerzt 🦷", "oh", "dear"]
        page = store.history("c1", "ada", before=None, after=0, limit=1)
        assert page is not None
        assert page.messages[0].sent_at == sent
        found = store.summary("c1", "ada")
        assert found is not None
        assert found[0].membership.unread == 2
        assert found[0].room.conversation.rev == 4
        assert found[0].room.conversation.last_message_at == app.now
        assert store.memberships("bo") == [("c1", 4, frozenset({"ada", "bo"}))]
        assert store.room("c1") is not None
        desk = Desk(store, first=1000)
        desk.now = app.now
        assert desk.unchanged(desk.open("ada", "bo")).room.id == "c1"
        (message,) = desk.say("c1", "bo", "still?")
        assert (message.seq, message.rev) == (4, 5)
        assert desk.changed(desk.receipt("c1", "ada", read=4)).room.rev == 6
    assert app.run("SELECT unreadCount, chatdUnread FROM ConversationParticipant WHERE userId = 'ada'") == [(0, 0)]


def test_by_other_names() -> None:
    with prisma_app.app(*prisma_app.renamed()) as app:
        app.run("INSERT INTO users (id, name, role, updatedAt) VALUES ('ada', 'Ada', 'PATIENT', NOW(3)), "
                "('bo', 'Bo', 'DENTIST', NOW(3))")  # fmt: skip
        app.run("INSERT INTO chats (id, updatedAt) VALUES ('c1', NOW(3)), ('c2', NOW(3))")
        app.run("INSERT INTO chat_members (member_id, chat_id, user_id, unread) VALUES ('1', 'c1', 'ada', 1), "
                "('2', 'c1', 'bo', 0), ('3', 'c2', 'bo', 0), ('4', 'c2', 'ada', 0)")  # fmt: skip
        app.run("INSERT INTO chat_messages (message_id, chat_id, senderId, body, sent_at) VALUES "
                "('x', 'c1', 'ada', 'one', %s), ('y', 'c1', 'bo', 'two', %s), ('z', 'c2', 'eve', 'three', %s)"
                .replace("'eve'", "'bo'"), app.tick(), app.tick(), app.tick())  # fmt: skip
        with pytest.raises(StoreError, match=r'User: no such table.*like "User=users"'):
            adopt(app)
        adopt(app, names=RENAMED)
        with served(app, names=RENAMED) as store:
            assert history(store, "c1", "ada") == ["one", "two"]
            found = store.summary("c1", "ada")
            assert found is not None
            assert found[0].membership.unread == 1
            desk = Desk(store)
            assert desk.unchanged(desk.open("ada", "bo")).room.id == "c2"
            assert [message.seq for message in desk.say("c1", "bo", "three", "four")] == [3, 4]
        assert app.run("SELECT message_id, no FROM chat_messages WHERE chat_id = 'c2'") == [("z", 1)]


def test_ids_in_any_collation() -> None:
    """chatd's own columns tell capitals apart, whatever the app's do."""
    with prisma_app.app(*(statement.replace("unicode_ci", "general_ci") for statement in PLAIN)) as app:
        app.users("Ada", "bo")
        app.conversation("C1", "Ada", "bo")
        app.say("C1", "Ada", "one")
        adopt(app)
        assert kinds(app) == {"C1": ("direct", "Ada bo")}
        with served(app) as store:
            assert history(store, "C1", "Ada") == ["one"]
            assert store.room("c1") is None
            desk = Desk(store)
            desk.do(desk.send("C1", "Ada", client_id="k"), desk.send("C1", "Ada", client_id="K"))
            assert [seq for _, seq, _ in numbers(app, "C1")] == [1, 2, 3]


def test_messages_of_one_millisecond_go_by_id(app: App) -> None:
    app.conversation("c1", "ada", "bo")
    at = app.tick()
    for id, when in ("b", at), ("a", at), ("c", at), ("z", app.time(app.now - 1)):
        app.run("INSERT INTO Message (id, conversationId, senderId, content, createdAt) VALUES (%s, 'c1', 'ada', '', %s)",
                id, when)  # fmt: skip
    adopt(app)
    assert numbers(app, "c1") == [("z", 1, 2), ("a", 2, 3), ("b", 3, 4), ("c", 4, 5)]


# -- watermarks --


@pytest.mark.parametrize(
    ("unread", "statuses", "expected"),
    [
        (0, "SSS", (3, 3)),
        (1, "SSS", (2, 2)),
        (3, "SSS", (0, 0)),
        (9, "SSS", (0, 0)),  # a count that has drifted
        (-1, "SSS", (3, 3)),
        (3, "RRS", (2, 2)),  # of the two who say how far it is, whoever says more
        (1, "RSS", (2, 2)),
        (2, "DDS", (2, 1)),
        (3, "DDD", (3, 0)),
        (3, "SDR", (3, 3)),
    ],
)
def test_watermarks_of_unread_and_status(app: App, unread: int, statuses: str, expected: tuple[int, int]) -> None:
    """Of three messages, seen from who got them."""
    app.conversation("c1", "ada", "bo")
    for letter in statuses:
        app.say("c1", "ada", "text", status={"S": "SENT", "D": "DELIVERED", "R": "READ"}[letter])
    app.unread("c1", "bo", unread)
    adopt(app)
    assert marks(app, "c1") == {"ada": (3, 3), "bo": expected}
    with served(app) as store:
        found = store.summary("c1", "bo")
        assert found is not None
        assert found[0].membership.unread == 3 - expected[1]
    assert app.run("SELECT unreadCount, chatdUnread FROM ConversationParticipant WHERE userId = 'bo'") == [
        (3 - expected[1], 3 - expected[1])
    ]
    delivered, read = expected
    now = ["READ" if seq <= read else "DELIVERED" if seq <= delivered else "SENT" for seq in (1, 2, 3)]
    assert [status for (status,) in app.run("SELECT status FROM Message ORDER BY seq")] == now


def test_only_what_others_wrote_is_unread(app: App) -> None:
    app.conversation("c1", "ada", "bo")
    app.say("c1", "ada", "one", "two")
    app.say("c1", "bo", "three")
    app.say("c1", "ada", "four")
    app.unread("c1", "bo", 2)
    app.unread("c1", "ada", 1)
    adopt(app)
    assert marks(app, "c1") == {"ada": (2, 2), "bo": (1, 1)}


def test_what_the_app_deleted_counts_for_nobody() -> None:
    """An app of that kind keeps the text; chatd shows none."""
    with prisma_app.app(*(s.replace("`content` TEXT NOT NULL", "`content` TEXT NULL, `deletedAt` DATETIME(3) NULL")
                          for s in PLAIN)) as app:  # fmt: skip
        app.users("ada", "bo")
        app.conversation("c1", "ada", "bo")
        app.say("c1", "ada", "one", "secret", "three")
        app.run("UPDATE Message SET deletedAt = createdAt WHERE content = 'secret'")
        app.run("UPDATE Message SET content = NULL WHERE content = 'three'")
        app.unread("c1", "bo", 2)
        adopt(app)
        assert marks(app, "c1")["bo"] == (0, 0)
        with served(app) as store:
            assert history(store, "c1", "bo") == ["one", "", ""]


def test_without_messages(app: App) -> None:
    app.conversation("c1", "ada", "bo")
    app.unread("c1", "ada", 4)
    adopt(app)
    assert marks(app, "c1") == {"ada": (0, 0), "bo": (0, 0)}
    with served(app) as store:
        found = store.summary("c1", "ada")
        assert found is not None
        assert (found[0].room.conversation.rev, found[0].membership.unread) == (1, 0)


# -- who takes part --


def test_the_newest_of_two_conversations_of_a_pair_is_the_one(app: App) -> None:
    """By its newest message; the others go on, too."""
    for id in "a", "d", "b":
        app.conversation(id, "ada", "bo")
    app.say("d", "ada", "newest")
    app.conversation("c", "bo", "ada")  # has nothing yet, and is older than that
    app.run("UPDATE Conversation SET createdAt = %s WHERE id = 'c'", app.time(app.now - 60_000))
    app.conversation("x", "ada", "eve")
    adopt(app)
    pairs = {"a": None, "b": None, "c": None, "d": "ada bo", "x": "ada eve"}
    assert kinds(app) == {id: ("direct", pair) for id, pair in pairs.items()}
    with served(app) as store:
        desk = Desk(store)
        assert desk.unchanged(desk.open("bo", "ada")).room.id == "d"
        desk.say("a", "ada", "still here")
        assert history(store, "a", "bo") == ["still here"]


def test_of_two_rows_of_a_user_the_present_one_counts(app: App) -> None:
    """Else the newest."""
    app.conversation("c1", "ada")
    app.participant("c1", "bo", unread=1)
    app.participant("c1", "bo", left=True)
    app.participant("c1", "eve", left=True)
    newest = app.participant("c1", "eve", left=True)
    app.say("c1", "ada", "one", "two", "three")
    adopt(app)
    assert marks(app, "c1") == {"ada": (3, 3), "bo": (2, 2), "eve": (3, 3)}
    assert app.run("SELECT id FROM ConversationParticipant WHERE rev IS NOT NULL AND userId = 'eve'") == [(newest,)]
    with served(app) as store:
        room = store.room("c1")
        assert room is not None
        assert {p.user for p in room.participants if p.present} == {"ada", "bo"}
    assert app.run("SELECT COUNT(*) FROM ConversationParticipant WHERE chatdTouched IS NOT NULL") == [(0,)]


def test_who_wrote_without_a_row_has_left(app: App) -> None:
    app.conversation("c1", "ada")
    app.say("c1", "ada", "one")
    app.say("c1", "bo", "two", "three")
    last = app.now
    adopt(app)
    assert kinds(app) == {"c1": ("direct", "ada bo")}
    with served(app) as store:
        room = store.room("c1")
        assert room is not None
        bo = next(p for p in room.participants if p.user == "bo")
        assert (bo.joined_at, bo.left_at, bo.read_seq) == (last - 1000, last, 3)
        assert store.history("c1", "bo", before=None, after=0, limit=9) is None
        desk = Desk(store)
        outcome = desk.changed(desk.send("c1", "ada"))
        assert outcome.entered == ("bo",), "the other's next message brings back, as in any direct conversation"


def test_more_than_two_are_a_group(app: App) -> None:
    """So are two with a title, where the app has titles. Who came in first owns it."""
    app.run("ALTER TABLE Conversation ADD COLUMN title VARCHAR(191) NULL")
    app.conversation("c1", "eve", "ada")
    app.say("c1", "eve", "one", "two")
    app.participant("c1", "bo")
    app.say("c1", "eve", "three")
    app.unread("c1", "bo", 1)
    app.run("UPDATE ConversationParticipant SET leftAt = NOW(3) WHERE userId = 'eve'")
    app.conversation("c2", "ada", "bo")
    app.run("UPDATE Conversation SET title = 'Recall' WHERE id = 'c2'")
    app.conversation("c3", "ada", "bo")
    app.conversation("c4", "ada")
    adopt(app)
    assert kinds(app) == {
        "c1": ("group", None), "c2": ("group", None), "c3": ("direct", "ada bo"), "c4": ("direct", None),
    }  # fmt: skip
    with served(app) as store:
        room = store.room("c1")
        assert room is not None
        assert {p.user: (p.role, p.from_seq, p.read_seq) for p in room.participants} == {
            "eve": ("member", 1, 3), "ada": ("owner", 1, 3), "bo": ("member", 3, 2),
        }  # fmt: skip
        desk = Desk(store)
        desk.changed(desk.add("c1", "ada", "eve"))


def test_replies_where_the_app_has_them() -> None:
    message = MESSAGE.replace("`content`", "`replyToId` VARCHAR(191) NULL,\n    `content`")
    attachment = "CREATE TABLE `Attachment` (`id` VARCHAR(191) PRIMARY KEY, `messageId` VARCHAR(191), `url` TEXT)"
    with prisma_app.app(USER, CONVERSATION, PARTICIPANT, message, *KEYS, attachment) as app:
        app.users("ada", "bo")
        app.conversation("c1", "ada", "bo")
        app.conversation("c2", "ada", "bo")
        one, two, three = app.say("c1", "ada", "one", "two", "three")
        (other,) = app.say("c2", "ada", "other")
        for reply, to in (two, one), (three, other), (one, three):
            app.run("UPDATE Message SET replyToId = %s WHERE id = %s", to, reply)
        adopt(app)
        assert app.run("SELECT seq, replyToSeq FROM Message WHERE conversationId = 'c1' ORDER BY seq") == [
            (1, None), (2, 1), (3, None),
        ]  # fmt: skip
        notes = adoption_of(app).examine().only("note")
        assert [finding.text for finding in notes if finding.table == "Attachment"] == [
            "its files are the app's alone: chatd shows the messages without them"
        ]


def test_rows_of_nobody() -> None:
    """Without foreign keys there may be rows of users and conversations that are gone, and of no sender."""
    with prisma_app.app(USER, CONVERSATION, PARTICIPANT, MESSAGE.replace("`senderId` VARCHAR(191) NOT NULL",
                                                                         "`senderId` VARCHAR(191) NULL")) as app:  # fmt: skip
        app.users("ada", "bo")
        app.conversation("c1", "ada", "bo")
        app.say("c1", "ada", "one")
        app.say("c1", "gone", "two")
        app.run("INSERT INTO Message (id, conversationId, content) VALUES ('x', 'c1', 'nobody')")
        app.say("nowhere", "ada", "three")
        app.participant("nowhere", "ada")
        texts = [finding.text for finding in adoption_of(app).examine().only("note")]
        assert "1 messages without a sender, which chatd can't show" in texts
        adopt(app)
        with served(app) as store:
            assert history(store, "c1", "ada") == ["one", "two"]
        assert app.run("SELECT id FROM Message WHERE seq IS NULL AND conversationId = 'c1'") == [("x",)]


# -- in bounded batches, beside an app that writes --


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


def state(app: App) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, but for when somebody last wrote them."""
    found = {}
    for (table,) in app.run("SHOW TABLES"):
        columns = [name for name, *_ in app.run(f"SHOW COLUMNS FROM `{table}`") if name != "chatdTouched"]
        found[table] = sorted(app.run(f"SELECT `{'`, `'.join(columns)}` FROM `{table}`"), key=repr)
    return found


def empty(app: App) -> None:
    mariadb.server().empty(app.database)
    app.now, app.numbers = prisma_app.START, iter(range(1, 10_000))
    app.users("ada", "eve")
    app.users("bo", role="DENTIST")


def test_small_batches_end_the_same(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    created = "UPDATE User SET createdAt = updatedAt"
    fill(app)
    app.run(created)
    adopt(app)
    whole = state(app)
    assert len(whole["Message"]) == 23
    for batch, together in (1, 1), (3, 2), (4, 100):
        monkeypatch.setattr(adoption_rows, "BATCH", batch)
        monkeypatch.setattr(adoption_rows, "TOGETHER", together)
        empty(app)
        fill(app)
        app.run(created)
        told: list[tuple[int, int]] = []
        adoption_of(app).apply(
            new_epoch=lambda: "e", progress=lambda done, total, told=told: told.append((done, total))
        )
        found = state(app)
        assert found["chatd_meta"] == [row for row in whole["chatd_meta"] if row[0] != "adoption"]
        assert {**found, "chatd_meta": []} == {**whole, "chatd_meta": []}
        assert told[-1] == (29, 29)
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert len(told) > 29 // batch


def test_the_app_writes_meanwhile(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes behind the last number waits for the daemon; nothing is numbered twice, nothing is lost."""
    monkeypatch.setattr(adoption_rows, "BATCH", 2)
    app.conversation("c1", "ada", "bo")
    app.say("c1", "ada", *map(str, range(5)))

    def write(done: int, total: int) -> None:
        if len(app.run("SELECT id FROM Message")) < 10:
            app.say("c1", "bo", "meanwhile")
        if done == 2:
            app.conversation("c0", "ada", "eve")  # behind us in the order of ids
            app.conversation("c9", "ada", "eve")

    adoption_of(app).apply(new_epoch=lambda: "e", progress=write)
    numbered = [seq for _, seq, _ in numbers(app, "c1") if seq is not None]
    assert numbered == list(range(1, len(numbered) + 1))
    assert 5 < len(numbered) < 10, "some came in time, some did not"
    left = app.run("SELECT COUNT(*), COUNT(chatdTouched) FROM Message WHERE seq IS NULL")
    assert left == [(10 - len(numbered),) * 2], "the daemon's look for what was touched finds them"
    with served(app) as store:
        assert len(history(store, "c1", "ada")) == len(numbered)
        room = store.room("c1")
        assert room is not None
        assert room.conversation.last_seq == len(numbered)
    assert kinds(app)["c0"] == (None, None)
    assert kinds(app)["c9"] == ("direct", "ada eve")


def test_rows_that_the_app_holds_are_waited_for(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.mysql.connection.LOCK_WAIT", 1)
    app.conversation("c1", "ada", "bo")
    app.say("c1", "ada", "one")
    adoption_of(app).apply(new_epoch=lambda: "e")
    app.run("DELETE FROM chatd_meta WHERE `key` = 'epoch'")
    app.run("UPDATE Conversation SET rev = NULL, lastSeq = NULL, pairKey = NULL")
    app.run("UPDATE Message SET seq = NULL")
    app.run("BEGIN")
    app.run("UPDATE Conversation SET updatedAt = NOW(3)")
    waited = threading.Event()

    def let_go(seconds: float) -> None:
        waited.set()
        app.run("COMMIT")

    monkeypatch.setattr("storage.mysql.adoption_rows.time.sleep", let_go)
    adopt(app)
    assert waited.is_set()
    assert numbers(app, "c1") == [("m003", 1, 2)]
    app.run("UPDATE Conversation SET rev = NULL, pairKey = NULL")
    app.run("DELETE FROM chatd_meta WHERE `key` = 'epoch'")
    app.run("BEGIN")
    app.run("UPDATE Conversation SET updatedAt = NOW(3)")
    monkeypatch.setattr("storage.mysql.adoption_rows.time.sleep", lambda seconds: None)
    monkeypatch.setattr(adoption_rows, "ATTEMPTS", 2)
    with pytest.raises(StoreError, match="other programs hold on to the rows of a conversation: run this again"):
        adopt(app)
    app.run("COMMIT")
    adopt(app)


# -- cut short --


class Killed(BaseException):
    """The process ends here."""


@contextlib.contextmanager
def killed_after(count: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The connection's statements and commits, up to that many; the list is empty where it was never so many."""
    left = [count]

    def counted(work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            if not left[0]:
                raise Killed
            left[0] -= 1
            return work(*args, **options)

        return run

    with monkeypatch.context() as patch:
        for name in "run", "run_many", "commit":
            patch.setattr(Connection, name, counted(getattr(Connection, name)))
        with contextlib.suppress(Killed):
            yield left
            left.clear()


def test_killed_at_any_statement_of_the_rows(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then done again: the same end as if nothing had been. A long conversation and a short one, of one pair."""
    monkeypatch.setattr(adoption_rows, "BATCH", 3)
    adopt(app)
    expected: dict[str, list[tuple[Any, ...]]] = {}
    for count in range(1000):
        empty(app)
        app.conversation("c2", "ada", "bo")
        app.say("c2", "bo", "1", "2", status="READ")
        app.say("c2", "ada", "3", "4")
        app.unread("c2", "bo", 1)
        app.conversation("c1", "ada", "bo")
        app.say("c1", "eve", "newest")
        app.run("UPDATE User SET createdAt = updatedAt")
        with killed_after(count if expected else 999, monkeypatch) as left:
            adopt(app)
        if not expected:
            expected = state(app)
            continue
        if not left:
            break
        if not app.run("SELECT 1 FROM chatd_meta WHERE `key` = 'epoch'"):
            with pytest.raises(StoreError, match=r"there are an app's tables: `chatd db adopt`"), served(app):
                pass
        adopt(app)
        assert state(app) == expected, count
    else:
        raise AssertionError("never done")
    assert count > 50


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


def test_killed_before_any_statement_to_the_tables(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    app.conversation("c1", "ada", "bo")
    app.say("c1", "ada", "one")
    whole = adoption_of(app).examine()
    statements = [statement.what for statement in merged(whole.steps)]
    assert len(statements) == 5 + sum(table.own for table in TABLES) - 1
    for left in range(len(statements) - 1, 0, -1):  # the first is chatd_meta's
        announced: list[str] = []

        def announce(what: str, announced: list[str] = announced) -> None:
            announced.append(what)
            if len(announced) == 2:
                raise Killed

        with contextlib.suppress(Killed):
            adoption_of(app).apply(new_epoch=lambda: "e", announce=announce)  # one statement further each time
        if left == 1:
            break
        assert announced == statements[-left:][:2]
        with pytest.raises(StoreError, match=r"`chatd db adopt`"), served(app):
            pass
        found = adoption_of(app).examine()
        assert (found.migration(), found.fragment()) == (whole.migration(), whole.fragment())
    with prisma_app.app() as other:
        adopt(other)
        assert layout(app) == layout(other)
    with served(app) as store:
        assert history(store, "c1", "bo") == ["one"]


def test_a_second_time_changes_nothing(app: App) -> None:
    fill(app)
    adopt(app)
    before = state(app), layout(app)
    adoption_of(app).apply(new_epoch=lambda: "other")
    assert (state(app), layout(app)) == before
    assert adoption_of(app).examine().steps == ()


def test_two_at_once(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is told; what it would do the first does."""
    monkeypatch.setattr(adoption, "LOCK_PATIENCE", 0)

    def also(what: str) -> None:
        with pytest.raises(StoreError, match="another program is upgrading or adopting it"):
            adopt(app)

    adoption_of(app).apply(new_epoch=lambda: "e", announce=also)


# -- migration.sql and schema.prisma --


def test_the_printed_statements_do_the_same(app: App) -> None:
    """Run by somebody else, in a session without our settings; the rows are left to `--apply`."""
    fill(app)
    migration = adoption_of(app).examine().migration()
    lines = [line for line in migration.splitlines() if not line.startswith("--")]
    for statement in "\n".join(lines).split(";\n"):
        if statement.strip():
            app.run(statement)
    found = adoption_of(app).examine()
    assert found.steps == ()
    assert not found.adopted
    with pytest.raises(StoreError, match="`chatd db adopt`"), served(app):
        pass
    adopt(app)
    with prisma_app.app() as other:
        adopt(other)
        assert layout(app) == layout(other)
    with served(app) as store:
        assert len(history(store, "c4", "ada")) == 8


def test_migration_and_fragment_can_be_had_afterwards(app: App) -> None:
    before = adoption_of(app).examine()
    adopt(app)
    after = adoption_of(app).examine()
    assert after.migration() == before.migration()
    assert after.fragment() == before.fragment()


def test_the_fragment_has_all_that_is_added(app: App) -> None:
    found = adoption_of(app).examine()
    fragment = found.fragment()
    parts = fragment.split("// To the model of the table ")
    for table in TABLES:
        if table.own:
            assert f'@@map("{table.name}")\n  @@ignore\n}}' in fragment
            continue
        (part,) = [part for part in parts if part.startswith(f"{table.name}:")]
        added = [step.part.removeprefix("column ") for step in found.steps
                 if step.table == table.name and step.part is not None and step.part.startswith("column ")]  # fmt: skip
        fields = [line.split()[0] for line in part.split("\n\n")[0].splitlines()[1:] if not line.startswith("  @@")]
        assert fields == added
        assert part.count("@@index([chatdTouched])") + part.count("@@index([chatdTouched]") == 1
    assert "  chatdTouched DateTime? @default(now()) @db.Timestamp(3) @ignore\n" in fragment
    assert '  @@unique([conversationId, seq], map: "Message_conversationId_seq_key")\n' in fragment
    assert "  lastSeenAt DateTime?\n" in fragment, "the app may want it"
    assert "  clientId Bytes? @db.VarBinary(256) @ignore\n" in fragment
    assert '  role String @default("member") @db.VarChar(16) @ignore\n' in fragment


def test_the_fragment_in_other_names() -> None:
    with prisma_app.app(*prisma_app.renamed()) as app:
        fragment = adoption_of(app, names=RENAMED).examine().fragment()
        assert (
            '// To the model of the table chat_messages:\n  replyToId String?\n  seq Int? @map("no") @ignore\n'
            in fragment
        )
        assert '@@unique([conversationId, seq], map: "chat_messages_chat_id_no_key")' in fragment


def test_an_app_without_conversations_gets_their_tables() -> None:
    with prisma_app.app(
        USER.replace("`role` ENUM('PATIENT', 'DENTIST', 'ADMIN') NOT NULL DEFAULT 'PATIENT',", "")
    ) as app:
        app.run("INSERT INTO User (id, name, updatedAt) VALUES ('ada', 'Ada', NOW(3)), ('bo', 'Bo', NOW(3))")
        fragment = adoption_of(app).examine().fragment()
        assert "  role UserRole @default(PATIENT)\n" in fragment
        assert "enum UserRole {\n  PATIENT\n  DENTIST\n  STAFF\n  ADMIN\n}" in fragment
        assert "  user User @relation(fields: [userId], references: [id])\n" in fragment
        assert "  conversationParticipants ConversationParticipant[]\n  messages Message[]\n" in fragment
        adopt(app)
        with served(app) as store:
            desk = Desk(store)
            c = desk.changed(desk.open("ada", "bo")).room.id
            desk.say(c, "ada", "first")


# -- what can't be served is named --


def changed(table: str, old: str, new: str) -> tuple[str, ...]:
    """PLAIN with one thing otherwise in one table."""
    found = []
    for statement in PLAIN:
        if f"CREATE TABLE `{table}`" in statement:
            assert old in statement
            statement = statement.replace(old, new)
        found.append(statement)
    return tuple(found)


def integers() -> tuple[str, ...]:
    ids = ("id", "conversationId", "userId", "senderId")
    return tuple(_each(statement, ids) for statement in PLAIN)


def _each(statement: str, ids: Sequence[str]) -> str:
    for id in ids:
        statement = statement.replace(f"`{id}` VARCHAR(191)", f"`{id}` INTEGER")
    return statement


@pytest.mark.parametrize(
    ("tables", "table", "text"),
    [
        (integers(), "Message", "column senderId is int(11); chatd needs ids of text, as String makes them (integer ids"),
        (
            changed("User", "'DENTIST'", "'PRO', 'Receptionist'"), "User",
            'column role: what are PRO, Receptionist to chatd? Set it in mysql.roles, like ["PRO=patient", "Receptionist=',
        ),
        (changed("Message", "'READ'", "'SEEN'"), "Message", "column status is enum('SENT','DELIVERED','SEEN'), without READ"),
        (changed("Message", "`status` ENUM('SENT', 'DELIVERED', 'READ')", "`status` VARCHAR(5)"), "Message", "too short"),
        (changed("Message", "`createdAt` DATETIME(3)", "`createdAt` DATETIME(0)"), "Message", "chatd needs DATETIME(3)"),
        (changed("Message", "`content` TEXT", "`content` JSON"), "Message", ""),
        (changed("Message", "`content` TEXT", "`content` BLOB"), "Message", "column content is blob; chatd needs text"),
        (changed("Message", "`createdAt`", "`madeAt`"), "Message", "no column createdAt; if it has another name, set it in"),
        (changed("Message", "`content`", "`seq` INTEGER NOT NULL DEFAULT 0, `content`"), "Message",
         'column seq is the app\'s, and chatd needs one of its own by that name: set another for it in mysql.names, like '
         '"Message.seq=chatdSeq"'),
        (changed("Message", "`content`", "`urgency` INTEGER NOT NULL, `content`"), "Message",
         "column urgency has no default, and chatd has nothing to put there: give it one"),
        (changed("Message", "`id` VARCHAR(191)", "`id` VARCHAR(25)"), "Message", "the ids that chatd makes have 36"),
        (changed("Conversation", "`lastMessageAt` DATETIME(3) NULL", "`lastMessageAt` DATETIME(3) NOT NULL"), "Conversation",
         "column lastMessageAt may not be NULL, which chatd writes there: make it optional"),
        (changed("ConversationParticipant", "`isMuted` BOOLEAN", "`isMuted` VARCHAR(5)"), "ConversationParticipant",
         "column isMuted is varchar(5); chatd needs TINYINT(1)"),
        (changed("ConversationParticipant", "`unreadCount` INTEGER", "`unreadCount` DOUBLE"), "ConversationParticipant",
         "column unreadCount is double; chatd needs INT"),
        (changed("User", "`name` VARCHAR(191)", "`name` VARCHAR(191) CHARACTER SET latin1"), "User",
         "column name has the character set latin1; chatd needs utf8mb4"),
        ((*UNLINKED, "ALTER TABLE Message ENGINE = MyISAM"), "Message", "its engine is MyISAM, which has no"),
        ((*UNLINKED, "ALTER TABLE Message ROW_FORMAT = COMPACT"), "Message", "its row format is Compact"),
        ((*UNLINKED, "RENAME TABLE Message TO messages"), "Message",
         'no such table, though there is messages: set its name in mysql.names, like "Message=messages"'),
        ((*UNLINKED, "RENAME TABLE Message TO Rant"), "Message",
         'no such table, though there is Conversation, ConversationParticipant, User: set its name in mysql.names'),
        ((*UNLINKED, "RENAME TABLE Message TO T", "CREATE VIEW Message AS SELECT * FROM T"), "Message",
         "a view, not a table"),
        ((*UNLINKED, "ALTER TABLE Message DROP PRIMARY KEY, ADD PRIMARY KEY (id, senderId)"), "Message",
         "its primary key is not one column, the id"),
    ],
)  # fmt: skip
def test_what_cant_be_served(tables: tuple[str, ...], table: str, text: str) -> None:
    """It is named, refused, and nothing is changed."""
    with prisma_app.app(*tables) as app:
        before = layout(app)
        if not text:  # MariaDB's JSON is text
            adopt(app)
            return
        wrong = adoption_of(app).examine().only("wrong")
        assert any(finding.table == table and text in finding.text for finding in wrong), wrong
        with pytest.raises(StoreError) as refused:
            adopt(app)
        assert str(refused.value).startswith(f"database {app.database} on 127.0.0.1:")
        assert "\n" not in str(refused.value)
        assert layout(app) == before


def test_rows_that_cant_be_served(app: App) -> None:
    app.users("two words")
    app.conversation("c1", "bo")
    app.run("INSERT INTO ConversationParticipant (id, conversationId, userId) VALUES ('x', 'c1', 'ADA')")
    wrong = [(finding.table, finding.text) for finding in adoption_of(app).examine().only("wrong")]
    assert wrong == [
        ("User", "1 ids that are not 1 to 128 printable ASCII characters without space"),
        (
            "ConversationParticipant",
            "1 rows name their user in other capitals than the user's id has, which chatd takes for somebody else",
        ),
    ]
    with pytest.raises(StoreError, match=r"User: 1 ids .* \(and 1 more: `chatd db check` lists them\)"):
        adopt(app)


def test_roles_are_mapped_by_the_settings() -> None:
    roles = {"PRO": "dentist", "Receptionist": "staff"}
    with prisma_app.app(*changed("User", "'DENTIST'", "'PRO', 'Receptionist'")) as app:
        app.users("ada")
        app.users("bo", role="PRO")
        app.users("cy", role="Receptionist")
        adopt(app, roles=roles)
        with served(app, roles=roles) as store:
            users = store.users(["ada", "bo", "cy"])
            assert {id: user.role for id, user in users.items()} == {"ada": "patient", "bo": "dentist", "cy": "staff"}


@pytest.mark.parametrize("kind", ["VARCHAR(191)", "TINYTEXT", "TEXT CHARACTER SET utf8mb3"])
def test_a_short_content_is_widened_where_that_is_allowed(kind: str) -> None:
    with prisma_app.app(*changed("Message", "`content` TEXT", f"`content` {kind}")) as app:
        app.users("ada", "bo")
        app.conversation("c1", "ada", "bo")
        app.say("c1", "ada", "önly this")
        found = adoption_of(app).examine()
        assert [finding.level for finding in found.findings if "content" in finding.text] == ["narrow"]
        assert "// and to its field content: @db.Text" in found.fragment()
        before = layout(app)
        with pytest.raises(StoreError, match=r"can't hold 10000 characters of any kind: --widen lets it be changed"):
            adopt(app)
        assert layout(app) == before
        adoption_of(app).apply(new_epoch=lambda: "e", widen=True)
        with served(app) as store:
            desk = Desk(store)
            desk.say("c1", "bo", "🦷" * 10_000)
            assert history(store, "c1", "ada") == ["önly this", "🦷" * 10_000]
        assert app.run("SELECT is_nullable FROM information_schema.columns WHERE table_schema = DATABASE() "
                       "AND table_name = 'Message' AND column_name = 'content'") == [("NO",)]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "more"), [("VARCHAR(191) NOT NULL DEFAULT ''", ""), ("VARCHAR(191) NOT NULL", "INDEX (`content`),")]
)
def test_a_short_content_that_cant_be_widened(kind: str, more: str) -> None:
    with prisma_app.app(*changed("Message", "`content` TEXT NOT NULL,", f"`content` {kind}, {more}")) as app:
        with pytest.raises(StoreError, match="can't change a column that has a default or is in an index"):
            adoption_of(app).apply(new_epoch=lambda: "e", widen=True)


def test_longer_messages_by_the_settings(app: App) -> None:
    (finding,) = adoption_of(app, body_chars=20_000).examine().only("narrow")
    assert finding.text == "column content is text, and can't hold 20000 characters of any kind"
    adoption_of(app, body_chars=20_000).apply(new_epoch=lambda: "e", widen=True)
    assert adoption_of(app, body_chars=20_000).examine().only("narrow") == []


def test_a_user_who_may_not_alter(app: App) -> None:
    """Somebody who may can run what is printed."""
    user = f"w{app.database[-12:]}"
    app.run(f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY 'x'")
    app.run(f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON {app.database}.* TO {user}@'127.0.0.1'")
    port = mariadb.parse(mariadb.server().url("x")).port
    limited = Adoption(f"mysql://{user}:x@127.0.0.1:{port}/{app.database}")
    with pytest.raises(StoreError, match="this user may not alter tables: GRANT ALTER, CREATE, INDEX, or let somebody"):
        limited.apply(new_epoch=lambda: "e")
    app.run(f"DROP USER {user}@'127.0.0.1'")


def test_a_table_that_others_use(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """It isn't waited for without end: the app would wait behind us."""
    monkeypatch.setattr(adoption, "TABLE_WAIT", 1)
    app.run("BEGIN")
    app.run("SELECT * FROM User")
    with pytest.raises(StoreError, match=r"User: .*: other programs are using the table: run this again"):
        adopt(app)
    app.run("COMMIT")
    adopt(app)


def test_nothing_to_adopt() -> None:
    server = mariadb.server()
    name = server.database()
    with pytest.raises(StoreError, match="it is empty, there is nothing to adopt: run `chatd db upgrade`"):
        Adoption(server.url(name)).apply(new_epoch=lambda: "e")
    with contextlib.closing(MysqlStore(server.url(name), new_epoch=lambda: "own")):
        pass
    found = Adoption(server.url(name)).examine()
    assert found.adopted
    assert found.findings == found.steps == ()


# -- the app goes on --


def test_the_apps_statements_still_work(app: App) -> None:
    """As a Prisma client made before sends them."""
    app.conversation("c1", "ada", "bo")
    app.say("c1", "ada", "one")
    adopt(app)
    for statement, values in RECORDED:
        app.run(statement, *values)
    assert app.run("SELECT content, seq, kind FROM Message ORDER BY createdAt") == [
        ("one", 1, "text"), ("Es schmerzt", None, "text"),
    ]  # fmt: skip
    for table in app_tables():
        unset = app.run(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = %s "
            "AND is_nullable = 'NO' AND column_default IS NULL AND column_name IN %s",
            table.name, [column.name for column in table.columns if not column.required],
        )  # fmt: skip
        assert {name for (name,) in unset} <= {"updatedAt", "conversationId", "userId", "senderId", "id"}


def test_many_new_rows_share_our_unique_keys(app: App) -> None:
    adopt(app)
    app.conversation("c1", "ada", "bo")
    app.conversation("c2", "ada", "bo")
    app.participant("c1", "ada")
    app.say("c1", "ada", "one", "two", "two")


def test_a_batch_after_adoption(app: App) -> None:
    fill(app)
    adopt(app)
    with served(app) as store:
        desk = Desk(store, first=5000)
        desk.now = app.now
        outcomes = desk.do(*(desk.send(f"c{place}", "ada") for place in range(5)), desk.send("g", "bo"))
        assert all(isinstance(outcome, Changed) for outcome in outcomes)
        for c in "c0", "c3", "g":
            room = store.room(c)
            assert room is not None
            page = store.since(c, "ada", 0, limit=1000)
            assert page is not None
            assert len(page.messages) == room.conversation.last_seq


# -- the commands --


@pytest.fixture
def chatd(app: App, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, [*words, "--database", mariadb.server().url(app.database)])

    return run


def test_commands(app: App, chatd: Callable[..., Result], tmp_path: Any) -> None:
    fill(app)
    served = chatd("serve", "--data", str(tmp_path / "data"))
    assert served.exit_code == 2
    assert "there are an app's tables: `chatd db adopt` shows" in served.stderr
    assert served.stderr.count("\n") == 1
    checked = chatd("db", "check")
    assert checked.exit_code == 1
    assert "missing  Message: column seq\n" in checked.stdout
    printed = chatd("db", "adopt")
    assert printed.exit_code == 0, printed.output
    assert printed.stdout == adoption_of(app).examine().migration()
    assert chatd("db", "adopt", "--prisma").stdout == adoption_of(app).examine().fragment()
    assert adoption_of(app).examine().done == (), "nothing has been done yet"
    applied = chatd("db", "adopt", "--apply")
    assert applied.exit_code == 0, applied.output
    assert applied.stdout == f"{adoption_of(app).examine().where}: adopted\n"
    assert "adding Message: column replyToId, column seq" in applied.stderr
    assert "29 of 29 conversations and messages taken in\n" in applied.stderr
    assert chatd("db", "adopt", "--apply").stdout.endswith(": nothing to do, it is adopted\n")
    checked = chatd("db", "check")
    assert checked.exit_code == 0, checked.output
    assert checked.stdout.endswith(": everything is there\n")


def test_commands_that_cant(app: App, chatd: Callable[..., Result]) -> None:
    app.users("two words")
    for words in ("db", "adopt"), ("db", "adopt", "--apply"):
        result = chatd(*words)
        assert result.exit_code == 2
        assert "User: 1 ids that are not" in result.stderr
    result = CliRunner().invoke(main, ["db", "adopt", "--database", "sqlite:///x.db"])
    assert result.exit_code == 2
    assert "only a database of MySQL can be adopted" in result.stderr


def test_the_password_is_never_shown(app: App, chatd: Callable[..., Result]) -> None:
    with pytest.raises(StoreError) as error:
        Adoption(f"mysql://chatd:{'s3cret'}@127.0.0.1:1/x").examine()
    assert "s3cret" not in str(error.value)
    assert mariadb.PASSWORD not in chatd("db", "adopt", "--apply").output
