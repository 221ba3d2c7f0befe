"""What a batch does, on every store: its outcomes, its numbers, its repeats; and that all of it is kept."""

from pathlib import Path

import pytest

from storage.changes import Change, Changed, OpenDirect, Refused, Unchanged, UserSaved
from storage.contract import Store
from support.stores import KINDS, Desk, Kind, Replica, by_user

# -- batches --


def test_batch_that_is_empty_has_no_outcomes(store: Store) -> None:
    assert store.commit([]) == []


def test_outcomes_come_in_order_one_for_each_change(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    outcomes = desk.do(
        desk.send(c, "ada", "one"), desk.send("nowhere", "ada"), desk.receipt(c, "ben", read=1), desk.put("cleo")
    )
    assert [type(outcome) for outcome in outcomes] == [Changed, Refused, Changed, UserSaved]


def test_change_sees_those_before_it_in_its_batch(desk: Desk, store: Store) -> None:
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


def test_refusal_has_no_effect_and_leaves_the_others_alone(desk: Desk, store: Store) -> None:
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


def test_outcome_is_what_the_store_then_holds(desk: Desk, store: Store) -> None:
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


@pytest.mark.untraced
def test_batch_of_many_changes_is_applied_in_order(desk: Desk, store: Store) -> None:
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


def test_change_that_moves_nothing_takes_no_rev(desk: Desk, store: Store) -> None:
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


def test_repeat_is_the_message_that_is_there(desk: Desk, store: Store) -> None:
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


def test_client_id_in_another_conversation_is_a_conflict(desk: Desk) -> None:
    one, two = desk.chat("ada", "ben"), desk.chat("ada", "cleo")
    sent, conflict = desk.do(desk.send(one, "ada", client_id="k"), desk.send(two, "ada", client_id="k"))
    assert isinstance(sent, Changed)
    assert isinstance(conflict, Refused)
    assert conflict.reason == "conflict"
    assert desk.refused(desk.send(two, "ada", client_id="k")).reason == "conflict"
    desk.changed(desk.send(two, "ada"))


def test_client_id_is_its_senders_own_and_compared_exactly(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    for user, client_id in (("ada", "k"), ("ben", "k"), ("ada", "K"), ("ada", "k "), ("ada", "ķ")):
        desk.changed(desk.send(c, user, client_id=client_id))


def test_repeat_by_one_who_left_is_none_of_their_business(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.changed(desk.send(c, "ada", client_id="k"))
    desk.changed(desk.leave(c, "ada"))
    assert desk.refused(desk.send(c, "ada", client_id="k")).reason == "not_found"
    desk.changed(desk.open("ada", "ben"))
    assert desk.unchanged(desk.send(c, "ada", client_id="k")).duplicate


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.durable], ids=lambda kind: kind.name, indirect=True)
def test_store_reopened_has_everything(kind: Kind, store: Store, desk: Desk, tmp_path: Path) -> None:
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


def test_repair_of_a_sound_store_does_nothing(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    store.repair()
    assert store.generation == 0
    assert not store.development
    assert store.room(c) is not None
