"""Application of changes in a store: the rows to load, the rule of each change, the counts that follow it.

A store's commit is `load` (a few bulk reads), `apply_all`, `save` (a few bulk writes): so a batch costs the same number
of statements whatever it holds, which is what a database at the other end of a wire needs. The rules are written once,
in `storage.rules`, over rows that a store has loaded into a `Unit`.
"""

import bisect
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from storage.changes import Change, Changed, KeyedChange, Outcome, Unchanged
from storage.keyed import KeyedRows
from storage.records import Conversation, Membership, Participant
from storage.rules import direct, groups, lineage, messages, receipts, tokens, users
from storage.rules.keyed import apply_keyed
from storage.rules.rule import Keys, Rule
from storage.rules.unit import Unit

CountUnread = Callable[[str, Mapping[str, int], int], Mapping[str, int]]
"""(conversation, read seq of each user, up to seq) -> others' undeleted texts in between, for each user."""


RULES: Mapping[type, Rule[Any]] = {
    **direct.RULES,
    **groups.RULES,
    **lineage.RULES,
    **messages.RULES,
    **receipts.RULES,
    **tokens.RULES,
    **users.RULES,
}
"""The rule of each kind of change, but for those of keyed rows."""


def keys_of(changes: Iterable[Change]) -> Keys:
    """Return what a store must load before it applies these."""
    keys = Keys()
    for change in changes:
        RULES[type(change)].keys(keys, change)
    return keys


KEYED = frozenset(typing.get_args(KeyedChange))


def apart(rows: KeyedRows, changes: Sequence[Change]) -> tuple[dict[int, Outcome], Sequence[Change]]:
    """Apply the changes of keyed rows: their outcomes by place in the batch, and all other changes."""
    if KEYED.isdisjoint(map(type, changes)):
        return {}, changes
    outcomes: dict[int, Outcome] = {}
    others: list[Change] = []
    for place, change in enumerate(changes):
        if isinstance(change, KeyedChange):
            outcomes[place] = apply_keyed(rows, change)
        else:
            others.append(change)
    return outcomes, others


def together(outcomes: list[Outcome], apart: Mapping[int, Outcome]) -> list[Outcome]:
    """Return all outcomes of a batch, those that were found apart at their places."""
    for place in sorted(apart):
        outcomes.insert(place, apart[place])
    return outcomes


def users_behind(unit: Unit, keys: Keys) -> set[str]:
    """The users to load once the participants are: an event that brings somebody in or back names everyone."""
    found = set(keys.users)
    named = keys.joining.union(unit.created.values())
    for conversation, rows in unit.participants.items():
        if conversation in named or (
            unit.conversations[conversation].kind == "direct"  # the next message brings back who is missing
            and (conversation in keys.parting or any(row.left_at is not None for row in rows.values()))
        ):
            found.update(rows)
    return found


def apply_all(unit: Unit, changes: Sequence[Change]) -> tuple[list[Outcome], list[Sequence[Participant]]]:
    """Apply the changes in order: their outcomes, and for each whose memberships the outcome still lacks."""
    outcomes: list[Outcome] = []
    moved: list[Sequence[Participant]] = []
    for change in changes:
        outcome, members = RULES[type(change)].apply(unit, change)
        outcomes.append(outcome)
        moved.append(members)
    return outcomes, moved


def finish(
    unit: Unit, outcomes: list[Outcome], moved: list[Sequence[Participant]], count: CountUnread
) -> list[Outcome]:
    """Give the outcomes the memberships they lack, each as of its own rev, from counts after the whole batch."""
    for index, members in enumerate(moved):
        if members:
            outcome = outcomes[index]
            assert isinstance(outcome, Changed | Unchanged)
            outcomes[index] = attrs.evolve(outcome, memberships=_memberships(unit, outcome.room, members, count))
    return outcomes


def _memberships(
    unit: Unit, room: Conversation, rows: Sequence[Participant], count: CountUnread
) -> tuple[Membership, ...]:
    marks = {row.user: row.read_seq for row in rows if row.read_seq < room.last_seq}
    unread = dict(count(room.id, marks, room.last_seq)) if marks else {}
    deleted = unit.deleted_after(room)
    if deleted:  # which the counts lack
        seqs = sorted(message.seq for message in deleted)
        for user, mark in marks.items():
            unread[user] += len(seqs) - bisect.bisect_right(seqs, mark)
        for message in deleted:
            if message.sender in marks and message.seq > marks[message.sender]:
                unread[message.sender] -= 1
    return tuple(_membership(row, unread.get(row.user, 0)) for row in rows)


def membership_of(row: Participant, last_seq: int, count: CountUnread) -> Membership:
    """A participant's membership as of `last_seq`."""
    behind = row.read_seq < last_seq
    return _membership(row, count(row.conversation, {row.user: row.read_seq}, last_seq)[row.user] if behind else 0)


def _membership(row: Participant, unread: int) -> Membership:
    return Membership(user=row.user, muted=row.muted, pinned=row.pinned, archived=row.archived, unread=unread)
