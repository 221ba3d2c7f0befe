"""Views of what is stored: records as protocol objects, outcomes as the fields of an `ok` or a `change`."""

from collections.abc import Iterable, Sequence
from typing import Any

from protocol import objects
from protocol.encode import encode_object
from protocol.frames import Change
from protocol.times import to_rfc3339
from storage import records
from storage.changes import Changed, Unchanged

CROWD = 50
"""Participants above which changes don't list other people's watermark moves."""

MAX_REACTION_USERS = 100
"""Users that a reaction lists; `count` says how many there are."""


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
    """Return a conversation as the wire has it."""
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


def reaction(r: records.Reaction) -> objects.Reaction:
    """An emoji on a message."""
    return objects.Reaction(emoji=r.emoji, count=r.count, users=r.users[:MAX_REACTION_USERS])


def attachment(a: records.Attachment) -> objects.Attachment:
    """A file of a message."""
    return objects.Attachment(
        id=a.id,
        name=a.name,
        type=a.type,
        size=a.size,
        url=a.url,
        width=a.width,
        height=a.height,
        thumbnail_url=a.thumbnail_url,
    )


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
        reactions=tuple(map(reaction, m.reactions)) if m.reactions else (),
        attachments=tuple(map(attachment, m.attachments)) if m.attachments else (),
        edited_at=_time(m.edited_at),
        deleted_at=_time(m.deleted_at),
        status=status,
        data=m.data,
    )


def encoded_message(m: records.Message) -> objects.Encoded:
    """One entry as an event shows it: `encode_object(message(m))`, at half the cost for one that is new."""
    if m.reactions or m.attachments or m.deleted_at is not None or m.edited_at is not None:
        return encode_object(message(m))
    return encode_object(
        {
            "conversation": m.conversation,
            "seq": m.seq,
            "rev": m.rev,
            "id": m.id,
            "sender": m.sender,
            "kind": m.kind,
            "body": m.body,
            "sent_at": to_rfc3339(m.sent_at),
            "client_id": m.client_id,
            "reply_to": m.reply_to,
            "attachments": (),
            "reactions": (),
            "edited_at": None,
            "deleted_at": None,
            "status": None,
            "data": m.data,
        }
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
    """One outcome as it may be shown: each part becomes an object once, whoever sees it.

    `quiet`: there is nothing in it for those whom it doesn't concern. `plain`: it may be merged with its neighbours
    into one event. `concerned`: those to whom it shows more or less than to the others.
    """

    crowd = quiet = False
    plain = True
    concerned: frozenset[str] = frozenset()

    def __init__(self, outcome: Changed, *, crowd: bool) -> None:
        o = outcome
        self.outcome = o
        self._messages: tuple[objects.Encoded, ...] | None = None
        self.kept: Any = None  # whatever another dialect keeps of it
        plain = not (o.entered or o.left or o.titled or o.memberships)
        if crowd or not plain:  # not the hot path
            self.plain = plain
            self._look_closer(crowd=crowd)

    @property
    def messages(self) -> tuple[objects.Encoded, ...]:
        """The messages as native JSON, made on first use: not every dialect needs it."""
        if self._messages is None:
            self._messages = tuple([encoded_message(m) for m in self.outcome.messages])
        return self._messages

    def _look_closer(self, *, crowd: bool) -> None:
        o = self.outcome
        self.crowd = crowd and not (o.entered or o.left)
        self.quiet = self.crowd and o.rev > o.from_rev and not (o.messages or o.titled)
        self.plain = self.plain or self.quiet
        watermarks = o.participants if self.crowd else ()
        own = (*(p.user for p in watermarks), *(m.user for m in o.memberships))
        self.concerned = frozenset((*own, *o.entered, *o.left))
        self._whole: dict[str, Any] | None = None

    def listed_for(self, viewer: str | None) -> Sequence[records.Participant]:
        """The participants that it lists for this viewer; None: for those it does not concern."""
        listed = self.outcome.participants
        return [p for p in listed if p.user == viewer] if self.crowd else listed

    def membership_for(self, viewer: str | None) -> objects.Membership | None:
        """The viewer's own settings and unread count, where they moved."""
        return next((membership(m) for m in self.outcome.memberships if m.user == viewer), None)

    def fields_for(self, viewer: str) -> dict[str, Any]:
        """The fields of its `ok` or `change` for one user."""
        o = self.outcome
        fields: dict[str, Any] = {"from_rev": o.from_rev, "rev": o.rev}
        if viewer in o.entered:
            return fields | {"from_rev": 0, "membership": self.membership_for(viewer)} | self._everything()
        if viewer in o.left:
            gone = tuple(participant(p) for p in o.participants if p.user == viewer)
            return fields | {"info": info(o.room), "participants": gone}
        if o.messages:
            fields["messages"] = self.messages
        if o.participants:
            fields["participants"] = tuple(map(participant, self.listed_for(viewer))) or None
        if not self.plain or self.quiet:
            fields["membership"] = self.membership_for(viewer)
            fields["info"] = info(o.room) if o.titled else None
            fields["users"] = users(u for u in o.users if u.id in o.entered) or None
        return fields

    def _everything(self) -> dict[str, Any]:
        """Return what newcomers see: the same for all of them, encoded once."""
        if self._whole is None:
            o = self.outcome
            self._whole = {
                "info": info(o.room),
                "participants": tuple(encode_object(participant(p)) for p in o.everyone),
                "messages": self.messages or None,
                "users": tuple(encode_object(user(u)) for u in o.users),
            }
        return self._whole


def merged(conversation: str, run: Sequence[Seen], viewer: str | None = None) -> Change:
    """Neighbouring plain changes as one event: each object once, as it is after the last.

    Where they move the viewer's membership, it is the last of them that does.
    """
    newest: dict[str, records.Participant] = {}
    messages: dict[int, objects.Encoded] = {}
    for seen in run:
        o = seen.outcome
        if o.participants:
            newest.update((p.user, p) for p in seen.listed_for(viewer))
        for message, data in zip(o.messages, seen.messages, strict=True):
            messages[message.seq] = data
    return Change(
        conversation=conversation,
        from_rev=run[0].outcome.from_rev,
        rev=run[-1].outcome.rev,
        messages=tuple(messages.values()) or None,  # type: ignore[arg-type]  # encoded already
        participants=tuple(map(participant, newest.values())) or None,
        membership=run[-1].membership_for(viewer) if viewer is not None else None,
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
    """Return the fields that the `ok` of `conversation.open` has besides: the whole conversation."""
    return {
        "info": info(o.room),
        "participants": tuple(map(participant, o.everyone)),
        "users": users(o.users),
        "created": isinstance(o, Changed) and o.created,
    }
