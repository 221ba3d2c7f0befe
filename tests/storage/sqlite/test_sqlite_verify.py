"""Whether a broken file is found out, and a sound one let be."""

from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.changes import AddToken
from storage.contract import StoreError
from storage.sqlite import SqliteStore
from storage.sqlite.damage import READ_MESSAGE, checksum
from storage.sqlite.verify import EXAMPLES_SHOWN, verify
from support.stores import Desk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with two conversations, of which one is c1 between ada and ben, with three messages."""
    path = tmp_path / "chat.db"
    with closing(SqliteStore(path, new_epoch=lambda: "e")) as store:
        desk = Desk(store)
        one = desk.chat("ada", "ben")
        desk.say(one, "ada", "one", "two", "three")
        desk.do(desk.receipt(one, "ben", read=2))
        desk.chat("ada", "cleo")
        desk.do(AddToken("t1", "ada", 1, 2))
    with closing(sqlite3.connect(path)) as db, db:
        for table, column in (
            ("Conversation", "id"), ("ConversationParticipant", "conversationId"), ("Message", "conversationId"),
        ):  # fmt: skip
            db.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE "{column}" = ?', ["the-one", one])
        for row in db.execute(f'SELECT {READ_MESSAGE} FROM "Message"').fetchall():
            known = checksum((row[0], row[1], *row[3:15]))
            db.execute('UPDATE "Message" SET "checksum" = ? WHERE "id" = ?', [known, row[3]])
    return path


def wrong(path: Path) -> dict[str, tuple[str, ...]]:
    """What is wrong, by the first word of what was looked at."""
    return {finding.what.split()[0].rstrip(":"): finding.wrong for finding in verify(path) if finding.wrong}


def test_verify_sound_file_has_no_findings(path: Path) -> None:
    findings = list(verify(path))
    assert [finding.wrong for finding in findings] == [()] * 6
    assert not any(finding.more for finding in findings)


def test_verify_empty_file_has_no_findings(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "new.db", new_epoch=lambda: "e").close()
    assert wrong(tmp_path / "new.db") == {}


def test_verify_beside_a_daemon_works(path: Path) -> None:
    with closing(SqliteStore(path, new_epoch=lambda: "e")) as store:
        desk = Desk(store, first=100)
        desk.do(desk.send("the-one", "ada", "four"))
        assert wrong(path) == {}
        desk.do(desk.send("the-one", "ada", "five"))


def message(seq: int, change: str) -> str:
    return f'UPDATE "Message" SET {change} WHERE "conversationId" = \'the-one\' AND "seq" = {seq}'


def ben(change: str) -> str:
    return f'UPDATE "ConversationParticipant" SET {change} WHERE "userId" = \'ben\''


@pytest.mark.parametrize(
    ("statement", "what", "words"),
    [
        ("DELETE FROM \"Message\" WHERE \"seq\" = 2", "seq", "2 messages, from 1 to 3, but last_seq is 3"),
        ("DELETE FROM \"Message\" WHERE \"seq\" = 1", "seq", "2 messages, from 2 to 3, but last_seq is 3"),
        ("DELETE FROM \"Message\" WHERE \"seq\" = 3", "seq", "2 messages, from 1 to 2, but last_seq is 3"),
        ("DELETE FROM \"Message\"", "seq", "0 messages, from 0 to 0, but last_seq is 3"),
        ("UPDATE \"Conversation\" SET \"lastSeq\" = 4 WHERE \"id\" = 'the-one'", "seq", "but last_seq is 4"),
        (message(3, "seq = 9"), "seq", "3 messages, from 1 to 9, but last_seq is 3"),
        (message(1, "seq = 0"), "seq", "3 messages, from 0 to 3, but last_seq is 3"),
        (message(2, "rev = 2"), "rev", "message 2 has rev 2, the one before 2, the conversation 5"),
        (message(3, "rev = 99"), "rev", "message 3 has rev 99, the one before 3, the conversation 5"),
        (message(1, "changedRev = 99"), "rev", "message 1 has rev 2"),
        (message(1, "changedRev = rev"), "rev", "message 1 has rev 2"),
        (ben("rev = 99"), "rev",
         "participant ben has rev 99, the conversation 5"),
        (ben("deliveredSeq = 1"), "watermarks",
         "participant ben has read 2, delivered 1, came in at 1; last_seq is 3"),
        (ben("deliveredSeq = 4"), "watermarks", "delivered 4"),
        (ben("readSeq = -1"), "watermarks", "read -1"),
        (ben("fromSeq = 5"), "watermarks", "came in at 5"),
        (ben("fromSeq = 0"), "watermarks", "came in at 0"),
        ("DELETE FROM \"User\" WHERE \"id\" = 'ben'", "nothing", "conversation the-one: there is no user ben"),
        ("DELETE FROM \"ConversationParticipant\" WHERE \"userId\" = 'ben'", "nothing", "a direct one of 1"),
        ("DELETE FROM \"Conversation\" WHERE \"id\" = 'the-one'", "nothing", "there is no conversation the-one"),
        ("UPDATE \"Message\" SET \"senderId\" = 'zoe' WHERE \"seq\" = 1", "nothing", "there is no user zoe"),
        ("UPDATE \"chatd_token\" SET \"userId\" = 'zoe'", "nothing", "token t1: there is no user zoe"),
    ],
)  # fmt: skip
def test_verify_numbers_that_disagree_are_found(path: Path, statement: str, what: str, words: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)
    found = wrong(path)
    assert what in found
    assert any(words in text for text in found[what]), found
    assert all("\n" not in text for text in found[what])


def test_verify_many_wrong_rows_show_some_examples(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        for number in range(EXAMPLES_SHOWN + 1):
            db.execute("INSERT INTO \"chatd_token\" VALUES (?, 'zoe', 1, 2, NULL)", [f"z{number}"])
    (finding,) = [finding for finding in verify(path) if finding.wrong]
    assert len(finding.wrong) == EXAMPLES_SHOWN
    assert finding.more


def test_verify_damaged_file_is_found(path: Path) -> None:
    with closing(SqliteStore(path, new_epoch=lambda: "e")) as store:
        desk = Desk(store, first=100)
        desk.say("the-one", "ada", *("x" * 3000 for _ in range(20)))
    data = bytearray(path.read_bytes())
    middle = data.index(b"x" * 2000)
    data[middle - 3000 : middle + 4000] = b"\x07" * 7000
    path.write_bytes(data)
    findings = list(verify(path))
    assert findings[0].wrong
    assert len(findings) == 1, "the rest would mean little"


@pytest.mark.parametrize("content", [b"my holiday pictures " * 1000, b""], ids=["other", "empty"])
def test_verify_of_no_store_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "chat.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=str(path)):
        list(verify(path))


def test_verify_of_an_older_store_names_the_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parents[2] / "support" / "schema_001.sql").read_text("utf-8"))
    with pytest.raises(StoreError, match="chatd db upgrade"):
        list(verify(path))
