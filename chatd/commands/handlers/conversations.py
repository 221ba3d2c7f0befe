"""Conversations: open, list, get, leave, and the caller's own settings of one."""

from chatd.commands.context import Context
from chatd.commands.paging import DEFAULT_PAGE_ITEMS, cursor_of, fit_summaries, key_of
from chatd.core import view
from chatd.core.caller import Read
from chatd.core.errors import Refusal, not_found
from protocol.codes import ErrorCode
from protocol.frames import GetOk, ListOk
from protocol.requests import ConversationGet, ConversationLeave, ConversationList, ConversationOpen, MembershipSet
from protocol.types import Mark
from storage.changes import Leave, OpenDirect, SetMembership


async def open_direct(context: Context[ConversationOpen]) -> None:
    """Find or make the one direct conversation of two; the rooms answer, in commit order."""
    parts, other = context.parts, context.request.other
    if other == context.user.id:
        raise Refusal(ErrorCode.BAD_REQUEST, "`with`: a conversation with oneself")
    await context.caller.quiet()
    found = await parts.gate.read(lambda: parts.store.user(other))
    if found is None or not parts.policy.may_reach(context.user, found):
        raise not_found("user")
    change = OpenDirect(parts.new_id(), context.user.id, other, parts.now())
    await parts.rooms.begin(context.caller, context.request.id, change)


async def list_page(context: Context[ConversationList]) -> Read:
    """A page of the caller's conversations: pinned first, then by newest message."""
    request, store, user = context.request, context.parts.store, context.user.id
    after = key_of(request.cursor, tuple[Mark, Mark, str])  # a forged one may hold what no store takes
    limit = request.limit or DEFAULT_PAGE_ITEMS
    page = await context.parts.gate.read(
        lambda: store.summaries(user, archived=bool(request.archived), after=after, limit=limit)
    )
    if request.id is None:
        return Read(None)
    encoded, people = fit_summaries(page, user)
    shown = page.summaries[: len(encoded)]
    key = page.next if len(shown) == len(page.summaries) else store.key_of(shown[-1])
    reply = ListOk(
        re=request.id,
        conversations=encoded,
        cursor=cursor_of(key),
        users=view.users(people),
    )
    return Read(reply, {s.room.conversation.id: s.room.conversation.rev for s in shown})


async def get(context: Context[ConversationGet]) -> Read:
    """One conversation's summary."""
    request, store, user = context.request, context.parts.store, context.user.id
    found = await context.parts.gate.read(lambda: store.summary(request.conversation, user))
    if found is None:
        raise not_found()
    if request.id is None:
        return Read(None)
    summary, users = found
    shown = view.summary(summary, user)
    reply = GetOk(
        re=request.id,
        conversation=shown.conversation,
        info=shown.info,
        participants=shown.participants,
        membership=shown.membership,
        last_message=shown.last_message,
        users=view.users(users.values()),
    )
    return Read(reply, {shown.conversation: shown.info.rev})


def leave(context: Context[ConversationLeave]) -> Leave:
    """The caller goes; a system message says so to the others."""
    parts = context.parts
    return Leave(context.request.conversation, context.user.id, parts.new_id(), parts.now())


def set_membership(context: Context[MembershipSet]) -> SetMembership:
    """Muted, pinned, archived: the caller's own business."""
    r = context.request
    return SetMembership(
        conversation=r.conversation, user=context.user.id, muted=r.muted, pinned=r.pinned, archived=r.archived
    )
