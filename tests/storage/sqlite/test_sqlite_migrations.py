"""Files that earlier versions made open, work, and end up like new ones."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.changes import Changed, Unchanged
from storage.records import Membership, MessageVersion, Reaction, ReceiptTime, Standing, User
from storage.sqlite import SqliteStore, schema
from storage.sqlite.verify import verify
from support.stores import Desk, Replica

SUPPORT = Path(__file__).parents[2] / "support"
"""Where `schema_NNN.sql` is the dump of a file that migration NNN was the newest of: never to be changed."""

NAMES = [migration.name for migration in schema.migrations._migrations]
APPLIED = "SELECT name FROM _sqlite_migrations WHERE migration_set = 'chatd' ORDER BY id"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


def open_file(path: Path) -> contextlib.closing[SqliteStore]:
    return contextlib.closing(SqliteStore(path, new_epoch=lambda: "new"))


def frozen(path: Path, name: str) -> None:
    with contextlib.closing(sqlite3.connect(str(path))) as db:
        db.executescript((SUPPORT / name).read_text("utf-8"))


def dump(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, but for the search index's virtual table: those behind it have what it has."""
    with contextlib.closing(sqlite3.connect(str(path))) as db:
        names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")
        found = {name: db.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in names.fetchall()}
        return found | {"": db.execute("SELECT * FROM sqlite_master").fetchall()}


def tables(path: Path) -> set[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(str(path))) as db:
        return set(db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))


def test_migrations_have_names_of_their_own_in_order() -> None:
    assert [name[:5] for name in NAMES] == [f"m{number:03}_" for number in range(1, len(NAMES) + 1)]
    assert len(set(NAMES)) == len(NAMES)
    assert all(migration.transactional for migration in schema.migrations._migrations)


def test_first_migrations_keep_their_names() -> None:
    assert NAMES[:4] == ["m001_conversations", "m002_tokens", "m003_groups_and_edits", "m004_search"]


def test_new_file_has_them_all_once(path: Path) -> None:
    for _ in range(2):
        with open_file(path) as store:
            assert store._writer is not None
            assert [name for (name,) in store._writer.execute(APPLIED)] == NAMES


def test_applying_twice_changes_nothing(path: Path) -> None:
    with open_file(path) as store:
        Desk(store).chat("ada", "ben")
    before = dump(path)
    with contextlib.closing(sqlite3.connect(str(path), isolation_level=None)) as db:
        schema.migrate(Database(db, recursive_triggers=False))
    with open_file(path):
        pass
    assert dump(path) == before


def test_migration_that_fails_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_FIRST", schema._FIRST + ";\nCREATE TABLE nonsense")
    with contextlib.closing(sqlite3.connect(str(path), isolation_level=None)) as db:
        with pytest.raises(sqlite3.OperationalError):
            schema.migrate(Database(db, recursive_triggers=False))
        assert [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")] == [
            "_sqlite_migrations"
        ]
    monkeypatch.undo()
    with open_file(path) as store:
        Desk(store).chat("ada", "ben")


@pytest.mark.parametrize("name", sorted(file.name for file in SUPPORT.glob("schema_*.sql")))
def test_old_file_becomes_like_a_new_one(path: Path, name: str) -> None:
    frozen(path, name)
    with open_file(path):
        pass
    assert [finding.wrong for finding in verify(path) if finding.wrong] == [], "checksums of old messages, too"
    new = path.with_name("new.db")
    with open_file(new):
        pass
    assert tables(path) == tables(new)


