"""Frames of the server: replies (with `re`) and events (without)."""

from typing import Any, ClassVar

from protocol.codes import ErrorCode
from protocol.objects import (
    Encoded,
    Hit,
    Info,
    Limits,
    Membership,
    Message,
    Participant,
    PresenceState,
    RevState,
    Summary,
    User,
)
from protocol.types import Id, Mark, RequestId, Rev, Time, frame, value, wire


@value
class Frame:
    """Anything that the server sends."""

    TYPE: ClassVar[str]


@frame("error")
class Error(Frame):
    """A request that had no effect, or (`unavailable`, `internal`) perhaps one. `retry_after` in seconds."""

    re: RequestId | None = None
    code: ErrorCode
    message: str
    temporary: bool = False
    retry_after: float | None = None


@frame("ok")
class Ok(Frame):
    """A request that was done. `re` is the request's `id`."""

    re: RequestId


@frame("ok")
class HelloOk(Ok):
    """The answer to `hello`. `heartbeat` in seconds."""

    protocol: int = 1
    user: User
    session: str
    epoch: str
    server_time: Time
    heartbeat: float
    limits: Limits
    expires_at: Time | None = None
    conversations: tuple[Summary | Encoded, ...] | None = None
    cursor: str | None = None
    revs: dict[Id, RevState] | None = None
    users: tuple[User, ...] | None = None
    presence: tuple[PresenceState, ...] | None = None


@frame("ok")
class PingOk(Ok):
    """The answer to `ping`."""

    server_time: Time


@frame("ok")
class ChangeOk(Ok):
    """The answer to a request that changes a conversation; on this connection it stands for the `change` event."""

    conversation: Id
    from_rev: Mark = wire("from")
    rev: Rev
    info: Info | None = None
    participants: tuple[Participant, ...] | None = None
    messages: tuple[Message, ...] | None = None
    membership: Membership | None = None
    users: tuple[User, ...] | None = None
    created: bool | None = None
    duplicate: bool | None = None


@frame("ok")
class ListOk(Ok):
    """The answer to `conversation.list`."""

    conversations: tuple[Summary | Encoded, ...]
    cursor: str | None = wire(always=True, default=None)
    users: tuple[User, ...]


@frame("ok")
class GetOk(Ok):
    """The answer to `conversation.get`: a summary's fields."""

    conversation: Id
    info: Info
    participants: tuple[Participant, ...]
    membership: Membership
    last_message: Message | None = None
    users: tuple[User, ...]


@frame("ok")
class HistoryOk(Ok):
    """The answer to `message.history`: messages in ascending order; `more`: there are others further on."""

    conversation: Id
    messages: tuple[Message | Encoded, ...]
    more: bool


@frame("ok")
class SearchOk(Ok):
    """The answer to `message.search`: hits, the newest first."""

    hits: tuple[Hit | Encoded, ...]
    cursor: str | None = wire(always=True, default=None)


@frame("ok")
class SyncOk(Ok):
    """The answer to `sync`; the events came before it."""

    revs: dict[Id, RevState]


@frame("ok")
class UserListOk(Ok):
    """The answer to `user.list`."""

    users: tuple[User, ...]
    cursor: str | None = wire(always=True, default=None)


@frame("ok")
class PresenceOk(Ok):
    """The answer to `presence.get`."""

    presence: tuple[PresenceState, ...]


@frame("change")
class Change(Frame):
    """Brings a client from rev `from` to rev `rev`; what it lists are whole objects to put in place of the old."""

    conversation: Id
    from_rev: Mark = wire("from")
    rev: Rev
    info: Info | None = None
    participants: tuple[Participant, ...] | None = None
    messages: tuple[Message, ...] | None = None
    membership: Membership | None = None
    users: tuple[User, ...] | None = None


@frame("user")
class UserChanged(Frame):
    """A name, role or picture changed."""

    user: User


@frame("typing")
class Typing(Frame):
    """Somebody types, or stopped."""

    conversation: Id
    user: Id
    active: bool


@frame("presence")
class Presence(Frame):
    """Somebody came or went."""

    user: Id
    online: bool
    last_seen: Time | None = None


@frame("going_away")
class GoingAway(Frame):
    """A shutdown is near; `reconnect_in` in seconds, different for each connection."""

    reconnect_in: float


@frame("")
class UnknownEvent(Frame):
    """An event of a later version: to be ignored."""

    type: str
    fields: dict[str, Any]


REPLIES: dict[str, type[Ok]] = {
    "hello": HelloOk,
    "ping": PingOk,
    "conversation.list": ListOk,
    "conversation.get": GetOk,
    "message.history": HistoryOk,
    "message.search": SearchOk,
    "sync": SyncOk,
    "user.list": UserListOk,
    "presence.get": PresenceOk,
    "typing": Ok,
    "focus": Ok,
    **dict.fromkeys(
        (
            "conversation.open",
            "conversation.create",
            "conversation.update",
            "conversation.add",
            "conversation.remove",
            "conversation.leave",
            "membership.set",
            "message.send",
            "message.edit",
            "message.delete",
            "message.react",
            "receipt",
        ),
        ChangeOk,
    ),
}
"""The class of each request's `ok`."""

EVENTS: dict[str, type[Frame]] = {cls.TYPE: cls for cls in (Change, UserChanged, Typing, Presence, GoingAway)}
