"""What adoption adds to an app's tables, and what it names and refuses; what the app's migrations are told of it."""

import contextlib
from collections.abc import Iterator

import pytest

from storage.changes import Refused
from storage.contract import StoreError
from storage.mysql import schema
from storage.mysql.adoption.adopt import Adoption
from storage.mysql.store import MysqlStore
from storage.mysql.tables import TABLES
from storage.mysql.url import parse
from support import mariadb, prisma_app
from support.prisma_app import (
    PLAIN,
    RENAMED,
    UNLINKED,
    USER,
    App,
    adopt,
    adoption_of,
    changed,
    fill,
    history,
    layout,
    served,
)
from support.stores import Desk


@pytest.fixture
def app() -> Iterator[App]:
    with prisma_app.with_people() as found:
        yield found


# -- migration.sql and schema.prisma --


def test_printed_statements_do_the_same(app: App) -> None:
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


def test_fragment_has_all_that_is_added(app: App) -> None:
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


def test_fragment_in_other_names() -> None:
    with prisma_app.app(*prisma_app.renamed()) as app:
        fragment = adoption_of(app, names=RENAMED).examine().fragment()
        assert (
            '// To the model of the table chat_messages:\n  replyToId String?\n  seq Int? @map("no") @ignore\n'
            in fragment
        )
        assert '@@unique([chat_id, seq], map: "chat_messages_chat_id_no_key")' in fragment, "as the columns are called"
        schema = 'model Msg {\n  chat Int @map("chat_id")\n  text String\n  @@map("chat_messages")\n}\n'
        assert "@@unique([chat, seq]," in adoption_of(app, names=RENAMED).examine().fragment(schema)


def test_app_without_conversations_gets_their_tables() -> None:
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


def message(old: str, new: str) -> tuple[str, ...]:
    return changed("Message", old, new)


def unlinked(*more: str) -> tuple[str, ...]:
    return (*UNLINKED, *more)


def integers() -> tuple[str, ...]:
    found = "\0".join(PLAIN)
    for id in "id", "conversationId", "userId", "senderId":
        found = found.replace(f"`{id}` VARCHAR(191)", f"`{id}` INTEGER")
    return tuple(found.split("\0"))


USERS, CHATS, SEATS, TEXTS = "User", "Conversation", "ConversationParticipant", "Message"


