"""The events that clients emit: one table, each mapped onto requests of the native protocol."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog

from protocol.codes import ErrorCode
from protocol.encode import encode
from protocol.frames import ChangeOk, Error, Frame

from . import asking
from .member import ChatMember, EventRefused, Handle, bad
from .objects import message_of_native
from .packets import Packet

log = structlog.get_logger("chatd.socketio")

Data = Any
Fields = dict[str, Any]
Serve = Callable[[ChatMember, Data], Awaitable[Fields]]


class PendingSend:
    """A message under way, whose acknowledgement has this id, if any."""

    __slots__ = ("ack", "member")

    def __init__(self, member: ChatMember, ack: int | None) -> None:
        self.member = member
        self.ack = ack

    def sent(self, message: msgspec.Raw) -> bytes:
        """Return the acknowledgement of a message that is new."""
        return self._done(message, False)

    def answered(self, frame: Frame) -> bytes:
        """Return the acknowledgement of a message that was there, or brought somebody back, or was refused."""
        if isinstance(frame, Error):
            return self.member.failure(self.ack, frame)
        assert isinstance(frame, ChangeOk)
        native = msgspec.json.decode(encode(frame))["messages"][0]
        shown = message_of_native(native, self.member.dialect.ids, self.member.status_of)
        return self._done(shown, bool(frame.duplicate))

    def _done(self, message: object, duplicate: bool) -> bytes:
        if self.ack is None:
            return b""
        fields = {"message": message, "duplicate": duplicate}
        return self.member.dialect.words.ack(self.member.place.namespace, self.ack, fields)


async def join_conversation(member: ChatMember, data: Data) -> Fields:
    """Say what is on screen; delivery doesn't depend on it."""
    for conversation in asking.conversations_of(data):
        await member.ask("focus", conversation=conversation)
        log.debug("joined", session=member.session.id, user=member.user_id, conversation=conversation)
    return {}


async def leave_conversation(member: ChatMember, data: Data) -> Fields:
    """Say that it is no longer on screen."""
    if member.session.focus in asking.conversations_of(data):
        await member.ask("focus")
    return {}


async def typing(member: ChatMember, data: Data, *, active: bool = True) -> Fields:
    """Say that the user types, or stopped."""
    said = asking.fields_of(data).get("isTyping", active)
    await member.ask("typing", conversation=asking.conversation_of(data), active=bool(said))
    return {}


async def stop_typing(member: ChatMember, data: Data) -> Fields:
    """Say that the user stopped typing."""
    await member.ask("typing", conversation=asking.conversation_of(data), active=False)
    return {}


async def message_delivered(member: ChatMember, data: Data) -> Fields:
    """Say that messages have arrived, up to one, or all."""
    return await asking.advance(member, data, "delivered")


async def mark_read(member: ChatMember, data: Data) -> Fields:
    """Say that messages were read, up to one, or all."""
    return await asking.advance(member, data, "read")


async def get_online_users(member: ChatMember, data: Data) -> Fields:  # noqa: ARG001
    """List who is online, of those who share a conversation."""
    return {"userIds": asking.online_users(member)}


async def greet(member: ChatMember, data: Data) -> Fields:  # noqa: ARG001
    """Accept what a client says of itself, and believe none of it: the connection is signed in."""
    return {}


async def send_message(member: ChatMember, data: Data) -> Fields:
    """Tell of a message that the app has stored already."""
    return await asking.stored_message(member, asking.fields_of(data))


EVENTS: Final[dict[str, Serve]] = {
    "create_conversation": asking.create_conversation,
    "join_conversation": join_conversation,
    "join_conversations": join_conversation,
    "leave_conversation": leave_conversation,
    "send_message": send_message,
    "typing": typing,
    "typing_start": typing,
    "typing_stop": stop_typing,
    "stop_typing": stop_typing,
    "message_delivered": message_delivered,
    "mark_read": mark_read,
    "mark_as_read": mark_read,
    "get_conversations": asking.get_conversations,
    "get_messages": asking.get_messages,
    "get_online_users": get_online_users,
    "join": greet,
    "register": greet,
    "user_connected": greet,
}
"""Events of clients, by the names that they have unless a setting says otherwise."""


class EventHandlers(Handle):
    """Serves clients' events. Each that asks for an acknowledgement gets one, unknown and refused events too."""

    def __call__(self, member: ChatMember, packet: Packet) -> bool:
        """Send a message without waiting, as far as that is possible; all else waits."""
        try:
            name, data = self._read(member, packet)
            if name != "send_message":
                return False
            fields = asking.sending_now(member, data, packet.id)
            if fields is None:
                return False
            request = member.request_of(fields)
        except EventRefused as refused:
            member.fail(packet.id, refused.error)
            return True
        assert request.id is not None
        member.dialect.asked[request.id] = PendingSend(member, packet.id)
        if member.run_now(request):
            return True
        del member.dialect.asked[request.id]
        return False

    async def wait(self, member: ChatMember, packet: Packet) -> None:
        """Serve an event."""
        try:
            name, data = self._read(member, packet)
            if name == "send_message" and not asking.is_stored(data):
                fields = await asking.sending(member, data, packet.id)
                request = member.request_of(fields)
                assert request.id is not None
                member.dialect.asked[request.id] = PendingSend(member, packet.id)
                await member.run_later(request)
                return
            serve = EVENTS.get(name)
            if serve is None:
                raise bad("this event is not known here")
            member.ack(packet.id, await serve(member, data))
        except EventRefused as refused:
            member.fail(packet.id, refused.error)
        except Exception:
            log.exception("event failed", session=member.session.id)
            member.fail(packet.id, Error(code=ErrorCode.INTERNAL, message="something went wrong; try again"))

    def _read(self, member: ChatMember, packet: Packet) -> tuple[str, Data]:
        """Return our name of the event, and its first argument. Raises EventRefused."""
        data = packet.data
        if packet.is_binary:
            raise bad("binary data is not taken in events; upload files over HTTP")
        return member.dialect.words.heard(str(data[0])), data[1] if len(data) > 1 else None
