"""Who may ask what: one table of all requests, their preconditions as data, and the one place that answers errors."""

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import structlog

from protocol.codes import ErrorCode
from protocol.frames import Frame
from protocol.requests import REQUESTS, Request
from storage.changes import RoomChange
from storage.contract import Unavailable

from .call import Call
from .catchup import Feeder
from .commands import conversations, hello, messages, receipts, signals, sync, users
from .errors import Closing, Refusal, internal, not_yet, unavailable
from .replies import Read
from .services import Services
from .session import Session

log = structlog.get_logger("chatd.dispatch")

Run = Callable[[Call[Any]], Awaitable[None]]


@attrs.frozen
class Entry:
    """How a request is run; `before_hello`: also when nobody has signed in."""

    run: Run
    before_hello: bool = False


def at_once(command: Callable[[Call[Any]], Frame | None]) -> Run:
    """A command that needs nothing but the session."""

    async def run(call: Call[Any]) -> None:
        reply = command(call)
        if reply is not None:
            call.session.send(reply)

    return run


def waiting(command: Callable[[Call[Any]], Awaitable[Frame | None]]) -> Run:
    """A command that sees to its own order, and may answer later."""

    async def run(call: Call[Any]) -> None:
        reply = await command(call)
        if reply is not None:
            call.session.send(reply)

    return run


def reading(command: Callable[[Call[Any]], Awaitable[Read]]) -> Run:
    """A command that reads the store: after what was asked before it, in rev order with what else leaves."""

    async def run(call: Call[Any]) -> None:
        session = call.session
        await session.quiet()
        async with session.turn():
            with session.hold() as hold:
                read = await command(call)
                if read.reply is not None:
                    hold.revs = read.revs
                    hold.reply = session.codec.encode(read.reply)

    return run


def in_room(command: Callable[[Call[Any]], RoomChange]) -> Run:
    """A command that makes a change; the conversation's room answers when it is kept."""

    async def run(call: Call[Any]) -> None:
        change = command(call)
        await call.services.rooms.post(call.session, call.request.id, change.conversation, change)

    return run


async def refuse_for_now(_call: Call[Any]) -> None:
    """A request of the protocol that this version doesn't serve."""
    raise not_yet()


LATER = Entry(refuse_for_now)

TABLE: dict[str, Entry] = {
    "hello": Entry(waiting(hello.hello), before_hello=True),
    "ping": Entry(at_once(hello.ping)),
    "conversation.open": Entry(waiting(conversations.open_direct)),
    "conversation.create": LATER,
    "conversation.list": Entry(reading(conversations.list_page)),
    "conversation.get": Entry(reading(conversations.get)),
    "conversation.update": LATER,
    "conversation.add": LATER,
    "conversation.remove": LATER,
    "conversation.leave": Entry(in_room(conversations.leave)),
    "membership.set": Entry(in_room(conversations.set_membership)),
    "message.send": Entry(in_room(messages.send)),
    "message.edit": LATER,
    "message.delete": LATER,
    "message.react": LATER,
    "message.history": Entry(reading(messages.history)),
    "message.search": LATER,
    "receipt": Entry(in_room(receipts.advance)),
    "sync": Entry(waiting(sync.sync)),
    "typing": Entry(waiting(signals.typing)),
    "focus": Entry(waiting(signals.focus)),
    "user.list": Entry(reading(users.list_page)),
    "presence.get": Entry(reading(users.presence)),
}
assert TABLE.keys() == REQUESTS.keys()


async def dispatch(services: Services, session: Session, feeder: Feeder, request: Request) -> None:
    """Run a request; whatever goes wrong becomes its `error`. Raises Closing where the connection ends with it."""
    entry = TABLE[request.TYPE]
    try:
        if session.user is None and not entry.before_hello:
            raise Refusal(ErrorCode.UNAUTHORIZED, "say hello first")
        if services.draining():
            raise Refusal(ErrorCode.UNAVAILABLE, "the server is shutting down; reconnect in a moment")
        await entry.run(Call(services, session, feeder, request))
    except Refusal as refusal:
        session.send(refusal.frame(request.id))
        if refusal.close is not None:
            raise Closing(refusal.close, refusal.message) from None
    except Unavailable:
        session.send(unavailable().frame(request.id))
    except Exception:
        log.exception("request failed", request=request.TYPE, user=session.user.id if session.user else None)
        session.send(internal().frame(request.id))
