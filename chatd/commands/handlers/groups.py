"""Groups: make one, give it another title, bring people in, take them out."""

from chatd.commands.context import Context
from chatd.core.errors import Refusal, not_found
from protocol.codes import ErrorCode
from protocol.requests import ConversationAdd, ConversationCreate, ConversationRemove, ConversationUpdate
from storage.changes import AddParticipant, CreateGroup, RemoveParticipant, SetTitle


async def create(context: Context[ConversationCreate]) -> None:
    """Make a group that the caller owns; the rooms answer, in commit order."""
    r, parts = context.request, context.parts
    await context.caller.quiet()
    reachable = await _reachable(context, r.members)
    if not reachable and r.client_id is None:
        raise not_found("user")
    # With a name, it may have been made while everybody could be reached: it is found then, and else none is made.
    limit = parts.limits.max_participants if reachable else 0
    now, members = parts.now(), tuple(r.members)
    change = CreateGroup(
        conversation=parts.new_id(),
        user=context.user.id,
        title=r.title,
        members=members,
        client_id=r.client_id,
        at=now,
        limit=limit,
    )
    try:
        await parts.rooms.begin(context.caller, r.id, change)
    except Refusal as refusal:
        if not reachable and refusal.code == ErrorCode.BAD_REQUEST:
            raise not_found("user") from None
        raise


def update(context: Context[ConversationUpdate]) -> SetTitle:
    """Another title; a system message says so."""
    r, parts = context.request, context.parts
    return SetTitle(
        conversation=r.conversation,
        user=context.user.id,
        title=r.title,
        message=parts.new_id(),
        at=parts.now(),
        by=context.by,
    )


async def add(context: Context[ConversationAdd]) -> AddParticipant:
    """Bring somebody in, or back."""
    r, parts = context.request, context.parts
    reachable = await _reachable(context, [r.user])
    limit = parts.limits.max_participants
    return AddParticipant(
        conversation=r.conversation,
        user=context.user.id,
        other=r.user,
        message=parts.new_id(),
        at=parts.now(),
        by=context.by,
        limit=limit,
        reachable=reachable,
    )


def remove(context: Context[ConversationRemove]) -> RemoveParticipant:
    """Take somebody out."""
    r, parts = context.request, context.parts
    return RemoveParticipant(
        conversation=r.conversation,
        user=context.user.id,
        other=r.user,
        message=parts.new_id(),
        at=parts.now(),
        by=context.by,
    )


async def _reachable(context: Context[ConversationCreate] | Context[ConversationAdd], users: list[str]) -> bool:
    """Return True if all of them exist and the policy lets the caller reach them."""
    parts = context.parts
    others = {user for user in users if user != context.user.id}
    found = await parts.gate.read(lambda: parts.store.users(others))
    return all(user in found and parts.policy.may_reach(context.user, found[user]) for user in others)
