"""Groups: who is in, who owns them, what they are called; and how anybody leaves any conversation."""

import attrs

from storage.changes import (
    AddParticipant,
    Changed,
    CreateGroup,
    GroupChange,
    Leave,
    Refused,
    RemoveParticipant,
    SetTitle,
    Unchanged,
)
from storage.records import Conversation, Participant

from .rule import Keys, Rule, Rules
from .unit import (
    NO_USER,
    NOT_FOUND,
    Answer,
    Unit,
    brought_back,
    moved_on,
    newcomer,
    time_after,
    told,
    with_everyone,
    with_message,
)


def create(unit: Unit, change: CreateGroup) -> Answer:
    """Make a group, or find the one of the same creator and `client_id`."""
    name = None if change.client_id is None else (change.user, change.client_id)
    known = unit.created.get(name) if name else None
    if known is not None:
        mine = unit.present(known, change.user)
        if mine is None:
            return NOT_FOUND, ()
        everyone = tuple(unit.participants[known].values())
        room = unit.conversations[known]
        return Unchanged(room=room, everyone=everyone, users=unit.named(everyone), duplicate=True), [mine]
    users = tuple(dict.fromkeys((change.user, *change.members)))
    if len(users) > change.limit:
        return Refused("bad_request", f"`members`: a conversation has at most {change.limit} participants"), ()
    for user in users:
        if user not in unit.users:
            return Refused("not_found", f"no such user: {user}", "user"), ()
    before = Conversation(
        id=change.conversation,
        kind="group",
        pair=None,
        title=change.title,
        created_at=change.at,
        last_message_at=None,
        last_seq=0,
        rev=0,
        activity=unit.activity(change.at),
    )
    after = moved_on(before)
    unit.participants[after.id] = {}
    roles = ["owner"] + ["member"] * (len(users) - 1)
    entered = [newcomer(unit, before, after, *seat, change.at) for seat in zip(users, roles, strict=True)]
    unit.put_conversation(after)
    if name:
        unit.created[name] = after.id
        unit.new_groups.append((*name, after.id))
    return with_everyone(unit, after, before.rev, entered=entered, created=True), entered


def set_title(unit: Unit, change: SetTitle) -> Answer:
    """Give a group a title; the same one changes nothing."""
    before = _group(unit, change)
    if isinstance(before, Refused):
        return before, ()
    if change.title == before.title:
        return Unchanged(room=before), ()
    at = time_after(before, change.at)
    after = attrs.evolve(with_message(before, at, unit.activity(change.at)), title=change.title)
    unit.put_conversation(after)
    message = told(
        unit,
        after,
        change.message,
        at,
        f'{unit.name(change.user)} changed the title to "{change.title}".',
        {"event": "title", "by": change.user, "title": change.title},
    )
    return Changed(room=after, from_rev=before.rev, rev=after.rev, messages=(message,), titled=True), ()


def add(unit: Unit, change: AddParticipant) -> Answer:
    """Bring somebody in, or back; one who is present stays."""
    before = _group(unit, change)
    if isinstance(before, Refused):
        return before, ()
    if not change.reachable:
        return NO_USER, ()
    rows = unit.participants[before.id]
    known = rows.get(change.other)
    if known is not None and known.present:
        return Unchanged(room=before, participants=(known,)), ()
    if change.other not in unit.users:
        return NO_USER, ()
    if sum(row.present for row in rows.values()) >= change.limit:
        return Refused("conflict", f"a conversation has at most {change.limit} participants"), ()
    at = time_after(before, change.at)
    after = with_message(before, at, unit.activity(change.at))
    if known is None:
        row = newcomer(unit, before, after, change.other, "member", change.at)
    else:
        row = brought_back(unit, known, before, after, change.at)
    unit.put_conversation(after)
    message = told(
        unit,
        after,
        change.message,
        at,
        f"{unit.name(change.user)} added {unit.name(change.other)}.",
        {"event": "added", "by": change.user, "user": change.other},
    )
    return with_everyone(unit, after, before.rev, messages=(message,), entered=[row]), [row]


