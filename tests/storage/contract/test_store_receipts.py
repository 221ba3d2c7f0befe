"""Watermarks, what follows from them, and one's own settings, on every store."""

import pytest

from storage.changes import Changed
from storage.contract import Store
from storage.records import ReceiptTime, status_of
from support.shown import settings, unread
from support.stores import Desk, by_user

# -- receipts --


def test_watermarks_only_move_forward(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *"12345")

    def marks() -> tuple[int, int | None, int, int | None]:
        room = store.room(c)
        assert room is not None
        row = by_user(room.participants)["ben"]
        return row.delivered_seq, row.delivered_at, row.read_seq, row.read_at

    assert marks() == (0, None, 0, None)
    desk.changed(desk.receipt(c, "ben", delivered=3))
    first = desk.now
    assert marks() == (3, first, 0, None)
    desk.changed(desk.receipt(c, "ben", delivered=1, read=2))
    second = desk.now
    assert marks() == (3, first, 2, second)
    assert desk.unchanged(desk.receipt(c, "ben", delivered=2, read=1)).participants[0].read_seq == 2
    desk.changed(desk.receipt(c, "ben", delivered=5, read=1))
    third = desk.now
    assert marks() == (5, third, 2, second)
    desk.changed(desk.receipt(c, "ben", read=5))
    assert marks() == (5, third, 5, desk.now)


def test_receipt_of_read_implies_delivered(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *"12")
    outcome = desk.changed(desk.receipt(c, "ben", delivered=1, read=2))
    (row,) = outcome.participants
    assert (row.delivered_seq, row.read_seq) == (2, 2)
    assert row.delivered_at == row.read_at == desk.now


@pytest.mark.parametrize(
    ("delivered", "read", "named"), [(3, None, "delivered"), (None, 3, "read"), (3, 2, "delivered")]
)
def test_mark_above_the_newest_message_is_refused(
    desk: Desk, delivered: int | None, read: int | None, named: str
) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *"12")
    refused = desk.refused(desk.receipt(c, "ben", delivered=delivered, read=read))
    assert refused.reason == "bad_request"
    assert named in refused.message
    desk.changed(desk.receipt(c, "ben", read=2))


def test_receipt_has_the_membership_where_read_moved(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *"123")
    assert desk.changed(desk.receipt(c, "ben", delivered=3)).memberships == ()
    assert desk.changed(desk.receipt(c, "ben", read=2)).memberships == (settings("ben", 1),)


def test_receipt_of_every_advance_keeps_its_time(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *"12345")
    desk.changed(desk.receipt(c, "ben", delivered=2))
    delivered = desk.now
    desk.changed(desk.receipt(c, "ben", read=3))
    read = desk.now
    desk.changed(desk.receipt(c, "ada", delivered=5))
    ada = ReceiptTime("ada", desk.now, None)
    assert store.receipt_times(c, 1) == [ada, ReceiptTime("ben", delivered, read)]
    assert store.receipt_times(c, 2) == [ada, ReceiptTime("ben", delivered, read)]
    assert store.receipt_times(c, 3) == [ada, ReceiptTime("ben", read, read)]
    assert store.receipt_times(c, 4) == [ada, ReceiptTime("ben", None, None)]


def test_sending_moves_nobodys_watermark(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    room = store.room(c)
    assert room is not None
    assert [(p.delivered_seq, p.read_seq) for p in room.participants] == [(0, 0), (0, 0)]


def test_message_is_sent_then_delivered_then_read(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    (message,) = desk.say(c, "ada", "one")

    def status() -> str:
        room = store.room(c)
        assert room is not None
        return status_of(message, room.participants)

    assert status() == "sent"
    desk.changed(desk.receipt(c, "ada", read=1))
    assert status() == "sent"
    desk.changed(desk.receipt(c, "ben", delivered=1))
    assert status() == "delivered"
    desk.changed(desk.receipt(c, "ben", read=1))
    assert status() == "read"
    desk.changed(desk.leave(c, "ben"))
    assert status() == "sent", "nobody else is there"


def test_receipt_of_a_newcomer_counts_once_they_have_read(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    (message,) = desk.say(c, "ada", "one")
    desk.changed(desk.leave(c, "ben"))
    desk.changed(desk.open("ada", "ben"))
    for read, status in ((0, "sent"), (1, "read")):
        desk.do(desk.receipt(c, "ben", read=read))
        room = store.room(c)
        assert room is not None
        assert status_of(message, room.participants) == status


# -- settings and unread --


def test_settings_are_ones_own(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    outcome = desk.changed(desk.settings(c, "ben", muted=True, pinned=True))
    assert outcome.memberships == (settings("ben", 1, muted=True, pinned=True),)
    outcome = desk.changed(desk.settings(c, "ben", muted=False, archived=True))
    assert outcome.memberships == (settings("ben", 1, pinned=True, archived=True),)
    same = desk.unchanged(desk.settings(c, "ben", pinned=True))
    assert same.memberships == (settings("ben", 1, pinned=True, archived=True),)
    found = store.summary(c, "ada")
    assert found is not None
    assert found[0].membership == settings("ada", 0)


def test_unread_counts_others_texts_behind_the_read_mark(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    assert unread(store, c, "ada") == 0
    desk.say(c, "ada", *"123")
    desk.say(c, "ben", *"45")
    assert (unread(store, c, "ada"), unread(store, c, "ben")) == (2, 3)
    desk.changed(desk.receipt(c, "ben", delivered=5))
    assert unread(store, c, "ben") == 3, "delivered is not read"
    desk.changed(desk.receipt(c, "ben", read=2))
    assert unread(store, c, "ben") == 1
    desk.changed(desk.leave(c, "ada"))
    assert unread(store, c, "ben") == 1, "the system's do not count"
    desk.changed(desk.receipt(c, "ben", read=6))
    assert unread(store, c, "ben") == 0


def test_membership_counts_up_to_its_own_change(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    outcomes = desk.do(
        desk.send(c, "ada"),
        desk.send(c, "ada"),
        desk.receipt(c, "ben", read=1),
        desk.send(c, "ada"),
        desk.settings(c, "ben", muted=True),
        desk.send(c, "ada"),
    )
    counts = [m.unread for outcome in outcomes if isinstance(outcome, Changed) for m in outcome.memberships]
    assert counts == [1, 2]
