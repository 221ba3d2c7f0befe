"""Signing in in development mode: whoever connects is who they say."""

from collections.abc import Callable

from chatd.core.accounts import Accounts
from chatd.core.gate import Gate
from chatd.core.identity import Identity, Offer
from storage.changes import PutUser, UserSaved
from storage.records import User

from .authenticate import NotAccepted


class DevelopmentAuthenticator:
    """Believes a name, and makes the user, with the name and role that are said. Never part of a production chain."""

    method = "development"

    def __init__(self, gate: Gate, accounts: Accounts, now: Callable[[], int]) -> None:
        self._gate = gate
        self._accounts = accounts
        self._now = now

    async def authenticate(self, offer: Offer) -> Identity | None:
        """Take the user that is named. Raises NotAccepted."""
        if offer.token is not None:
            raise NotAccepted("`token`: in development mode hello names the user instead", kind="malformed")
        if offer.user is None:
            return None
        return Identity(user=offer.user, method=self.method, authenticated_at=self._now())

    async def admit(self, identity: Identity, offer: Offer) -> User:
        """Make or change the user as is said, and return the row. Raises NotAccepted, Unavailable."""
        id, name, role = identity.user, offer.name, offer.role
        user = await self._gate.read(lambda: self._gate.store.user(id))
        if user is None or (name or user.name) != user.name or (role or user.role) != user.role:
            (outcome,) = await self._accounts.commit([PutUser(id, name, role, self._now())])
            assert isinstance(outcome, UserSaved)
            user = outcome.user
        if user.disabled_at is not None:
            raise NotAccepted("this account is disabled")
        return user
