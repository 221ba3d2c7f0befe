"""Typing and focus, which are never stored."""

from chatd.commands.context import Context
from chatd.core.errors import not_found
from chatd.core.pending import PendingRequest
from protocol.frames import Ok
from protocol.requests import Focus, SetTyping


async def typing(context: Context[SetTyping]) -> None:
    """The room passes it on, in order with the caller's messages."""
    await context.parts.rooms.post(context.request.conversation, _typing(context))


def typing_now(context: Context[SetTyping]) -> bool:
    """The same where nothing has to be waited for."""
    return context.parts.rooms.post_nowait(context.request.conversation, _typing(context))


def _typing(context: Context[SetTyping]) -> PendingRequest:
    return PendingRequest(
        context.caller, context.request.id, None, typist=context.session, active=context.request.active
    )


async def focus(context: Context[Focus]) -> Ok | None:
    """Note what is on screen."""
    r = context.request
    if r.conversation is not None:
        await context.session.quiet()
        if not await context.parts.rooms.present(r.conversation, context.user.id):
            raise not_found()
    context.session.focus = r.conversation
    return None if r.id is None else Ok(re=r.id)
