"""On an app's tables, by other names and in a collation that takes much for equal, all is as it is on our own."""

import contextlib
import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

import storage.mysql
from storage.changes import Changed, Refused
from storage.columns import fill
from storage.contract import StoreError
from storage.memory import MemoryStore
from storage.mysql import schema, tables
from storage.mysql.layout import read_layout
from storage.mysql.names import Names
from storage.mysql.pool import Pool
from storage.mysql.rows import Roles
from storage.mysql.store import MysqlStore
from storage.mysql.upgrade import upgrade
from storage.mysql.url import parse
from storage.records import Membership, Participant, User
from support import mariadb
from support.mariadb import rows
from support.stores import Desk, Replica


@pytest.fixture
def adopted() -> Iterator[tuple[str, Any]]:
    """An app's database as Prisma makes it, and its session: ids in any case are one, enums of its own, `updatedAt`s
    without default, a field of its own, tables and columns by other names."""
    server = mariadb.server()
    name = server.database()
    with server.session(name) as cursor:
        cursor.execute("SET sql_mode = 'ANSI_QUOTES,STRICT_TRANS_TABLES'")
        for statement in APP.split(";\n"):
            cursor.execute(statement)
        yield server.url(name), cursor


APP = """
CREATE TABLE "users" ("id" VARCHAR(191) NOT NULL PRIMARY KEY, "email" VARCHAR(191) NOT NULL, "fullName" VARCHAR(191),
  "role" ENUM('USER', 'PRO', 'OWNER', 'BOT') NOT NULL DEFAULT 'USER', "createdAt" DATETIME(3) NOT NULL DEFAULT
  CURRENT_TIMESTAMP(3), "updatedAt" DATETIME(3) NOT NULL) COLLATE utf8mb4_unicode_ci;
CREATE TABLE "chats" ("id" VARCHAR(191) NOT NULL PRIMARY KEY, "createdAt" DATETIME(3) NOT NULL DEFAULT
  CURRENT_TIMESTAMP(3), "updatedAt" DATETIME(3) NOT NULL) COLLATE utf8mb4_unicode_ci;
CREATE TABLE "seats" ("id" VARCHAR(191) NOT NULL PRIMARY KEY, "chatId" VARCHAR(191) NOT NULL, "who" VARCHAR(191) NOT
  NULL, "joinedAt" DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), "leftAt" DATETIME(3), "unreadCount" INTEGER NOT
  NULL DEFAULT 0, "updatedAt" DATETIME(3) NOT NULL, FOREIGN KEY ("chatId") REFERENCES "chats" ("id"), FOREIGN KEY
  ("who") REFERENCES "users" ("id")) COLLATE utf8mb4_unicode_ci;
CREATE TABLE "texts" ("id" VARCHAR(191) NOT NULL PRIMARY KEY, "chatId" VARCHAR(191) NOT NULL, "from" VARCHAR(191) NOT
  NULL, "text" TEXT NOT NULL, "status" VARCHAR(20) NOT NULL DEFAULT 'SENT', "seq" VARCHAR(3), "at" DATETIME(3) NOT NULL
  DEFAULT CURRENT_TIMESTAMP(3), "updatedAt" DATETIME(3) NOT NULL, FOREIGN KEY ("chatId") REFERENCES "chats" ("id"),
  FOREIGN KEY ("from") REFERENCES "users" ("id")) COLLATE utf8mb4_unicode_ci;
INSERT INTO "users" ("id", "email", "fullName", "role", "updatedAt") VALUES ('ada', 'a', 'Ada', 'USER', NOW(3)),
  ('ben', 'b', 'Dr. Ben', 'PRO', NOW(3)), ('cleo', 'c', NULL, 'OWNER', NOW(3)), ('dan', 'd', '', 'BOT', NOW(3))
"""

NAMES = {
    "User": "users", "User.name": "fullName", "Conversation": "chats", "ConversationParticipant": "seats",
    "ConversationParticipant.conversationId": "chatId", "ConversationParticipant.userId": "who", "Message": "texts",
    "Message.conversationId": "chatId", "Message.senderId": "from", "Message.content": "text", "Message.seq": "number",
    "Message.createdAt": "at", "Message.clientId": "cid", "Conversation.rev": "version", "User.lastSeenAt": "seen",
    "ConversationParticipant.rev": "version", "ConversationParticipant.readSeq": "read", "Conversation.pairKey": "pair",
    "ConversationParticipant.role": "seatRole", "Message.chatdTouched": "touched", "Message.changedRev": "changed",
    "ConversationParticipant.chatdTouched": "touched", "User.chatdTouched": "touched", "User.id": "id",
}  # fmt: skip
ROLES = {"USER": "patient", "PRO": "dentist", "OWNER": "admin"}


