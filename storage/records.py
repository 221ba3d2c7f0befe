"""Records of a store, as frozen values. Times: integer milliseconds since 1970, UTC. Ids: opaque strings."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

import attrs

from storage.value import maker, value


@value(kw_only=True)
class User:
    """A person. `role`: patient, dentist, staff or admin."""

    id: str
    name: str
    role: str
    avatar_url: str | None = None
    disabled_at: int | None = None
    last_seen_at: int | None = None


@value(kw_only=True)
class IssuedToken:
    """Record of a sign-in token that chatd issued; the token itself is not kept. `jti`: its id."""

    jti: str
    user: str
    issued_at: int
    expires_at: int
    revoked_at: int | None = None


@value
class Credentials:
    """Facts that decide on a sign-in. `token`: None where the store doesn't know it.

    `cut_off`: tokens of the user issued up to then (ms) no longer count, but for known ones that are not revoked.
    """

    user: User | None
    token: IssuedToken | None
    cut_off: int | None


@value(kw_only=True)
class Conversation:
    """A conversation's own row. `pair`: the sorted user ids of a direct one, joined by a space.

    `activity`: number of the commit that brought its newest message, else its beginning; where the clock is right, that
    commit's time. None: written by an app alone.
    """

    id: str
    kind: Literal["direct", "group"]
    pair: str | None
    title: str | None
    created_at: int
    last_message_at: int | None
    last_seq: int
    rev: int
    activity: int | None = attrs.field(default=None, eq=False)

    @property
    def active_at(self) -> int:
        """Time of the newest message, else of the beginning."""
        return self.created_at if self.last_message_at is None else self.last_message_at

    @property
    def listed_by(self) -> int:
        """Number by which lists are ordered, the highest first."""
        return self.active_at if self.activity is None else self.activity


make_conversation = maker(Conversation)
"""Does what the class does, on the hot path."""


@value(kw_only=True)
class Participant:
    """Row of a user in a conversation. `muted`, `pinned` and `archived` are settings that only the user sees."""

    conversation: str
    user: str
    role: Literal["member", "owner"]
    joined_at: int
    left_at: int | None
    from_seq: int
    delivered_seq: int
    delivered_at: int | None
    read_seq: int
    read_at: int | None
    rev: int
    muted: bool = False
    pinned: bool = False
    archived: bool = False

    @property
    def present(self) -> bool:
        return self.left_at is None


@value
class Reaction:
    """Emoji on a message, with its users in the order in which they chose it."""

    emoji: str
    users: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.users)


@value(kw_only=True)
class Attachment:
    """A file of a message. `type`: MIME; `size`: bytes; `width`, `height`: px; the addresses are for browsers.

    Of a file that chatd keeps the addresses are paths on chatd's own site.
    """

    id: str
    name: str
    type: str
    size: int
    url: str
    width: int | None = None
    height: int | None = None
    thumbnail_url: str | None = None


@value(kw_only=True)
class Message:
    """Message as it is now; `rev` is that of its last change. `sender` None: the system; `data` says what happened.

    A tombstone (`deleted_at`) has neither body nor reactions nor attachments.
    """

    conversation: str
    seq: int
    rev: int
    id: str
    sender: str | None
    client_id: str | None
    kind: Literal["text", "system"]
    body: str
    reply_to: int | None
    data: dict[str, Any] | None
    sent_at: int
    edited_at: int | None = None
    deleted_at: int | None = None
    reactions: tuple[Reaction, ...] = ()
    attachments: tuple[Attachment, ...] = ()


make_message = maker(Message)
"""Does what the class does, on the hot path."""


@value
class MessageVersion:
    """A text that a message no longer has; `rev` and `at` are of the change that took it away."""

    seq: int
    rev: int
    body: str
    at: int


@value(kw_only=True)
class Membership:
    """A participant's own settings and computed unread count."""

    user: str
    muted: bool
    pinned: bool
    archived: bool
    unread: int


@value
class Room:
    """A conversation and everyone who is or was in it."""

    conversation: Conversation
    participants: tuple[Participant, ...]

    def present(self, user: str) -> bool:
        """Return True if `user` takes part now."""
        return any(p.user == user and p.present for p in self.participants)


@value
class Summary:
    """A conversation as its list shows it to one user."""

    room: Room
    membership: Membership
    last_message: Message | None


@value
class SummaryPage:
    """Part of a user's list; `next` goes back in as `after`, None at the end."""

    summaries: tuple[Summary, ...]
    users: dict[str, User]
    next: tuple[Any, ...] | None


