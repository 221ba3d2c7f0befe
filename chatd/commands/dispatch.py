"""How each request is run: one table of them all, and the one place that answers errors. Who may: `permissions.py`."""

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import structlog

from chatd.core.catchup import Feeder
from chatd.core.errors import Closing, Refusal, internal, unavailable
from chatd.core.pending import PendingRequest
from chatd.core.session import Session
from protocol.codes import ErrorCode
from protocol.frames import Frame
from protocol.requests import REQUESTS, Request
from storage.changes import RoomChange
from storage.contract import Unavailable

from .context import Context
from .handlers import conversations, groups, hello, messages, receipts, search, signals, sync, users
from .parts import Parts
from .permissions import ANONYMOUS, RIGHTS, relations
from .replies import Read

log = structlog.get_logger("chatd.dispatch")


@attrs.frozen
class Way:
    """How a request is run. `now`: the same at once, or False where it has to wait, and then nothing was done."""

    run: Callable[[Context[Any]], Awaitable[None]]
    now: Callable[[Context[Any]], bool] | None = None


def at_once(command: Callable[[Context[Any]], Frame | None]) -> Way:
    """A command that needs nothing but the session."""

    def now(context: Context[Any]) -> bool:
        reply = command(context)
        if reply is not None:
            context.session.send(reply)
        return True

    async def run(context: Context[Any]) -> None:
        now(context)

    return Way(run, now)


def waiting(
    command: Callable[[Context[Any]], Awaitable[Frame | None]], now: Callable[[Context[Any]], bool] | None = None
) -> Way:
    """A command that sees to its own order, and may answer later."""

    async def run(context: Context[Any]) -> None:
        reply = await command(context)
        if reply is not None:
            context.session.send(reply)

    return Way(run, now)


def reading(command: Callable[[Context[Any]], Awaitable[Read]]) -> Way:
    """A command that reads the store: after what was asked before it, in rev order with what else leaves."""

    async def run(context: Context[Any]) -> None:
        session = context.session
        await session.quiet()
        async with session.turn():
            with session.hold() as hold:
                read = await command(context)
                if read.reply is not None:
                    hold.revs = read.revs
                    hold.reply = session.codec.encode(read.reply)

    return Way(run)


def in_room(command: Callable[[Context[Any]], RoomChange]) -> Way:
    """A command that makes a change; the conversation's room answers when it is kept."""

    async def run(context: Context[Any]) -> None:
        await _post(context, command(context))

    def now(context: Context[Any]) -> bool:
        change = command(context)
        return context.parts.rooms.post_nowait(
            change.conversation, PendingRequest(context.session, context.request.id, change)
        )

    return Way(run, now)


def looking_first(command: Callable[[Context[Any]], Awaitable[RoomChange]]) -> Way:
    """The same, where something has to be read before."""

    async def run(context: Context[Any]) -> None:
        await _post(context, await command(context))

    return Way(run)


async def _post(context: Context[Any], change: RoomChange) -> None:
    await context.parts.rooms.post(change.conversation, PendingRequest(context.session, context.request.id, change))


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


async def _run(context: Context[Any]) -> None:
    """Once more, where what was not found turns out to be there."""
    run = TABLE[context.request.TYPE].run
    conversation = getattr(context.request, "conversation", None)
    try:
        await run(context)
        return
    except Refusal as refused:
        if refused.code is not ErrorCode.NOT_FOUND or conversation is None:
            raise
        refusal = refused
    if not await context.parts.rooms.look_up(conversation):
        raise refusal
    await run(context)


def _say_hello() -> Refusal:
    return Refusal(ErrorCode.UNAUTHORIZED, "say hello first")


def _not_for_this_role() -> Refusal:
    return Refusal(ErrorCode.FORBIDDEN, "your role may not do this")


def _context(parts: Parts, session: Session, feeder: Feeder, request: Request) -> Context[Any]:
    """The request, where its asker may ask it at all. Raises Refusal."""
    user = session.user
    by = relations(request.TYPE, ANONYMOUS if user is None else user.role)
    if by is None:
        raise _say_hello() if user is None else _not_for_this_role()
    if parts.draining():
        raise Refusal(ErrorCode.UNAVAILABLE, "the server is shutting down; reconnect in a moment")
    return Context(parts, session, feeder, request, by)


def dispatch_now(parts: Parts, session: Session, feeder: Feeder, request: Request) -> bool:
    """Run a request as `dispatch` does, where nothing has to be waited for; False: it is still to be run."""
    now = TABLE[request.TYPE].now
    if now is None:
        return False
    try:
        return now(_context(parts, session, feeder, request))
    except Exception as error:
        _answer(session, request, error)
        return True


async def dispatch(parts: Parts, session: Session, feeder: Feeder, request: Request) -> None:
    """Run a request; whatever goes wrong becomes its `error`. Raises Closing where the connection ends with it."""
    try:
        await _run(_context(parts, session, feeder, request))
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
