"""People: whom the caller may reach, and who is online."""

from chatd.commands.context import Context
from chatd.commands.paging import DEFAULT_PAGE_ITEMS, cursor_of, key_of
from chatd.core import view
from chatd.core.caller import Read
from protocol.frames import PresenceOk, UserListOk
from protocol.requests import PresenceGet, UserList


async def list_page(context: Context[UserList]) -> Read:
    """A page of the users whom the policy lets the caller reach, by name."""
    r, store = context.request, context.parts.store
    roles = context.parts.policy.roles_for(context.user)
    if r.role is not None:
        roles &= {r.role}
    after = key_of(r.cursor, tuple[str, str])
    me = context.user.id
    users, key = await context.parts.gate.read(
        lambda: store.list_users(
            roles=sorted(roles), but=me, query=r.query or None, after=after, limit=r.limit or DEFAULT_PAGE_ITEMS
        )
    )
    if r.id is None:
        return Read(None)
    return Read(UserListOk(re=r.id, users=view.users(users), cursor=cursor_of(key)))


async def presence(context: Context[PresenceGet]) -> Read:
    """Return the presence of those who share a conversation with the caller."""
    r, parts = context.request, context.parts
    peers = parts.presence.peers(context.user.id)
    asked = [id for id in dict.fromkeys(r.users) if id in peers]
    users = await parts.gate.read(lambda: parts.store.users(asked))
    if r.id is None:
        return Read(None)
    return Read(PresenceOk(re=r.id, presence=parts.presence.states([users[id] for id in asked if id in users])))
