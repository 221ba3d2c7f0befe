"""What may be asked of a store, and how it answers, as frozen values.

A change holds everything that it writes, its new ids and its time (ms) included, so that the same changes make the
same rows in every store.

Classes here and in `records` have no slots: a frozen `__init__` is twice as fast so.
"""

from typing import Literal

import attrs

from .records import Conversation, Membership, Message, Participant, Room, User


@attrs.frozen(slots=False)
class PutUser:
    """Makes a user, or changes what is given of a known one."""

    user: str
    name: str | None
    role: str | None
    at: int


@attrs.frozen(slots=False)
class SeeUser:
    """Notes when a user was last seen. An unknown user is no error."""

    user: str
    at: int


@attrs.frozen(slots=False)
class OpenDirect:
    """Finds or makes the one direct conversation of two users, and brings back whoever left it.

    `conversation`: the id that it gets where it must be made.
    """

    conversation: str
    user: str
    other: str
    at: int


@attrs.frozen(slots=False)
class SendMessage:
    """Adds a message. In a direct conversation that the other left, it brings the other back."""

    conversation: str
    user: str
    client_id: str
    message: str
    body: str
    reply_to: int | None
    at: int


@attrs.frozen(slots=False)
class AdvanceReceipt:
    """Moves the user's watermarks forward; `read` moves `delivered` along."""

    conversation: str
    user: str
    delivered: int | None
    read: int | None
    at: int


@attrs.frozen(slots=False)
class Leave:
    """Takes the user out, with a system message of id `message`."""

    conversation: str
    user: str
    message: str
    at: int


@attrs.frozen(slots=False)
class SetMembership:
    """Changes the user's own settings; None leaves one as it is."""

    conversation: str
    user: str
    muted: bool | None
    pinned: bool | None
    archived: bool | None


RoomChange = OpenDirect | SendMessage | AdvanceReceipt | Leave | SetMembership
Change = PutUser | SeeUser | RoomChange


@attrs.frozen(slots=False)
class Changed:
    """A conversation moved from `from_rev` to `rev` (its next one), or only memberships moved (`rev == from_rev`).

    Lists what the change touched, as it is afterwards. `memberships`: of those whose own settings or unread count
    moved in a way that others' clients can't work out. `entered` came in or back with this change, and `everyone` has
    all participants then; `left` went with it.
    """

    room: Conversation
    from_rev: int
    rev: int
    messages: tuple[Message, ...] = ()
    participants: tuple[Participant, ...] = ()
    memberships: tuple[Membership, ...] = ()
    entered: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    everyone: tuple[Participant, ...] = ()
    users: tuple[User, ...] = ()
    created: bool = False


@attrs.frozen(slots=False)
class Unchanged:
    """Nothing moved; what the asker is to see all the same. `duplicate`: the message was there already.

    `everyone`, `users`: for a conversation that was opened and was there already.
    """

    room: Conversation
    messages: tuple[Message, ...] = ()
    participants: tuple[Participant, ...] = ()
    memberships: tuple[Membership, ...] = ()
    everyone: tuple[Participant, ...] = ()
    users: tuple[User, ...] = ()
    duplicate: bool = False


@attrs.frozen(slots=False)
class UserSaved:
    """The user as it is now; `changed`: a known one has another name or role."""

    user: User
    changed: bool


@attrs.frozen(slots=False)
class Refused:
    """The change broke a rule and had no effect; the others of its batch are unaffected."""

    reason: Literal["not_found", "forbidden", "conflict", "bad_request"]
    message: str


Outcome = Changed | Unchanged | UserSaved | Refused


def room_of(outcome: Changed | Unchanged) -> Room:
    """The whole room, of an outcome that has `everyone`."""
    return Room(outcome.room, outcome.everyone)
