"""What SQLite's index must never change about a search, and what leaves it."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.contract import Unavailable
from storage.sqlite import SqliteStore
from storage.sqlite import search as sqlite_search
from support.searches import bodies, everywhere, pages
from support.stores import Desk, sqlite_file

SUPPORT = Path(__file__).parents[2] / "support"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteStore]:
    with contextlib.closing(sqlite_file(tmp_path)) as store:
        assert isinstance(store, SqliteStore)
        yield store


def terms(store: SqliteStore) -> set[str]:
    """All trigrams in the index."""
    with contextlib.closing(sqlite3.connect(str(store.path))) as db:
        db.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, chatd_search, row)")
        return {term for (term,) in db.execute("SELECT term FROM temp.terms")}


def blocks(store: SqliteStore) -> bytes:
    """The index as it is in the file."""
    with contextlib.closing(sqlite3.connect(str(store.path))) as db:
        return b"".join(block for (block,) in db.execute("SELECT block FROM chatd_search_data"))


def test_index_forgets_a_text_that_changed(file: SqliteStore) -> None:
    desk = Desk(file)
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "hello", "xylophone", "quagga", "zebra")
    assert file.index(100) == 0
    assert {"xyl", "qua", "zeb"} < terms(file)
    assert all(term in blocks(file) for term in (b"xyl", b"qua", b"zeb"))
    desk.do(
        desk.edit(c, "ada", 2, "oboe"),
        desk.edit(c, "ada", 2, "vuvuzela"),
        desk.edit(c, "ada", 3, "okapi"),
        desk.delete(c, "ada", 3),
        desk.delete(c, "ada", 4),
    )
    left = terms(file)
    assert {"vuv", "hel"} < left
    assert not {"xyl", "one", "qua", "gga", "zeb", "obo", "oka"} & left
    assert not any(term in blocks(file) for term in (b"xyl", b"qua", b"zeb"))


def test_commit_that_fails_leaves_the_index_alone(file: SqliteStore) -> None:
    desk = Desk(file)
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "xylophone")
    file.index(100)
    with (
        mock.patch("storage.sqlite.store.finish", side_effect=ZeroDivisionError),
        pytest.raises(ZeroDivisionError),
    ):
        desk.do(desk.delete(c, "ada", 1))
    assert "xyl" in terms(file)
    assert bodies(file, "ada", "xylophone") == ["xylophone"]


def test_index_after_a_crash_finds_what_was_sent(tmp_path: Path) -> None:
    with contextlib.closing(sqlite_file(tmp_path)) as store:
        desk = Desk(store)
        c = desk.chat("ada", "ben")
        desk.say(c, "ada", "tooth 1", "tooth 2", "tooth 3")
        assert store.index(1) == 2
    with contextlib.closing(sqlite_file(tmp_path)) as store:
        assert bodies(store, "ada", "tooth") == ["tooth 3", "tooth 2", "tooth 1"]
        assert store.index(0) == 2
        assert store.index(100) == 0
        assert bodies(store, "ada", "tooth") == ["tooth 3", "tooth 2", "tooth 1"]


def test_index_takes_the_oldest_and_so_much_text_at_once(file: SqliteStore) -> None:
    desk = Desk(file)
    c = desk.chat("ada", "ben")
    assert file.index(100) == 0
    desk.say(c, "ada", *["a" * 90] * 10, "b" * 500, "c")
    with mock.patch.object(sqlite_search, "INDEXED_CHARS_PER_COMMIT", 200):
        assert file.index(1) == 11
        assert file.index(100) == 9  # two of 90 fit
        for left in (7, 5, 3, 2, 1, 0):
            assert file.index(100) == left
    assert {"aaa", "bbb"} < terms(file)


def test_deleted_message_never_enters_the_index(file: SqliteStore) -> None:
    desk = Desk(file)
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "xylophone")
    desk.do(desk.delete(c, "ada", 1))
    assert file.index(100) == 0
    assert terms(file) == set()


def test_message_that_another_program_deleted_is_not_found(file: SqliteStore) -> None:
    """Which may have left its text where it was."""
    desk = Desk(file)
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "xylophone")
    for _ in everywhere(file):
        with contextlib.closing(sqlite3.connect(str(file.path))) as db, db:
            db.execute('UPDATE "Message" SET "deletedAt" = 1')
        assert bodies(file, "ada", "xylophone") == []


def test_index_of_another_unicode_is_made_anew(tmp_path: Path) -> None:
    with contextlib.closing(sqlite_file(tmp_path)) as store:
        desk = Desk(store)
        c = desk.chat("ada", "ben")
        desk.say(c, "ada", "tooth 1", "tooth 2")
        assert store.index(100) == 0
    with contextlib.closing(sqlite_file(tmp_path)) as store:
        assert store.index(0) == 0
    with mock.patch.object(sqlite_search, "FOLDING", "1 (Unicode 99)"):
        with contextlib.closing(sqlite_file(tmp_path)) as store:
            assert isinstance(store, SqliteStore)
            assert terms(store) == set()
            assert bodies(store, "ada", "tooth") == ["tooth 2", "tooth 1"]
            assert store.index(0) == 2
            assert store.index(100) == 0
            assert "too" in terms(store)
        with contextlib.closing(sqlite_file(tmp_path)) as store:
            assert store.index(0) == 0


def test_file_without_an_index_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with contextlib.closing(sqlite3.connect(str(path))) as db:
        db.executescript((SUPPORT / "schema_001.sql").read_text("utf-8"))
    with contextlib.closing(sqlite_file(tmp_path)) as store:
        for _ in everywhere(store):
            assert bodies(store, "ada", "hurts 🦷") == ["It hurts when I bite 🦷"]
            assert bodies(store, "ben", "th") == ["Thanks", "It's \"only\"\nthe gum; don't worry"]
        assert store.index(0) == 0


def test_index_that_fails_is_unavailable_and_nothing_else_suffers(file: SqliteStore) -> None:
    desk = Desk(file)
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "tooth")
    failing = mock.patch.object(sqlite_search, "index", side_effect=sqlite3.OperationalError("disk I/O error"))
    with failing, pytest.raises(Unavailable):
        file.index(100)
    desk.say(c, "ada", "tooth 2")
    assert bodies(file, "ada", "tooth") == ["tooth 2", "tooth"]
    assert file.index(100) == 0


def test_long_texts_are_looked_at_a_few_at_a_time(file: SqliteStore) -> None:
    desk = Desk(file)
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *["é" * 500] * 200)
    for _ in everywhere(file):
        with (
            mock.patch.multiple(sqlite_search, LARGE_WINDOW_CHARS=5_000, FIRST_WINDOW=4),
            mock.patch("json.loads", wraps=json.loads) as loads,
        ):
            assert pages(file, "ada", "x é", conversation=c) == []
        sizes = [len(call.args[0]) for call in loads.call_args_list]
        assert sum(sizes) > 200 * 500
        assert max(sizes) < 5 * 5_000


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_conversations_are_named_or_passed_over(file: SqliteStore, number: int) -> None:
    desk = Desk(file)
    for n in range(number):
        desk.say(desk.chat("ada", f"u{n}"), "ada", "tooth")
        desk.say(desk.chat("ben", f"u{n}"), "ben", "tooth")
    with mock.patch.multiple(sqlite_search, FEW_ROOMS=1, MAX_NAMED_ROOMS=3, COMMON_CANDIDATES=2, FIRST_WINDOW=1):
        for _ in everywhere(file):
            assert len(pages(file, "ada", "tooth")) == len(pages(file, "ada", "oo")) == number


@pytest.mark.parametrize("few", [1, 0])
def test_few_conversations_are_searched_alone(file: SqliteStore, few: int) -> None:
    """However common the words are elsewhere: candidates of the caller's conversations only, at once or soon."""
    desk = Desk(file)
    mine, others = desk.chat("ada", "ben"), desk.chat("cleo", "ben")
    desk.say(mine, "ada", "tooth")
    desk.say(others, "cleo", *["tooth"] * 500)
    while file.index(1000):
        pass
    with mock.patch.multiple(sqlite_search, CANDIDATES_PER_CALL=7, FIRST_WINDOW=3, COMMON_CANDIDATES=3, FEW_ROOMS=few):
        page = file.search("ada", ("tooth",), conversation=None, before=None, limit=5)
        assert page is not None
        assert ([hit.message.body for hit in page.hits], page.next) == (["tooth"], None)
