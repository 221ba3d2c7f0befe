"""Messages that are changed after they were sent, on every store: edits, tombstones, reactions, and catching up."""

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from storage.bounds import MAX_CHANGED_OBJECTS
from storage.changes import Change, Changed, Refused, Unchanged
from storage.contract import Store
from storage.records import Message, MessageVersion, Reaction, Standing
from storage.rules.messages import MAX_EMOJIS
from support.shown import settings, unread
from support.stores import ANYBODY, KINDS, STAFF, Desk, Kind, Replica

CHANGES: dict[str, Callable[[Desk, str, str, int], Change]] = {
    "edit": lambda desk, chat, user, seq: desk.edit(chat, user, seq, "other"),
    "delete": lambda desk, chat, user, seq: desk.delete(chat, user, seq),
    "react": lambda desk, chat, user, seq: desk.react(chat, user, seq),
}


def history(store: Store, conversation: str, user: str = "ada") -> dict[int, Message]:
    page = store.history(conversation, user, before=None, after=0, limit=10_000)
    assert page is not None
    return {m.seq: m for m in page.messages}


# -- edits --


def test_edit_changes_the_text_and_leaves_counts_and_order(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    first, second = desk.say(c, "ada", "It hurts", "a lot")
    desk.say(c, "ben", "Where?")
    before = store.room(c)
    outcome = desk.changed(desk.edit(c, "ada", 1, "It hurts 🦷"))
    edited = attrs.evolve(first, body="It hurts 🦷", edited_at=desk.now, rev=5)
    assert (outcome.from_rev, outcome.rev, outcome.messages) == (4, 5, (edited,))
    assert (outcome.participants, outcome.memberships, outcome.titled) == ((), (), False)
    assert history(store, c)[1] == edited
    assert history(store, c)[2] == second
    assert before is not None
    assert outcome.room == attrs.evolve(before.conversation, rev=5), "the list stays in its order"
    assert unread(store, c, "ben") == 2


def test_edit_to_the_same_text_changes_nothing(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    (message,) = desk.say(c, "ada", "one")
    assert desk.unchanged(desk.edit(c, "ada", 1, "one")).messages == (message,)
    (edited,) = desk.changed(desk.edit(c, "ada", 1, "two")).messages
    same = desk.unchanged(desk.edit(c, "ada", 1, "two"))
    assert (same.room.rev, same.messages) == (3, (edited,))
    assert len(store.versions(c, 1)) == 1


def test_edit_by_another_is_forbidden(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben")
    desk.say(group, "ben", "one")
    assert desk.refused(desk.edit(group, "ada", 1, "two")).reason == "forbidden"
    assert history(store, group)[1].body == "one"


def test_edit_too_late_is_refused(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    (message,) = desk.say(c, "ada", "one")
    assert desk.refused(desk.edit(c, "ada", 1, "two", since=message.sent_at + 1)).reason == "forbidden"
    assert desk.refused(desk.edit(c, "ada", 1, "one", since=message.sent_at + 1)).reason == "forbidden"
    desk.changed(desk.edit(c, "ada", 1, "two", since=message.sent_at))
    assert desk.refused(desk.edit(c, "ada", 1, "three", since=message.sent_at + 1)).reason == "forbidden"


# -- tombstones --


def test_delete_leaves_a_tombstone(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    change = desk.send(c, "ada", "two", client_id="k", reply_to=1)
    desk.do(change, desk.react(c, "ben", 2), desk.edit(c, "ada", 2, "zwei"))
    edited_at = desk.now
    before = history(store, c)[2]
    outcome = desk.changed(desk.delete(c, "ada", 2))
    (tombstone,) = outcome.messages
    assert tombstone == attrs.evolve(before, rev=6, body="", reactions=(), deleted_at=desk.now)
    assert (tombstone.reply_to, tombstone.client_id, tombstone.edited_at) == (1, "k", edited_at)
    assert (outcome.from_rev, outcome.rev, outcome.room.last_seq) == (5, 6, 2)
    assert history(store, c)[2] == tombstone
    found = store.summary(c, "ben")
    assert found is not None
    assert found[0].last_message == tombstone


def test_delete_again_changes_nothing(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    (tombstone,) = desk.changed(desk.delete(c, "ada", 1)).messages
    again = desk.unchanged(desk.delete(c, "ada", 1, since=desk.now))
    assert (again.room.rev, again.messages) == (3, (tombstone,))
    assert len(store.versions(c, 1)) == 1


def test_delete_follows_the_relations_given(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben", "cleo")
    desk.say(group, "ben", *"1234")
    assert desk.refused(desk.delete(group, "ada", 1)).reason == "forbidden", "an owner is no moderator"
    assert desk.refused(desk.delete(group, "ben", 1, by=frozenset())).reason == "forbidden"
    desk.changed(desk.delete(group, "ben", 1))
    assert desk.refused(desk.delete(group, "ada", 1)).reason == "forbidden", "a tombstone is the sender's, too"
    desk.changed(desk.delete(group, "cleo", 2, by=STAFF))
    desk.changed(desk.delete(group, "ben", 3, by=STAFF))
    assert [m.deleted_at is None for m in history(store, group).values()] == [False, False, False, True]


def test_delete_limit_of_time_binds_the_sender(desk: Desk) -> None:
    group = desk.group("ada", "ben", "cleo")
    _, two, _ = desk.say(group, "ben", *"123")
    late = two.sent_at
    assert desk.refused(desk.delete(group, "ben", 1, since=late)).reason == "forbidden"
    desk.changed(desk.delete(group, "ben", 2, since=late))
    desk.changed(desk.delete(group, "ada", 1, since=late, by=STAFF))
    desk.changed(desk.delete(group, "ben", 3, since=desk.now + 9, by=STAFF))


def test_delete_lowers_unread_counts(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben", "cleo", "dan", "eve")
    desk.say(group, "ada", *"123")
    desk.do(desk.receipt(group, "ben", read=1), desk.receipt(group, "cleo", read=2), desk.leave(group, "eve"))
    desk.do(desk.settings(group, "dan", muted=True))
    outcome = desk.changed(desk.delete(group, "ada", 2))
    assert set(outcome.memberships) == {
        settings("ben", 1), attrs.evolve(settings("dan", 2), muted=True)
    }, "those who had it to read yet: not its sender, nor who has gone"  # fmt: skip
    assert [unread(store, group, user) for user in ("ada", "ben", "cleo", "dan")] == [0, 1, 1, 2]
    desk.changed(desk.receipt(group, "cleo", read=3))
    outcome = desk.changed(desk.delete(group, "ben", 3, by=STAFF))
    assert set(outcome.memberships) == {settings("ben", 0), attrs.evolve(settings("dan", 1), muted=True)}
    assert desk.changed(desk.delete(group, "ada", 1)).memberships == (attrs.evolve(settings("dan", 0), muted=True),)


def test_outcome_counts_as_of_its_own_change(desk: Desk) -> None:
    """Though counted when the whole batch was written: what is deleted later was unread before."""
    group = desk.group("ada", "ben", "cleo")
    other = desk.group("ada", "ben")
    outcomes = desk.do(
        *(desk.send(conversation, "ada") for conversation in (group, group, group, other)),
        desk.settings(group, "ben", muted=True),
        desk.receipt(group, "cleo", read=1),
        desk.settings(other, "ben", muted=True),
        desk.delete(group, "ada", 1),
        desk.delete(group, "ada", 3),
        desk.settings(group, "ben", muted=False),
        desk.send(group, "ada"),
        desk.delete(group, "ada", 4),
    )
    counts = [
        {(m.user, m.unread) for m in outcome.memberships} for outcome in outcomes[4:] if isinstance(outcome, Changed)
    ]
    assert counts == [
        {("ben", 3)},
        {("cleo", 2)},
        {("ben", 1)},
        {("ben", 2)},
        {("ben", 1), ("cleo", 1)},
        {("ben", 1)},
        set(),
        {("ben", 1), ("cleo", 1)},
    ]


def test_unread_never_counted_a_deleted_text_of_ones_own(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    outcomes = desk.do(
        desk.send(c, "ada"),
        desk.send(c, "ben"),
        desk.settings(c, "ada", muted=True),
        desk.delete(c, "ada", 1),
        desk.delete(c, "ben", 2),
    )
    counts = [[(m.user, m.unread) for m in o.memberships] for o in outcomes if isinstance(o, Changed)]
    assert counts == [[], [], [("ada", 1)], [("ben", 0)], [("ada", 0)]]


def test_reply_to_a_tombstone_is_kept(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    desk.changed(desk.delete(c, "ada", 1))
    assert desk.changed(desk.send(c, "ben", reply_to=1)).messages[0].reply_to == 1


# -- reactions --


def test_reactions_come_in_order_and_go(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben", "cleo")
    (message,) = desk.say(group, "ada", "one")
    desk.do(
        desk.react(group, "cleo", 1, "👍"),
        desk.react(group, "ben", 1, "👨‍👩‍👧"),
        desk.react(group, "ada", 1, "👍"),
        desk.react(group, "ben", 1, "👍"),
    )
    outcome = desk.changed(desk.react(group, "ada", 1, "👍", on=False))
    reactions = (Reaction("👍", ("cleo", "ben")), Reaction("👨‍👩‍👧", ("ben",)))
    assert outcome.messages == (attrs.evolve(message, rev=7, reactions=reactions),)
    assert [reaction.count for reaction in reactions] == [2, 1]
    assert (outcome.from_rev, outcome.rev, outcome.memberships) == (6, 7, ())
    assert history(store, group)[1] == outcome.messages[0]
    desk.do(desk.react(group, "cleo", 1, "👍", on=False), desk.react(group, "ben", 1, "👍", on=False))
    assert history(store, group)[1].reactions == (Reaction("👨‍👩‍👧", ("ben",)),)
    desk.changed(desk.react(group, "ben", 1, "👨‍👩‍👧", on=False))
    assert history(store, group)[1].reactions == ()


def test_reaction_that_is_so_already_changes_nothing(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    (message,) = desk.say(c, "ada", "one")
    assert desk.unchanged(desk.react(c, "ben", 1, on=False)).messages == (message,)
    (reacted,) = desk.changed(desk.react(c, "ben", 1)).messages
    same = desk.unchanged(desk.react(c, "ben", 1))
    assert (same.room.rev, same.messages) == (3, (reacted,))
    desk.changed(desk.react(c, "ada", 1))


def test_reactions_have_a_bound_of_different_emojis(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    desk.do(*(desk.react(c, "ben", 1, chr(0x1F600 + n)) for n in range(MAX_EMOJIS)))
    refused = desk.refused(desk.react(c, "ada", 1, "👍"))
    assert refused.reason == "bad_request"
    assert "20" in refused.message
    desk.changed(desk.react(c, "ada", 1, chr(0x1F600)))
    desk.changed(desk.react(c, "ben", 1, chr(0x1F601), on=False))
    desk.changed(desk.react(c, "ada", 1, "👍"))
    assert len(history(store, c)[1].reactions) == MAX_EMOJIS == 20


def test_reactions_stay_where_a_text_is_edited_or_its_friend_leaves(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben")
    desk.say(group, "ada", "one")
    desk.do(desk.react(group, "ben", 1), desk.edit(group, "ada", 1, "two"), desk.leave(group, "ben"))
    assert history(store, group)[1].reactions == (Reaction("👍", ("ben",)),)
    assert history(store, group)[1].body == "two"


# -- all of them --


@pytest.mark.parametrize("name", CHANGES)
def test_message_that_is_not_there_cannot_be_changed(desk: Desk, store: Store, name: str) -> None:
    c = desk.chat("ada", "ben")
    other = desk.chat("ada", "cleo")
    desk.say(other, "ada", "1", "2")
    desk.say(c, "ada", "1")
    for seq in (0, 2, -1, 2**53):
        refused = desk.refused(CHANGES[name](desk, c, "ada", seq))
        assert (refused.reason, refused.message) == ("not_found", "no such message")
    assert store.standings("ada", {c: 2}) == {c: Standing(2, reset=False)}


@pytest.mark.parametrize("name", CHANGES)
def test_system_message_cannot_be_changed(desk: Desk, store: Store, name: str) -> None:
    group = desk.group("ada", "ben")
    desk.changed(desk.title(group, "ada", "Other"))
    before = history(store, group)
    assert desk.refused(CHANGES[name](desk, group, "ada", 1)).reason == "forbidden"
    assert desk.refused(desk.delete(group, "ada", 1, by=STAFF)).reason == "forbidden"
    assert history(store, group) == before


@pytest.mark.parametrize("name", ["edit", "react"])
def test_tombstone_stays_whatever_is_done_to_it(desk: Desk, store: Store, name: str) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    desk.changed(desk.delete(c, "ada", 1))
    before = history(store, c)
    assert desk.refused(CHANGES[name](desk, c, "ada", 1)).reason == "conflict"
    assert desk.refused(desk.react(c, "ben", 1, on=False)).reason == "conflict"
    assert history(store, c) == before


@pytest.mark.parametrize("name", CHANGES)
def test_message_is_changed_by_the_present_alone(desk: Desk, store: Store, name: str) -> None:
    c = desk.chat("ada", "ben")
    desk.people("cleo")
    desk.say(c, "ben", "one")
    desk.changed(desk.leave(c, "ben"))
    before = history(store, c)
    for conversation, user in ((c, "cleo"), (c, "ben"), (c, "nobody"), ("nowhere", "ada")):
        change = CHANGES[name](desk, conversation, user, 1)
        assert desk.refused(change) == Refused("not_found", "no such conversation", "conversation")
    assert history(store, c) == before


def test_message_sent_and_changed_in_one_batch_is_changed(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    sent = desk.send(c, "ada", "one", client_id="k")
    outcomes = desk.do(
        sent,
        desk.edit(c, "ada", 1, "two"),
        desk.react(c, "ben", 1),
        attrs.evolve(sent, message="again"),
        desk.edit(c, "ada", 1, "three"),
        desk.delete(c, "ada", 1),
        attrs.evolve(sent, message="once more"),
    )
    assert [o.rev if isinstance(o, Changed) else None for o in outcomes] == [2, 3, 4, None, 5, 6, None]
    bodies = [(m.body, m.rev, len(m.reactions)) for o in outcomes if not isinstance(o, Refused) for m in o.messages]  # type: ignore[union-attr]
    assert bodies == [
        ("one", 2, 0), ("two", 3, 0), ("two", 4, 1), ("two", 4, 1), ("three", 5, 1), ("", 6, 0), ("", 6, 0),
    ]  # fmt: skip
    assert [(m.body, m.rev, m.deleted_at is None) for m in history(store, c).values()] == [("", 6, False)]
    assert [(v.body, v.rev) for v in store.versions(c, 1)] == [("one", 3), ("two", 5), ("three", 6)]


def test_repeat_is_the_message_as_it_is_now(desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.changed(desk.send(c, "ada", "one", client_id="k"))
    (edited,) = desk.changed(desk.edit(c, "ada", 1, "two")).messages
    assert desk.unchanged(desk.send(c, "ada", "one", client_id="k")).messages == (edited,)
    (tombstone,) = desk.changed(desk.delete(c, "ada", 1)).messages
    repeat = desk.unchanged(desk.send(c, "ada", "one", client_id="k"))
    assert (repeat.messages, repeat.duplicate) == ((tombstone,), True)


def test_batch_changing_many_messages_is_applied(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben")
    sent = desk.say(group, "ada", *(f"text {n}" for n in range(150)))
    outcomes = desk.do(*(desk.edit(group, "ada", m.seq, m.body.upper()) for m in sent))
    assert [o.rev for o in outcomes if isinstance(o, Changed)] == list(range(152, 302))
    assert [m.body for m in history(store, group).values()] == [f"TEXT {n}" for n in range(150)]
    outcomes = desk.do(
        *(desk.delete(group, "ada", m.seq) for m in sent[1:]), *(desk.react(group, "ben", 1) for _ in "ab")
    )
    assert [type(outcome) for outcome in outcomes] == [Changed] * 150 + [Unchanged]
    assert unread(store, group, "ben") == 1


def test_versions_are_the_texts_that_a_message_had(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    other = desk.chat("ada", "cleo")
    desk.say(c, "ada", "one", "else")
    desk.say(other, "ada", "one")
    desk.do(desk.edit(c, "ada", 1, "two"), desk.react(c, "ben", 1), desk.edit(other, "ada", 1, "zwei"))
    at = desk.now - 2
    assert store.versions(c, 1) == [MessageVersion(1, 4, "one", at)]
    desk.changed(desk.edit(c, "ada", 1, ""))
    edited = desk.now
    desk.changed(desk.delete(c, "ada", 1))
    assert store.versions(c, 1) == [
        MessageVersion(1, 4, "one", at), MessageVersion(1, 6, "two", edited), MessageVersion(1, 7, "", desk.now),
    ]  # fmt: skip
    assert store.versions(c, 2) == store.versions("nowhere", 1) == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.durable], ids=lambda kind: kind.name, indirect=True)
def test_changed_messages_are_there_after_opening_again(kind: Kind, store: Store, desk: Desk, tmp_path: Path) -> None:
    group = desk.group("ada", "ben", "cleo")
    desk.say(group, "ada", "one", "two", "three")
    desk.do(desk.edit(group, "ada", 1, "Zähne\n😀"), desk.delete(group, "ada", 2), desk.react(group, "ben", 3, "🦷"))
    before = Replica.of(store, group, "ben")
    versions = store.versions(group, 1)
    store.close()
    again = kind.open(tmp_path)
    try:
        assert Replica.of(again, group, "ben") == before
        assert again.versions(group, 1) == versions
        late = Desk(again, first=100)
        late.changed(late.react(group, "cleo", 3, "🦷"))
        assert history(again, group)[3].reactions == (Reaction("🦷", ("ben", "cleo")),)
    finally:
        again.close()


# -- catching up --


def busy_group(desk: Desk) -> str:
    """Old messages changed late, new ones at once, some more than once, and people come and go."""
    group = desk.group("ada", "ben", "cleo")
    desk.say(group, "ada", "1", "2", "3")
    desk.do(desk.edit(group, "ada", 2, "zwei"), desk.receipt(group, "ben", read=2), desk.react(group, "ben", 1))
    desk.do(desk.send(group, "ben", "4"), desk.delete(group, "ben", 4), desk.send(group, "cleo", "5"))
    desk.do(desk.remove(group, "ada", "cleo"), desk.edit(group, "ada", 1, "eins"), desk.title(group, "ada", "Other"))
    desk.do(desk.add(group, "ada", "cleo"), desk.react(group, "cleo", 5), desk.react(group, "ben", 5))
    desk.do(desk.leave(group, "ada"), desk.delete(group, "cleo", 3, by=STAFF), desk.send(group, "ben", "10"))
    desk.do(desk.react(group, "ben", 10), desk.add(group, "ben", "ada", by=ANYBODY), desk.receipt(group, "ada", read=9))
    return group


@pytest.mark.untraced
def test_chunks_of_any_size_from_any_rev_lead_to_the_present(desk: Desk, store: Store) -> None:
    group = busy_group(desk)
    whole = Replica.of(store, group, "ben")
    assert (whole.rev, len(whole.messages)) == (22, 11)
    for rev in range(whole.rev + 1):
        held = Replica(
            rev,
            {seq: m for seq, m in whole.messages.items() if m.rev <= rev},
            {user: p for user, p in whole.participants.items() if p.rev <= rev},
        )
        missing = len(whole.messages) + len(whole.participants) - len(held.messages) - len(held.participants)
        for limit in range(1, 16):
            replica = held.copy()
            chunks = replica.catch_up(store, group, "ben", limit=limit)
            assert replica == whole
            assert chunks <= max(1, -(-missing // limit)) + 1


@pytest.mark.untraced
def test_chunk_is_complete_up_to_its_rev(desk: Desk, store: Store) -> None:
    """Whatever the limit: nothing up to `through` is left out, nothing above is in, each object comes once."""
    group = busy_group(desk)
    whole = Replica.of(store, group, "ben")
    for rev in range(whole.rev + 1):
        for limit in range(1, 16):
            chunk = store.since(group, "ben", rev, limit=limit)
            assert chunk is not None
            assert [m for m in whole.messages.values() if rev < m.rev <= chunk.through] == list(chunk.messages)
            people = [p for p in whole.participants.values() if rev < p.rev <= chunk.through]
            assert sorted(p.user for p in people) == sorted(p.user for p in chunk.participants)
            objects = len(chunk.messages) + len(chunk.participants)
            assert chunk.through == whole.rev or limit <= objects <= limit + 2, "cut between revs only"


def test_message_that_was_changed_comes_once_as_it_is_now(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1", "2", "3")
    desk.do(desk.edit(c, "ada", 1, "eins"), desk.react(c, "ben", 1), desk.send(c, "ada", "4"))
    desk.do(desk.delete(c, "ada", 3))
    for rev, limit, through, seqs in (
        (4, 1, 6, [1]), (4, 2, 7, [1, 4]), (4, 3, 8, [1, 3, 4]), (5, 1, 6, [1]), (6, 9, 8, [3, 4]), (7, 9, 8, [3]),
        (1, 1, 3, [2]), (1, 2, 6, [1, 2]), (3, 1, 6, [1]), (8, 9, 8, []),
    ):  # fmt: skip
        chunk = store.since(c, "ben", rev, limit=limit)
        assert chunk is not None
        assert ([m.seq for m in chunk.messages], chunk.through) == (seqs, through)
        assert all(m == history(store, c)[m.seq] for m in chunk.messages)


@pytest.mark.untraced
def test_too_many_changed_messages_are_a_reset(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    sent = desk.say(c, "ada", *("x" for _ in range(MAX_CHANGED_OBJECTS)))
    old = store.standings("ben", {c: 1})[c].rev
    desk.do(*(desk.edit(c, "ada", m.seq, "y") for m in sent[: MAX_CHANGED_OBJECTS // 2]))
    desk.do(*(desk.react(c, "ben", m.seq) for m in sent[: MAX_CHANGED_OBJECTS // 2]))
    assert not store.standings("ben", {c: old})[c].reset, "a message counts once"
    assert not store.standings("ben", {c: 1})[c].reset, "new or changed"
    desk.do(*(desk.send(c, "ada") for _ in range(MAX_CHANGED_OBJECTS // 2)))
    assert not store.standings("ben", {c: old})[c].reset, "exactly as many as may be"
    assert store.standings("ben", {c: 1})[c].reset
    desk.do(desk.delete(c, "ada", MAX_CHANGED_OBJECTS + 1))
    assert not store.standings("ben", {c: old})[c].reset, "a new one, changed, is one"
    now = desk.changed(desk.delete(c, "ada", MAX_CHANGED_OBJECTS)).rev
    assert store.standings("ben", {c: old}) == {c: Standing(now, reset=True)}
    assert store.standings("ben", {c: old + 1}) == {c: Standing(now, reset=True)}
    assert store.standings("ben", {c: now - 2}) == {c: Standing(now, reset=False)}


def test_messages_changed_long_ago_are_not_fed(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    sent = desk.say(c, "ada", *"123")
    desk.do(*(desk.edit(c, "ada", m.seq, m.body * 2) for m in sent))
    desk.changed(desk.receipt(c, "ben", read=3))
    chunk = store.since(c, "ben", 7, limit=9)
    assert chunk is not None
    assert (chunk.messages, [p.user for p in chunk.participants], chunk.through) == ((), ["ben"], 8)
