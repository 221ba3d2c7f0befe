"""What is never stored: typing, and what a connection has on screen."""

from protocol.frames import Ok
from protocol.requests import Focus, SetTyping

from ..call import Call
from ..errors import not_found


async def typing(call: Call[SetTyping]) -> None:
    """The room passes it on, in order with the caller's messages."""
    r = call.request
    await call.services.rooms.post(call.session, r.id, r.conversation, None, active=r.active)


def typing_now(call: Call[SetTyping]) -> bool:
    """The same where nothing has to be waited for."""
    r = call.request
    return call.services.rooms.post_nowait(call.session, r.id, r.conversation, None, active=r.active)


async def focus(call: Call[Focus]) -> Ok | None:
    """Note what is on screen."""
    r = call.request
    if r.conversation is not None:
        await call.session.quiet()
        if not await call.services.rooms.present(r.conversation, call.user.id):
            raise not_found()
    call.session.focus = r.conversation
    return None if r.id is None else Ok(re=r.id)
