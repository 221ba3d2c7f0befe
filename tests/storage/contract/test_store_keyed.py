"""Keyed rows, on every store: kept, swapped, taken once, deleted, forgotten; for every kind alike."""

import threading
from typing import Any

import attrs
import pytest
from sqlite_utils import Database

from storage.changes import DeleteRows, ForgetRows, PutRow, PutUser, Refused, RowsSaved, SwapRow, TakeRow, UserSaved
from storage.contract import Store
from storage.keyed import KINDS, SIGNED_IN, TICKET, RowKind, SignedIn, SignInTicket, column
from storage.sqlite import SqliteStore


def sample(kind: RowKind[Any], key: str, **fields: Any) -> Any:
    """A row of this kind: each text says its field, each number its place, nulls where they may be."""
    values: dict[str, Any] = {}
    for place, field in enumerate(kind.fields):
        if kind.may_be_null(field):
            values[field] = None
        else:
            values[field] = f"{field} of {key}" if kind.is_text(field) else 1_000 + place
    return kind.row(**{**values, kind.key: key, **fields})


def session(key: str, user: str, *, expires_at: int = 100) -> SignedIn:
    row = sample(SIGNED_IN, key, user=user, expires_at=expires_at)
    assert isinstance(row, SignedIn)
    return row


@pytest.mark.parametrize("rows_of", KINDS, ids=lambda rows_of: rows_of.table)
def test_row_of_every_kind_is_kept_changed_and_deleted(store: Store, rows_of: RowKind[Any]) -> None:
    kind = rows_of
    first, other = sample(kind, "k1"), sample(kind, "k2")
    assert store.commit([PutRow(row=first), PutRow(row=other)]) == [RowsSaved((first,)), RowsSaved((other,))]
    assert (store.row(kind, "k1"), store.row(kind, "K1"), store.row(kind, "k1 ")) == (first, None, None)
    full = {field: "text" if kind.is_text(field) else 7 for field in kind.fields if field != kind.key}
    changed = attrs.evolve(first, **full)
    store.commit([PutRow(row=changed)])
    assert store.row(kind, "k1") == changed
    assert store.rows(kind, None, None, after="", limit=10) == [changed, other]
    for field in kind.finds:
        assert store.rows(kind, field, "text", after="", limit=10) == [changed]
        assert store.commit([DeleteRows(kind=kind, field=field, value="text")]) == [RowsSaved((changed,))]
        store.commit([PutRow(row=changed)])
    assert store.commit([TakeRow(kind=kind, key="k1")]) == [RowsSaved((changed,))]
    assert store.row(kind, "k1") is None
    if kind.expires is not None:
        expires = 2_000
        other = attrs.evolve(other, **{kind.expires: expires})
        store.commit([PutRow(row=other)])
        store.commit([ForgetRows(kind=kind, before=expires)])
        assert store.row(kind, "k2") == other
        store.commit([ForgetRows(kind=kind, before=expires + 1)])
        assert store.row(kind, "k2") is None
        if kind.may_be_null(kind.expires):
            lasting = attrs.evolve(other, **{kind.expires: None})
            store.commit([PutRow(row=lasting)])
            store.commit([ForgetRows(kind=kind, before=2**53)])
            assert store.row(kind, "k2") == lasting


def test_row_taken_twice_is_not_found_the_second_time(store: Store) -> None:
    store.commit([PutRow(row=sample(TICKET, "t"))])
    once, twice = store.commit([TakeRow(kind=TICKET, key="t"), TakeRow(kind=TICKET, key="t")])
    assert isinstance(once, RowsSaved)
    assert isinstance(twice, Refused)
    assert twice.reason == "not_found"


def test_row_swapped_by_a_stale_one_is_a_conflict(store: Store) -> None:
    row = sample(TICKET, "t")
    newer = attrs.evolve(row, expires_at=5)
    store.commit([PutRow(row=row)])
    assert store.commit([SwapRow(old=row, new=newer)]) == [RowsSaved((newer,))]
    (stale,) = store.commit([SwapRow(old=row, new=attrs.evolve(row, expires_at=6))])
    assert isinstance(stale, Refused)
    assert stale.reason == "conflict"
    assert store.row(TICKET, "t") == newer


def test_rows_of_a_user_are_deleted_but_one(store: Store) -> None:
    rows = [session("a", "pat-1"), session("b", "pat-1"), session("c", "den-1")]
    store.commit([PutRow(row=row) for row in rows])
    (gone,) = store.commit([DeleteRows(kind=SIGNED_IN, field="user", value="pat-1", but="b")])
    assert gone == RowsSaved((rows[0],))
    assert store.rows(SIGNED_IN, None, None, after="", limit=10) == rows[1:]


def test_rows_are_listed_page_by_page(store: Store) -> None:
    rows = [session(f"s{n}", "pat-1") for n in range(5)]
    store.commit([PutRow(row=row) for row in rows])
    assert store.rows(SIGNED_IN, "user", "pat-1", after="", limit=2) == rows[:2]
    assert store.rows(SIGNED_IN, "user", "pat-1", after="s1", limit=2) == rows[2:4]
    assert store.rows(SIGNED_IN, "user", "pat-1", after="s4", limit=2) == []


def test_rows_and_other_changes_of_a_batch_keep_their_places(store: Store) -> None:
    row = sample(TICKET, "t")
    outcomes = store.commit(
        [
            PutUser("pat-1", "Ada", "patient", 0),
            PutRow(row=row),
            PutUser("pat-2", "Bo", "patient", 0),
            TakeRow(kind=TICKET, key="absent"),
        ]
    )
    first, second, third, fourth = outcomes
    assert isinstance(first, UserSaved)
    assert isinstance(third, UserSaved)
    assert (first.user.id, second, third.user.id) == ("pat-1", RowsSaved((row,)), "pat-2")
    assert isinstance(fourth, Refused)


def test_ticket_taken_by_many_at_once_goes_to_one(store: Store) -> None:
    store.commit([PutRow(row=sample(TICKET, "t"))])
    taken: list[SignInTicket] = []

    def take() -> None:
        (outcome,) = store.commit([TakeRow(kind=TICKET, key="t")])
        if isinstance(outcome, RowsSaved):
            taken.extend(outcome.rows)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1


def test_sqlite_tables_have_the_columns_of_their_kinds(store: Store) -> None:
    if not isinstance(store, SqliteStore):
        assert {kind.table for kind in KINDS}
        return
    with store._reading() as db:
        tables = Database(db)
        for kind in KINDS:
            found = {c.name: (c.type, bool(c.notnull), bool(c.is_pk)) for c in tables[kind.table].columns}
            assert found == {
                column(field): (
                    "TEXT" if kind.is_text(field) else "INTEGER",
                    not kind.may_be_null(field),
                    field == kind.key,
                )
                for field in kind.fields
            }
