"""How a store applies changes: what to load for them, which rule is whose, what is still to be counted afterwards.

A store's commit is `load` (a few bulk reads), `apply_all`, `save` (a few bulk writes): so a batch costs the same number
of statements whatever it holds, which is what a database at the other end of a wire needs. The rules are written once,
in `storage.rules`, over rows that a store has loaded into a `Unit`.
"""

import bisect
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from storage.changes import (
    AddParticipant,
    AddToken,
    AdvanceReceipt,
    BeginLineage,
    Change,
    Changed,
    CreateGroup,
    DeleteMessage,
    DeleteRows,
    EditMessage,
    ForgetRows,
    KeyedChange,
    Leave,
    LineageBegun,
    OpenDirect,
    Outcome,
    PutRow,
    PutUser,
    React,
    RemoveParticipant,
    RevokeToken,
    RevokeTokens,
    SeeUser,
    SendMessage,
    SetDisabled,
    SetMembership,
    SetTitle,
    SwapRow,
    TakeRow,
    Unchanged,
)
from storage.keyed import Rows
from storage.records import Conversation, Membership, Participant, pair_of
from storage.rules import direct, groups, messages, receipts, users
from storage.rules.keyed import apply_keyed
from storage.rules.unit import NO_USER, Answer, Unit
from storage.tokens import add_token, revoke_token, revoke_tokens

CountUnread = Callable[[str, Mapping[str, int], int], Mapping[str, int]]
"""(conversation, read seq of each user, up to seq) -> others' undeleted texts in between, for each user."""


@attrs.define
class Keys:
    """What the changes of a batch will look at."""

    users: set[str] = attrs.Factory(set)
    conversations: set[str] = attrs.Factory(set)
    pairs: set[str] = attrs.Factory(set)
    created: set[tuple[str, str]] = attrs.Factory(set)  # (creator, client_id)
    sent: set[tuple[str, str]] = attrs.Factory(set)  # (sender, client_id)
    messages: set[tuple[str, int]] = attrs.Factory(set)  # (conversation, seq)
    tokens: set[str] = attrs.Factory(set)
    tokens_of: set[str] = attrs.Factory(set)  # users all of whose tokens are looked at
    parting: set[str] = attrs.Factory(set)  # conversations that somebody leaves in this very batch
    joining: set[str] = attrs.Factory(set)  # groups that somebody is to enter


def keys_of(changes: Iterable[Change]) -> Keys:
    """What a store must load before it applies these."""
    keys = Keys()
    for change in changes:
        match change:
            case SendMessage():
                keys.conversations.add(change.conversation)
                keys.sent.add((change.user, change.client_id))
            case EditMessage() | DeleteMessage() | React():
                keys.conversations.add(change.conversation)
                keys.messages.add((change.conversation, change.seq))
            case OpenDirect():
                keys.pairs.add(pair_of(change.user, change.other))
                keys.users.update((change.user, change.other))
            case CreateGroup():
                keys.users.update((change.user, *change.members))
                if change.client_id is not None:
                    keys.created.add((change.user, change.client_id))
            case SetTitle():
                keys.conversations.add(change.conversation)
                keys.users.add(change.user)
            case AddParticipant() | RemoveParticipant():
                keys.conversations.add(change.conversation)
                keys.users.update((change.user, change.other))
                if isinstance(change, AddParticipant):
                    keys.joining.add(change.conversation)
            case Leave():
                keys.conversations.add(change.conversation)
                keys.users.add(change.user)
                keys.parting.add(change.conversation)
            case PutUser() | SeeUser() | SetDisabled():
                keys.users.add(change.user)
            case AddToken():
                keys.users.add(change.user)
                keys.tokens.add(change.jti)
            case RevokeToken():
                keys.tokens.add(change.jti)
            case RevokeTokens():
                keys.users.add(change.user)
                keys.tokens_of.add(change.user)
            case BeginLineage() | PutRow() | SwapRow() | TakeRow() | DeleteRows() | ForgetRows():
                pass
            case AdvanceReceipt() | SetMembership():
                keys.conversations.add(change.conversation)
    return keys


KEYED = frozenset(typing.get_args(KeyedChange))


def apart(rows: Rows, changes: Sequence[Change]) -> tuple[dict[int, Outcome], Sequence[Change]]:
    """Apply the changes of keyed rows: their outcomes by place in the batch, and all other changes."""
    if not any(type(change) in KEYED for change in changes):
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
        outcome, members = apply(unit, change)
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


def apply(unit: Unit, change: Change) -> Answer:
    """One change: its outcome, and the participants whose memberships it lacks."""
    match change:
        case SendMessage():
            return messages.send(unit, change)
        case AdvanceReceipt():
            return receipts.receipt(unit, change)
        case React():
            return messages.react(unit, change)
        case EditMessage():
            return messages.edit(unit, change)
        case DeleteMessage():
            return messages.delete(unit, change)
        case SetMembership():
            return receipts.set_membership(unit, change)
        case OpenDirect():
            return direct.open_direct(unit, change)
        case CreateGroup():
            return groups.create(unit, change)
        case SetTitle():
            return groups.set_title(unit, change)
        case AddParticipant():
            return groups.add(unit, change)
        case RemoveParticipant():
            return groups.remove(unit, change)
        case Leave():
            return groups.leave(unit, change)
        case PutUser():
            return users.put_user(unit, change), ()
        case SeeUser():
            return users.see_user(unit, change), ()
        case SetDisabled():
            return users.set_disabled(unit, change), ()
        case AddToken():
            return add_token(unit.tokens, change) if change.user in unit.users else NO_USER, ()
        case RevokeToken():
            return revoke_token(unit.tokens, change), ()
        case RevokeTokens():
            return revoke_tokens(unit.tokens, change) if change.user in unit.users else NO_USER, ()
        case BeginLineage():
            unit.new_epoch = change.epoch
            return LineageBegun(change.epoch), ()
        case PutRow() | SwapRow() | TakeRow() | DeleteRows() | ForgetRows():
            raise AssertionError("keyed changes are applied apart")
