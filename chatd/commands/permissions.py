"""Permissions in one table: for each request the roles that may ask it, and their relation to its subject.

The table is what `dispatch` goes by: a role that isn't in a request's row may not ask it. The relation itself is
checked by the store, within the transaction that it allows: a change carries the relations that suffice (`by`), and a
read answers those who take part. What is foreign is `not_found`, as if it didn't exist; what is seen but not allowed is
`forbidden`. `ReachPolicy` says who may reach whom, `Windows` for how long
senders may change what they sent.
"""

from collections.abc import Mapping, Sequence

from protocol.objects import ROLES
from storage.records import User

Relations = frozenset[str]

ANONYMOUS = "anonymous"
"""The role of a connection that has not said hello."""

TEAM = ("staff", "admin")


def _whoever_is(*relations: str, team: tuple[str, ...] = ()) -> Mapping[str, Relations]:
    """Any role, with one of these relations; staff and admin with one of `team` as well."""
    return {role: frozenset((*relations, *(team if role in TEAM else ()))) for role in ROLES}


FOR_STRANGERS = _whoever_is("stranger")
"""No relation is needed, or there is no subject."""

FOR_PARTICIPANTS = _whoever_is("participant")

FOR_GROUPS = _whoever_is("owner", team=("member",))

RIGHTS: Mapping[str, Mapping[str, Relations]] = {
    "hello": {ANONYMOUS: frozenset({"stranger"}), **FOR_STRANGERS},
    "ping": FOR_STRANGERS,
    "conversation.open": FOR_STRANGERS,
    "conversation.create": FOR_STRANGERS,
    "conversation.list": FOR_STRANGERS,
    "conversation.get": FOR_PARTICIPANTS,
    "conversation.update": FOR_GROUPS,
    "conversation.add": FOR_GROUPS,
    "conversation.remove": FOR_GROUPS,
    "conversation.leave": FOR_PARTICIPANTS,
    "membership.set": FOR_PARTICIPANTS,
    "message.send": FOR_PARTICIPANTS,
    "message.edit": _whoever_is("sender"),
    "message.delete": _whoever_is("sender", team=("participant",)),
    "message.react": FOR_PARTICIPANTS,
    "message.history": FOR_PARTICIPANTS,
    "message.search": FOR_STRANGERS,
    "receipt": FOR_PARTICIPANTS,
    "sync": FOR_STRANGERS,
    "typing": FOR_PARTICIPANTS,
    "focus": FOR_PARTICIPANTS,
    "user.list": FOR_STRANGERS,
    "presence.get": FOR_STRANGERS,
}


def relations(request: str, role: str) -> Relations | None:
    """Return the relations to the request's subject that suffice for this role; None: it may not ask at all."""
    return RIGHTS[request].get(role)


HOUR_MS = 3_600_000
"""ms"""

NEVER_SINCE_MS = 2**53
"""Time (ms) since which messages may be changed, where they may not: none was sent that late."""


class Windows:
    """Hours since sending in which senders may edit and delete their messages; 0: not at all."""

    def __init__(self, edit: float, delete: float) -> None:
        self.replace(edit, delete)

    def replace(self, edit: float, delete: float) -> None:
        """Decide by other settings from now on."""
        self._edit = round(edit * HOUR_MS)
        self._delete = round(delete * HOUR_MS)

    def edit_since(self, now: int) -> int:
        """The time (ms) before which a message's text stays as it is."""
        return now - self._edit if self._edit else NEVER_SINCE_MS

    def delete_since(self, now: int) -> int:
        """The time (ms) before which its sender can't delete a message."""
        return now - self._delete if self._delete else NEVER_SINCE_MS


class ReachPolicy:
    """`reach`: for each role the roles that it reaches. Denied by default."""

    def __init__(self, reach: Mapping[str, Sequence[str]]) -> None:
        self.replace(reach)

    def replace(self, reach: Mapping[str, Sequence[str]]) -> None:
        """Decide by other settings from now on."""
        self._reach = {role: frozenset(others) for role, others in reach.items()}

    def roles_for(self, caller: User) -> frozenset[str]:
        """The roles of the users that the caller may reach."""
        return self._reach.get(caller.role, frozenset())

    def may_reach(self, caller: User, other: User) -> bool:
        """Return True if the caller may open a conversation with the other."""
        return other.disabled_at is None and other.role in self.roles_for(caller)
