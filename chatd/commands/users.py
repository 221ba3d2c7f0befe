"""People: whom the caller may reach, and who is online."""

from protocol.frames import PresenceOk, UserListOk
from protocol.requests import PresenceGet, UserList

from .. import view
from ..call import Call
from ..paging import cursor_of, key_of
from ..replies import Read, nothing_to_say

DEFAULT_PAGE = 50


async def list_page(call: Call[UserList]) -> Read:
    """A page of the users whom the policy lets the caller reach, by name."""
    r, store = call.request, call.services.store
    roles = call.services.policy.roles_for(call.user)
    if r.role is not None:
        roles &= {r.role}
    after = key_of(r.cursor, tuple[str, str])
    me = call.user.id
    users, key = await call.services.gate.read(
        lambda: store.list_users(
            roles=sorted(roles), but=me, query=r.query or None, after=after, limit=r.limit or DEFAULT_PAGE
        )
    )
    if r.id is None:
        return nothing_to_say()
    return Read(UserListOk(re=r.id, users=view.users(users), cursor=cursor_of(key)))


async def presence(call: Call[PresenceGet]) -> Read:
    """Who of these is online, among those who share a conversation with the caller."""
    r, services = call.request, call.services
    peers = services.presence.peers(call.user.id)
    asked = [id for id in dict.fromkeys(r.users) if id in peers]
    users = await services.gate.read(lambda: services.store.users(asked))
    if r.id is None:
        return nothing_to_say()
    return Read(PresenceOk(re=r.id, presence=services.presence.states([users[id] for id in asked if id in users])))
