"""Groups, on every store: who comes in, goes, owns them; what the others are told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from storage.bounds import MAX_LISTED_PARTICIPANTS
from storage.changes import Change, Changed, Leave, Refused, Unchanged, room_of
from storage.contract import Store
from storage.records import Conversation, Participant, User
from storage.rules import groups
from storage.rules.unit import Unit
from support.shown import seats, settings
from support.stores import ANYBODY, KINDS, Desk, Kind, Replica


def present(store: Store, conversation: str) -> set[str]:
    return {user for user, row in seats(store, conversation).items() if row.present}


def owners(store: Store, conversation: str) -> set[str]:
    return {user for user, row in seats(store, conversation).items() if row.present and row.role == "owner"}


def told(outcome: Changed) -> tuple[str, dict[str, Any] | None]:
    """The one system message that came with a change."""
    (message,) = outcome.messages
    assert (message.kind, message.sender, message.client_id) == ("system", None, None)
    assert (message.seq, message.rev) == (outcome.room.last_seq, outcome.rev)
    assert message.sent_at == outcome.room.last_message_at
    return message.body, message.data


# -- making one --


def test_group_made_has_its_people_and_a_system_message(desk: Desk, store: Store) -> None:
    desk.people("ada", "ben", "cleo")
    change = desk.create("ada", "ben", "cleo", title="Implants")
    outcome = desk.changed(change)
    room = outcome.room
    assert (room.id, room.kind, room.pair, room.title) == (change.conversation, "group", None, "Implants")
    assert (room.created_at, room.last_message_at, room.last_seq, room.rev) == (change.at, None, 0, 1)
    assert (outcome.from_rev, outcome.rev, outcome.created, outcome.messages) == (0, 1, True, ())
    assert outcome.entered == ("ada", "ben", "cleo")
    assert {(p.user, p.role, p.joined_at, p.left_at, p.from_seq, p.read_seq, p.rev) for p in outcome.everyone} == {
        ("ada", "owner", change.at, None, 1, 0, 1),
        ("ben", "member", change.at, None, 1, 0, 1),
        ("cleo", "member", change.at, None, 1, 0, 1),
    }
    assert {user.id for user in outcome.users} == {"ada", "ben", "cleo"}
    assert set(outcome.memberships) == {settings("ada"), settings("ben"), settings("cleo")}
    kept = store.room(room.id)
    assert kept is not None
    assert kept.conversation == room_of(outcome).conversation
    assert set(kept.participants) == set(outcome.everyone) == set(outcome.participants)


def test_group_member_named_twice_enters_once(desk: Desk, store: Store) -> None:
    desk.people("ada", "ben")
    group = desk.changed(desk.create("ada", "ben", "ada", "ben", limit=2))
    assert group.entered == ("ada", "ben")
    assert owners(store, group.room.id) == {"ada"}


def test_group_of_one_is_its_makers(desk: Desk, store: Store) -> None:
    desk.people("ada")
    group = desk.changed(desk.create("ada", limit=1)).room.id
    assert present(store, group) == owners(store, group) == {"ada"}


def test_groups_of_the_same_people_are_different(desk: Desk, store: Store) -> None:
    one, two = desk.group("ada", "ben"), desk.group("ada", "ben")
    direct = desk.chat("ada", "ben")
    assert len({one, two, direct}) == 3
    assert {id for id, _, _ in store.memberships("ben")} == {one, two, direct}


def test_group_has_room_for_so_many(desk: Desk, store: Store) -> None:
    desk.people("ada", "ben", "cleo")
    refused = desk.refused(desk.create("ada", "ben", "cleo", limit=2))
    assert refused.reason == "bad_request"
    assert "2" in refused.message
    desk.changed(desk.create("ada", "ben", "cleo", limit=3))
    assert len(store.memberships("ada")) == 1


def test_unknown_members_are_named(desk: Desk, store: Store) -> None:
    desk.people("ada", "ben")
    refused = desk.refused(desk.create("ada", "ben", "nobody"))
    assert refused.reason == "not_found"
    assert "nobody" in refused.message
    assert desk.refused(desk.create("zoe", "ada")) == Refused("not_found", "no such user: zoe", "user")
    assert store.memberships("ada") == []


def test_repeat_is_the_group_that_is_there(desk: Desk, store: Store) -> None:
    desk.people("ada", "ben", "cleo")
    first, again = desk.do(
        desk.create("ada", "ben", client_id="k"), desk.create("ada", "cleo", title="Other", client_id="k")
    )
    assert isinstance(first, Changed)
    desk.say(first.room.id, "ben", "hi")
    late = desk.unchanged(desk.create("ada", client_id="k"))
    for repeat, unread, rev in ((again, 0, 1), (late, 1, 2)):
        assert isinstance(repeat, Unchanged)
        assert repeat.duplicate
        assert (repeat.room.id, repeat.room.rev, repeat.room.title) == (first.room.id, rev, "Recall")
        assert {p.user for p in repeat.everyone} == {user.id for user in repeat.users} == {"ada", "ben"}
        assert repeat.memberships == (settings("ada", unread),)
    assert len(store.memberships("ada")) == 1


def test_client_ids_of_groups_are_the_makers_own_and_no_messages(desk: Desk) -> None:
    desk.people("ada", "ben")
    ids = set()
    for user, client_id in (("ada", "k"), ("ben", "k"), ("ada", "K"), ("ada", None), ("ada", None)):
        ids.add(desk.changed(desk.create(user, client_id=client_id)).room.id)
    assert len(ids) == 5
    group = desk.unchanged(desk.create("ada", client_id="k")).room.id
    desk.changed(desk.send(group, "ada", client_id="k"))
    assert desk.unchanged(desk.create("ada", client_id="k")).room.id == group


def test_repeat_by_one_who_left_is_none_of_their_business(desk: Desk) -> None:
    desk.people("ada", "ben")
    group = desk.changed(desk.create("ada", "ben", client_id="k")).room.id
    desk.changed(desk.leave(group, "ada"))
    assert desk.refused(desk.create("ada", "ben", client_id="k")) == Refused(
        "not_found", "no such conversation", "conversation"
    )


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.durable], ids=lambda kind: kind.name, indirect=True)
def test_group_is_there_after_closing_and_opening_again(kind: Kind, store: Store, desk: Desk, tmp_path: Path) -> None:
    desk.people("ada", "ben", "cleo")
    group = desk.changed(desk.create("ada", "ben", title="Zähne 😀", client_id="k")).room.id
    desk.changed(desk.add(group, "ada", "cleo"))
    desk.changed(desk.leave(group, "ada"))
    before = Replica.of(store, group, "ben")
    store.close()
    again = kind.open(tmp_path)
    try:
        assert Replica.of(again, group, "ben") == before
        late = Desk(again, first=100)
        late.changed(late.add(group, "ben", "ada"))
        repeat = late.unchanged(late.create("ada", client_id="k"))
        assert (repeat.room.id, repeat.room.title, repeat.duplicate) == (group, "Zähne 😀", True)
        assert {p.user for p in repeat.everyone} == {user.id for user in repeat.users} == {"ada", "ben", "cleo"}
    finally:
        again.close()


# -- titles --


def test_group_title_changed_is_told(desk: Desk, store: Store) -> None:
    desk.do(desk.put("ada", name="Ada Weiß"))
    group = desk.group("ada", "ben")
    outcome = desk.changed(desk.title(group, "ada", 'The "north" wing'))
    assert outcome.titled
    assert (outcome.from_rev, outcome.rev, outcome.room.title) == (1, 2, 'The "north" wing')
    assert (outcome.participants, outcome.memberships, outcome.everyone) == ((), (), ())
    assert told(outcome) == (
        'Ada Weiß changed the title to "The "north" wing".',
        {"event": "title", "by": "ada", "title": 'The "north" wing'},
    )
    room = store.room(group)
    assert room is not None
    assert room.conversation == outcome.room


def test_group_title_set_again_changes_nothing(desk: Desk) -> None:
    group = desk.group("ada", "ben")
    assert desk.unchanged(desk.title(group, "ada", "Recall")).room.rev == 1
    assert desk.changed(desk.title(group, "ada", "recall")).rev == 2


# -- coming in --


def test_group_member_added_is_told_and_reads_all(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben")
    desk.do(desk.put("cleo", name="Cleo 🦷"))
    desk.say(group, "ben", "one", "two")
    change = desk.add(group, "ada", "cleo")
    outcome = desk.changed(change)
    assert (outcome.from_rev, outcome.rev, outcome.entered, outcome.created) == (3, 4, ("cleo",), False)
    assert told(outcome) == ("ada added Cleo 🦷.", {"event": "added", "by": "ada", "user": "cleo"})
    (row,) = outcome.participants
    assert row == seats(store, group)["cleo"]
    assert (row.role, row.joined_at, row.left_at, row.rev) == ("member", change.at, None, 4)
    assert (row.from_seq, row.delivered_seq, row.read_seq) == (3, 2, 2), "what was said before is not theirs to read"
    assert (row.delivered_at, row.read_at) == (None, None)
    assert {p.user for p in outcome.everyone} == {user.id for user in outcome.users} == {"ada", "ben", "cleo"}
    assert outcome.memberships == (settings("cleo"),)
    replica = Replica()
    replica.catch_up(store, group, "cleo", limit=9)
    assert [m.seq for m in replica.messages.values()] == [1, 2, 3], "but they may"


def test_group_member_present_is_not_added_again(desk: Desk) -> None:
    group = desk.group("ada", "ben")
    for other in ("ben", "ada"):
        outcome = desk.unchanged(desk.add(group, "ada", other, limit=1))
        assert (outcome.room.rev, [p.user for p in outcome.participants]) == (1, [other])


def test_group_add_of_an_unknown_user_is_refused(desk: Desk) -> None:
    group = desk.group("ada", "ben")
    assert desk.refused(desk.add(group, "ada", "nobody")) == Refused("not_found", "no such user", "user")


def test_group_that_is_full_takes_nobody(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben")
    desk.people("cleo")
    refused = desk.refused(desk.add(group, "ada", "cleo", limit=2))
    assert refused.reason == "conflict"
    assert "2" in refused.message
    desk.changed(desk.leave(group, "ben"))
    desk.changed(desk.add(group, "ada", "cleo", limit=2))
    assert desk.refused(desk.add(group, "ada", "ben", limit=2)).reason == "conflict", "nor one back"
    assert present(store, group) == {"ada", "cleo"}


def test_group_member_back_has_what_they_missed(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben", "cleo")
    desk.say(group, "ada", "1", "2")
    desk.do(desk.receipt(group, "ben", read=1), desk.settings(group, "ben", muted=True, archived=True))
    desk.do(desk.leave(group, "ben"), desk.send(group, "ada", "4"))
    outcome = desk.changed(desk.add(group, "cleo", "ben", by=ANYBODY))
    (row,) = outcome.participants
    assert outcome.entered == ("ben",)
    assert (row.left_at, row.joined_at, row.from_seq, row.read_seq) == (None, desk.now, 5, 1)
    assert outcome.memberships == (attrs.evolve(settings("ben", 2), muted=True),)
    assert {user.id for user in outcome.users} == {"ada", "ben", "cleo"}
    replica = Replica()
    replica.catch_up(store, group, "ben", limit=1)
    assert replica == Replica.of(store, group, "ben")


def test_group_owner_back_is_a_member(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben")
    desk.changed(desk.leave(group, "ada"))
    outcome = desk.changed(desk.add(group, "ben", "ada"))
    assert [(p.user, p.role) for p in outcome.participants] == [("ada", "member")]
    assert owners(store, group) == {"ben"}


def test_group_message_brings_nobody_back(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben", "cleo")
    desk.changed(desk.leave(group, "ben"))
    outcome = desk.changed(desk.send(group, "ada"))
    assert (outcome.entered, outcome.participants, outcome.everyone) == ((), (), ())
    assert present(store, group) == {"ada", "cleo"}


def test_group_message_brings_it_out_of_the_archives(desk: Desk) -> None:
    group = desk.group("ada", "ben", "cleo", "dan")
    desk.say(group, "ada", "1", "2")
    desk.say(group, "ben", "3")
    desk.do(desk.receipt(group, "cleo", read=2))
    desk.do(*(desk.settings(group, user, archived=True) for user in ("ada", "ben", "cleo")))
    outcome = desk.changed(desk.send(group, "ada"))
    assert set(outcome.memberships) == {settings("ben", 3), settings("cleo", 2)}
    assert desk.changed(desk.title(group, "ada", "Other")).memberships == ()


# -- going --


def test_group_member_removed_is_told(desk: Desk, store: Store) -> None:
    desk.do(desk.put("ben", name="Ben"))
    group = desk.group("ada", "ben", "cleo")
    desk.say(group, "ben", "one")
    outcome = desk.changed(desk.remove(group, "ada", "ben"))
    assert (outcome.from_rev, outcome.rev, outcome.left) == (2, 3, ("ben",))
    assert told(outcome) == ("ada removed Ben.", {"event": "removed", "by": "ada", "user": "ben"})
    (row,) = outcome.participants
    assert (row.user, row.left_at, row.rev) == ("ben", desk.now, 3)
    assert (outcome.memberships, outcome.everyone, outcome.entered) == ((), (), ())
    assert present(store, group) == {"ada", "cleo"}


def test_group_member_gone_sees_and_does_nothing(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben", "cleo", "dan")
    (message,) = desk.say(group, "ben", "one")
    desk.do(desk.remove(group, "ada", "ben"), desk.leave(group, "cleo"))
    before = Replica.of(store, group, "ada")
    for user in ("ben", "cleo", "nobody"):
        assert store.history(group, user, before=None, after=None, limit=9) is None
        assert store.summary(group, user) is None
        assert store.since(group, user, 1, limit=9) is None
        assert store.summaries(user, archived=False, after=None, limit=9).summaries == ()
        outcomes = desk.do(
            desk.send(group, user),
            desk.title(group, user, "Mine", by=ANYBODY),
            desk.add(group, user, "ben", by=ANYBODY),
            desk.add(group, user, user, by=ANYBODY),
            desk.remove(group, user, "dan", by=ANYBODY),
            desk.leave(group, user),
            desk.edit(group, user, message.seq, "mine"),
            desk.delete(group, user, message.seq, by=frozenset({"sender", "participant"})),
            desk.react(group, user, message.seq),
            desk.receipt(group, user, read=1),
            desk.settings(group, user, muted=True),
        )
        assert outcomes == [Refused("not_found", "no such conversation", "conversation")] * 11
    assert Replica.of(store, group, "ada") == before


def test_group_removal_again_changes_nothing(desk: Desk) -> None:
    group = desk.group("ada", "ben")
    desk.people("cleo")
    desk.changed(desk.remove(group, "ada", "ben"))
    outcome = desk.unchanged(desk.remove(group, "ada", "ben"))
    assert (outcome.room.rev, [(p.user, p.present) for p in outcome.participants]) == (2, [("ben", False)])
    for stranger in ("cleo", "nobody"):
        assert desk.refused(desk.remove(group, "ada", stranger)) == Refused("not_found", "no such user", "user")


def test_group_removal_of_oneself_is_leaving(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben")
    outcome = desk.changed(desk.remove(group, "ada", "ada"))
    assert told(outcome) == ("ada left the conversation.", {"event": "left", "by": "ada"})
    assert owners(store, group) == {"ben"}


def test_group_member_leaving_is_told(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben", "cleo")
    outcome = desk.changed(desk.leave(group, "ben"))
    assert told(outcome) == ("ben left the conversation.", {"event": "left", "by": "ben"})
    assert ([p.user for p in outcome.participants], outcome.left) == (["ben"], ("ben",))
    assert owners(store, group) == {"ada"}


@pytest.mark.parametrize("how", ["leave", "remove"])
def test_group_owner_next_is_the_member_longest_in(desk: Desk, store: Store, how: str) -> None:
    group = desk.group("ada", "ben", "cleo", "abe")
    desk.do(desk.leave(group, "abe"), desk.leave(group, "ben"), desk.add(group, "ada", "ben"))
    desk.do(desk.add(group, "ada", "abe"))  # cleo, then ben, then abe
    change = desk.leave(group, "ada") if how == "leave" else desk.remove(group, "cleo", "ada", by=ANYBODY)
    outcome = desk.changed(change)
    assert [(p.user, p.role, p.present, p.rev) for p in outcome.participants] == [
        ("ada", "owner", False, outcome.rev), ("cleo", "owner", True, outcome.rev),
    ]  # fmt: skip
    assert (outcome.left, outcome.rev - outcome.from_rev) == (("ada",), 1)
    assert owners(store, group) == {"cleo"}
    desk.changed(desk.leave(group, "cleo"))
    assert owners(store, group) == {"ben"}


def test_group_owner_next_of_those_equally_long_in_is_the_first_by_id(desk: Desk, store: Store) -> None:
    group = desk.group("zoe", "cleo", "ben", "dan")
    desk.changed(desk.leave(group, "zoe"))
    assert owners(store, group) == {"ben"}


def test_group_owner_of_another_program_stays_the_only_one() -> None:
    """As where another program made one: no change makes two."""
    unit = Unit()
    unit.conversations["g"] = Conversation(
        id="g", kind="group", pair=None, title="Recall", created_at=1, last_message_at=None, last_seq=0, rev=1
    )
    ben = Participant(
        conversation="g",
        user="ben",
        role="member",
        joined_at=1,
        left_at=None,
        from_seq=1,
        delivered_seq=0,
        delivered_at=None,
        read_seq=0,
        read_at=None,
        rev=1,
    )
    owners = {user: attrs.evolve(ben, user=user, role="owner") for user in ("ada", "cleo")}
    unit.participants["g"] = {"ben": ben, **owners}
    outcome, _ = groups.leave(unit, Leave("g", "ada", "m", 2))
    assert isinstance(outcome, Changed)
    assert [p.user for p in outcome.participants] == ["ada"]
    assert unit.participants["g"]["ben"] == ben


def test_group_left_by_the_last_is_empty(desk: Desk, store: Store) -> None:
    group = desk.group("ada", "ben")
    desk.changed(desk.leave(group, "ben"))
    outcome = desk.changed(desk.leave(group, "ada"))
    assert [p.user for p in outcome.participants] == ["ada"]
    assert present(store, group) == set()
    assert store.memberships("ada") == []


def test_group_owner_is_succeeded_twice_in_one_batch(desk: Desk, store: Store) -> None:
    """All in one batch: each change sees those before it."""
    desk.people("ada", "ben", "cleo")
    made = desk.create("ada", "ben", "cleo")
    group = made.conversation
    outcomes = desk.do(
        made,
        desk.leave(group, "ada"),
        desk.title(group, "ben", "Ours"),
        desk.remove(group, "ben", "cleo"),
        desk.add(group, "ben", "ada"),
        desk.leave(group, "ben"),
        desk.add(group, "ada", "cleo"),
    )
    assert [outcome.rev for outcome in outcomes if isinstance(outcome, Changed)] == [1, 2, 3, 4, 5, 6, 7]
    assert owners(store, group) == {"ada"}
    assert present(store, group) == {"ada", "cleo"}
    last = outcomes[-1]
    assert isinstance(last, Changed)
    assert set(last.users) == {User(id=id, name=id, role="patient") for id in ("ada", "ben", "cleo")}


# -- rights --

CHANGES: dict[str, Callable[[Desk, str, str, frozenset[str]], Change]] = {
    "title": lambda desk, group, user, by: desk.title(group, user, "Other", by=by),
    "add": lambda desk, group, user, by: desk.add(group, user, "dan", by=by),
    "remove": lambda desk, group, user, by: desk.remove(group, user, "cleo", by=by),
}


@pytest.mark.parametrize("name", CHANGES)
def test_group_is_changed_by_owners_and_whom_by_lets(desk: Desk, store: Store, name: str) -> None:
    group = desk.group("ada", "ben", "cleo")
    desk.people("dan")
    before = Replica.of(store, group, "ada")
    assert desk.refused(CHANGES[name](desk, group, "ben", frozenset({"owner"}))).reason == "forbidden"
    assert desk.refused(CHANGES[name](desk, group, "ada", frozenset({"member"}))).reason == "forbidden"
    assert desk.refused(CHANGES[name](desk, group, "ada", frozenset())).reason == "forbidden"
    assert Replica.of(store, group, "ada") == before
    desk.changed(CHANGES[name](desk, group, "ben", ANYBODY))


@pytest.mark.parametrize("name", CHANGES)
def test_group_rights_come_before_what_would_change_nothing(desk: Desk, name: str) -> None:
    group = desk.group("ada", "ben", "cleo", "dan")
    desk.do(desk.title(group, "ada", "Other"), desk.remove(group, "ada", "cleo"))
    desk.unchanged(CHANGES[name](desk, group, "ada", ANYBODY))
    assert desk.refused(CHANGES[name](desk, group, "ben", frozenset({"owner"}))).reason == "forbidden"


@pytest.mark.parametrize("name", CHANGES)
def test_direct_conversation_is_no_group(desk: Desk, name: str) -> None:
    chat = desk.chat("ada", "ben")
    desk.people("cleo", "dan")
    assert desk.refused(CHANGES[name](desk, chat, "ada", ANYBODY)).reason == "bad_request"
    assert desk.refused(CHANGES[name](desk, chat, "dan", ANYBODY)).reason == "not_found"


# -- large ones --


@pytest.mark.untraced
def test_group_of_five_hundred_is_whole(desk: Desk, store: Store) -> None:
    people = [f"u{n:03}" for n in range(500)]
    desk.do(*(desk.put(user) for user in people))
    group = desk.changed(desk.create("u000", *people)).room.id
    desk.say(group, "u000", "1", "2", "3")
    desk.do(*(desk.receipt(group, user, read=n % 3) for n, user in enumerate(people)))
    desk.do(*(desk.settings(group, user, archived=True) for user in people))
    desk.say(group, "u007", "4")
    outcome = desk.changed(desk.delete(group, "u000", 2))
    unread = {m.user: m.unread for m in outcome.memberships}
    behind = {user: 3 - n % 3 for n, user in enumerate(people) if n and n % 3 < 2}
    assert unread == behind | {"u007": 1}, "not their own"
    found = store.summary(group, "u001")
    assert found is not None
    assert len(found[0].room.participants) == len(found[1]) == 500


@pytest.mark.parametrize("limit", [1, 3, 4, 50])
def test_list_of_large_groups_is_short(desk: Desk, store: Store, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr("storage.bounds.MAX_LISTED_PARTICIPANTS", 10)
    assert MAX_LISTED_PARTICIPANTS == 5000
    sizes = [2, 11, 3, 3, 6, 1, 12]
    made = [desk.group("ada", *(f"u{n}" for n in range(1, size))) for size in sizes]
    pages: list[list[str]] = []
    after: tuple[Any, ...] | None = None
    while True:
        page = store.summaries("ada", archived=False, after=after, limit=limit)
        pages.append([summary.room.conversation.id for summary in page.summaries])
        assert {p.user for summary in page.summaries for p in summary.room.participants} == page.users.keys()
        if page.next is None:
            break
        assert page.next == store.key_of(page.summaries[-1])
        after = page.next
    assert [id for page in pages for id in page] == made[::-1]
    assert [len(page) for page in pages] == ([1] * 7 if limit == 1 else [1, 3, 1, 1, 1])