def adopt(url: str) -> MysqlStore:
    """As far as the tables go; rows of conversations there are none."""
    names = Names.checked(NAMES)
    with contextlib.closing(Pool(parse(url), names, readers=0).connect(writer=True)) as db:
        for step in schema.missing(read_layout(db), names):
            db.run(step.statement)
        db.run('INSERT INTO "chatd_meta" VALUES (?, ?), (?, ?)', ("epoch", "e", "development", "0"))
        db.commit()
    return MysqlStore(url, new_epoch=lambda: "new", names=NAMES, roles=ROLES)


def test_names_other_than_ours_answer_like_the_reference(adopted: tuple[str, Any]) -> None:
    """One story, told to a store over an app's tables and to one in memory."""
    url, app = adopted
    app.execute("UPDATE users SET fullName = id, role = 'USER'")
    memory = MemoryStore(epoch="e")
    Desk(memory).people("ada", "ben", "cleo", "dan")
    told: list[Any] = []
    seen: list[Any] = []
    with contextlib.closing(adopt(url)) as store:
        assert store.epoch == "e"
        for one in (memory, store):
            desk = Desk(one, first=50)
            outcomes = [
                desk.do(desk.open("ada", "ben"), desk.create("ben", "ada", "cleo", client_id="g")),
                desk.do(desk.send("c50", "ada", "one"), desk.send("c50", "ben", "two", reply_to=1)),
                desk.do(desk.send("c51", "ben")),
                desk.do(desk.receipt("c50", "ben", read=1), desk.settings("c51", "ada", archived=True, pinned=True)),
                desk.do(desk.edit("c50", "ada", 1, "ONE"), desk.react("c50", "ben", 1), desk.delete("c50", "ben", 2)),
                desk.do(desk.leave("c50", "ada"), desk.title("c51", "ben", "Today"), desk.remove("c51", "ben", "cleo")),
                desk.do(desk.open("ben", "ada"), desk.add("c51", "ben", "dan")),
                desk.do(desk.send("c51", "ben", client_id="again")),
                desk.do(desk.send("c51", "ben", client_id="again"), desk.send("c50", "ben", client_id="again"),
                        desk.send("c51", "cleo"), desk.create("ben", "ada", client_id="g"), desk.see("ada")),
            ]  # fmt: skip
            told.append(plain(outcomes))
            found = one.search("ben", ("one",), conversation=None, before=None, limit=5)
            assert found is not None
            seen.append([
                [plain(one.summaries(user, archived=archived, after=None, limit=9))
                 for user in ("ada", "ben", "cleo", "dan") for archived in (False, True)],
                [one.memberships(user) and sorted(one.memberships(user)) for user in ("ada", "ben", "cleo", "dan")],
                [plain(one.since(c, "ben", rev, limit=3)) for c in ("c50", "c51") for rev in range(6)],
                [plain(one.history(c, "ben", before=None, after=None, limit=9)) for c in ("c50", "c51")],
                one.standings("ben", {"c50": 1, "c51": 2, "c52": 3}),
                [one.receipt_times("c50", seq) for seq in (1, 2)],
                one.versions("c50", 1),
                Replica.of(one, "c51", "ben"),
                [hit.message.seq for hit in found.hits],
            ])  # fmt: skip
        assert told[1] == told[0]
        assert seen[1] == seen[0]
        texts = rows(
            app, 'SELECT "from", "text", "status", "number" FROM "texts" WHERE "chatId" = \'c50\' ORDER BY "number"'
        )
        assert texts == [
            ("ada", "ONE", "READ", 1),
            ("ben", "", "SENT", 2),
            ("ada", "ada left the conversation.", "SENT", 3),
        ]
        assert rows(app, 'SELECT COUNT(*) FROM "texts" WHERE "updatedAt" < "at" OR "touched" IS NOT NULL') == [(0,)]


