"""Messages: send, edit, delete, react, and read what was sent."""

from chatd.commands.context import Context
from chatd.commands.emoji import is_emoji
from chatd.commands.paging import DEFAULT_PAGE_ITEMS, fit
from chatd.core import view
from chatd.core.caller import Read
from chatd.core.errors import Refusal, not_found
from protocol.codes import ErrorCode
from protocol.frames import HistoryOk
from protocol.requests import MessageDelete, MessageEdit, MessageHistory, MessageReact, MessageSend
from storage.changes import DeleteMessage, EditMessage, React, SendMessage, make_send_message


def send(context: Context[MessageSend]) -> SendMessage:
    """A text; its `client_id` makes a repeat harmless."""
    r, parts = context.request, context.parts
    return make_send_message(
        conversation=r.conversation,
        user=context.caller.user_id,
        client_id=r.client_id,
        message=parts.new_id(),
        body=r.body,
        reply_to=r.reply_to,
        at=parts.now(),
        attachments=tuple(r.attachments or ()),
    )


def edit(context: Context[MessageEdit]) -> EditMessage:
    """Another text, for as long as the settings let its sender change it."""
    r, parts = context.request, context.parts
    now = parts.now()
    return EditMessage(
        conversation=r.conversation,
        user=context.user.id,
        seq=r.seq,
        body=r.body,
        at=now,
        since=parts.windows.edit_since(now),
    )


def delete(context: Context[MessageDelete]) -> DeleteMessage:
    """A tombstone in the message's place."""
    r, parts = context.request, context.parts
    now = parts.now()
    return DeleteMessage(
        conversation=r.conversation,
        user=context.user.id,
        seq=r.seq,
        at=now,
        since=parts.windows.delete_since(now),
        by=context.by,
    )


def react(context: Context[MessageReact]) -> React:
    """An emoji on a message, or off it."""
    r = context.request
    if not is_emoji(r.emoji):
        raise Refusal(ErrorCode.BAD_REQUEST, "`emoji`: expected one emoji")
    return React(
        conversation=r.conversation, user=context.user.id, seq=r.seq, emoji=r.emoji, on=r.on, at=context.parts.now()
    )


async def history(context: Context[MessageHistory]) -> Read:
    """A page of messages; fewer where a frame can't hold them."""
    r, store, user = context.request, context.parts.store, context.user.id
    if r.before is not None and r.after is not None:
        raise Refusal(ErrorCode.BAD_REQUEST, "`before` and `after`: only one of them")
    page = await context.parts.gate.read(
        lambda: store.history(r.conversation, user, before=r.before, after=r.after, limit=r.limit or DEFAULT_PAGE_ITEMS)
    )
    if page is None:
        raise not_found()
    if r.id is None:
        return Read(None)
    # Messages that don't fit are left out at the far end of the direction asked.
    messages = page.messages if r.after is not None else page.messages[::-1]
    encoded = fit(view.message_for(m, user, page.participants) for m in messages)
    more = page.more or len(encoded) < len(messages)
    if r.after is None:
        encoded = encoded[::-1]
    # Events of the meantime come after the page: a client forgets changes of messages that it hasn't loaded.
    return Read(HistoryOk(re=r.id, conversation=r.conversation, messages=encoded, more=more), {r.conversation: 0})
