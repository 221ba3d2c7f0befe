"""Receipts that wait in a room: several of one user become one change, and each still gets its `ok`."""

from collections.abc import Iterable

import attrs

from storage.changes import AdvanceReceipt, SendMessage

from .pending import PendingRequest


def merge(batch: Iterable[PendingRequest], last_seq: int) -> None:
    """Have the first waiting receipt of each user stand for the later ones, whose `leader` it becomes.

    Only marks up to `last_seq`, which are surely good, are merged: one that is refused must not take others with it. A
    change that may take somebody out of the conversation ends what was gathered before it.
    """
    leaders: dict[str, PendingRequest] = {}
    for pending in batch:
        change = pending.change
        if isinstance(change, AdvanceReceipt):
            if max(change.delivered or 0, change.read or 0) > last_seq:
                continue
            leader = leaders.setdefault(change.user, pending)
            if leader is not pending:
                assert isinstance(leader.change, AdvanceReceipt)
                leader.change = _both(leader.change, change)
                pending.leader = leader
        elif change is not None and not isinstance(change, SendMessage):
            leaders.clear()


def _both(one: AdvanceReceipt, other: AdvanceReceipt) -> AdvanceReceipt:
    return attrs.evolve(
        one,
        delivered=max(one.delivered or 0, other.delivered or 0) or None,
        read=max(one.read or 0, other.read or 0) or None,
        at=max(one.at, other.at),
    )
