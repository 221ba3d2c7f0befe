"""What is never stored: typing, and what a connection has on screen."""

from protocol.frames import Ok
from protocol.requests import Focus, SetTyping

from ..call import Call
from ..command import Command
from ..errors import not_found


async def typing(call: Call[SetTyping]) -> None:
    """The room passes it on, in order with the caller's messages."""
    await call.services.rooms.post(call.request.conversation, _typing(call))


def typing_now(call: Call[SetTyping]) -> bool:
    """The same where nothing has to be waited for."""
    return call.services.rooms.post_nowait(call.request.conversation, _typing(call))


def _typing(call: Call[SetTyping]) -> Command:
    return Command(call.session, call.request.id, None, active=call.request.active)


async def focus(call: Call[Focus]) -> Ok | None:
    """Note what is on screen."""
    r = call.request
    if r.conversation is not None:
        await call.session.quiet()
        if not await call.services.rooms.present(r.conversation, call.user.id):
            raise not_found()
    call.session.focus = r.conversation
    return None if r.id is None else Ok(re=r.id)
