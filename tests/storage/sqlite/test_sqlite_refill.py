"""Refill of a file that an earlier version made: its reactions get one form, a few messages at a time."""

import contextlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from chatd.cli import main
from storage.records import Reaction
from storage.sqlite import SqliteStore
from storage.sqlite.damage import checksum
from storage.sqlite.inspection import inspect
from storage.sqlite.verify import verify
from support.stores import Desk

MESSAGES = 10
OLD = json.dumps([["❤", ["ada"]], ["👍", ["ben"]], ["❤️", ["ben"]]], ensure_ascii=False)
NEW = json.dumps([["❤️", ["ada", "ben"]], ["👍", ["ben"]]], ensure_ascii=False)
_COLUMNS = (
    '"conversationId", "seq", "id", "senderId", "clientId", "kind", "content", "replyToSeq", "data", "createdAt", '
    '"editedAt", "deletedAt", "reactions", "changedRev"'
)


def opened(path: Path) -> contextlib.closing[SqliteStore]:
    return contextlib.closing(SqliteStore(path, new_epoch=lambda: "epoch", new=True, upgrade=True))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file as migration 6 left it, with a message whose reactions are in two forms in every second place."""
    path = tmp_path / "chatd.db"
    with opened(path) as store:
        desk = Desk(store)
        c = desk.chat("ada", "ben")
        desk.say(c, "ada", *map(str, range(MESSAGES)))
        desk.do(*(desk.react(c, "ben", seq) for seq in range(2, MESSAGES + 1, 2)))
    with contextlib.closing(sqlite3.connect(str(path))) as db, db:
        db.execute('UPDATE "Message" SET "reactions" = ? WHERE "reactions" IS NOT NULL', [OLD])
        for row in db.execute(f'SELECT {_COLUMNS} FROM "Message" WHERE "reactions" IS NOT NULL').fetchall():
            db.execute('UPDATE "Message" SET "checksum" = ? WHERE "id" = ?', [checksum(row), row[2]])
        db.execute("DELETE FROM _sqlite_migrations WHERE name = 'm007_refill'")
        db.execute("DELETE FROM chatd_meta WHERE key = 'refill'")
    return path


def kept(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(str(path))) as db:
        rows = db.execute('SELECT "reactions" FROM "Message" WHERE "reactions" IS NOT NULL ORDER BY "n"').fetchall()
        return [text for (text,) in rows]


def test_refill_stopped_half_way_goes_on_where_it_was(path: Path) -> None:
    with opened(path) as store:
        assert store.refill(0) == MESSAGES
        assert store.refill(5) == MESSAGES - 5
    assert kept(path) == [OLD, OLD, NEW, NEW, NEW], "the newest first"
    with opened(path) as store:
        assert store.refill(0) == MESSAGES - 5
        desk = Desk(store, first=1000)
        desk.say(desk.chat("cleo", "dan"), "dan", "what is sent meanwhile has the new form")
        assert store.refill(4) == 1
        assert store.refill(4) == store.refill(4) == 0
    assert kept(path) == [NEW] * 5
    assert [finding.wrong for finding in verify(path) if finding.wrong] == []


def test_refill_half_way_reads_count_both_forms_together(path: Path) -> None:
    with opened(path) as store:
        store.refill(5)
        (room,) = store.memberships("ada")
        page = store.history(room[0], "ada", before=None, after=0, limit=MESSAGES)
        assert page is not None
        assert {m.reactions for m in page.messages if m.reactions} == {
            (Reaction("❤️", ("ada", "ben")), Reaction("👍", ("ben",)))
        }


def test_refill_of_a_damaged_message_leaves_it_as_it_is(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(str(path))) as db, db:
        db.execute('UPDATE "Message" SET "content" = ? WHERE "seq" = 4', ["flipped"])
    with opened(path) as store:
        assert store.refill(100) == 0
    assert kept(path) == [NEW, OLD, NEW, NEW, NEW]
    assert [finding.wrong for finding in verify(path) if finding.wrong] != []


def test_upgrade_refills_rows_with_a_bar_after_it_was_stopped(path: Path) -> None:
    with opened(path) as store:  # stopped after the migration, before the end
        store.refill(5)
    assert inspect(path).pending == ()
    for said in ("upgraded (rows", "nothing to do"):
        result = CliRunner().invoke(main, ["db", "upgrade", "--data", str(path.parent)])
        assert (result.exit_code, result.exception) == (0, None)
        assert said in result.stdout
        assert ("rows" in result.stderr) == (said != "nothing to do")
    assert kept(path) == [NEW] * 5
