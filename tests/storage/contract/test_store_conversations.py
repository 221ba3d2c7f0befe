"""Conversations of two, on every store: how they begin, who may do and read what, and how somebody comes back."""

import itertools

import pytest

from storage.changes import Changed, OpenDirect, Refused, Unchanged, room_of
from storage.contract import Store
from storage.records import Standing, pair_of
from support.shown import listed, settings, unread
from support.stores import Desk

# -- rights --


def test_conversation_is_changed_by_the_present_alone(desk: Desk, store: Store) -> None:
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
        assert outcomes == [Refused("not_found", "no such conversation", "conversation")] * 4
    assert store.room(c) == before


def test_conversation_is_read_by_the_present_alone(desk: Desk, store: Store) -> None:
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


def test_opens_of_twenty_in_one_batch_make_one_conversation(desk: Desk, store: Store) -> None:
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


def test_direct_conversation_that_cannot_be_is_refused(desk: Desk, store: Store) -> None:
    desk.people("ada")
    assert desk.refused(desk.open("ada", "ada")).reason == "bad_request"
    assert desk.refused(desk.open("ada", "nobody")).reason == "not_found"
    assert desk.refused(desk.open("nobody", "ada")).reason == "not_found"
    assert listed(store, "ada") == []


# -- sending --


def test_message_brings_the_other_back(desk: Desk, store: Store) -> None:
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


def test_message_from_another_brings_it_out_of_the_archive(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.do(desk.settings(c, "ada", archived=True), desk.settings(c, "ben", archived=True))
    outcome = desk.changed(desk.send(c, "ada"))
    assert outcome.memberships == (settings("ben", 1),)
    assert outcome.participants == (), "a setting is nobody else's business"
    assert listed(store, "ada") == []
    assert listed(store, "ada", archived=True) == listed(store, "ben") == [c]
    assert desk.changed(desk.send(c, "ada")).memberships == ()


def test_reply_names_a_message_of_the_conversation(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    for seq in (0, 2, -1):
        assert desk.refused(desk.send(c, "ada", reply_to=seq)).reason == "bad_request"
    assert desk.changed(desk.send(c, "ada", reply_to=1)).messages[0].reply_to == 1


# -- leaving --


def test_leave_is_told_by_a_system_message(desk: Desk, store: Store) -> None:
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


def test_leave_of_a_user_without_a_name_tells_the_id(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    assert desk.changed(desk.leave(c, "ada")).messages[0].body == "ada left the conversation."
    assert desk.changed(desk.leave(c, "ben")).messages[0].seq == 2
    room = store.room(c)
    assert room is not None
    assert not any(p.present for p in room.participants)
