"""Groups: make one, give it another title, bring people in, take them out."""

from protocol.codes import ErrorCode
from protocol.requests import ConversationAdd, ConversationCreate, ConversationRemove, ConversationUpdate
from storage.changes import AddParticipant, CreateGroup, RemoveParticipant, SetTitle

from ..call import Call
from ..errors import Refusal, not_found


async def create(call: Call[ConversationCreate]) -> None:
    """Make a group that the caller owns; the rooms answer, in commit order."""
    r, services = call.request, call.services
    await call.session.quiet()
    reachable = await _reachable(call, r.members)
    if not reachable and r.client_id is None:
        raise not_found("user")
    # With a name, it may have been made while everybody could be reached: it is found then, and else none is made.
    limit = services.limits.max_participants if reachable else 0
    now, members = services.now(), tuple(r.members)
    change = CreateGroup(services.new_id(), call.user.id, r.title, members, r.client_id, now, limit)
    try:
        await services.rooms.begin(call.session, r.id, change)
    except Refusal as refusal:
        if not reachable and refusal.code == ErrorCode.BAD_REQUEST:
            raise not_found("user") from None
        raise


def update(call: Call[ConversationUpdate]) -> SetTitle:
    """Another title; a system message says so."""
    r, services = call.request, call.services
    return SetTitle(r.conversation, call.user.id, r.title, services.new_id(), services.now(), call.by)


async def add(call: Call[ConversationAdd]) -> AddParticipant:
    """Bring somebody in, or back."""
    r, services = call.request, call.services
    if not await _reachable(call, [r.user]):
        raise not_found("user")
    limit = services.limits.max_participants
    return AddParticipant(r.conversation, call.user.id, r.user, services.new_id(), services.now(), call.by, limit)


def remove(call: Call[ConversationRemove]) -> RemoveParticipant:
    """Take somebody out."""
    r, services = call.request, call.services
    return RemoveParticipant(r.conversation, call.user.id, r.user, services.new_id(), services.now(), call.by)


async def _reachable(call: Call[ConversationCreate] | Call[ConversationAdd], users: list[str]) -> bool:
    """Whether all of them exist and the policy lets the caller reach them."""
    services = call.services
    others = {user for user in users if user != call.user.id}
    found = await services.gate.read(lambda: services.store.users(others))
    return all(user in found and services.policy.may_reach(call.user, found[user]) for user in others)
