"""The objects that frames carry. Field names are those of the wire; `None` may be absent there."""

from typing import Any, Literal

from msgspec import Raw

from protocol.types import Id, Mark, Rev, Seq, Time, value

Role = Literal["patient", "dentist", "staff", "admin"]
ROLES: tuple[Role, ...] = ("patient", "dentist", "staff", "admin")


@value
class User:
    """A person who may sign in."""

    id: Id
    name: str
    role: Role
    avatar_url: str | None = None
    disabled: bool | None = None


@value
class Info:
    """A conversation, the same for everyone in it; `last_seq` starts at 0, `rev` at 1."""

    id: Id
    kind: Literal["direct", "group"]
    created_at: Time
    last_seq: Mark
    rev: Rev
    title: str | None = None


@value
class Participant:
    """One person's part in a conversation. `from_seq`: the first seq after they last came in."""

    user: Id
    role: Literal["member", "owner"]
    joined_at: Time
    from_seq: Seq
    delivered_seq: Mark
    read_seq: Mark
    rev: Rev
    left_at: Time | None = None
    delivered_at: Time | None = None
    read_at: Time | None = None


@value
class Membership:
    """The caller's own settings and unread count; nobody else sees them."""

    muted: bool
    pinned: bool
    archived: bool
    unread: Mark


@value
class Reaction:
    """One emoji on a message; `users` lists at most 100 of the `count` who chose it."""

    emoji: str
    count: int
    users: tuple[Id, ...]


@value
class Attachment:
    """A file of a message; `size` in bytes, `width` and `height` in px."""

    id: Id
    name: str
    type: str
    size: int
    url: str
    width: int | None = None
    height: int | None = None
    thumbnail_url: str | None = None


@value
class Message:
    """One entry of a conversation. `sender` null: the system. `status`: on the caller's own messages in replies."""

    conversation: Id
    seq: Seq
    rev: Rev
    id: Id
    sender: Id | None = None
    kind: Literal["text", "system"]
    body: str
    sent_at: Time
    client_id: str | None = None
    reply_to: Seq | None = None
    attachments: tuple[Attachment, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    edited_at: Time | None = None
    deleted_at: Time | None = None
    status: Literal["sent", "delivered", "read"] | None = None
    data: dict[str, Any] | None = None


@value
class Summary:
    """A conversation as a list shows it."""

    conversation: Id
    info: Info
    participants: tuple[Participant, ...]
    membership: Membership
    last_message: Message | None = None


@value
class Hit:
    """A message that a search found; `snippet`: the part of its text with the words."""

    conversation: Id
    message: Message
    snippet: str


@value
class RevState:
    """The server's rev of a conversation that the client named; `reset`: forget what you hold of it."""

    rev: Mark
    reset: bool


@value
class PresenceState:
    """State of somebody's connections: a live one, or when the last one was lost."""

    user: Id
    online: bool
    last_seen: Time | None = None


@value
class Limits:
    """Limits of this server: bytes, Unicode code points, counts."""

    max_frame_bytes: int = 262_144
    max_body_chars: int = 10_000
    max_revs: int = 500
    max_page: int = 200
    max_participants: int = 500
    max_attachment_bytes: int = 26_214_400
    max_attachments: int = 10


Encoded = Raw
"""An object that is already JSON: stands wherever the object could, so that it is encoded (and measured) once."""
