"""Changes that a store applies, and its outcomes, as frozen values.

A change holds everything that it writes, its new ids and its time (ms) included, so that the same changes make the
same rows in every store.
"""

from typing import Any, Literal

from storage.keyed import RowKind
from storage.records import Conversation, IssuedToken, Membership, Message, Participant, Room, User
from storage.value import maker, value

Relations = frozenset[str]
"""Relations of a caller to what a change touches, any of which suffices: "owner" and "member" for changes of
a group, "sender" and "participant" (whoever is in the conversation) for deletions."""


@value
class PutUser:
    """Makes a user, or changes what is given of a known one."""

    user: str
    name: str | None
    role: str | None
    at: int


@value
class SeeUser:
    """Notes when a user was last seen. An unknown user is no error."""

    user: str
    at: int


@value
class OpenDirect:
    """Finds or makes the one direct conversation of two users, and brings back whoever left it.

    `conversation`: the id that it gets where it must be made.
    """

    conversation: str
    user: str
    other: str
    at: int


@value(kw_only=True)
class CreateGroup:
    """Makes a group of the user, its owner, and the members; who is named twice comes in once.

    `conversation`: its id. `limit`: the most participants, the user included. `client_id`: names this group among
    those that the user made.
    """

    conversation: str
    user: str
    title: str
    members: tuple[str, ...]
    client_id: str | None
    at: int
    limit: int


@value(kw_only=True)
class SetTitle:
    """Gives a group another title, with a system message of id `message`."""

    conversation: str
    user: str
    title: str
    message: str
    at: int
    by: Relations


@value(kw_only=True)
class AddParticipant:
    """Brings `other` into a group, or back, with a system message of id `message`.

    `limit`: the most participants that are present then. `reachable`: whether `other` exists within the user's reach;
    of one who isn't nothing is said but that, and only to those who may add.
    """

    conversation: str
    user: str
    other: str
    message: str
    at: int
    by: Relations
    limit: int
    reachable: bool = True


@value(kw_only=True)
class RemoveParticipant:
    """Takes `other` out of a group, with a system message of id `message`."""

    conversation: str
    user: str
    other: str
    message: str
    at: int
    by: Relations


@value(kw_only=True)
class SendMessage:
    """Adds a message. In a direct conversation that the other left, it brings the other back.

    `attachments`: ids of files that the user uploaded, and that no message has yet.
    """

    conversation: str
    user: str
    client_id: str
    message: str
    body: str
    reply_to: int | None
    at: int
    attachments: tuple[str, ...] = ()


make_send_message = maker(SendMessage)
"""Does what the class does, on the hot path."""


@value(kw_only=True)
class EditMessage:
    """Gives the user's own text another body. `since` (ms): what was sent before it stays as it is."""

    conversation: str
    user: str
    seq: int
    body: str
    at: int
    since: int | None


@value(kw_only=True)
class DeleteMessage:
    """Leaves a tombstone in a text's place.

    `since` (ms): what was sent before it stays, where the user may delete it only as its sender.
    """

    conversation: str
    user: str
    seq: int
    at: int
    since: int | None
    by: Relations


@value(kw_only=True)
class React:
    """Puts the user's emoji on a text, or takes it away."""

    conversation: str
    user: str
    seq: int
    emoji: str
    on: bool
    at: int


@value(kw_only=True)
class AdvanceReceipt:
    """Moves the user's watermarks forward; `read` moves `delivered` along."""

    conversation: str
    user: str
    delivered: int | None
    read: int | None
    at: int


@value
class Leave:
    """Takes the user out, with a system message of id `message`. A group keeps an owner while anybody is in it."""

    conversation: str
    user: str
    message: str
    at: int


@value(kw_only=True)
class SetMembership:
    """Changes the user's own settings; None leaves one as it is."""

    conversation: str
    user: str
    muted: bool | None
    pinned: bool | None
    archived: bool | None


@value
class SetDisabled:
    """Shuts a known user out, or lets them in again."""

    user: str
    disabled: bool
    at: int