@value
class MessagePage:
    """Messages in ascending order; `more`: there are others beyond, in the direction asked."""

    messages: tuple[Message, ...]
    more: bool
    participants: tuple[Participant, ...]


Place = tuple[int, str, int]
"""Place of a message among all that a search may find, the newest highest: a number that ascends in the order in which
messages were kept, the conversation, the seq."""


@value
class Hit:
    """A message that a search found. `place`: where a search goes on behind it."""

    place: Place
    message: Message


@value
class SearchPage:
    """Part of what a search found, the newest first; `next` goes back in as `before`, None at the end."""

    hits: tuple[Hit, ...]
    next: Place | None


@value(kw_only=True)
class ChangesSince:
    """Changes of a conversation after a rev, for one user: the rows as they are now.

    Complete up to rev `through`; where that is less than `room.conversation.rev`, ask again from there.
    `users` has those of `participants`.
    """

    room: Room
    through: int
    participants: tuple[Participant, ...]
    messages: tuple[Message, ...]
    membership: Membership
    users: dict[str, User]


def gone(conversation: Conversation, user: str) -> Participant:
    """Return the row of somebody who took part and whose row was deleted; what it said is lost with it."""
    last = conversation.last_seq
    return Participant(
        conversation=conversation.id,
        user=user,
        role="member",
        joined_at=conversation.created_at,
        left_at=conversation.active_at,
        from_seq=last + 1,
        delivered_seq=last,
        delivered_at=None,
        read_seq=last,
        read_at=None,
        rev=conversation.rev,
    )


def with_gone(since: ChangesSince, users: Collection[str]) -> ChangesSince:
    """List those of these users, too, who have no row any more."""
    lost = set(users).difference(p.user for p in since.room.participants)
    rows = tuple(gone(since.room.conversation, user) for user in sorted(lost))
    return attrs.evolve(since, participants=(*since.participants, *rows)) if rows else since


@value
class Standing:
    """Rev of a conversation in the store, and whether a client must start over."""

    rev: int
    reset: bool


ScanPosition = tuple[int, str, int, str]
"""Position up to which external writes were scanned; opaque."""


@value(kw_only=True)
class Scan:
    """External writes that a scan found: conversations with their revs, and users as they are now.

    `newest`: the highest activity of these conversations. `next`: the place from where to look the next time.
    `waiting`: there are rows to be ingested. `retitled`: the conversations whose own row is to be ingested.
    """

    next: ScanPosition
    conversations: dict[str, int]
    users: tuple[User, ...]
    waiting: bool
    retitled: tuple[str, ...] = ()
    newest: int = 0


@value(kw_only=True)
class Shrunk:
    """Conversations whose rows somebody else deleted: of `messages`, of `people`."""

    messages: tuple[str, ...] = ()
    people: tuple[str, ...] = ()


@value
class ReceiptTime:
    """Times at which one user's watermarks reached a message."""

    user: str
    delivered_at: int | None
    read_at: int | None


def with_placeholders(users: Mapping[str, User], ids: Iterable[str]) -> dict[str, User]:
    """Return the users of these ids. One whose row is gone is listed with a placeholder, as disabled."""
    return {id: users[id] if id in users else User(id=id, name=GONE_NAME, role="patient", disabled_at=0) for id in ids}


GONE_NAME = "Deleted user"
"""Name of a user whose row is gone."""


def pair_of(a: str, b: str) -> str:
    """Return the key of the direct conversation of two users. Ids hold no space, so it is unambiguous."""
    return " ".join(sorted((a, b)))


def status_of(message: Message, participants: Iterable[Participant]) -> Literal["sent", "delivered", "read"]:
    """Return the state of a message, from the watermarks of the other present participants.

    Those count who came before the message or have read it; without any such it is only sent.
    """
    return status_of_seq(message.seq, message.sender, participants)


def status_of_seq(
    seq: int, sender: str | None, participants: Iterable[Participant]
) -> Literal["sent", "delivered", "read"]:
    """Return the state of the message with this seq and sender."""
    counted = [p for p in participants if p.present and p.user != sender and (p.from_seq <= seq or p.read_seq >= seq)]
    if not counted:
        return "sent"
    if all(p.read_seq >= seq for p in counted):
        return "read"
    if all(p.delivered_seq >= seq for p in counted):
        return "delivered"
    return "sent"
