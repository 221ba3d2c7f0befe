"""Columns of the app's that may not be empty: chatd fills them, or names them before anything fails."""

from collections.abc import Iterator

import pytest

from storage.changes import Changed, Refused
from storage.contract import StoreError, TableMismatch, Unavailable
from support import prisma_app
from support.prisma_app import App, adopt, adoption_of, changed, history, layout, served
from support.stores import Desk

RECEIVER_KEY = (
    "ALTER TABLE `Message` ADD CONSTRAINT `Message_receiverId_fkey` FOREIGN KEY (`{}`) REFERENCES `User`(`id`) "
    "ON DELETE RESTRICT ON UPDATE CASCADE"
)


def with_receivers(name: str = "receiverId", null: str = "NOT NULL") -> tuple[str, ...]:
    old = "`content` TEXT"
    return (*changed("Message", old, f"`{name}` VARCHAR(191) {null}, {old}"), RECEIVER_KEY.format(name))


@pytest.fixture
def app() -> Iterator[App]:
    with prisma_app.with_people() as found:
        found.conversation("c1", "ada", "bo")
        yield found


@pytest.mark.parametrize("name", ["receiverId", "recipient_id", "toUserId"])
@pytest.mark.parametrize("null", ["NULL", "NOT NULL"])
def test_receiver_of_two_people_is_the_other(name: str, null: str) -> None:
    with prisma_app.app(*with_receivers(name, null)) as app:
        prisma_app.people(app)
        app.conversation("c1", "ada", "bo")
        adopt(app)
        with served(app) as store:
            desk = Desk(store)
            desk.now = app.now
            desk.say("c1", "ada", "one")
            desk.changed(desk.send("c1", "bo", "two", reply_to=1))
            desk.changed(desk.edit("c1", "ada", 1, "one!"))
            c = desk.changed(desk.open("eve", "bo")).room.id
            desk.say(c, "eve", "three")
        found = app.run(f"SELECT content, `{name}` FROM Message ORDER BY createdAt, seq")
        assert found == [("one!", "bo"), ("two", "ada"), ("three", "bo")]


def test_receiver_in_a_group_is_nobody_where_that_may_be() -> None:
    with prisma_app.app(*with_receivers(null="NULL")) as app:
        prisma_app.people(app)
        adopt(app)
        with served(app) as store:
            desk = Desk(store)
            g = desk.changed(desk.create("ada", "bo", "eve")).room.id
            desk.say(g, "ada", "all")
            assert app.run("SELECT receiverId FROM Message") == [(None,)]


def test_required_receiver_forbids_groups_unless_it_may_be_the_sender() -> None:
    with prisma_app.app(*with_receivers()) as app:
        prisma_app.people(app)
        app.conversation("g", "ada", "bo", "eve")
        notes = [finding.text for finding in adoption_of(app).examine().only("note")]
        assert any("receiverId may not be NULL" in note and "mysql.receiver_in_groups" in note for note in notes)
        adopt(app)
        with served(app) as store:
            desk = Desk(store)
            outcomes = desk.do(
                desk.create("ada", "bo", "eve"),
                desk.send("g", "ada"),
                desk.add("g", "ada", "cy"),
                desk.open("ada", "bo"),
                desk.leave("g", "eve"),  # whoever wants to go can
            )
            refused = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, Refused)]
            assert refused == [0, 1, 2]
            assert {outcomes[place].reason for place in refused} == {"forbidden"}  # type: ignore[union-attr]
            desk.changed(desk.send("g", "ada", "of two people now"))
        with served(app, receiver_in_groups="sender") as store:
            desk = Desk(store, first=100)
            g = desk.changed(desk.create("ada", "bo", "eve")).room.id
            desk.say(g, "ada", "all")
            assert app.run("SELECT receiverId FROM Message WHERE conversationId = %s", g) == [("ada",)]