def remove(unit: Unit, change: RemoveParticipant) -> Answer:
    """Take somebody out; one who has left stays out. To remove oneself is to leave."""
    before = _group(unit, change)
    if isinstance(before, Refused):
        return before, ()
    row = unit.participants[before.id].get(change.other)
    if row is None:
        return NO_USER, ()
    if not row.present:
        return Unchanged(room=before, participants=(row,)), ()
    return _part(unit, before, row, change.user, change.message, change.at), ()


def leave(unit: Unit, change: Leave) -> Answer:
    """Take the user out, of a conversation of any kind."""
    before = unit.conversations.get(change.conversation)
    row = unit.present(change.conversation, change.user)
    if before is None or row is None:
        return NOT_FOUND, ()
    return _part(unit, before, row, change.user, change.message, change.at), ()


def _group(unit: Unit, change: GroupChange) -> Conversation | Refused:
    """Return the conversation, where it is a group and the user may change it."""
    room = unit.conversations.get(change.conversation)
    row = unit.present(change.conversation, change.user)
    if room is None or row is None:
        return NOT_FOUND
    if room.kind != "group":
        return Refused("bad_request", "a direct conversation is of two people and has no title")
    if row.role not in change.by:
        return Refused("forbidden", "only the group's owner may do that")
    return room


def _part(unit: Unit, before: Conversation, row: Participant, by: str, message: str, at: int) -> Changed:
    said_at = time_after(before, at)
    after = with_message(before, said_at, unit.activity(at))
    gone = attrs.evolve(row, left_at=at, rev=after.rev)
    unit.put_participant(gone)
    touched = [gone]
    left_behind = [p for p in unit.participants[after.id].values() if p.present]
    if row.role == "owner" and left_behind and not any(p.role == "owner" for p in left_behind):
        successor = min(left_behind, key=lambda p: (p.from_seq, p.joined_at, p.user))
        successor = attrs.evolve(successor, role="owner", rev=after.rev)
        unit.put_participant(successor)
        touched.append(successor)
    unit.put_conversation(after)
    if by == row.user:
        body = f"{unit.name(by)} left the conversation."
        data = {"event": "left", "by": by}
    else:
        body = f"{unit.name(by)} removed {unit.name(row.user)}."
        data = {"event": "removed", "by": by, "user": row.user}
    told_of = told(unit, after, message, said_at, body, data)
    return Changed(
        room=after,
        from_rev=before.rev,
        rev=after.rev,
        messages=(told_of,),
        participants=tuple(touched),
        left=(row.user,),
    )


def _keys_to_create(keys: Keys, change: CreateGroup) -> None:
    keys.users.update((change.user, *change.members))
    if change.client_id is not None:
        keys.created.add((change.user, change.client_id))


def _keys_by_user(keys: Keys, change: SetTitle | Leave) -> None:
    keys.conversations.add(change.conversation)
    keys.users.add(change.user)


def _keys_of_two(keys: Keys, change: AddParticipant | RemoveParticipant) -> None:
    keys.conversations.add(change.conversation)
    keys.users.update((change.user, change.other))


def _keys_to_add(keys: Keys, change: AddParticipant) -> None:
    _keys_of_two(keys, change)
    keys.joining.add(change.conversation)


def _keys_to_leave(keys: Keys, change: Leave) -> None:
    _keys_by_user(keys, change)
    keys.parting.add(change.conversation)


RULES: Rules = {
    CreateGroup: Rule(_keys_to_create, create),
    SetTitle: Rule(_keys_by_user, set_title),
    AddParticipant: Rule(_keys_to_add, add),
    RemoveParticipant: Rule(_keys_of_two, remove),
    Leave: Rule(_keys_to_leave, leave),
}