def plain(value: Any) -> Any:
    """With people in an order: the contract names none."""
    if isinstance(value, tuple | list):
        found = [plain(item) for item in value]
        people = all(isinstance(item, Participant | Membership | User) for item in value)
        return sorted(found, key=repr) if people else found
    if attrs.has(type(value)):
        return type(value).__name__, {
            field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))
        }
    return value


def test_roles_are_the_apps(adopted: tuple[str, Any]) -> None:
    url, app = adopted
    with contextlib.closing(adopt(url)) as store:
        users = store.users(["ada", "ben", "cleo", "dan"])
        assert {id: (user.name, user.role) for id, user in users.items()} == {
            "ada": ("Ada", "patient"), "ben": ("Dr. Ben", "dentist"), "cleo": ("cleo", "admin"),
            "dan": ("dan", "patient"),
        }  # fmt: skip

        def listed(*roles: str, query: str | None = None) -> list[str]:
            page, _ = store.list_users(roles=roles, but="", query=query, after=None, limit=9)
            return [user.id for user in page]

        assert listed("patient") == ["ada", "dan"]
        assert listed("dentist", "staff") == ["ben"]
        assert listed("patient", "admin") == ["ada", "cleo", "dan"]
        assert listed("staff") == []
        assert listed("patient", "dentist", "admin", query="b") == ["ben"]
        desk = Desk(store)
        desk.do(desk.put("dan", name="Dan"), desk.put("ada", role="dentist"), desk.see("ben"))
        assert rows(app, "SELECT id, role, fullName FROM users ORDER BY id") == [
            ("ada", "PRO", "Ada"), ("ben", "PRO", "Dr. Ben"), ("cleo", "OWNER", None), ("dan", "BOT", "Dan"),
        ]  # fmt: skip


def test_names_almost_equal_id_is_nobody(adopted: tuple[str, Any]) -> None:
    url, app = adopted
    with contextlib.closing(adopt(url)) as store:
        desk = Desk(store)
        c = desk.changed(desk.open("ada", "ben")).room.id
        assert store.user("ADA") is None
        assert store.users(["ADA", "ben"]).keys() == {"ben"}
        assert store.credentials("ADA", "x").user is None
        assert store.memberships("ADA") == []
        assert store.summaries("ADA", archived=False, after=None, limit=9).summaries == ()
        assert store.search("ADA", ("x",), conversation=c, before=None, limit=9) is None
        assert store.room(c.upper()) is None
        assert desk.refused(desk.send(c.upper(), "ada")).reason == "not_found"
        assert desk.refused(desk.send(c, "ADA")).reason == "not_found"
        assert desk.refused(desk.open("ADA", "ben")).reason == "not_found"
        outcomes = desk.do(desk.put("ben"), desk.put("ADA", name="Another"), desk.send(c, "ada"), desk.put("new"))
        assert isinstance(outcomes[1], Refused)
        assert outcomes[1].reason == "conflict"
        assert isinstance(outcomes[2], Changed)
        assert isinstance(outcomes[3], Refused)
        assert outcomes[3] == Refused(
            "forbidden", "users of this database are made by its app, which also knows their email"
        )
        assert rows(app, "SELECT fullName FROM users WHERE id = 'ada'") == [("Ada",)]


def test_names_columns_added_leave_the_app_alone(adopted: tuple[str, Any]) -> None:
    """Its statements, made before, still run, and every column that came is NULL or has a default."""
    url, app = adopted
    adopt(url).close()
    app.execute("INSERT INTO users (id, email, updatedAt) VALUES ('eve', 'e', NOW(3))")
    app.execute("INSERT INTO chats (id, updatedAt) VALUES ('x', NOW(3)), ('y', NOW(3))")
    app.execute(
        "INSERT INTO seats (id, chatId, who, updatedAt) VALUES ('1', 'x', 'eve', NOW(3)), ('2', 'x', 'eve', NOW(3))"
    )
    app.execute("INSERT INTO texts (id, chatId, `from`, text, updatedAt) VALUES ('1', 'x', 'eve', 't', NOW(3)), "
                "('2', 'x', 'eve', 't', NOW(3))")  # fmt: skip
    app.execute("DELETE FROM texts")
    app.execute("DELETE FROM seats")
    app.execute("DELETE FROM chats")
    app.execute("DELETE FROM users WHERE id = 'eve'")


