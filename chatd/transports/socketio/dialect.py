"""The dialect of Socket.IO clients: events by name, an acknowledgement beside them, and no revs."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from chatd.core import view
from chatd.core.event import ChangeEvent, Event, WaitingOk
from chatd.core.presence import PresenceIndex
from chatd.transports.engineio.packets import SEPARATOR
from protocol.frames import Change, Error, Frame, HelloOk, Typing
from protocol.frames import Presence as PresenceChanged
from protocol.types import RequestId
from storage import records
from storage.changes import Changed

from . import objects
from .objects import MessageIds
from .words import Words, error_of


class WaitingRequest(Protocol):
    """A request of this connection that waits for its answer."""

    def sent(self, message: msgspec.Raw) -> bytes:
        """Take the answer of a message that was sent; return the packets that follow at once."""
        ...

    def answered(self, frame: Frame) -> bytes:
        """Take the `ok` or the error; return the packets that follow at once."""
        ...


class SocketIoDialect:
    """Speaks to one client in one namespace. `asked`: its requests under way, by the id that they have inside."""

    ok_is_event = False

    def __init__(self, namespace: str, words: Words, ids: MessageIds, presence: PresenceIndex, *, system: bool) -> None:
        self.name = f"socketio {namespace}"
        self.namespace = namespace
        self.words = words
        self.ids = ids
        self.asked: dict[RequestId, WaitingRequest] = {}
        self.welcome: Callable[[], bytes] = bytes
        """Makes what a client gets first, once it is signed in."""
        self._presence = presence
        self.system = system

    # -- what the connection is answered --

    def reply(self, frame: Frame) -> bytes:
        """Return a frame for this connection alone: an answer, or a change that nobody else is told in these words."""
        if isinstance(frame, Change):
            return _joined(self._single(frame))
        re = getattr(frame, "re", None)
        asked = self.asked.pop(re, None) if re is not None else None
        if asked is not None:
            packets = asked.answered(frame)
            return self.welcome() if isinstance(frame, HelloOk) else packets
        if isinstance(frame, Error):
            return self.error(frame)
        return _joined(self._passing(frame))

    def sent(self, re: RequestId, conversation: str, from_rev: int, rev: int, seen: view.Seen) -> bytes:  # noqa: ARG002
        """Return the acknowledgement of a message that was sent."""
        asked = self.asked.pop(re, None)
        return b"" if asked is None else asked.sent(self._encoded(seen, 0, None))

    def error(self, error: Error) -> bytes:
        """Return the event that tells of a failure where no acknowledgement was asked."""
        return _joined(self.emit("error", error_of(error)))

    def emit(self, event: str, data: Any) -> list[bytes]:
        """Return the packets of an event."""
        return self.words.emit(self.namespace, event, data)

    # -- what everybody is told --

    def event(self, event: Event) -> bytes:
        """Return an event for all who see the same."""
        if isinstance(event, ChangeEvent):
            packets: list[bytes] = []
            for seen in event.seen:
                packets += self._changed(event, seen) if seen.plain else self._moved(event, seen)
            return _joined(packets)
        return _joined(self._passing(event.frame))

    def _passing(self, frame: Frame) -> Iterator[bytes]:
        if isinstance(frame, Typing):
            data = {"conversationId": frame.conversation, "userId": frame.user, "isTyping": frame.active}
            yield from self.emit("user_typing", data)
        elif isinstance(frame, PresenceChanged):
            name = "user_online" if frame.online else "user_offline"
            yield from self.emit(name, {"userId": frame.user, "lastSeen": frame.last_seen})

    def _moved(self, event: ChangeEvent, seen: view.Seen) -> Iterator[bytes]:
        """Tell of an outcome with which somebody may have come or gone."""
        o, viewer = seen.outcome, event.viewer
        if viewer is not None and viewer in o.entered:
            yield from self._created(o, viewer)
            return
        if viewer is not None and viewer in o.left:
            yield from self.emit("user_left", {"conversationId": o.room.id, "userId": viewer})
            return
        for name, users in (("user_joined", o.entered), ("user_left", o.left)):
            for user in users:
                yield from self.emit(name, {"conversationId": o.room.id, "userId": user})
        yield from self._changed(event, seen)

    def _changed(self, event: ChangeEvent, seen: view.Seen) -> list[bytes]:
        """Tell of messages and watermarks: the hot path."""
        o = seen.outcome
        packets: list[bytes] = []
        for place, message in enumerate(o.messages):
            if message.sender is not None or self.system:
                is_new = message.seq > event.seq
                shown = self._encoded(seen, place, None if is_new else event.participants.values())
                packets += self.words.emit(self.namespace, "new_message" if is_new else "message_updated", shown)
        if not o.participants:
            return packets
        senders = [message.sender for message in o.messages]
        for row in seen.listed_for(event.viewer):
            if row.user not in senders and row.user not in o.entered and row.user not in o.left:
                packets += self._status(row)
        return packets

    def _encoded(self, seen: view.Seen, place: int, everyone: Any) -> msgspec.Raw:
        """Return a message of an outcome as JSON, made once for the event and the acknowledgement.

        `everyone`: the participants; None: it is new.
        """
        kept = seen.kept
        if kept is None:
            kept = seen.kept = {}
        found: msgspec.Raw | None = kept.get(place)
        if found is None:
            shown = objects.message(seen.outcome.messages[place], everyone, self.ids)
            found = kept[place] = msgspec.Raw(msgspec.json.encode(shown))
        return found

    def _status(self, row: records.Participant) -> Iterator[bytes]:
        """Tell how far somebody has got: what moved last, which has the later time."""
        read = row.read_at is not None and row.read_at >= (row.delivered_at or 0)
        seq = row.read_seq if read else row.delivered_seq
        if seq:
            data = {
                "conversationId": row.conversation,
                "userId": row.user,
                "status": "READ" if read else "DELIVERED",
                "messageId": self.ids.of(row.conversation, seq),
                "seq": seq,
            }
            yield from self.emit("message_status", data)

    def _created(self, o: Changed, viewer: str) -> Iterator[bytes]:
        membership = next((m for m in o.memberships if m.user == viewer), None)
        users = {user.id: user for user in o.users}
        last = objects.message(o.messages[-1], o.everyone, self.ids) if o.messages else None
        shown = objects.conversation(o.room, o.everyone, users, membership, last, self._presence.online)
        yield from self.emit("conversation_created", {"conversation": shown})

    def _single(self, frame: Change) -> Iterator[bytes]:
        """Tell of a whole conversation, or that one is out of it, as it was read from the store."""
        fields: dict[str, Any] = msgspec.to_builtins(frame)
        info = fields.get("info")
        if info is None:
            return
        rows: list[Any] = list(fields.get("participants") or ())
        if frame.from_rev == 0:
            yield from self.emit("conversation_created", {"conversation": self._of_native(fields)})
        elif len(rows) == 1 and rows[0]["left_at"] is not None:
            yield from self.emit("user_left", {"conversationId": frame.conversation, "userId": rows[0]["user"]})

    def _of_native(self, fields: dict[str, Any]) -> dict[str, Any]:
        info, own = fields["info"], fields.get("membership") or {}
        users = {user["id"]: user for user in fields.get("users") or ()}
        online = self._presence.online
        return {
            "id": info["id"],
            "kind": info["kind"],
            "title": info["title"],
            "participants": [
                {
                    "userId": row["user"],
                    "name": users.get(row["user"], {}).get("name", row["user"]),
                    "role": users.get(row["user"], {}).get("role"),
                    "isOnline": online(row["user"]),
                    "lastSeen": None,
                    "joinedAt": row["joined_at"],
                    "leftAt": row["left_at"],
                }
                for row in fields["participants"] or ()
            ],
            "lastMessage": None,
            "unreadCount": own.get("unread", 0),
            "isMuted": own.get("muted", False),
            "isPinned": own.get("pinned", False),
            "createdAt": info["created_at"],
            "updatedAt": info["created_at"],
        }

    # -- catching up --

    def missed(
        self, conversation: str, rev: int, seq: int | None, since: records.ChangesSince, oks: Sequence[WaitingOk]
    ) -> Sequence[bytes]:
        """Return what changed since `rev`, then the acknowledgements, which stand for nothing here."""
        return [_joined(self._missed(conversation, rev, seq, since)), *(ok.data for ok in oks)]

    def _missed(self, conversation: str, rev: int, seq: int | None, since: records.ChangesSince) -> Iterator[bytes]:
        everyone = since.room.participants
        for message in sorted(since.messages, key=lambda message: message.seq):
            if message.sender is None and not self.system:
                continue
            touched = message.edited_at is not None or message.deleted_at is not None or message.reactions
            new = message.seq > seq if seq is not None else not touched
            shown = objects.message(message, everyone, self.ids)
            yield from self.emit("new_message" if new else "message_updated", shown)
        senders = {message.sender for message in since.messages}
        for row in since.participants:
            if row.left_at is not None:
                yield from self.emit("user_left", {"conversationId": conversation, "userId": row.user})
            elif row.user not in senders and row.rev > rev:
                yield from self._status(row)


def _joined(packets: Any) -> bytes:
    return SEPARATOR.join(packets)
