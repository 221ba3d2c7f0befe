"""Messages: send, edit, delete, react, and read what was sent."""

from protocol.codes import ErrorCode
from protocol.frames import HistoryOk
from protocol.requests import MessageDelete, MessageEdit, MessageHistory, MessageReact, MessageSend
from storage.changes import DeleteMessage, EditMessage, React, SendMessage

from .. import view
from ..call import Call
from ..emoji import is_emoji
from ..errors import Refusal, not_found, not_yet
from ..paging import fit
from ..replies import Read, nothing_to_say

DEFAULT_PAGE = 50


def send(call: Call[MessageSend]) -> SendMessage:
    """A text; its `client_id` makes a repeat harmless."""
    r, services = call.request, call.services
    if r.attachments:
        raise not_yet()
    return SendMessage(
        r.conversation, call.session.user_id, r.client_id, services.new_id(), r.body, r.reply_to, services.now()
    )


def edit(call: Call[MessageEdit]) -> EditMessage:
    """Another text, for as long as the settings let its sender change it."""
    r, services = call.request, call.services
    now = services.now()
    return EditMessage(r.conversation, call.user.id, r.seq, r.body, now, services.windows.edit_since(now))


def delete(call: Call[MessageDelete]) -> DeleteMessage:
    """A tombstone in the message's place."""
    r, services = call.request, call.services
    now = services.now()
    return DeleteMessage(r.conversation, call.user.id, r.seq, now, services.windows.delete_since(now), call.by)


def react(call: Call[MessageReact]) -> React:
    """An emoji on a message, or off it."""
    r = call.request
    if not is_emoji(r.emoji):
        raise Refusal(ErrorCode.BAD_REQUEST, "`emoji`: expected one emoji")
    return React(r.conversation, call.user.id, r.seq, r.emoji, r.on, call.services.now())


async def history(call: Call[MessageHistory]) -> Read:
    """A page of messages; fewer where a frame can't hold them."""
    r, store, user = call.request, call.services.store, call.user.id
    if r.before is not None and r.after is not None:
        raise Refusal(ErrorCode.BAD_REQUEST, "`before` and `after`: only one of them")
    page = await call.services.gate.read(
        lambda: store.history(r.conversation, user, before=r.before, after=r.after, limit=r.limit or DEFAULT_PAGE)
    )
    if page is None:
        raise not_found()
    if r.id is None:
        return nothing_to_say()
    # What doesn't fit is left out at the far end of the direction asked.
    messages = page.messages if r.after is not None else page.messages[::-1]
    encoded = fit(view.message_for(m, user, page.participants) for m in messages)
    more = page.more or len(encoded) < len(messages)
    if r.after is None:
        encoded = encoded[::-1]
    # What was told meanwhile comes after the page: a client forgets changes of messages that it hasn't loaded.
    return Read(HistoryOk(re=r.id, conversation=r.conversation, messages=encoded, more=more), {r.conversation: 0})
