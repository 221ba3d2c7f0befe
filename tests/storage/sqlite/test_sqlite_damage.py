"""Damage of single messages: shown as such, named, and harmless to everything around."""

import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.changes import Changed, EditMessage, Refused, SendMessage, Unchanged
from storage.records import Message
from storage.sqlite import SqliteStore
from storage.sqlite.verify import verify
from support.stores import Desk

FLIPS = {
    "another text": "\"content\" = 'eleven'",
    "no UTF-8": "\"content\" = CAST(x'ff6f6e65' AS TEXT)",
    "no text": "\"content\" = x'6f6e65'",
    "reactions that are no JSON": '"reactions" = \'[["x\'',
    "data that is no JSON": "\"data\" = '{'",
    "another sender": "\"senderId\" = 'cleo'",
    "another time": '"createdAt" = "createdAt" + 1',
    "a number that is text": "\"createdAt\" = 'soon'",
    "a deletion": '"deletedAt" = 5',
    "another client_id": "\"clientId\" = 'x'",
    "another change": '"changedRev" = 3',
}


@pytest.fixture
def reported() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture(params=FLIPS)
def damaged(path: Path, reported: list[tuple[str, int]], request: pytest.FixtureRequest) -> Iterator[Desk]:
    """Three messages of ada's in a conversation with ben, the middle one damaged."""
    desk = Desk(SqliteStore(path, new_epoch=lambda: "e"))
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one", "two", "three")
    desk.store.close()
    flip(path, FLIPS[request.param])
    store = SqliteStore(path, new_epoch=lambda: "e", report=lambda *which: reported.append(which))
    with closing(store):
        again = Desk(store, first=100)
        again.conversation = c  # type: ignore[attr-defined]
        yield again


def flip(path: Path, change: str, seq: int = 2) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f'UPDATE "Message" SET {change} WHERE "seq" = {seq}')


def shown(m: Message) -> tuple[int, str | None, str]:
    return m.seq, m.sender, m.body


WORDS = "Message 2 is damaged and can't be shown."
AROUND = [(1, "ada", "one"), (2, None, WORDS), (3, "ada", "three")]


def test_damage_of_a_message_is_shown_and_reported_once(damaged: Desk, reported: list[tuple[str, int]]) -> None:
    store, c = damaged.store, damaged.conversation  # type: ignore[attr-defined]
    for _ in range(2):
        page = store.history(c, "ben", before=None, after=None, limit=9)
        assert page is not None
        assert [shown(m) for m in page.messages] == AROUND
        page = store.history(c, "ben", before=None, after=1, limit=1)
        assert page is not None
        assert [shown(m) for m in page.messages] == AROUND[1:2]
        since = store.since(c, "ben", 1, limit=9)
        assert since is not None
        assert sorted(shown(m) for m in since.messages) == AROUND
    assert reported == [(c, 2)]
    assert store.damaged == ((c, 2),)


def test_damage_of_a_message_leaves_writing_and_searching(damaged: Desk) -> None:
    store, c = damaged.store, damaged.conversation  # type: ignore[attr-defined]
    page = store.history(c, "ben", before=None, after=0, limit=1)
    assert page is not None
    again = SendMessage(
        conversation=c, user="ada", client_id=str(page.messages[0].client_id), message="m", body="one", reply_to=None,
        at=1,
    )  # fmt: skip
    edit = EditMessage(conversation=c, user="ada", seq=2, body="mended", at=1, since=None)
    other = EditMessage(conversation=c, user="ada", seq=3, body="drei", at=1, since=None)
    outcomes = store.commit([again, edit, other])
    assert [type(outcome) for outcome in outcomes] == [Unchanged, Refused, Changed]
    for _ in range(2):
        found = store.search("ben", ("one",), conversation=None, before=None, limit=9)
        assert found is not None
        assert [shown(hit.message) for hit in found.hits] == AROUND[:1]
        assert store.index(9) == 0


def test_damage_is_found_by_verify(damaged: Desk, path: Path) -> None:
    c = damaged.conversation  # type: ignore[attr-defined]
    wrong = {finding.what: finding.wrong for finding in verify(path) if finding.wrong}
    assert wrong["checksum: each message is as it was written"] == (f"conversation {c}: message 2 is damaged",)


def test_damage_of_the_newest_is_in_the_list(path: Path) -> None:
    with closing(SqliteStore(path, new_epoch=lambda: "e")) as store:
        desk = Desk(store)
        c = desk.chat("ada", "ben")
        desk.say(c, "ada", "one", "two")
        flip(path, FLIPS["no UTF-8"])
        page = store.summaries("ben", archived=False, after=None, limit=9)
        assert [shown(s.last_message) for s in page.summaries if s.last_message] == [(2, None, WORDS)]


def test_damage_is_in_no_message_that_was_written(path: Path) -> None:
    with closing(SqliteStore(path, new_epoch=lambda: "e")) as store:
        desk = Desk(store)
        c = desk.group("ada", "ben")
        desk.say(c, "ada", "one", "ß 🦷 '\"", "three")
        desk.do(desk.edit(c, "ada", 2, "zwei"), desk.react(c, "ben", 2), desk.delete(c, "ada", 3))
        desk.do(desk.react(c, "ada", 2), desk.title(c, "ada", "Recall"), desk.leave(c, "ben"))
        for user, limit in itertools.product(("ada",), (1, 50)):
            assert store.history(c, user, before=None, after=None, limit=limit) is not None
        assert store.damaged == ()
    assert [finding.wrong for finding in verify(path) if finding.wrong] == []


def test_damage_of_a_message_without_checksum_is_found_by_verify(path: Path) -> None:
    with closing(SqliteStore(path, new_epoch=lambda: "e")) as store:
        desk = Desk(store)
        desk.say(desk.chat("ada", "ben"), "ada", "one")
    flip(path, '"checksum" = NULL', 1)
    wrong: list[Any] = [finding.wrong for finding in verify(path) if finding.wrong]
    assert len(wrong) == 1
    assert wrong[0][0].endswith("message 1 has no checksum")
