"""What `storage.contract` promises, on every store."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from storage.changes import Change, Changed, OpenDirect, Refused, Unchanged, UserSaved, room_of
from storage.contract import MAX_CHANGED, Store
from storage.records import Membership, ReceiptTime, Standing, Summary, User, pair_of, status_of
from support.stores import KINDS, Desk, Kind, Replica, by_user, disable, shared

STAFF = ("dentist", "staff", "admin")


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    assert isinstance(request.param, Kind)
    return request.param


@pytest.fixture
def store(kind: Kind, tmp_path: Path) -> Iterator[Store]:
    store = kind.open(tmp_path)
    yield store
    store.close()


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def settings(
    user: str, unread: int, *, muted: bool = False, pinned: bool = False, archived: bool = False
) -> Membership:
    return Membership(user, muted, pinned, archived, unread)


def unread(store: Store, conversation: str, user: str) -> int:
    found = store.summary(conversation, user)
    assert found is not None
    return found[0].membership.unread


def listed(store: Store, user: str, *, archived: bool = False, limit: int = 50) -> list[str]:
    """The whole list, page by page."""
    found: list[str] = []
    after: tuple[Any, ...] | None = None
    while True:
        page = store.summaries(user, archived=archived, after=after, limit=limit)
        assert len(page.summaries) <= limit
        found += [summary.room.conversation.id for summary in page.summaries]
        assert len(set(found)) == len(found)
        if page.next is None:
            return found
        assert len(page.summaries) == limit
        assert page.next == store.key_of(page.summaries[-1])
        after = page.next


# -- batches --


def test_an_empty_batch(store: Store) -> None:
    assert store.commit([]) == []


def test_outcomes_come_in_order_one_for_each_change(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    outcomes = desk.do(
        desk.send(c, "ada", "one"), desk.send("nowhere", "ada"), desk.receipt(c, "ben", read=1), desk.put("cleo")
    )
    assert [type(outcome) for outcome in outcomes] == [Changed, Refused, Changed, UserSaved]


def test_a_change_sees_those_before_it_in_its_batch(desk: Desk, store: Store) -> None:
    opening = OpenDirect("c", "ada", "ben", 3)
    outcomes = desk.do(
        desk.put("ada"),
        desk.put("ben", name="Ben"),
        opening,
        desk.send("c", "ada", "hi"),
        desk.receipt("c", "ben", read=1),
        desk.leave("c", "ben"),
        desk.send("c", "ada", "still there?"),
    )
    assert [o.rev for o in outcomes if isinstance(o, Changed)] == [1, 2, 3, 4, 5]
    back = outcomes[-1]
    assert isinstance(back, Changed)
    assert back.entered == ("ben",)
    assert {user.id for user in back.users} == {"ada", "ben"}
    page = store.history("c", "ada", before=None, after=None, limit=50)
    assert page is not None
    assert [m.body for m in page.messages] == ["hi", "Ben left the conversation.", "still there?"]


def test_a_refusal_has_no_effect_and_leaves_the_others_alone(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    outcomes = desk.do(
        desk.send(c, "ada", "one"),
        desk.send(c, "cleo", "not mine"),
        desk.send(c, "ada", "to nothing", reply_to=9),
        desk.receipt(c, "ben", read=9),
        desk.send(c, "ben", "two", reply_to=1),
    )
    assert [outcome.reason if isinstance(outcome, Refused) else None for outcome in outcomes] == [
        None, "not_found", "bad_request", "bad_request", None,
    ]  # fmt: skip
    page = store.history(c, "ada", before=None, after=None, limit=50)
    assert page is not None
    assert [(m.seq, m.rev, m.body, m.reply_to) for m in page.messages] == [(1, 2, "one", None), (2, 3, "two", 1)]


def test_an_outcome_is_what_the_store_then_holds(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    sent = desk.changed(desk.send(c, "ada", "Zähne  \u202e\n😀"))
    receipt = desk.changed(desk.receipt(c, "ben", delivered=1))
    page = store.history(c, "ben", before=None, after=None, limit=1)
    room = store.room(c)
    assert page is not None
    assert room is not None
    assert page.messages == sent.messages
    assert room.conversation == receipt.room
    assert by_user(room.participants)["ben"] == receipt.participants[0]


def test_many_changes_in_one_batch(desk: Desk, store: Store) -> None:
    chats = [desk.chat("ada", f"u{n}") for n in range(70)]
    outcomes = desk.do(*(desk.send(c, "ada", client_id=f"k-{c}-{n}") for n in range(3) for c in chats))
    assert [o.rev for o in outcomes if isinstance(o, Changed)] == [2] * 70 + [3] * 70 + [4] * 70
    repeats = desk.do(*(desk.send(c, "ada", client_id=f"k-{c}-{n}") for n in range(3) for c in chats))
    assert all(isinstance(outcome, Unchanged) and outcome.duplicate for outcome in repeats)
    assert set(store.users([f"u{n}" for n in range(70)])) == {f"u{n}" for n in range(70)}


# -- numbers --


def test_seq_and_rev_have_no_gaps_and_rows_bear_the_rev(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    steps: list[Change] = [
        desk.send(c, "ada"),
        desk.receipt(c, "ben", delivered=1),
        desk.receipt(c, "ben", read=1),
        desk.send(c, "ben"),
        desk.leave(c, "ben"),
        desk.send(c, "ada"),
    ]
    seq = 0
    for rev, step in enumerate(steps, start=2):
        outcome = desk.changed(step)
        assert (outcome.from_rev, outcome.rev, outcome.room.rev) == (rev - 1, rev, rev)
        assert {m.rev for m in outcome.messages} | {p.rev for p in outcome.participants} == {rev}
        for message in outcome.messages:
            seq += 1
            assert message.seq == outcome.room.last_seq == seq
    assert seq == 4


def test_what_moves_nothing_takes_no_rev(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    desk.changed(desk.receipt(c, "ben", read=1))
    for change in (
        desk.receipt(c, "ben", read=1),
        desk.receipt(c, "ben", delivered=0),
        desk.receipt(c, "ada"),
        desk.open("ben", "ada"),
        desk.settings(c, "ada"),
        desk.settings(c, "ada", pinned=False),
    ):
        assert desk.unchanged(change).room.rev == 3
    own = desk.changed(desk.settings(c, "ada", pinned=True))
    assert (own.from_rev, own.rev, own.room.rev) == (3, 3, 3)
    assert own.participants == ()
    room = store.room(c)
    assert room is not None
    assert room.conversation.rev == 3
    assert {p.user: p.rev for p in room.participants} == {"ada": 1, "ben": 3}


def test_each_conversation_counts_for_itself(desk: Desk) -> None:
    one, two = desk.chat("ada", "ben"), desk.chat("ada", "cleo")
    outcomes = desk.do(desk.send(one, "ada"), desk.send(two, "ada"), desk.send(two, "cleo"), desk.send(one, "ben"))
    assert [(o.room.id, o.rev, o.room.last_seq) for o in outcomes if isinstance(o, Changed)] == [
        (one, 2, 1), (two, 2, 1), (two, 3, 2), (one, 3, 2),
    ]  # fmt: skip


# -- idempotency --


def test_a_repeat_is_the_message_that_is_there(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    first, in_the_batch = desk.do(
        desk.send(c, "ada", "once", client_id="k"), desk.send(c, "ada", "twice", client_id="k")
    )
    assert isinstance(first, Changed)
    desk.say(c, "ben", "and more")
    across = desk.unchanged(desk.send(c, "ada", "thrice", client_id="k"))
    for repeat in (in_the_batch, across):
        assert isinstance(repeat, Unchanged)
        assert repeat.duplicate
        assert repeat.messages == first.messages
    assert across.room.rev == 3
    room = store.room(c)
    assert room is not None
    assert room.conversation.last_seq == 2


def test_a_client_id_in_another_conversation_is_a_conflict(desk: Desk) -> None:
    one, two = desk.chat("ada", "ben"), desk.chat("ada", "cleo")
    sent, conflict = desk.do(desk.send(one, "ada", client_id="k"), desk.send(two, "ada", client_id="k"))
    assert isinstance(sent, Changed)
    assert isinstance(conflict, Refused)
    assert conflict.reason == "conflict"
    assert desk.refused(desk.send(two, "ada", client_id="k")).reason == "conflict"
    desk.changed(desk.send(two, "ada"))


def test_a_client_id_is_its_senders_own_and_compared_exactly(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    for user, client_id in (("ada", "k"), ("ben", "k"), ("ada", "K"), ("ada", "k "), ("ada", "ķ")):
        desk.changed(desk.send(c, user, client_id=client_id))


def test_a_repeat_by_one_who_left_is_none_of_their_business(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.changed(desk.send(c, "ada", client_id="k"))
    desk.changed(desk.leave(c, "ada"))
    assert desk.refused(desk.send(c, "ada", client_id="k")).reason == "not_found"
    desk.changed(desk.open("ada", "ben"))
    assert desk.unchanged(desk.send(c, "ada", client_id="k")).duplicate


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.durable], ids=lambda kind: kind.name, indirect=True)
def test_all_is_there_after_closing_and_opening_again(kind: Kind, store: Store, desk: Desk, tmp_path: Path) -> None:
    c = desk.chat("ada", "ben")
    other = desk.chat("ada", "cleo")
    sent = desk.changed(desk.send(c, "ada", "kept", client_id="k"))
    desk.changed(desk.receipt(c, "ben", read=1))
    before = Replica.of(store, c, "ada")
    store.close()
    again = kind.open(tmp_path)
    try:
        assert again.epoch == store.epoch
        assert Replica.of(again, c, "ada") == before
        late = Desk(again)
        repeat = late.unchanged(late.send(c, "ada", "again", client_id="k"))
        assert repeat.duplicate
        assert repeat.messages == sent.messages
        assert late.refused(late.send(other, "ada", client_id="k")).reason == "conflict"
        assert late.changed(OpenDirect("new", "ben", "cleo", 1)).created
        assert late.unchanged(late.open("ben", "ada")).room.id == c
    finally:
        again.close()


# -- rights --


def test_only_the_present_change_a_conversation(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.people("cleo")
    desk.say(c, "ada", "one")
    desk.changed(desk.leave(c, "ben"))
    before = store.room(c)
    for conversation, user in ((c, "cleo"), (c, "ben"), (c, "nobody"), ("nowhere", "ada")):
        outcomes = desk.do(
            desk.send(conversation, user),
            desk.receipt(conversation, user, read=1),
            desk.leave(conversation, user),
            desk.settings(conversation, user, muted=True),
        )
        assert outcomes == [Refused("not_found", "no such conversation")] * 4
    assert store.room(c) == before


def test_only_the_present_read_a_conversation(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.people("cleo")
    desk.say(c, "ada", "one")
    desk.changed(desk.leave(c, "ben"))
    for conversation, user in ((c, "cleo"), (c, "ben"), (c, "nobody"), ("nowhere", "ada")):
        assert store.summary(conversation, user) is None
        assert store.history(conversation, user, before=None, after=None, limit=9) is None
        assert store.since(conversation, user, 1, limit=9) is None
        assert store.standings(user, {conversation: 1}) == {conversation: Standing(0, reset=True)}
    assert listed(store, "ben") == []
    assert store.memberships("ben") == []
    assert store.memberships("nobody") == []
    assert store.room("nowhere") is None
    assert store.receipt_times("nowhere", 1) == []


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


def test_read_implies_delivered(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *"12")
    outcome = desk.changed(desk.receipt(c, "ben", delivered=1, read=2))
    (row,) = outcome.participants
    assert (row.delivered_seq, row.read_seq) == (2, 2)
    assert row.delivered_at == row.read_at == desk.now


@pytest.mark.parametrize(
    ("delivered", "read", "named"), [(3, None, "delivered"), (None, 3, "read"), (3, 2, "delivered")]
)
def test_a_mark_above_the_newest_message_is_refused(
    desk: Desk, delivered: int | None, read: int | None, named: str
) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *"12")
    refused = desk.refused(desk.receipt(c, "ben", delivered=delivered, read=read))
    assert refused.reason == "bad_request"
    assert named in refused.message
    desk.changed(desk.receipt(c, "ben", read=2))


def test_a_receipt_has_the_membership_where_read_moved(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *"123")
    assert desk.changed(desk.receipt(c, "ben", delivered=3)).memberships == ()
    assert desk.changed(desk.receipt(c, "ben", read=2)).memberships == (settings("ben", 1),)


def test_every_advance_keeps_its_time(desk: Desk, store: Store) -> None:
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


def test_a_message_is_sent_then_delivered_then_read(desk: Desk, store: Store) -> None:
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


def test_who_came_after_a_message_counts_once_they_have_read_it(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    (message,) = desk.say(c, "ada", "one")
    desk.changed(desk.leave(c, "ben"))
    desk.changed(desk.open("ada", "ben"))
    for read, status in ((0, "sent"), (1, "read")):
        desk.do(desk.receipt(c, "ben", read=read))
        room = store.room(c)
        assert room is not None
        assert status_of(message, room.participants) == status


# -- opening --


def test_open_makes_a_conversation(desk: Desk, store: Store) -> None:
    desk.people("ben", "ada")
    outcome = desk.changed(OpenDirect("c", "ben", "ada", 7))
    assert outcome.created
    assert (outcome.from_rev, outcome.rev) == (0, 1)
    assert (outcome.room.kind, outcome.room.pair, outcome.room.title) == ("direct", pair_of("ada", "ben"), None)
    assert (outcome.room.created_at, outcome.room.last_message_at, outcome.room.last_seq) == (7, None, 0)
    assert set(outcome.entered) == {"ada", "ben"}
    assert {(p.user, p.role, p.joined_at, p.from_seq, p.rev) for p in outcome.everyone} == {
        ("ada", "member", 7, 1, 1), ("ben", "member", 7, 1, 1),
    }  # fmt: skip
    assert {user.id for user in outcome.users} == {"ada", "ben"}
    assert set(outcome.memberships) == {settings("ada", 0), settings("ben", 0)}
    room = store.room("c")
    assert room is not None
    assert room.conversation == room_of(outcome).conversation
    assert set(room.participants) == set(outcome.everyone) == set(outcome.participants)


def test_open_finds_it_from_either_side(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ben", "hi")
    for user, other, count in (("ada", "ben", 1), ("ben", "ada", 0)):
        found = desk.unchanged(desk.open(user, other))
        assert found.room.id == c
        assert {p.user for p in found.everyone} == {user.id for user in found.users} == {"ada", "ben"}
        assert found.memberships == (settings(user, count),)


def test_twenty_opens_in_one_batch_make_one_conversation(desk: Desk, store: Store) -> None:
    desk.people("ada", "ben")
    pairs = itertools.islice(itertools.cycle([("ada", "ben"), ("ben", "ada")]), 20)
    first, *rest = desk.do(*(desk.open(*pair) for pair in pairs))
    assert isinstance(first, Changed)
    assert {outcome.room.id for outcome in rest if isinstance(outcome, Unchanged)} == {first.room.id}
    assert len(rest) == 19
    assert all(isinstance(outcome, Unchanged) for outcome in rest)
    assert store.memberships("ben") == [(first.room.id, 1, frozenset({"ada", "ben"}))]


@pytest.mark.parametrize("asker", ["ada", "ben"])
@pytest.mark.parametrize("gone", [("ada",), ("ben",), ("ada", "ben")])
def test_open_brings_back_whoever_left(desk: Desk, store: Store, asker: str, gone: tuple[str, ...]) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    desk.changed(desk.receipt(c, "ben", read=1))
    for user in gone:
        desk.changed(desk.leave(c, user))
    seq, rev = 1 + len(gone), 3 + len(gone)
    outcome = desk.changed(desk.open(asker, "ben" if asker == "ada" else "ada"))
    assert (outcome.room.id, outcome.from_rev, outcome.rev, outcome.created) == (c, rev, rev + 1, False)
    assert sorted(outcome.entered) == sorted(gone)
    assert {p.user for p in outcome.everyone} == {user.id for user in outcome.users} == {"ada", "ben"}
    assert {m.user for m in outcome.memberships} == {asker, *gone}
    for row in outcome.participants:
        assert (row.left_at, row.joined_at, row.from_seq, row.rev) == (None, desk.now, seq + 1, rev + 1)
        assert row.read_seq == (1 if row.user == "ben" else 0), "watermarks stay"
    assert listed(store, "ada") == listed(store, "ben") == [c]


def test_what_cannot_be_opened(desk: Desk, store: Store) -> None:
    desk.people("ada")
    assert desk.refused(desk.open("ada", "ada")).reason == "bad_request"
    assert desk.refused(desk.open("ada", "nobody")).reason == "not_found"
    assert desk.refused(desk.open("nobody", "ada")).reason == "not_found"
    assert listed(store, "ada") == []


# -- sending --


def test_a_message_brings_the_other_back(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    desk.changed(desk.settings(c, "ben", muted=True, archived=True))
    desk.changed(desk.leave(c, "ben"))
    outcome = desk.changed(desk.send(c, "ada", "come back"))
    (row,) = outcome.participants
    assert outcome.entered == ("ben",)
    assert (row.user, row.left_at, row.joined_at, row.from_seq, row.rev) == ("ben", None, desk.now, 3, outcome.rev)
    assert (row.archived, row.muted) == (False, True)
    assert {p.user for p in outcome.everyone} == {user.id for user in outcome.users} == {"ada", "ben"}
    assert outcome.memberships == (settings("ben", 2, muted=True),)
    assert unread(store, c, "ben") == 2, "what they missed is unread"


def test_a_message_from_another_brings_it_out_of_the_archive(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.do(desk.settings(c, "ada", archived=True), desk.settings(c, "ben", archived=True))
    outcome = desk.changed(desk.send(c, "ada"))
    assert outcome.memberships == (settings("ben", 1),)
    assert outcome.participants == (), "a setting is nobody else's business"
    assert listed(store, "ada") == []
    assert listed(store, "ada", archived=True) == listed(store, "ben") == [c]
    assert desk.changed(desk.send(c, "ada")).memberships == ()


def test_a_reply_names_a_message_of_the_conversation(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    for seq in (0, 2, -1):
        assert desk.refused(desk.send(c, "ada", reply_to=seq)).reason == "bad_request"
    assert desk.changed(desk.send(c, "ada", reply_to=1)).messages[0].reply_to == 1


# -- leaving --


def test_leaving_says_so(desk: Desk, store: Store) -> None:
    desk.do(desk.put("ben", name="Ben 🦷"))
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    outcome = desk.changed(desk.leave(c, "ben"))
    (message,) = outcome.messages
    (row,) = outcome.participants
    assert outcome.left == ("ben",)
    assert outcome.memberships == ()
    assert outcome.everyone == ()
    assert (message.seq, message.rev, message.sender, message.client_id, message.kind) == (2, 3, None, None, "system")
    assert (message.body, message.data) == ("Ben 🦷 left the conversation.", {"event": "left", "by": "ben"})
    assert (row.left_at, row.rev, row.present) == (desk.now, 3, False)
    page = store.history(c, "ada", before=None, after=None, limit=1)
    assert page is not None
    assert page.messages == (message,)
    assert desk.refused(desk.leave(c, "ben")).reason == "not_found"


def test_one_who_leaves_and_is_not_known_by_name(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    assert desk.changed(desk.leave(c, "ada")).messages[0].body == "ada left the conversation."
    assert desk.changed(desk.leave(c, "ben")).messages[0].seq == 2
    room = store.room(c)
    assert room is not None
    assert not any(p.present for p in room.participants)


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


def test_unread_are_the_others_texts_that_came_after_what_was_read(desk: Desk, store: Store) -> None:
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


def test_a_membership_counts_up_to_its_own_change(desk: Desk) -> None:
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


# -- history --


def test_history_page_by_page(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *"1234567")

    def page(before: int | None, after: int | None, limit: int) -> tuple[list[int], bool]:
        found = store.history(c, "ben", before=before, after=after, limit=limit)
        assert found is not None
        assert {p.user for p in found.participants} == {"ada", "ben"}
        return [m.seq for m in found.messages], found.more

    assert page(None, None, 3) == ([5, 6, 7], True)
    assert page(5, None, 3) == ([2, 3, 4], True)
    assert page(2, None, 3) == ([1], False)
    assert page(4, None, 3) == ([1, 2, 3], False)
    assert page(1, None, 3) == page(0, None, 3) == ([], False)
    assert page(99, None, 3) == ([5, 6, 7], True)
    assert page(None, None, 7) == ([1, 2, 3, 4, 5, 6, 7], False)
    assert page(None, 0, 3) == ([1, 2, 3], True)
    assert page(None, 4, 3) == ([5, 6, 7], False)
    assert page(None, 5, 1) == ([6], True)
    assert page(None, 7, 3) == page(None, 99, 3) == ([], False)
    assert page(2**53, None, 1) == ([7], True)
    assert page(None, 2**53, 1) == ([], False)


def test_history_of_an_empty_conversation(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    for before, after in ((None, None), (1, None), (None, 0)):
        page = store.history(c, "ada", before=before, after=after, limit=1)
        assert page is not None
        assert (page.messages, page.more) == ((), False)


# -- lists --


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 50])
def test_the_list_has_the_pinned_first_then_by_activity(desk: Desk, store: Store, limit: int) -> None:
    a, b, c, d, e, f, g = (desk.chat("ada", f"u{n}") for n in range(7))
    desk.say(b, "u1", "newest but two")
    desk.say(d, "ada", "newest but one")
    desk.say(a, "u0", "newest")
    desk.do(*(desk.settings(id, "ada", pinned=True) for id in (b, e)))
    desk.do(*(desk.settings(id, "ada", archived=True) for id in (c, g)))
    assert listed(store, "ada", limit=limit) == [b, e, a, d, f]
    assert listed(store, "ada", archived=True, limit=limit) == [g, c]
    desk.changed(desk.leave(f, "u5"))
    assert listed(store, "ada", limit=limit) == [b, e, f, a, d], "what the system says counts"
    assert listed(store, "u5", limit=limit) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 6])
def test_the_list_of_conversations_of_the_same_moment(desk: Desk, store: Store, limit: int) -> None:
    desk.people("ada", *(f"u{n}" for n in range(6)))
    desk.do(*(OpenDirect(f"c{n}", "ada", f"u{n}", 7) for n in (3, 1, 5, 0, 2, 4)))
    assert listed(store, "ada", limit=limit) == ["c5", "c4", "c3", "c2", "c1", "c0"]


def test_the_list_at_the_beginning_of_time(store: Store) -> None:
    desk = Desk(store)
    old = desk.chat("ada", "ben")
    new = desk.chat("ada", "cleo")
    desk.do(attrs.evolve(desk.send(new, "ada"), at=0))
    assert listed(store, "ada") == listed(store, "ada", limit=1) == [old, new]


def test_a_summary_has_all_that_a_list_shows(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    found = store.summary(c, "ada")
    assert found is not None
    assert found[0].last_message is None
    desk.say(c, "ada", "one", "two")
    desk.changed(desk.settings(c, "ben", pinned=True))
    room = store.room(c)
    assert room is not None
    found = store.summary(c, "ben")
    assert found is not None
    summary, users = found
    assert summary.room.conversation == room.conversation
    assert set(summary.room.participants) == set(room.participants)
    assert summary.membership == settings("ben", 2, pinned=True)
    assert summary.last_message is not None
    assert summary.last_message.body == "two"
    assert users == store.users(["ada", "ben"])
    page = store.summaries("ben", archived=False, after=None, limit=5)
    assert page.summaries == (summary,)
    assert page.users == users
    assert page.next is None


def test_the_list_of_nobody(store: Store) -> None:
    page = store.summaries("nobody", archived=False, after=None, limit=5)
    assert (page.summaries, page.users, page.next) == ((), {}, None)


# -- catching up --


def busy_chat(desk: Desk) -> str:
    """A conversation with all kinds of changes: some revs have two objects, some were overtaken by later ones."""
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1", "2")
    desk.do(desk.receipt(c, "ben", delivered=2), desk.receipt(c, "ben", read=1))
    desk.say(c, "ben", "3")
    desk.do(desk.receipt(c, "ada", read=3), desk.leave(c, "ben"), desk.send(c, "ada", "5"))
    desk.do(desk.settings(c, "ada", muted=True))
    desk.say(c, "ben", "6", "7", "8")
    desk.do(desk.receipt(c, "ada", delivered=8), desk.leave(c, "ben"), desk.open("ben", "ada"))
    desk.do(desk.receipt(c, "ben", read=9))
    return c


def test_chunks_of_any_size_from_any_rev_lead_to_the_present(desk: Desk, store: Store) -> None:
    c = busy_chat(desk)
    whole = Replica.of(store, c, "ada")
    assert (whole.rev, len(whole.messages)) == (16, 9)
    for rev in range(whole.rev + 1):
        held = Replica(
            rev,
            {seq: m for seq, m in whole.messages.items() if m.rev <= rev},
            {user: p for user, p in whole.participants.items() if p.rev <= rev},
        )
        for limit in range(1, 14):
            replica = held.copy()
            chunks = replica.catch_up(store, c, "ada", limit=limit)
            assert replica == whole
            missing = len(whole.messages) + 2 - len(held.messages) - len(held.participants)
            assert chunks <= max(1, -(-missing // limit)) + 1


def test_a_chunk_is_cut_between_revs(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1")
    desk.do(desk.leave(c, "ben"), desk.send(c, "ada", "3"))  # brings ben back: two objects of one rev
    desk.say(c, "ada", "4")
    chunk = store.since(c, "ada", 2, limit=1)
    assert chunk is not None
    assert (chunk.through, [m.seq for m in chunk.messages], chunk.participants) == (3, [2], ())
    chunk = store.since(c, "ada", 3, limit=1)
    assert chunk is not None
    assert (chunk.through, [m.seq for m in chunk.messages]) == (4, [3])
    assert [p.user for p in chunk.participants] == ["ben"]
    assert chunk.users == store.users(["ben"])
    assert chunk.room == store.room(c)
    assert chunk.membership == settings("ada", 0)


@pytest.mark.parametrize("read", [0, 1, 10])
def test_a_chunk_has_as_much_as_fits_and_no_hole(desk: Desk, store: Store, read: int) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *(str(n) for n in range(1, 11)))
    desk.do(desk.receipt(c, "ben", read=read))
    last = 12 if read else 11
    for limit in range(1, 13):
        chunk = store.since(c, "ben", 1, limit=limit)
        assert chunk is not None
        assert [m.seq for m in chunk.messages] == list(range(1, min(limit, 10) + 1))
        assert chunk.through == (last if limit >= last - 1 else limit + 1)
        assert len(chunk.participants) == (1 if read and chunk.through == 12 else 0)
        assert chunk.membership == settings("ben", 10 - read)


def test_nothing_new(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1")
    chunk = store.since(c, "ben", 2, limit=5)
    assert chunk is not None
    assert (chunk.through, chunk.messages, chunk.participants, chunk.users) == (2, (), (), {})
    assert chunk.membership == settings("ben", 1)


def test_one_who_came_back_sees_what_they_missed(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.changed(desk.leave(c, "ben"))
    desk.changed(desk.open("ben", "ada"))
    replica = Replica(1)
    replica.catch_up(store, c, "ben", limit=1)
    assert replica.messages.keys() == {1}
    assert replica.participants.keys() == {"ben"}


# -- standings --


def test_standings(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    other = desk.chat("ben", "cleo")
    gone = desk.chat("ada", "cleo")
    desk.changed(desk.leave(gone, "ada"))
    desk.say(c, "ben", "1", "2")
    revs = {c: 3, other: 1, gone: 1, "nowhere": 1}
    stranger = Standing(0, reset=True)
    assert store.standings("ada", revs) == {
        c: Standing(3, reset=False), other: stranger, gone: stranger, "nowhere": stranger,
    }  # fmt: skip
    assert store.standings("ada", {c: 1}) == {c: Standing(3, reset=False)}
    assert store.standings("ada", {c: 4}) == {c: Standing(3, reset=True)}, "ahead of the store"
    assert store.standings("ada", {c: 2**53}) == {c: Standing(3, reset=True)}
    assert store.standings("ada", {}) == {}


def test_too_many_changed_messages_are_a_reset(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ben", "hi")
    desk.changed(desk.receipt(c, "ada", read=1))
    desk.say(c, "ada", *("x" for _ in range(MAX_CHANGED)))
    desk.changed(desk.receipt(c, "ben", read=2))
    now = MAX_CHANGED + 4
    assert store.standings("ada", {c: 3}) == {c: Standing(now, reset=False)}, "exactly as many as may be"
    assert store.standings("ada", {c: 2}) == {c: Standing(now, reset=False)}, "a receipt is no message"
    assert store.standings("ada", {c: 1}) == {c: Standing(now, reset=True)}
    replica = Replica(3)
    replica.catch_up(store, c, "ada", limit=300)
    assert len(replica.messages) == MAX_CHANGED


def test_many_standings(desk: Desk, store: Store) -> None:
    chats = [desk.chat("ada", f"u{n}") for n in range(150)]
    revs = dict.fromkeys(chats, 1)
    assert store.standings("ada", revs) == dict.fromkeys(chats, Standing(1, reset=False))
    assert listed(store, "ada", limit=100) == chats[::-1]


# -- users --


def test_a_user_is_made_then_changed_by_what_is_given(desk: Desk, store: Store) -> None:
    assert desk.do(desk.put("ada")) == [UserSaved(User("ada", "ada", "patient"), changed=False)]
    assert desk.do(desk.put("ada", name="Ada")) == [UserSaved(User("ada", "Ada", "patient"), changed=True)]
    assert desk.do(desk.put("ada", role="staff")) == [UserSaved(User("ada", "Ada", "staff"), changed=True)]
    assert (
        desk.do(desk.put("ada"), desk.put("ada", name="Ada", role="staff"))
        == [UserSaved(User("ada", "Ada", "staff"), changed=False)] * 2
    )
    assert store.user("ada") == User("ada", "Ada", "staff")


def test_a_user_was_last_seen(desk: Desk, store: Store) -> None:
    made, seen = desk.do(desk.put("ada"), desk.see("ada"))
    assert isinstance(made, UserSaved)
    assert seen == UserSaved(User("ada", "ada", "patient", last_seen_at=2), changed=False)
    desk.do(attrs.evolve(desk.see("ada"), at=1))
    assert store.user("ada") == User("ada", "ada", "patient", last_seen_at=2), "never earlier"
    assert desk.refused(desk.see("nobody")).reason == "not_found"


def test_users(desk: Desk, store: Store) -> None:
    desk.people("ada", "ben")
    assert store.user("nobody") is None
    assert store.users([]) == {}
    assert store.users(["ada", "nobody", "ada", "ben"]) == {
        "ada": User("ada", "ada", "patient"), "ben": User("ben", "ben", "patient"),
    }  # fmt: skip


def test_ids_are_compared_exactly(desk: Desk, store: Store) -> None:
    desk.people("ada", "Ada", "ADA")
    assert store.user("aDa") is None
    assert desk.changed(desk.open("ada", "Ada")).created
    assert desk.changed(desk.open("ada", "ADA")).created


NAMES = {
    "1": ("Ben Ziegler", "dentist"),
    "2": ("ada Weiß", "staff"),
    "3": ("Ada Weiß", "staff"),
    "4": ("ÅSA Öberg", "admin"),
    "5": ("åsa berg", "patient"),
    "6": ("Ёлкина", "dentist"),
    "7": ("100% _Done_", "admin"),
    "8": ("Σίσυφος", "staff"),
}


@pytest.fixture
def people(desk: Desk) -> None:
    desk.do(*(desk.put(user, name, role) for user, (name, role) in NAMES.items()))


def found(store: Store, query: str | None = None, *, roles: tuple[str, ...] = STAFF, but: str = "0") -> list[str]:
    page, after = store.list_users(roles=roles, but=but, query=query, after=None, limit=50)
    assert after is None
    return [user.id for user in page]


@pytest.mark.usefixtures("people")
def test_users_are_listed_by_name_then_id(store: Store) -> None:
    assert found(store) == ["7", "2", "3", "1", "4", "8", "6"]
    assert found(store, but="3") == ["7", "2", "1", "4", "8", "6"]
    assert found(store, roles=("patient",)) == ["5"]
    assert found(store, roles=("admin", "patient")) == ["7", "5", "4"]
    assert found(store, roles=()) == []


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("query", "users"),
    [
        ("ADA", ["2", "3"]),
        ("weiss", ["2", "3"]),
        ("WEIß", ["2", "3"]),
        ("åsa", ["4"]),
        ("ÖB", ["4"]),
        ("ёЛК", ["6"]),
        ("ΣΊΣΥΦΟΣ", ["8"]),
        ("%", ["7"]),
        ("_", ["7"]),
        ("e", ["7", "2", "3", "1", "4"]),
        (" ", ["7", "2", "3", "1", "4"]),
        ("", ["7", "2", "3", "1", "4", "8", "6"]),
        ("'", []),
        ("nobody", []),
    ],
)
def test_a_query_is_a_part_of_the_name_in_any_case(store: Store, query: str, users: list[str]) -> None:
    assert found(store, query) == users


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("limit", range(1, 9))
def test_users_page_by_page(store: Store, limit: int) -> None:
    ids: list[str] = []
    after: tuple[Any, ...] | None = None
    while True:
        page, after = store.list_users(roles=STAFF, but="1", query=None, after=after, limit=limit)
        assert len(page) <= limit
        ids += [user.id for user in page]
        if after is None:
            break
        assert len(page) == limit
    assert ids == ["7", "2", "3", "4", "8", "6"]


@pytest.mark.usefixtures("people")
def test_the_disabled_are_not_listed(store: Store) -> None:
    disable(store, "3")
    assert found(store, "ada") == ["2"]
    user = store.user("3")
    assert user is not None
    assert user.disabled_at == 1


# -- memberships, and the store itself --


def test_memberships_are_those_of_the_present(desk: Desk, store: Store) -> None:
    one, two, three = desk.chat("ada", "ben"), desk.chat("ada", "cleo"), desk.chat("ada", "dan")
    desk.say(one, "ben", "hi")
    desk.changed(desk.leave(two, "cleo"))
    desk.changed(desk.leave(three, "ada"))
    assert sorted(store.memberships("ada")) == sorted([
        (one, 2, frozenset({"ada", "ben"})), (two, 2, frozenset({"ada"})),
    ])  # fmt: skip
    assert store.memberships("dan") == [(three, 2, frozenset({"dan"}))]


def test_to_repair_a_sound_store_does_nothing(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    store.repair()
    assert store.generation == 0
    assert not store.development
    assert store.room(c) is not None


def test_reads_from_many_threads_at_once(desk: Desk, store: Store) -> None:
    """Whatever a read sees is one moment: as many messages as `last_seq` tells of, and unread as they are."""
    c = desk.chat("ada", "ben")
    start = threading.Barrier(5)
    done = threading.Event()
    wrong: list[Summary | None] = []

    def read() -> None:
        start.wait()
        while not done.is_set():
            found = store.summary(c, "ben")
            chunk = store.since(c, "ben", 1, limit=1000)
            if found is None or chunk is None:
                wrong.append(None)
                continue
            summary, _ = found
            last = 0 if summary.last_message is None else summary.last_message.seq
            if not last == summary.room.conversation.last_seq == summary.membership.unread:
                wrong.append(summary)
            if not len(chunk.messages) == chunk.room.conversation.last_seq == chunk.membership.unread:
                wrong.append(summary)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    start.wait()
    for _ in range(30):
        desk.say(c, "ada", "one", "two")
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert unread(store, c, "ben") == 60


def test_shared_is_all_that_a_rev_stands_for(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    before = Replica.of(store, c, "ada")
    desk.changed(desk.settings(c, "ben", muted=True, pinned=True, archived=True))
    after = store.room(c)
    assert after is not None
    assert by_user(after.participants)["ben"].muted
    assert shared(by_user(after.participants)["ben"]) == before.participants["ben"]
    assert Replica.of(store, c, "ada") == before
