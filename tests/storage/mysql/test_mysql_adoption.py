"""An app's database becomes chatd's, too: what was written is served, and both go on."""

from collections.abc import Iterator
from typing import Any

import pytest

from storage.changes import Changed
from storage.contract import StoreError
from storage.mysql.store import MysqlStore
from storage.mysql.tables import app_tables
from storage.records import Message
from support import prisma_app
from support.prisma_app import (
    CONVERSATION,
    KEYS,
    MESSAGE,
    PARTICIPANT,
    PLAIN,
    RECORDED,
    RENAMED,
    USER,
    App,
    adopt,
    adoption_of,
    fill,
    history,
    served,
)
from support.stores import Desk


@pytest.fixture
def app() -> Iterator[App]:
    with prisma_app.with_people() as found:
        yield found


def numbers(app: App, conversation: str) -> list[tuple[Any, ...]]:
    return app.run("SELECT id, seq, rev FROM Message WHERE conversationId = %s ORDER BY seq", conversation)


def marks(app: App, conversation: str) -> dict[str, tuple[int, int]]:
    """User -> delivered, read, of the rows that were taken in."""
    found = app.run("SELECT userId, deliveredSeq, readSeq FROM ConversationParticipant "
                    "WHERE conversationId = %s AND rev IS NOT NULL", conversation)  # fmt: skip
    assert len({user for user, *_ in found}) == len(found)
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
    for table in "Message", "ConversationParticipant":
        assert app.run(f"SELECT COUNT(chatdTouched) FROM {table}") == [(0,)], "nobody has written since"
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


def test_adoption_by_other_names_succeeds() -> None:
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
        app.run("INSERT INTO Message (id, conversationId, senderId, content, createdAt) "
                "VALUES (%s, 'c1', 'ada', '', %s)", id, when)  # fmt: skip
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


def test_adoption_counts_only_others_messages_unread(app: App) -> None:
    app.conversation("c1", "ada", "bo")
    app.say("c1", "ada", "one", "two")
    app.say("c1", "bo", "three")
    app.say("c1", "ada", "four")
    app.unread("c1", "bo", 2)
    app.unread("c1", "ada", 1)
    adopt(app)
    assert marks(app, "c1") == {"ada": (2, 2), "bo": (1, 1)}


def test_adoption_deleted_messages_count_for_nobody() -> None:
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


def test_newest_of_two_conversations_of_a_pair_is_the_one(app: App) -> None:
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


def test_two_rows_of_a_user_the_present_one_counts(app: App) -> None:
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


def test_adoption_sender_without_a_row_has_left(app: App) -> None:
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


def test_adoption_of_more_than_two_makes_a_group(app: App) -> None:
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
        assert store.scan(None).retitled == (), "its titles are known"


def test_replies_where_the_app_has_them() -> None:
    message = MESSAGE.replace("`content`", "`replyToId` VARCHAR(191) NULL,\n    `content`")
    with prisma_app.app(USER, CONVERSATION, PARTICIPANT, message, *KEYS) as app:
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


def test_rows_of_nobody() -> None:
    """Without foreign keys there may be rows of users and conversations that are gone, and of no sender."""
    message = MESSAGE.replace("`senderId` VARCHAR(191) NOT NULL", "`senderId` VARCHAR(191) NULL")
    with prisma_app.app(USER, CONVERSATION, PARTICIPANT, message) as app:
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


# -- the app goes on --


def test_apps_statements_still_work(app: App) -> None:
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


def test_adoption_new_rows_of_the_app_share_unique_keys(app: App) -> None:
    adopt(app)
    app.conversation("c1", "ada", "bo")
    app.conversation("c2", "ada", "bo")
    app.participant("c1", "ada")
    app.say("c1", "ada", "one", "two", "two")


def test_batch_after_adoption(app: App) -> None:
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


# -- dates that no calendar has --

NO_DATES = ("0000-00-00 00:00:00", "2024-02-31 10:00:00", "2024-00-10 00:00:00")


def write_no_dates(app: App, conversation: str) -> None:
    app.run("SET sql_mode = 'ALLOW_INVALID_DATES'")
    for n, date in enumerate(NO_DATES):
        app.run(
            "INSERT INTO `Message` (`id`,`conversationId`,`senderId`,`content`,`createdAt`) VALUES (%s,%s,'ada',%s,%s)",
            f"{conversation}-{n}", conversation, date, date,
        )  # fmt: skip


def messages(store: MysqlStore, conversation: str) -> list[Message]:
    page = store.history(conversation, "bo", before=None, after=0, limit=9)
    assert page is not None
    return list(page.messages)


def test_dates_that_no_calendar_has_are_named_and_adopted_as_the_earliest(app: App) -> None:
    app.conversation("c1", "ada", "bo")
    app.say("c1", "ada", "a date")
    write_no_dates(app, "c1")
    app.run("UPDATE `Conversation` SET `createdAt` = '0000-00-00', `lastMessageAt` = '2023-02-30'")
    notes = [finding.text for finding in adoption_of(app).examine().only("note")]
    for column, rows in ("Message", 3), ("Conversation", 1):
        assert f"{rows} rows whose createdAt is a date that no calendar has: taken for 1970-01-01" in notes, column
    adopt(app)
    with served(app) as store:
        found = messages(store, "c1")
        assert [(m.seq, m.body) for m in found] == [*enumerate(NO_DATES, 1), (4, "a date")]
        assert [m.sent_at for m in found[:3]] == [0, 0, 0]
        assert found[3].sent_at > 0


def test_dates_that_no_calendar_has_written_after_the_adoption_are_taken_in(app: App) -> None:
    app.conversation("c1", "ada", "bo")
    adopt(app)
    write_no_dates(app, "c1")
    with served(app) as store:
        while store.ingest(None, app.now):
            pass
        assert [(m.seq, m.sent_at) for m in messages(store, "c1")] == [(1, 0), (2, 0), (3, 0)]
        desk = Desk(store, first=1000)
        assert isinstance(desk.do(desk.react("c1", "bo", 2))[0], Changed), "chatd may write to such a row"
        desk.say("c1", "bo", "next")
        assert [m.body for m in messages(store, "c1")] == [*NO_DATES, "next"]
