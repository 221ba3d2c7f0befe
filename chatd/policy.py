"""Who may reach whom: open a conversation with, find in the list of users."""

from collections.abc import Mapping, Sequence

from storage.records import User


class Policy:
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
        """Whether the caller may open a conversation with the other."""
        return other.disabled_at is None and other.role in self.roles_for(caller)