def test_file_of_the_first_schema_works(path: Path) -> None:
    frozen(path, "schema_001.sql")
    with open_file(path) as store:
        assert (store.epoch, store.development, store.generation) == ("epoch-of-001", True, 0)
        assert store.user("ada") == User(id="ada", name="Ada Weiß", role="patient", last_seen_at=1795300000004)
        assert store.standings("ada", {"c1": 1, "c2": 4}) == {
            "c1": Standing(7, reset=False), "c2": Standing(3, reset=True),
        }  # fmt: skip
        found = store.summary("c1", "ben")
        assert found is not None
        assert found[0].membership == Membership(user="ben", muted=False, pinned=True, archived=False, unread=1)
        assert store.receipt_times("c1", 1) == [
            ReceiptTime("ada", 1795300000011, None), ReceiptTime("ben", 1795300000009, 1795300000010),
        ]  # fmt: skip
        replica = Replica(1)
        replica.catch_up(store, "c1", "ada", limit=2)
        assert replica == Replica.of(store, "c1", "ada")
        assert [(m.seq, m.rev, m.body, m.reply_to) for m in replica.messages.values()] == [
            (1, 2, "It hurts when I bite 🦷", None),
            (2, 3, "It's \"only\"\nthe gum; don't worry", 1),
            (3, 7, "Thanks", None),
        ]
        page = store.summaries("ada", archived=True, after=None, limit=5)
        assert page.summaries[0].last_message is not None
        assert page.summaries[0].last_message.data == {"event": "left", "by": "cleo"}

        desk = Desk(store, first=100)
        repeat, sent, read, back, opened = store.commit([
            desk.send("c1", "ada", client_id="a-2"),
            desk.send("c1", "ben", client_id="b-2"),
            desk.receipt("c1", "ada", read=4),
            desk.send("c2", "ada"),
            desk.open("ben", "ada"),
        ])  # fmt: skip
        assert isinstance(repeat, Unchanged)
        assert repeat.messages[0].body == "Thanks"
        assert isinstance(sent, Changed)
        assert (sent.rev, sent.messages[0].seq) == (8, 4)
        assert isinstance(read, Changed)
        assert read.memberships[0].unread == 0
        assert isinstance(back, Changed)
        assert back.entered == ("cleo",)
        assert isinstance(opened, Unchanged)
        assert opened.room.id == "c1"


def test_file_of_the_first_schema_takes_groups_and_edits(path: Path) -> None:
    frozen(path, "schema_001.sql")
    with open_file(path) as store:
        desk = Desk(store, first=100)
        edited, reacted, deleted, made = store.commit([
            desk.edit("c1", "ada", 1, "It hurts"),
            desk.react("c1", "ada", 2),
            desk.delete("c1", "ada", 3),
            desk.create("ada", "ben", "cleo", client_id="a-2"),
        ])  # fmt: skip
        assert all(isinstance(outcome, Changed) for outcome in (edited, reacted, deleted, made))
        replica = Replica(7)
        replica.catch_up(store, "c1", "ada", limit=1)
        assert [(m.seq, m.rev, m.body, m.reactions) for m in replica.messages.values()] == [
            (1, 8, "It hurts", ()),
            (2, 9, "It's \"only\"\nthe gum; don't worry", (Reaction("👍", ("ada",)),)),
            (3, 10, "", ()),
        ]
        assert [version.body for version in store.versions("c1", 1)] == ["It hurts when I bite 🦷"]


def test_file_with_groups_and_edits_works(path: Path) -> None:
    frozen(path, "schema_003.sql")
    with open_file(path) as store:
        room = store.room("c1")
        assert room is not None
        assert (room.conversation.kind, room.conversation.title, room.conversation.rev) == ("group", "Recall", 13)
        assert {p.user: (p.role, p.present) for p in room.participants} == {
            "ada": ("owner", True), "ben": ("owner", False), "cleo": ("member", False),
        }  # fmt: skip
        page = store.history("c1", "ada", before=None, after=0, limit=9)
        assert page is not None
        assert [(m.seq, m.rev, m.body, m.reactions) for m in page.messages[:3]] == [
            (1, 7, "It hurts when I bite 🦷", (Reaction("👍", ("ben",)), Reaction("🦷", ("cleo",)))),
            (2, 8, "Where?", (Reaction("👍", ("ada",)),)),
            (3, 9, "", ()),
        ]
        assert [m.data for m in page.messages[3:]] == [
            {"event": "title", "by": "ben", "title": "Recall"},
            {"event": "removed", "by": "ben", "user": "cleo"},
            {"event": "left", "by": "ben"},
        ]
        assert store.versions("c1", 1) == [MessageVersion(1, 5, "It hurts", 1795300000008)]
        replica = Replica()
        replica.catch_up(store, "c1", "ada", limit=2)
        assert replica == Replica.of(store, "c1", "ada")
        assert store.standings("ada", {"c1": 8}) == {"c1": Standing(13, reset=False)}

        desk = Desk(store, first=100)
        back, repeat, again = store.commit([
            desk.add("c1", "ada", "ben"),
            desk.create("ben", "ada", client_id="g-1"),
            desk.send("c1", "ada", client_id="a-2"),
        ])  # fmt: skip
        assert isinstance(back, Changed)
        assert back.memberships == (Membership(user="ben", muted=False, pinned=False, archived=False, unread=1),)
        assert isinstance(repeat, Unchanged)
        assert (repeat.room.id, repeat.duplicate) == ("c1", True)
        assert isinstance(again, Unchanged)
        assert again.messages[0].deleted_at == 1795300000012
