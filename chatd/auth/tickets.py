"""Tickets: an app's backend has one made for a user, whose browser signs in with it once.

A ticket names its API key, so that it ends with it: `ct_KEY-ID.RANDOM`. All of it is hashed; nobody can name another.
"""

from collections.abc import Callable

from chatd.core.accounts import Accounts
from chatd.core.gate import Gate
from chatd.core.identity import Identity, Offer
from protocol.objects import ROLES
from storage.changes import PutRow, PutUser, RowsSaved, TakeRow, UserSaved
from storage.contract import SharedStore
from storage.keyed import API_KEY, TICKET, ApiKey, SignInTicket
from storage.records import User

from . import opaque
from .authenticate import NotAccepted

TICKET_LIFETIME_MS = 60_000


class RoleTooHigh(Exception):
    """The API key may not make tickets of this role; `highest`: the one that it may."""

    def __init__(self, highest: str) -> None:
        super().__init__(f"this API key makes tickets up to the role {highest}")
        self.highest = highest


class Tickets:
    """Makes tickets for API keys, and takes them, once."""

    def __init__(self, gate: Gate, accounts: Accounts, now: Callable[[], int]) -> None:
        self._gate = gate
        self._accounts = accounts
        self._now = now

    async def key(self, secret: str) -> ApiKey | None:
        """Return the API key with this secret. Raises Unavailable."""
        if not secret.startswith(opaque.API_KEY):
            return None
        hash = opaque.hash_of(secret)
        return await self._gate.read(lambda: self._gate.store.row(API_KEY, hash))

    async def make(self, key: ApiKey, user: str, name: str | None, role: str | None) -> tuple[str, SignInTicket]:
        """Make a ticket: its secret, and its row. Raises RoleTooHigh, Unavailable.

        The key bounds the role that the user has, too: a backend with a key for patients signs no dentist in.
        """
        known = await self._gate.read(lambda: self._gate.store.user(user))
        for wanted in (role, known.role if known else None):
            if wanted is not None and ROLES.index(wanted) > ROLES.index(key.max_role):
                raise RoleTooHigh(key.max_role)
        secret = opaque.make(f"{opaque.TICKET}{key.id}.")
        if isinstance(self._gate.store, SharedStore):
            name = role = None  # an app's own users are the app's to change
        row = SignInTicket(
            hash=opaque.hash_of(secret), user=user, name=name, role=role, expires_at=self._now() + TICKET_LIFETIME_MS
        )
        await self._accounts.commit([PutRow(row=row)])
        return secret, row

    async def take(self, secret: str) -> SignInTicket:
        """Use a ticket up. One whose key was revoked is worth nothing. Raises NotAccepted, Unavailable."""
        (outcome,) = await self._accounts.commit([TakeRow(kind=TICKET, key=opaque.hash_of(secret))])
        if not isinstance(outcome, RowsSaved):
            raise NotAccepted("the ticket is not accepted", reason="no such ticket, or used before")
        (row,) = outcome.rows
        assert isinstance(row, SignInTicket)
        if row.expires_at <= self._now():
            raise NotAccepted("the ticket has expired", reason="expired", kind="expired")
        key = secret.removeprefix(opaque.TICKET).rpartition(".")[0]
        store = self._gate.store
        if not await self._gate.read(lambda: store.rows(API_KEY, "id", key, after="", limit=1)):
            raise NotAccepted("the ticket is not accepted", reason="its API key was revoked")
        return row

    async def welcome(self, ticket: SignInTicket) -> User:
        """Make or change the user as the ticket says, and return the row. Raises NotAccepted, Unavailable."""
        store = self._gate.store
        user = await self._gate.read(lambda: store.user(ticket.user))
        name, role = ticket.name, ticket.role
        if user is None and isinstance(store, SharedStore):
            raise NotAccepted("the ticket is not accepted", reason="the app has no such user")
        if user is None or (name or user.name) != user.name or (role or user.role) != user.role:
            (outcome,) = await self._accounts.commit([PutUser(ticket.user, name, role, self._now())])
            if not isinstance(outcome, UserSaved):
                raise NotAccepted("the ticket is not accepted", reason="the database refused the user")
            user = outcome.user
        if user.disabled_at is not None:
            raise NotAccepted("the ticket is not accepted", reason="the user is disabled")
        return user


class TicketAuthenticator:
    """Accepts a ticket, once."""

    method = "ticket"

    def __init__(self, tickets: Tickets, gate: Gate, now: Callable[[], int]) -> None:
        self._tickets = tickets
        self._gate = gate
        self._now = now

    async def authenticate(self, offer: Offer) -> Identity | None:
        """Take the ticket. Raises NotAccepted, Unavailable."""
        secret = offer.token or offer.carried.bearer
        if secret is None or not secret.startswith(opaque.TICKET):
            return None
        ticket = await self._tickets.take(secret)
        user = await self._tickets.welcome(ticket)
        return Identity(user=user.id, method=self.method, authenticated_at=self._now())

    async def admit(self, identity: Identity, offer: Offer) -> User:  # noqa: ARG002
        """Return the user's row. Raises NotAccepted, Unavailable."""
        user = await self._gate.read(lambda: self._gate.store.user(identity.user))
        if user is None or user.disabled_at is not None:
            raise NotAccepted("the ticket is not accepted", reason="no such user, or disabled")
        return user
