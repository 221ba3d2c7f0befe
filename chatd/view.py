"""From what is kept to what is said: records as objects, outcomes as the fields of an `ok` or a `change`."""

from collections.abc import Iterable, Sequence
from typing import Any

from protocol import objects
from protocol.encode import encode_object
from protocol.frames import Change
from protocol.times import to_rfc3339
from storage import records
from storage.changes import Changed, Unchanged

CROWD = 50
"""In a larger conversation changes don't list other people's watermark moves."""


def _time(ms: int | None) -> str | None:
    return None if ms is None else to_rfc3339(ms)


def user(u: records.User) -> objects.User:
    """The public part of a user."""
    return objects.User(
        id=u.id,
        name=u.name,
        role=u.role,  # type: ignore[arg-type]  # the store keeps what the protocol let in
        avatar_url=u.avatar_url,
        disabled=True if u.disabled_at is not None else None,
    )


def users(found: Iterable[records.User]) -> tuple[objects.User, ...]:
    """Several of them."""
    return tuple(map(user, found))


def info(c: records.Conversation) -> objects.Info:
    """What a conversation is."""
    return objects.Info(
        id=c.id, kind=c.kind, created_at=to_rfc3339(c.created_at), last_seq=c.last_seq, rev=c.rev, title=c.title
    )


def participant(p: records.Participant) -> objects.Participant:
    """The part of a participant that everyone in the conversation sees."""
    return objects.Participant(
        user=p.user,
        role=p.role,
        joined_at=to_rfc3339(p.joined_at),
        from_seq=p.from_seq,
        delivered_seq=p.delivered_seq,
        read_seq=p.read_seq,
        rev=p.rev,
        left_at=_time(p.left_at),
        delivered_at=_time(p.delivered_at),
        read_at=_time(p.read_at),
    )


def membership(m: records.Membership) -> objects.Membership:
    """The caller's own part."""
    return objects.Membership(muted=m.muted, pinned=m.pinned, archived=m.archived, unread=m.unread)


def message(m: records.Message, *, status: Any = None) -> objects.Message:
    """One entry; `status` only in replies, to its sender."""
    return objects.Message(
        conversation=m.conversation,
        seq=m.seq,
        rev=m.rev,
        id=m.id,
        sender=m.sender,
        kind=m.kind,
        body=m.body,
        sent_at=to_rfc3339(m.sent_at),
        client_id=m.client_id,
        reply_to=m.reply_to,
        edited_at=_time(m.edited_at),
        deleted_at=_time(m.deleted_at),
        status=status,
        data=m.data,
    )


def message_for(m: records.Message, viewer: str, participants: Iterable[records.Participant]) -> objects.Message:
    """One entry as a reply shows it: the caller's own messages with their status."""
    return message(m, status=records.status_of(m, participants) if m.sender == viewer else None)


def summary(s: records.Summary, viewer: str) -> objects.Summary:
    """A conversation as its list shows it."""
    room = s.room
    last = None if s.last_message is None else message_for(s.last_message, viewer, room.participants)
    return objects.Summary(
        conversation=room.conversation.id,
        info=info(room.conversation),
        participants=tuple(map(participant, room.participants)),
        membership=membership(s.membership),
        last_message=last,
    )


class Seen:
    """One outcome as it may be shown: each part becomes an object once, whoever sees it."""

    __slots__ = ("crowd", "messages", "outcome", "plain")

    def __init__(self, outcome: Changed, *, crowd: bool) -> None:
        self.outcome = outcome
        self.crowd = crowd and not outcome.entered and not outcome.left
        self.messages = tuple(encode_object(message(m)) for m in outcome.messages)
        # Everyone sees the same: such outcomes may be merged into one event.
        self.plain = not (outcome.entered or outcome.left or outcome.memberships)

    def participants_for(self, viewer: str | None) -> tuple[objects.Participant, ...]:
        """The participants that it lists for this viewer; None: for those it does not concern."""
        return tuple(participant(p) for p in self.outcome.participants if not self.crowd or p.user == viewer)

    def fields_for(self, viewer: str) -> dict[str, Any]:
        """The fields of its `ok` or `change` for one user."""
        o = self.outcome
        if self.plain:  # the hot path
            fields: dict[str, Any] = {"from_rev": o.from_rev, "rev": o.rev}
            if self.messages:
                fields["messages"] = self.messages
            if o.participants:
                fields["participants"] = self.participants_for(viewer) or None
            return fields
        own = next((membership(m) for m in o.memberships if m.user == viewer), None)
        if viewer in o.entered:
            return {
                "from_rev": 0,
                "rev": o.rev,
                "info": info(o.room),
                "participants": tuple(map(participant, o.everyone)),
                "messages": self.messages or None,
                "membership": own,
                "users": users(o.users),
            }
        if viewer in o.left:
            gone = tuple(participant(p) for p in o.participants if p.user == viewer)
            return {"from_rev": o.from_rev, "rev": o.rev, "info": info(o.room), "participants": gone}
        return {
            "from_rev": o.from_rev,
            "rev": o.rev,
            "participants": self.participants_for(viewer) or None,
            "messages": self.messages or None,
            "membership": own,
            "users": users(u for u in o.users if u.id in o.entered) or None,
        }


def merged(conversation: str, run: Sequence[Seen], viewer: str | None = None) -> Change:
    """Neighbouring plain changes as one event: each participant once, as it is after the last."""
    participants = {p.user: p for seen in run for p in seen.participants_for(viewer)}
    messages = [m for seen in run for m in seen.messages]
    return Change(
        conversation=conversation,
        from_rev=run[0].outcome.from_rev,
        rev=run[-1].outcome.rev,
        messages=tuple(messages) or None,  # type: ignore[arg-type]  # encoded already
        participants=tuple(participants.values()) or None,
    )


def unchanged_fields(o: Unchanged, viewer: str) -> dict[str, Any]:
    """The fields of an `ok` that changed nothing."""
    own = next((membership(m) for m in o.memberships if m.user == viewer), None)
    return {
        "from_rev": o.room.rev,
        "rev": o.room.rev,
        "info": info(o.room) if o.everyone else None,
        "participants": tuple(map(participant, o.everyone or o.participants)) or None,
        "messages": tuple(map(message, o.messages)) or None,
        "membership": own,
        "users": users(o.users) or None,
    }


def opened_fields(o: Changed | Unchanged) -> dict[str, Any]:
    """What the `ok` of `conversation.open` has besides: the whole conversation."""
    return {
        "info": info(o.room),
        "participants": tuple(map(participant, o.everyone)),
        "users": users(o.users),
        "created": isinstance(o, Changed) and o.created,
    }