@pytest.mark.parametrize(
    ("tables", "table", "text"),
    [
        (integers(), TEXTS, "column id is a number that the server doesn't count: make it AUTO_INCREMENT"),
        (
            changed(USERS, "'DENTIST'", "'PRO', 'Receptionist'"),
            USERS,
            'role: what are PRO, Receptionist to chatd? Set it in mysql.roles, like ["PRO=patient", "Receptionist=',
        ),
        (
            changed(USERS, "'PATIENT', 'DENTIST', 'ADMIN') NOT NULL DEFAULT 'PATIENT'", "'DENTIST', 'ADMIN')"),
            USERS,
            "column role has no value for patient: set one in mysql.roles",
        ),
        (message("'READ'", "'SEEN'"), TEXTS, "column status is enum('SENT','DELIVERED','SEEN'), without READ"),
        (
            message("`status` ENUM('SENT', 'DELIVERED', 'READ')", "`status` VARCHAR(5)"),
            TEXTS,
            "too short for DELIVERED",
        ),
        (
            message("`status` ENUM('SENT', 'DELIVERED', 'READ') NOT NULL DEFAULT 'SENT'", "`status` INTEGER"),
            TEXTS,
            "needs an enum, or text",
        ),
        (
            message("`createdAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)", "`createdAt` BIGINT NOT NULL"),
            TEXTS,
            "; chatd needs DATETIME(3), as DateTime makes it",
        ),
        (message("`content` TEXT", "`content` BLOB"), TEXTS, "column content is blob; chatd needs text"),
        (
            message("`createdAt`", "`madeAt`"),
            TEXTS,
            "no column createdAt; if it has another name, set it in mysql.names",
        ),
        (
            message("`content`", "`seq` INTEGER NOT NULL DEFAULT 0, `content`"),
            TEXTS,
            "column seq is the app's, and chatd needs one of its own by that name: set another for it in mysql.names, "
            'like "Message.seq=chatdSeq"',
        ),
        (
            message("`content`", "`urgency` INTEGER NOT NULL, `content`"),
            TEXTS,
            "column urgency has no default, and chatd has nothing to put there: give it one",
        ),
        (message("`id` VARCHAR(191)", "`id` VARCHAR(24)"), TEXTS, "the ids that chatd makes have 25 characters"),
        (
            changed(CHATS, "`lastMessageAt` DATETIME(3) NULL", "`lastMessageAt` DATETIME(3) NOT NULL"),
            CHATS,
            "column lastMessageAt may not be NULL, which chatd writes there: make it optional",
        ),
        (
            changed(SEATS, "`isMuted` BOOLEAN NOT NULL DEFAULT false", "`isMuted` VARCHAR(5)"),
            SEATS,
            "column isMuted is varchar(5); chatd needs TINYINT(1)",
        ),
        (
            changed(SEATS, "`unreadCount` INTEGER", "`unreadCount` DOUBLE"),
            SEATS,
            "unreadCount is double; chatd needs INT",
        ),
        (
            changed(USERS, "`name` VARCHAR(191)", "`name` VARCHAR(191) CHARACTER SET latin1"),
            USERS,
            "column name has the character set latin1; chatd needs utf8mb4",
        ),
        (changed(USERS, "`name` VARCHAR(191)", "`name` INTEGER"), USERS, "column name is int; chatd needs text"),
        (unlinked("ALTER TABLE Message ENGINE = MyISAM"), TEXTS, "its engine is MyISAM, which has no transactions"),
        (unlinked("ALTER TABLE Message ROW_FORMAT = COMPACT"), TEXTS, "its row format is Compact, whose indexes are"),
        (
            unlinked("ALTER TABLE Conversation DEFAULT CHARACTER SET latin1"),
            CHATS,
            "its own collation is latin1_swedish_ci, which new columns get: ALTER TABLE ... DEFAULT CHARACTER SET",
        ),
        (
            unlinked("RENAME TABLE Message TO messages"),
            TEXTS,
            'no such table, though there is messages: set its name in mysql.names, like "Message=messages"',
        ),
        (
            unlinked("RENAME TABLE Message TO Rant"),
            TEXTS,
            "no such table, though there is Conversation, ConversationParticipant, User: set its name in mysql.names",
        ),
        (
            unlinked("RENAME TABLE Message TO T", "CREATE VIEW Message AS SELECT * FROM T"),
            TEXTS,
            "a view, not a table: set the name of the table behind it in mysql.names",
        ),
        (
            unlinked("ALTER TABLE Message DROP PRIMARY KEY, ADD PRIMARY KEY (id, senderId)"),
            TEXTS,
            "its primary key is not one column, the id, but (id, senderId)",
        ),
        (
            unlinked("ALTER TABLE Message ADD no INT, DROP PRIMARY KEY, ADD PRIMARY KEY (no)"),
            TEXTS,
            "column id is not the primary key",
        ),
    ],
)
def test_adoption_rows_that_cannot_be_served_are_found(tables: tuple[str, ...], table: str, text: str) -> None:
    """It is named, refused, and nothing is changed."""
    with prisma_app.app(*tables) as app:
        before = layout(app)
        wrong = adoption_of(app).examine().only("wrong")
        told = [(finding.table, finding.text.replace("int(11)", "int")) for finding in wrong]  # as newer servers say it
        assert any(where == table and text in what for where, what in told), told
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


def test_roles_that_are_text() -> None:
    """Those that are used must mean something; any can be written."""
    with prisma_app.app(*changed("User", "ENUM('PATIENT', 'DENTIST', 'ADMIN')", "VARCHAR(191)")) as app:
        app.users("bo", role="PRO")
        with pytest.raises(StoreError, match="column role: what are PRO to chatd"):
            adopt(app)
        adopt(app, roles={"PRO": "dentist"})
        with served(app, roles={"PRO": "dentist"}) as store:
            desk = Desk(store)
            desk.do(desk.put("ada", role="staff"), desk.put("cy", role="dentist"))
        assert app.run("SELECT id, role FROM User ORDER BY id") == [("ada", "STAFF"), ("bo", "PRO"), ("cy", "PRO")]


