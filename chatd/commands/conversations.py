"""Conversations: open, list, get, leave, and the caller's own settings of one."""

from protocol.codes import ErrorCode
from protocol.frames import GetOk, ListOk
from protocol.requests import ConversationGet, ConversationLeave, ConversationList, ConversationOpen, MembershipSet
from protocol.types import Mark
from storage.changes import Leave, OpenDirect, SetMembership

from .. import view
from ..call import Call
from ..errors import Refusal, not_found
from ..paging import cursor_of, fit_summaries, key_of
from ..replies import Read, nothing_to_say

DEFAULT_PAGE = 50


async def open_direct(call: Call[ConversationOpen]) -> None:
    """Find or make the one direct conversation of two; the rooms answer, in commit order."""
    services, other = call.services, call.request.other
    if other == call.user.id:
        raise Refusal(ErrorCode.BAD_REQUEST, "`with`: a conversation with oneself")
    await call.session.quiet()
    found = await services.gate.read(lambda: services.store.user(other))
    if found is None or not services.policy.may_reach(call.user, found):
        raise not_found("user")
    change = OpenDirect(services.new_id(), call.user.id, other, services.now())
    await services.rooms.begin(call.session, call.request.id, change)


async def list_page(call: Call[ConversationList]) -> Read:
    """A page of the caller's conversations: pinned first, then by newest message."""
    request, store, user = call.request, call.services.store, call.user.id
    after = key_of(request.cursor, tuple[Mark, Mark, str])  # a forged one may hold what no store takes
    limit = request.limit or DEFAULT_PAGE
    page = await call.services.gate.read(
        lambda: store.summaries(user, archived=bool(request.archived), after=after, limit=limit)
    )
    if request.id is None:
        return nothing_to_say()
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


async def get(call: Call[ConversationGet]) -> Read:
    """One conversation's summary."""
    request, store, user = call.request, call.services.store, call.user.id
    found = await call.services.gate.read(lambda: store.summary(request.conversation, user))
    if found is None:
        raise not_found()
    if request.id is None:
        return nothing_to_say()
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


def leave(call: Call[ConversationLeave]) -> Leave:
    """The caller goes; a system message says so to the others."""
    services = call.services
    return Leave(call.request.conversation, call.user.id, services.new_id(), services.now())


def set_membership(call: Call[MembershipSet]) -> SetMembership:
    """Muted, pinned, archived: the caller's own business."""
    r = call.request
    return SetMembership(r.conversation, call.user.id, r.muted, r.pinned, r.archived)