def test_apps_tables_are_left_alone(adopted: tuple[str, Any]) -> None:
    url, app = adopted
    before = rows(app, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()")
    with pytest.raises(StoreError, match=r"there are an app's tables: `chatd db adopt` shows"):
        MysqlStore(url, new_epoch=lambda: "e", names=NAMES, roles=ROLES)
    with pytest.raises(StoreError, match=r"there are an app's tables: `chatd db adopt` shows"):
        upgrade(url, new_epoch=lambda: "e", names=NAMES)
    after = rows(app, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()")
    assert after == before


# -- names and roles by themselves --


def test_upper_bounds_of_a_name() -> None:
    long = "T" * 64
    names = Names({"Message": long})
    statement = schema.creation(tables.MESSAGE, names)
    found = [part.split('"')[1] for part in statement.split("INDEX ")[1:] + statement.split("CONSTRAINT ")[1:]]
    assert all(len(name) <= 64 for name in found)
    assert max(Counter(found).values()) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"Messages": "x"},
        {"Message.body": "x"},
        {"chatd_meta": "x"},
        {"Message": 'x"; DROP'},
        {"Message": ""},
        {"": "x"},
    ],
)
def test_wrong_names_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(StoreError, match=r"mysql\.names"):
        Names.checked(given)


def test_names_and_marks_are_translated() -> None:
    names = Names({"Message": "m", "Message.content": "text", "User.id": "uid"})
    assert names.sql('SELECT "content" FROM "Message" WHERE "id" = ? AND "seq" % 4 = 1') == (
        'SELECT "text" FROM "m" WHERE "id" = %s AND "seq" %% 4 = 1'
    )
    joined = (
        'SELECT u."id" AS "activity", x."id" FROM "User" u JOIN "Message" x ON x."content" = u."name" '
        'ORDER BY "activity"'
    )
    assert names.sql(joined) == (
        'SELECT u."uid" AS "activity", x."id" FROM "User" u JOIN "m" x ON x."text" = u."name" ORDER BY "activity"'
    )


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ('SELECT "body" FROM "Message"', "Message has no body"),
        ('SELECT m."body" FROM "Message" m JOIN "User" u ON u."id" = m."senderId"', "Message has no body"),
        ('SELECT x."content" FROM "Message" m', 'x."content" is of no table'),
        ('SELECT "content" FROM "Message" m JOIN "User" u ON u."id" = m."senderId"', "may be of several tables"),
        ('UPDATE "ConversationParticipant" p SET p."unread" = 0', "ConversationParticipant has no unread"),
    ],
)
def test_names_of_a_statement_that_no_table_has_are_refused(statement: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Names().sql(statement)


def test_names_of_every_statement_are_known() -> None:
    """Statements that only rare paths run, too: each constant of the package that is one, but for a part of others."""
    found = 0
    for module in pkgutil.walk_packages(storage.mysql.__path__, "storage.mysql."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if (
                name != "_COUNTING"
                and isinstance(value, str)
                and value.startswith(("SELECT ", "UPDATE ", "INSERT ", "DELETE ", "(SELECT "))
            ):
                Names().sql(re.sub(r"\{\w*\}", "1", value))
                found += 1
    assert found > 40


@pytest.mark.parametrize(
    ("template", "parts"),
    [("a {mine} b", {}), ("a b", {"mine": "x"}), ("a {mine} b", {"mine": "x", "present": "y"})],
)
def test_fill_holes_and_parts_that_differ_are_refused(template: str, parts: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="holes"):
        fill(template, **parts)


def test_fill_leaves_the_hole_of_a_list() -> None:
    assert fill("a {mine} IN ({})", mine="x") == "a x IN ({})"


def test_unmapped_role_may_the_least() -> None:
    roles = Roles({"PRO": "dentist", "STAFF": "admin"})
    assert [roles.of(name) for name in ("PRO", "PATIENT", "Dentist", "ROOT", "STAFF", None, "")] == [
        "dentist", "patient", "dentist", "patient", "admin", "patient", "patient",
    ]  # fmt: skip
    assert [roles.theirs(role) for role in ("dentist", "admin", "staff")] == ["PRO", "STAFF", "STAFF"]