@pytest.mark.parametrize("kind", ["VARCHAR(191)", "TINYTEXT", "TEXT CHARACTER SET utf8mb3"])
def test_short_content_is_widened_where_that_is_allowed(kind: str) -> None:
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
def test_short_content_that_cant_be_widened(kind: str, more: str) -> None:
    tables = message("`content` TEXT NOT NULL,", f"`content` {kind}, {more}")
    with prisma_app.app(*tables) as app, pytest.raises(StoreError, match="can't change a column that has a default or"):
        adoption_of(app).apply(new_epoch=lambda: "e", widen=True)


def test_longer_messages_by_the_settings(app: App) -> None:
    (finding,) = adoption_of(app, body_chars=20_000).examine().only("narrow")
    assert finding.text == "column content is text, and can't hold 20000 characters of any kind"
    adoption_of(app, body_chars=20_000).apply(new_epoch=lambda: "e", widen=True)
    assert adoption_of(app, body_chars=20_000).examine().only("narrow") == []


def test_adoption_text_beyond_an_apps_column_is_refused(app: App) -> None:
    """The others of the batch go on."""
    app.run("ALTER TABLE Conversation ADD COLUMN title VARCHAR(20) NULL")
    app.conversation("c1", "ada", "bo")
    adopt(app)
    with served(app) as store:
        desk = Desk(store)
        outcomes = desk.do(
            desk.put("ada", "N" * 192),
            desk.put("ada", "N" * 191),
            desk.put("ada", role="staff"),
            desk.put("ada", role="dentist"),
            desk.create("ada", "bo", title="T" * 21),
            desk.create("ada", "bo", title="🦷" * 20),
            desk.send("c1", "ada", "🦷" * 16_384),
            desk.send("c1", "ada", "🦷" * 16_383),
            desk.send("c1", "ada", "x" * 65_535),
        )
        assert [outcome.message for outcome in outcomes if isinstance(outcome, Refused)] == [
            "`name`: too long for the database beside this server",
            "`role`: the app beside this server has none for staff",
            "`title`: too long for the database beside this server",
            "`body`: too long for the database beside this server",
        ]
        assert [isinstance(outcome, Refused) for outcome in outcomes] == [*[True, False] * 4, False]
        user = store.user("ada")
        assert user is not None
        assert (user.name, user.role) == ("N" * 191, "dentist")


def test_user_who_may_not_alter(app: App) -> None:
    """Somebody who may can run what is printed."""
    user = f"w{app.database[-12:]}"
    app.run(f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY 'x'")
    app.run(f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON {app.database}.* TO {user}@'127.0.0.1'")
    port = parse(mariadb.server().url("x")).port
    limited = Adoption(f"mysql://{user}:x@127.0.0.1:{port}/{app.database}")
    with pytest.raises(StoreError, match="this user may not alter tables: GRANT ALTER, CREATE, INDEX, or let somebody"):
        limited.apply(new_epoch=lambda: "e")
    app.run(f"DROP USER {user}@'127.0.0.1'")


def test_table_that_others_use(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """It isn't waited for without end: the app would wait behind us."""
    monkeypatch.setattr(schema, "ALTER_LOCK_TIMEOUT_S", 1)
    app.run("BEGIN")
    app.run("SELECT * FROM User")
    with pytest.raises(StoreError, match=r"User: .*: other programs are using the table: run this again"):
        adopt(app)
    app.run("COMMIT")
    adopt(app)


def test_adoption_of_an_empty_database_is_refused() -> None:
    server = mariadb.server()
    name = server.database()
    with pytest.raises(StoreError, match="it is empty, there is nothing to adopt: run `chatd db upgrade`"):
        Adoption(server.url(name)).apply(new_epoch=lambda: "e")
    with contextlib.closing(MysqlStore(server.url(name), new_epoch=lambda: "own")):
        pass
    found = Adoption(server.url(name)).examine()
    assert found.adopted
    assert (found.findings, found.steps) == ((), ())
