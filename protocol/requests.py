"""Requests of a client. One frozen class per request; `id` is absent where no `ok` is wanted."""

from typing import Annotated, ClassVar

from msgspec import Meta

from protocol.objects import Role
from protocol.types import (
    Body,
    ClientId,
    Cursor,
    Id,
    Limit,
    Mark,
    Name,
    RequestId,
    Rev,
    Seq,
    Title,
    Token,
    frame,
    value,
    wire,
)


@value
class Request:
    """The base of all requests."""

    TYPE: ClassVar[str]
    id: RequestId | None = None


@frame("hello")
class Hello(Request):
    """Signs in and names what the client holds; has an `id`. `user`, `name`, `role`: development mode only."""

    id: RequestId
    token: Token | None = None
    user: Id | None = None
    name: Name | None = None
    role: Role | None = None
    device: Annotated[str, Meta(max_length=64)] | None = None
    epoch: Annotated[str, Meta(max_length=128)] | None = None
    revs: dict[Id, Rev] | None = None


@frame("ping")
class Ping(Request):
    """Asks for a sign of life: browsers cannot see WebSocket pings."""


@frame("conversation.open")
class ConversationOpen(Request):
    """Finds or creates the one direct conversation with a user."""

    other: Id = wire("with")


@frame("conversation.create")
class ConversationCreate(Request):
    """Makes a group, with the caller as its owner."""

    title: Title
    members: list[Id]
    client_id: ClientId | None = None


@frame("conversation.list")
class ConversationList(Request):
    """A page of the caller's conversations."""

    cursor: Cursor | None = None
    limit: Limit | None = None
    archived: bool | None = None


@frame("conversation.get")
class ConversationGet(Request):
    """One conversation's summary."""

    conversation: Id


@frame("conversation.update")
class ConversationUpdate(Request):
    """Gives a group another title."""

    conversation: Id
    title: Title


@frame("conversation.add")
class ConversationAdd(Request):
    """Brings a user into a group."""

    conversation: Id
    user: Id


@frame("conversation.remove")
class ConversationRemove(Request):
    """Takes a user out of a group."""

    conversation: Id
    user: Id


@frame("conversation.leave")
class ConversationLeave(Request):
    """Takes the caller out of a conversation."""

    conversation: Id


@frame("membership.set")
class MembershipSet(Request):
    """Changes the caller's own settings of a conversation."""

    conversation: Id
    muted: bool | None = None
    pinned: bool | None = None
    archived: bool | None = None


@frame("message.send")
class MessageSend(Request):
    """Sends a text; `client_id` makes a repeat harmless. `reply_to`: a seq of this conversation."""

    conversation: Id
    client_id: ClientId
    body: Body
    reply_to: Seq | None = None
    attachments: list[Id] | None = None


@frame("message.edit")
class MessageEdit(Request):
    """Replaces the text of the caller's own message."""

    conversation: Id
    seq: Seq
    body: Body


@frame("message.delete")
class MessageDelete(Request):
    """Leaves a tombstone in a message's place."""

    conversation: Id
    seq: Seq


@frame("message.react")
class MessageReact(Request):
    """Puts an emoji on a message, or takes it off."""

    conversation: Id
    seq: Seq
    emoji: Annotated[str, Meta(min_length=1, max_length=32)]
    on: bool


@frame("message.history")
class MessageHistory(Request):
    """A page of messages: before or after a seq (exclusive), or the newest."""

    conversation: Id
    before: Mark | None = None
    after: Mark | None = None
    limit: Limit | None = None


@frame("message.search")
class MessageSearch(Request):
    """Messages in which all words of `query` occur."""

    query: Annotated[str, Meta(min_length=1, max_length=200)]
    conversation: Id | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


@frame("receipt")
class Receipt(Request):
    """Moves the caller's watermarks forward; `read` implies `delivered`."""

    conversation: Id
    delivered: Mark | None = None
    read: Mark | None = None


@frame("sync")
class Sync(Request):
    """Asks for all that changed since the given revs."""

    epoch: Annotated[str, Meta(max_length=128)]
    revs: dict[Id, Rev]


@frame("typing")
class SetTyping(Request):
    """Says that the caller types, or stopped."""

    conversation: Id
    active: bool


@frame("focus")
class Focus(Request):
    """Says what this connection has on screen; null: nothing."""

    conversation: Id | None = None


@frame("user.list")
class UserList(Request):
    """A page of the users whom the caller may reach, by name; `query`: a part of it."""

    query: Annotated[str, Meta(max_length=200)] | None = None
    role: Role | None = None
    cursor: Cursor | None = None
    limit: Limit | None = None


@frame("presence.get")
class PresenceGet(Request):
    """Asks for the presence of users."""

    users: Annotated[list[Id], Meta(max_length=200)]


LATER = frozenset(
    {
        *("call.invite", "call.answer", "call.signal", "call.end", "call.resume", "call.ice"),
        *("push.subscribe", "push.unsubscribe", "push.list", "push.test"),
        *("notify.get", "notify.set"),
    }
)
"""Requests of the protocol that this version doesn't serve yet."""

REQUESTS: dict[str, type[Request]] = {cls.TYPE: cls for cls in Request.__subclasses__()}
"""Every request by its `type` on the wire."""
