"""How each request is run: one table of them all, and the one place that answers errors. Who may: `rights.py`."""

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
from .command import Command
from .commands import conversations, groups, hello, messages, receipts, search, signals, sync, users
from .errors import Closing, Refusal, internal, unavailable
from .replies import Read
from .rights import ANONYMOUS, RIGHTS, relations
from .services import Services
from .session import Session

log = structlog.get_logger("chatd.dispatch")


@attrs.frozen
class Way:
    """How a request is run. `now`: the same at once, or False where it has to wait, and then nothing was done."""

    run: Callable[[Call[Any]], Awaitable[None]]
    now: Callable[[Call[Any]], bool] | None = None


def at_once(command: Callable[[Call[Any]], Frame | None]) -> Way:
    """A command that needs nothing but the session."""

    def now(call: Call[Any]) -> bool:
        reply = command(call)
        if reply is not None:
            call.session.send(reply)
        return True

    async def run(call: Call[Any]) -> None:
        now(call)

    return Way(run, now)


def waiting(
    command: Callable[[Call[Any]], Awaitable[Frame | None]], now: Callable[[Call[Any]], bool] | None = None
) -> Way:
    """A command that sees to its own order, and may answer later."""

    async def run(call: Call[Any]) -> None:
        reply = await command(call)
        if reply is not None:
            call.session.send(reply)

    return Way(run, now)


def reading(command: Callable[[Call[Any]], Awaitable[Read]]) -> Way:
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

    return Way(run)


def in_room(command: Callable[[Call[Any]], RoomChange]) -> Way:
    """A command that makes a change; the conversation's room answers when it is kept."""

    async def run(call: Call[Any]) -> None:
        await _post(call, command(call))

    def now(call: Call[Any]) -> bool:
        change = command(call)
        return call.services.rooms.post_nowait(change.conversation, Command(call.session, call.request.id, change))

    return Way(run, now)


def looking_first(command: Callable[[Call[Any]], Awaitable[RoomChange]]) -> Way:
    """The same, where something has to be read before."""

    async def run(call: Call[Any]) -> None:
        await _post(call, await command(call))

    return Way(run)


async def _post(call: Call[Any], change: RoomChange) -> None:
    await call.services.rooms.post(change.conversation, Command(call.session, call.request.id, change))


TABLE: dict[str, Way] = {
    "hello": waiting(hello.hello),
    "ping": at_once(hello.ping),
    "conversation.open": waiting(conversations.open_direct),
    "conversation.create": waiting(groups.create),
    "conversation.list": reading(conversations.list_page),
    "conversation.get": reading(conversations.get),
    "conversation.update": in_room(groups.update),
    "conversation.add": looking_first(groups.add),
    "conversation.remove": in_room(groups.remove),
    "conversation.leave": in_room(conversations.leave),
    "membership.set": in_room(conversations.set_membership),
    "message.send": in_room(messages.send),
    "message.edit": in_room(messages.edit),
    "message.delete": in_room(messages.delete),
    "message.react": in_room(messages.react),
    "message.history": reading(messages.history),
    "message.search": reading(search.search),
    "receipt": in_room(receipts.advance),
    "sync": waiting(sync.sync),
    "typing": waiting(signals.typing, signals.typing_now),
    "focus": waiting(signals.focus),
    "user.list": reading(users.list_page),
    "presence.get": reading(users.presence),
}
assert TABLE.keys() == RIGHTS.keys() == REQUESTS.keys()


async def _run(call: Call[Any]) -> None:
    """Once more, where what was not found turns out to be there."""
    run = TABLE[call.request.TYPE].run
    conversation = getattr(call.request, "conversation", None)
    try:
        await run(call)
        return
    except Refusal as refused:
        if refused.code is not ErrorCode.NOT_FOUND or conversation is None:
            raise
        refusal = refused
    if not await call.services.rooms.look_up(conversation):
        raise refusal
    await run(call)


def _say_hello() -> Refusal:
    return Refusal(ErrorCode.UNAUTHORIZED, "say hello first")


def _not_for_this_role() -> Refusal:
    return Refusal(ErrorCode.FORBIDDEN, "your role may not do this")


def _call(services: Services, session: Session, feeder: Feeder, request: Request) -> Call[Any]:
    """The request, where its asker may ask it at all. Raises Refusal."""
    user = session.user
    by = relations(request.TYPE, ANONYMOUS if user is None else user.role)
    if by is None:
        raise _say_hello() if user is None else _not_for_this_role()
    if services.draining():
        raise Refusal(ErrorCode.UNAVAILABLE, "the server is shutting down; reconnect in a moment")
    return Call(services, session, feeder, request, by)


def dispatch_now(services: Services, session: Session, feeder: Feeder, request: Request) -> bool:
    """Run a request as `dispatch` does, where nothing has to be waited for; False: it is still to be run."""
    now = TABLE[request.TYPE].now
    if now is None:
        return False
    try:
        return now(_call(services, session, feeder, request))
    except Exception as error:
        _answer(session, request, error)
        return True


async def dispatch(services: Services, session: Session, feeder: Feeder, request: Request) -> None:
    """Run a request; whatever goes wrong becomes its `error`. Raises Closing where the connection ends with it."""
    try:
        await _run(_call(services, session, feeder, request))
    except Exception as error:
        _answer(session, request, error)


def _answer(session: Session, request: Request, error: Exception) -> None:
    if isinstance(error, Refusal):
        session.send(error.frame(request.id))
        if error.close is not None:
            raise Closing(error.close, error.message) from None
    elif isinstance(error, Unavailable):
        session.send(unavailable().frame(request.id))
    else:
        user = session.user.id if session.user else None
        log.error("request failed", request=request.TYPE, user=user, exc_info=error)
        session.send(internal().frame(request.id))
