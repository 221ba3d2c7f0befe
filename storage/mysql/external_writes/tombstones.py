"""Tombstones for messages whose rows an external writer deleted, so that numbers have no gaps."""

import hashlib
from collections.abc import Sequence

from storage.columns import fill
from storage.mysql.connection import Connection
from storage.records import Message

_ORDERS = ("ASC", "DESC")
_BETWEEN = (
    'SELECT g."seq", k."rev", g."at" FROM "chatd_gone" g '
    'JOIN "chatd_changed" k ON k."conversationId" = g."conversationId" AND k."seq" = g."seq" '
    'WHERE g."conversationId" = ? AND g."seq" BETWEEN ? AND ? ORDER BY g."seq" {order} LIMIT ?'
)


def tombstone(conversation: str, seq: int, rev: int, at: int) -> Message:
    """Return a system message in the place of one deleted at `at`: its sender and time are lost with the row."""
    id = "c" + hashlib.sha256(f"{conversation} {seq}".encode()).hexdigest()[:24]
    return Message(
        conversation=conversation,
        seq=seq,
        rev=rev,
        id=id,
        sender=None,
        client_id=None,
        kind="system",
        body="",
        reply_to=None,
        data=None,
        sent_at=at,
        deleted_at=at,
    )


def between(
    db: Connection, conversation: str, found: Sequence[Message], low: int, high: int, limit: int, *, newest: bool
) -> list[Message]:
    """All messages from `low` to `high`, ascending, of which those that have rows are `found`.

    Of more than `limit` the newest, or else the oldest.
    """
    messages = list(found)
    if len(messages) < high - low + 1:
        gone = db.run(fill(_BETWEEN, order=_ORDERS[newest]), (conversation, low, high, limit))
        messages = sorted([*messages, *(tombstone(conversation, *row) for row in gone)], key=lambda m: m.seq)
    return messages[-limit:] if newest else messages[:limit]
