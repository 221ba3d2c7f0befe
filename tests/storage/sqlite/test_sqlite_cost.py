"""What a batch costs SQLite, how it finds messages, and how much is remembered."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage import sql
from storage.changes import Change, Changed
from storage.sqlite import SqliteStore
from storage.sqlite.statements import CHANGED_SINCE, HISTORY_AFTER, HISTORY_BEFORE, MESSAGE_AT, NEW_SINCE
from support.sqlite_files import make
from support.stores import Desk


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with contextlib.closing(make(tmp_path / "data" / "chat.db")) as store:
        yield store


def test_cost_of_rooms_beyond_the_cache_is_bounded(
    store: SqliteStore, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.sqlite.store.CACHED_ROWS", 9)
    chats = [desk.chat("ada", f"u{n}") for n in range(7)]
    for rev in (2, 3):
        for c in chats:
            assert desk.changed(desk.send(c, "ada")).rev == rev
        assert store._cache.rows == 3 * len(store._cache.rooms) <= 12


def statements(store: SqliteStore, *changes: Change) -> int:
    """How many it takes to commit these in one batch."""
    seen: list[str] = []
    assert store._writer is not None
    store._writer.set_trace_callback(seen.append)
    outcomes = store.commit(changes)
    store._writer.set_trace_callback(None)
    assert all(isinstance(outcome, Changed) for outcome in outcomes)
    return len([statement for statement in seen if not statement.startswith("--")])  # those that run inside others


def test_batch_costs_the_same_number_of_statements_whatever_it_holds(store: SqliteStore, desk: Desk) -> None:
    """Of one kind of change, as many as go into one statement: what grows is only what each may count."""
    one, *many = [desk.group("ada", f"u{n}") for n in range(65)]
    for group in (one, *many):
        desk.say(group, "ada", *"123")
    kinds: list[Callable[[str], Change]] = [
        lambda group: desk.send(group, "ada"),
        lambda group: desk.react(group, "ada", 1),
        lambda group: desk.edit(group, "ada", 2, "zwei"),
        lambda group: desk.title(group, "ada", "Other"),
        lambda group: desk.receipt(group, "ada", delivered=1),
        lambda group: desk.create("ada", client_id=f"k-{group}"),
    ]
    for kind in kinds:
        alone = statements(store, kind(one))
        assert statements(store, *map(kind, many)) == alone > 4


def plan(store: SqliteStore, statement: str) -> str:
    with store._reading() as db:
        rows = db.execute(f"EXPLAIN QUERY PLAN {statement}", [0] * statement.count("?")).fetchall()
    return "; ".join(row[-1] for row in rows)


def test_cost_reads_use_their_index(store: SqliteStore) -> None:
    by_rev = "USING INDEX Message_conversationId_changedRev_idx (conversationId=? AND changedRev>?)"
    by_seq = "USING INDEX Message_conversationId_seq_key (conversationId=? AND seq"
    for statement, index in (
        (CHANGED_SINCE, by_rev), (sql.COUNT_CHANGED, by_rev), (NEW_SINCE, by_seq), (HISTORY_AFTER, by_seq),
        (HISTORY_BEFORE, by_seq), (sql.COUNT_UNREAD, by_seq), (sql.REV_OF_SEQ, by_seq),
        (f'WITH k("low", "high") AS (VALUES (?, ?)) {sql.COUNT_TEXTS}', by_seq),
        (f'WITH k("one", "two") AS (VALUES (?, ?)) {MESSAGE_AT}', by_seq),
        (f'WITH k("one", "two") AS (VALUES (?, ?)) {sql.GROUP_MADE}', "INDEX Conversation_creatorId_clientId_key"),
    ):  # fmt: skip
        assert index in plan(store, statement), statement
        assert "SCAN m" not in plan(store, statement)
        assert "SCAN Message" not in plan(store, statement)
    assert "TEMP B-TREE" not in plan(store, CHANGED_SINCE) + plan(store, NEW_SINCE)
