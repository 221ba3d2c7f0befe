"""The table of all requests with their handlers, and the one place that answers errors.

`permissions.py` says who may ask what.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import attrs
import structlog

from chatd.core.caller import Caller, Read
from chatd.core.errors import Closing, Refusal, internal, unavailable
from chatd.core.pending import PendingRequest
from protocol.codes import ErrorCode
from protocol.frames import Frame
from protocol.requests import REQUESTS, Request
from storage.changes import RoomChange
from storage.contract import Unavailable

from .context import Context
from .handlers import conversations, groups, hello, messages, receipts, search, signals, sync, users
from .parts import Parts
from .permissions import ANONYMOUS, RIGHTS, relations

log = structlog.get_logger("chatd.dispatch")


@attrs.frozen
class Handler:
    """The ways to run a request. `now` runs it without waiting, or returns False and has done nothing.

    `needs_session`: it is about a connection, and refused to callers who have none.
    """

    run: Callable[[Context[Any]], Awaitable[None]]
    now: Callable[[Context[Any]], bool] | None = None
    needs_session: bool = False


def immediate(handle: Callable[[Context[Any]], Frame | None]) -> Handler:
    """Make a handler of a function that never waits, and returns the reply."""

    def now(context: Context[Any]) -> bool:
        reply = handle(context)
        if reply is not None:
            context.caller.send(reply)
        return True

    async def run(context: Context[Any]) -> None:
        now(context)

    return Handler(run, now)


def plain(
    handle: Callable[[Context[Any]], Awaitable[Frame | None]],
    now: Callable[[Context[Any]], bool] | None = None,
    *,
    needs_session: bool = False,
) -> Handler:
    """Make a handler of a function that sees to its own order, and returns the reply or has answered by itself."""

    async def run(context: Context[Any]) -> None:
        reply = await handle(context)
        if reply is not None:
            context.caller.send(reply)

    return Handler(run, now, needs_session)


def read(handle: Callable[[Context[Any]], Awaitable[Read]]) -> Handler:
    """Make a handler of a function that reads the store; its reply leaves in rev order."""

    async def run(context: Context[Any]) -> None:
        await context.caller.read(partial(context.parts.rooms.noticing, partial(handle, context)))

    return Handler(run)


def write(handle: Callable[[Context[Any]], RoomChange]) -> Handler:
    """Make a handler of a function that returns a change; the conversation's room answers when it is kept."""

    async def run(context: Context[Any]) -> None:
        await _post(context, handle(context))

    def now(context: Context[Any]) -> bool:
        change = handle(context)
        pending = PendingRequest(context.caller, context.request.id, change)
        return context.parts.rooms.post_nowait(change.conversation, pending)

    return Handler(run, now)


def write_after_read(handle: Callable[[Context[Any]], Awaitable[RoomChange]]) -> Handler:
    """Make a handler of a function that reads the store before it returns a change."""

    async def run(context: Context[Any]) -> None:
        await _post(context, await handle(context))

    return Handler(run)


async def _post(context: Context[Any], change: RoomChange) -> None:
    await context.parts.rooms.post(change.conversation, PendingRequest(context.caller, context.request.id, change))


TABLE: dict[str, Handler] = {
    "hello": plain(hello.hello, needs_session=True),
    "ping": immediate(hello.ping),
    "conversation.open": plain(conversations.open_direct),
    "conversation.create": plain(groups.create),
    "conversation.list": read(conversations.list_page),
    "conversation.get": read(conversations.get),
    "conversation.update": write(groups.update),
    "conversation.add": write_after_read(groups.add),
    "conversation.remove": write(groups.remove),
    "conversation.leave": write(conversations.leave),
    "membership.set": write(conversations.set_membership),
    "message.send": write(messages.send),
    "message.edit": write(messages.edit),
    "message.delete": write(messages.delete),
    "message.react": write(messages.react),
    "message.history": read(messages.history),
    "message.search": plain(search.search),
    "receipt": write(receipts.advance),
    "sync": plain(sync.sync, needs_session=True),
    "typing": plain(signals.typing, signals.typing_now, needs_session=True),
    "focus": plain(signals.focus, needs_session=True),
    "user.list": read(users.list_page),
    "presence.get": read(users.presence),
}
assert TABLE.keys() == RIGHTS.keys() == REQUESTS.keys()


async def _run(context: Context[Any]) -> None:
    """Run a request; once more where another program turns out to have written what was not found."""
    run = TABLE[context.request.TYPE].run
    conversation = getattr(context.request, "conversation", None)
    try:
        await run(context)
        return
    except Refusal as refused:
        if refused.code is not ErrorCode.NOT_FOUND or conversation is None:
            raise
        refusal = refused
    if not await context.parts.rooms.look_up(conversation, context.user.id):
        raise refusal
    await run(context)


def _say_hello() -> Refusal:
    return Refusal(ErrorCode.UNAUTHORIZED, "say hello first")


def _not_for_this_role() -> Refusal:
    return Refusal(ErrorCode.FORBIDDEN, "your role may not do this")


def _context(parts: Parts, caller: Caller, request: Request) -> Context[Any]:
    """Return the request with its caller, where the caller may ask it at all. Raises Refusal."""
    user = caller.user
    by = relations(request.TYPE, ANONYMOUS if user is None else user.role)
    if by is None:
        raise _say_hello() if user is None else _not_for_this_role()
    if parts.draining():
        raise Refusal(ErrorCode.UNAVAILABLE, "the server is shutting down; reconnect in a moment")
    return Context(parts, caller, request, by)


def dispatch_now(parts: Parts, caller: Caller, request: Request) -> bool:
    """Run a request as `dispatch` does, where nothing has to be waited for; False: it is still to be run."""
    now = TABLE[request.TYPE].now
    if now is None:
        return False
    try:
        return now(_context(parts, caller, request))
    except Exception as error:
        _answer(caller, request, error)
        return True


async def dispatch(parts: Parts, caller: Caller, request: Request) -> None:
    """Run a request; an exception becomes its `error`. Raises Closing where the connection ends with it."""
    try:
        await _run(_context(parts, caller, request))
    except Exception as error:
        _answer(caller, request, error)


def _answer(caller: Caller, request: Request, error: Exception) -> None:
    if isinstance(error, Refusal):
        caller.send(error.frame(request.id))
        if error.close is not None:
            raise Closing(error.close, error.message) from None
    elif isinstance(error, Unavailable):
        caller.send(unavailable().frame(request.id))
    else:
        log.error("request failed", request=request.TYPE, user=caller.user_id or None, exc_info=error)
        caller.send(internal().frame(request.id))