def test_constants_fill_what_chatd_knows_nothing_of() -> None:
    tables = [
        statement.replace(
            "`updatedAt` DATETIME(3) NOT NULL", "`tenant` INTEGER NOT NULL, `updatedAt` DATETIME(3) NOT NULL"
        )
        for statement in changed(
            "Message", "`content` TEXT", "`type` ENUM('TEXT', '100% IMAGE') NOT NULL, `content` TEXT"
        )
    ]
    tables = [s.replace("`isMuted` BOOLEAN", "`via` VARCHAR(9) NOT NULL, `isMuted` BOOLEAN") for s in tables]
    constants = {"Message.type": "100% IMAGE", "Conversation.tenant": "7", "User.tenant": "7",
                 "ConversationParticipant.via": "it's"}  # fmt: skip
    with prisma_app.app(*tables) as app:
        before = layout(app)
        told = {finding.text for finding in adoption_of(app).examine().only("wrong")}
        assert any('set mysql.constants = ["Message.type=..."]' in text for text in told), told
        with pytest.raises(StoreError):
            adopt(app)
        assert layout(app) == before
        app.run("INSERT INTO User (id, tenant, updatedAt) VALUES ('bo', 7, NOW(3))")
        app.run("INSERT INTO Conversation (id, tenant, updatedAt) VALUES ('c0', 7, NOW(3))")
        app.run(
            "INSERT INTO Message (id, conversationId, senderId, type, content) VALUES ('m', 'c0', 'bo', 'TEXT', '')"
        )
        adopt(app, constants=constants)
        with served(app, constants=constants) as store:
            desk = Desk(store)
            c = desk.chat("ada", "bo")
            desk.say(c, "ada", "one")
            desk.changed(desk.edit(c, "ada", 1, "two"))
            desk.changed(desk.create("ada", "bo"))
            desk.changed(desk.receipt(c, "bo", read=1))
        assert app.run("SELECT type, content FROM Message WHERE conversationId <> 'c0'") == [("100% IMAGE", "two")]
        assert app.run("SELECT DISTINCT tenant FROM Conversation") == [(7,)]
        assert app.run("SELECT DISTINCT via FROM ConversationParticipant") == [("it's",)]


def test_constant_for_a_column_that_is_not_there_is_refused(app: App) -> None:
    with pytest.raises(StoreError, match="Message: no column type, which"):
        adopt(app, constants={"Message.type": "TEXT"})
    with pytest.raises(StoreError, match=r"chatd_token.jti: expected a column like"):
        adopt(app, constants={"chatd_token.jti": "TEXT"})


URGENT = r"Message: column urgency has no default, and chatd has nothing to put there: give it one"


@pytest.mark.parametrize(
    ("broken", "mended", "text"),
    [
        ("ADD COLUMN urgency INT NOT NULL", "MODIFY urgency INT NOT NULL DEFAULT 0", URGENT),
        ("MODIFY status ENUM('SENT', 'READ') NOT NULL DEFAULT 'SENT'",
         "MODIFY status ENUM('SENT', 'READ', 'DELIVERED') NOT NULL DEFAULT 'SENT'", "without DELIVERED"),
        ("RENAME COLUMN content TO body", "RENAME COLUMN body TO content", "Message: no column content"),
    ],
)  # fmt: skip
def test_table_that_changes_at_work_is_told(app: App, broken: str, mended: str, text: str) -> None:
    """With table and column, until it is mended; and a daemon that starts says the same."""
    adopt(app)
    with served(app) as store:
        desk = Desk(store)
        desk.now = app.now
        desk.say("c1", "ada", "one")
        app.run(f"ALTER TABLE Message {broken}")
        with pytest.raises(Unavailable, match=text):
            desk.do(desk.send("c1", "ada", "two"), desk.receipt("c1", "bo", delivered=1))
        with pytest.raises(Unavailable, match=text):
            store.repair()
        with pytest.raises(StoreError, match=text), served(app):
            pass
        app.run(f"ALTER TABLE Message {mended}")
        store.repair()
        desk.say("c1", "ada", "two")
        assert history(store, "c1", "ada") == ["one", "two"]


def test_row_that_a_table_refuses_is_told_with_its_column(app: App) -> None:
    """The others go on; nothing of what people wrote is in it."""
    app.run("CREATE TABLE Kind (id VARCHAR(191) PRIMARY KEY) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
    app.run("INSERT INTO Kind VALUES ('secret')")
    app.run("ALTER TABLE Message ADD COLUMN kindId VARCHAR(191) COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'secret'")
    app.run("ALTER TABLE Message ADD CONSTRAINT k FOREIGN KEY (kindId) REFERENCES Kind (id)")
    adopt(app)
    with served(app) as store:
        desk = Desk(store)
        desk.say("c1", "ada", "one")
        app.run("ALTER TABLE Message ALTER kindId SET DEFAULT 'other'")
        with pytest.raises(TableMismatch) as told:
            desk.say("c1", "ada", "two")
        assert str(told.value) == "Message.kindId: the database refuses what is written there (1452)"
        assert isinstance(desk.do(desk.receipt("c1", "bo", delivered=1))[0], Changed)