@value
class AddToken:
    """Notes a token that was issued to a known user."""

    jti: str
    user: str
    issued_at: int
    expires_at: int


@value
class RevokeToken:
    """Makes one known token worthless."""

    jti: str
    at: int


@value
class RevokeTokens:
    """Makes all tokens of a known user worthless that were issued so far, known ones or not."""

    user: str
    at: int


@value
class BeginLineage:
    """Gives the store another epoch: whatever clients hold is void."""

    epoch: str


GroupChange = SetTitle | AddParticipant | RemoveParticipant
MessageChange = EditMessage | DeleteMessage | React
RoomChange = (
    OpenDirect | CreateGroup | GroupChange | SendMessage | MessageChange | AdvanceReceipt | Leave | SetMembership
)


@value(kw_only=True)
class PutRow:
    """Keeps a keyed row (`storage.keyed`), in place of one under its key."""

    row: Any


@value(kw_only=True)
class SwapRow:
    """Puts `new` in the place of `old`, which has the same key; `conflict` where the row is another one by now."""

    old: Any
    new: Any


@value(kw_only=True)
class TakeRow:
    """Takes a row away, once: whoever comes second is told `not_found`."""

    kind: RowKind[Any]
    key: str


@value(kw_only=True)
class DeleteRows:
    """Forgets the rows whose `field` is `value` (None: all), but the one under the key `but`."""

    kind: RowKind[Any]
    field: str | None = None
    value: str | None = None
    but: str | None = None


@value(kw_only=True)
class ForgetRows:
    """Forgets the rows that expired before this time (ms)."""

    kind: RowKind[Any]
    before: int


KeyedChange = PutRow | SwapRow | TakeRow | DeleteRows | ForgetRows
AdminChange = SetDisabled | AddToken | RevokeToken | RevokeTokens | BeginLineage | KeyedChange
Change = PutUser | SeeUser | AdminChange | RoomChange


@value(kw_only=True)
class Changed:
    """A conversation moved from `from_rev` to `rev` (its next one), or only memberships moved (`rev == from_rev`).

    Lists what the change touched, as it is afterwards. `memberships`: of those whose own settings or unread count
    moved in a way that others' clients can't work out. `entered` came in or back with this change, and `everyone` has
    all participants then; `left` went with it. `titled`: the conversation has another title.
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
    titled: bool = False


make_changed = maker(Changed)
"""Does what the class does, on the hot path."""


@value(kw_only=True)
class Unchanged:
    """Outcome that moved nothing, with what the caller is shown. `duplicate`: the message or group was there already.

    `everyone`, `users`: for a conversation that was opened and was there already.
    """

    room: Conversation
    messages: tuple[Message, ...] = ()
    participants: tuple[Participant, ...] = ()
    memberships: tuple[Membership, ...] = ()
    everyone: tuple[Participant, ...] = ()
    users: tuple[User, ...] = ()
    duplicate: bool = False


@value
class UserSaved:
    """The user as it is now; `changed`: a known one has another name or role, or was shut out or let in."""

    user: User
    changed: bool


@value
class TokensSaved:
    """The tokens that the change was about, as they are now; of `RevokeTokens` those that it revoked."""

    tokens: tuple[IssuedToken, ...]


@value
class LineageBegun:
    """The store's epoch from now on."""

    epoch: str


@value
class Refused:
    """Answer to a change that broke a rule: it had no effect, the others of its batch are unaffected.

    `message`: for people. `what`: the thing that was not found, where that is the reason; callers decide by it.
    """

    reason: Literal["not_found", "forbidden", "conflict", "bad_request"]
    message: str
    what: Literal["conversation", "user", "message", "token", "attachment"] | None = None


@value
class RowsSaved:
    """Keyed rows that the change was about: as they are now, or as they were before they were deleted or taken."""

    rows: tuple[Any, ...]


Outcome = Changed | Unchanged | UserSaved | TokensSaved | LineageBegun | RowsSaved | Refused


def room_of(outcome: Changed | Unchanged) -> Room:
    """The whole room, of an outcome that has `everyone`."""
    return Room(outcome.room, outcome.everyone)
