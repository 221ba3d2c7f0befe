"""The chat's objects as Socket.IO clients know them: names in camel case, statuses in capitals."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from protocol.times import to_rfc3339
from storage import records

KNOWN_IDS: Final = 50_000
"""Messages whose ids are remembered by seq."""

OWN_CLIENT_ID: Final = "~"
"""Prefix of client ids that chatd made, for messages without one; clients never see them."""


class MessageIds:
    """The ids of recent messages by conversation and seq: what replies and receipts name them by."""

    def __init__(self, limit: int = KNOWN_IDS) -> None:
        self._limit = limit
        self._ids: dict[tuple[str, int], str] = {}

    def note(self, message: records.Message) -> None:
        """Remember a message."""
        self.note_id(message.conversation, message.seq, message.id)

    def note_id(self, conversation: str, seq: int, id: str) -> None:
        """Remember a message's id."""
        if len(self._ids) >= self._limit:
            for key in list(self._ids)[: self._limit // 2]:
                del self._ids[key]
        self._ids[conversation, seq] = id

    def of(self, conversation: str, seq: int | None) -> str | None:
        """Return the id of a message, or None where it isn't remembered."""
        return None if seq is None else self._ids.get((conversation, seq))


def time(ms: int | None) -> str | None:
    """Return a time as JSON has it."""
    return None if ms is None else to_rfc3339(ms)


def message(m: records.Message, participants: Iterable[records.Participant] | None, ids: MessageIds) -> dict[str, Any]:
    """Return a message, with its status as its sender would see it. `participants`: None for one that is new."""
    ids.note_id(m.conversation, m.seq, m.id)
    shown: dict[str, Any] = {
        "id": m.id,
        "conversationId": m.conversation,
        "senderId": m.sender,
        "content": m.body,
        "clientId": None if (m.client_id or OWN_CLIENT_ID).startswith(OWN_CLIENT_ID) else m.client_id,
        "replyToId": None if m.reply_to is None else ids.of(m.conversation, m.reply_to),
        "attachments": [attachment(a) for a in m.attachments] if m.attachments else (),
        "status": "SENT" if participants is None else records.status_of(m, participants).upper(),
        "seq": m.seq,
        "createdAt": to_rfc3339(m.sent_at),
    }
    if m.sender is None:
        shown["system"] = True
        shown["data"] = m.data
    if m.reactions:
        shown["reactions"] = [{"emoji": r.emoji, "count": r.count, "users": r.users[:100]} for r in m.reactions]
    if m.edited_at is not None:
        shown["editedAt"] = time(m.edited_at)
    if m.deleted_at is not None:
        shown["deletedAt"] = time(m.deleted_at)
    return shown


def attachment(a: records.Attachment) -> dict[str, Any]:
    """Return a file of a message."""
    return {
        "id": a.id,
        "name": a.name,
        "type": a.type,
        "size": a.size,
        "url": a.url,
        "width": a.width,
        "height": a.height,
        "thumbnailUrl": a.thumbnail_url,
    }


def conversation(
    c: records.Conversation,
    participants: Iterable[records.Participant],
    users: Mapping[str, records.User],
    membership: records.Membership | None,
    last: dict[str, Any] | None,
    online: Callable[[str], bool],
) -> dict[str, Any]:
    """Return a conversation, as it is for the user whose membership it is."""
    return {
        "id": c.id,
        "kind": c.kind,
        "title": c.title,
        "participants": [_participant(p, users.get(p.user), online) for p in participants],
        "lastMessage": last,
        "unreadCount": 0 if membership is None else membership.unread,
        "isMuted": membership is not None and membership.muted,
        "isPinned": membership is not None and membership.pinned,
        "createdAt": to_rfc3339(c.created_at),
        "updatedAt": to_rfc3339(c.active_at),
    }


def summary(
    s: records.Summary, users: Mapping[str, records.User], ids: MessageIds, online: Callable[[str], bool]
) -> dict[str, Any]:
    """Return a conversation of a list."""
    room = s.room
    last = None if s.last_message is None else message(s.last_message, room.participants, ids)
    return conversation(room.conversation, room.participants, users, s.membership, last, online)


def _participant(p: records.Participant, user: records.User | None, online: Callable[[str], bool]) -> dict[str, Any]:
    return {
        "userId": p.user,
        "name": p.user if user is None else user.name,
        "role": None if user is None else user.role,
        "isOnline": online(p.user),
        "lastSeen": None if user is None else time(user.last_seen_at),
        "joinedAt": time(p.joined_at),
        "leftAt": time(p.left_at),
    }


def message_of_native(
    native: Mapping[str, Any], ids: MessageIds, status_of: Callable[[str, int, str | None], str]
) -> dict[str, Any]:
    """Return a message that is there in the native protocol's names."""
    conversation, seq = native["conversation"], native["seq"]
    ids.note_id(conversation, seq, native["id"])
    client_id = native.get("client_id")
    shown: dict[str, Any] = {
        "id": native["id"],
        "conversationId": conversation,
        "senderId": native.get("sender"),
        "content": native["body"],
        "clientId": None if (client_id or OWN_CLIENT_ID).startswith(OWN_CLIENT_ID) else client_id,
        "replyToId": ids.of(conversation, native.get("reply_to")),
        "attachments": [
            {("thumbnailUrl" if name == "thumbnail_url" else name): value for name, value in file.items()}
            for file in native["attachments"]
        ],
        "status": status_of(conversation, seq, native.get("sender")),
        "seq": seq,
        "createdAt": native["sent_at"],
    }
    for ours, theirs in (("reactions", "reactions"), ("edited_at", "editedAt"), ("deleted_at", "deletedAt")):
        if native.get(ours):
            shown[theirs] = native[ours]
    return shown
