"""Watermarks and settings of a participant."""

import attrs

from storage.changes import AdvanceReceipt, Changed, Refused, SetMembership, Unchanged
from storage.value import copy_with

from .rule import Rule, Rules, of_conversation
from .unit import NOT_FOUND, Answer, Unit, moved_on


def receipt(unit: Unit, change: AdvanceReceipt) -> Answer:
    """Advance watermarks, forward only; every advance is kept with its time."""
    before = unit.conversations.get(change.conversation)
    row = unit.present(change.conversation, change.user)
    if before is None or row is None:
        return NOT_FOUND, ()
    read = change.read or 0
    delivered = max(change.delivered or 0, read)
    if delivered > before.last_seq:
        name = "read" if read > before.last_seq else "delivered"
        return Refused("bad_request", f"`{name}`: the newest message is {before.last_seq}"), ()
    if delivered <= row.delivered_seq and read <= row.read_seq:
        return Unchanged(room=before, participants=(row,)), ()
    after = moved_on(before)
    delivered_seq, delivered_at, read_seq, read_at = row.delivered_seq, row.delivered_at, row.read_seq, row.read_at
    if delivered > delivered_seq:
        delivered_seq, delivered_at = delivered, change.at
        unit.receipts.append((row.conversation, row.user, "delivered", delivered, change.at))
    if read > read_seq:
        read_seq, read_at = read, change.at
        unit.receipts.append((row.conversation, row.user, "read", read, change.at))
    moved = copy_with(
        row,
        delivered_seq=delivered_seq,
        delivered_at=delivered_at,
        read_seq=read_seq,
        read_at=read_at,
        rev=after.rev,
    )
    unit.put_conversation(after)
    unit.put_participant(moved)
    return Changed(room=after, from_rev=before.rev, rev=after.rev, participants=(moved,)), [
        moved
    ] if read > row.read_seq else ()


def set_membership(unit: Unit, change: SetMembership) -> Answer:
    """Change the user's own settings: nobody else sees them, so they take no rev."""
    room = unit.conversations.get(change.conversation)
    row = unit.present(change.conversation, change.user)
    if room is None or row is None:
        return NOT_FOUND, ()
    after = attrs.evolve(
        row,
        muted=row.muted if change.muted is None else change.muted,
        pinned=row.pinned if change.pinned is None else change.pinned,
        archived=row.archived if change.archived is None else change.archived,
    )
    if after == row:
        return Unchanged(room=room), [row]
    unit.put_participant(after)
    return Changed(room=room, from_rev=room.rev, rev=room.rev), [after]


RULES: Rules = {AdvanceReceipt: Rule(of_conversation, receipt), SetMembership: Rule(of_conversation, set_membership)}
