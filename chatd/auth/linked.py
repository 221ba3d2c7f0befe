"""People whom an identity service knows, linked with users here: by issuer and subject alone."""

from collections.abc import Callable
from hashlib import sha256

import structlog
import trio

from chatd.core.accounts import Accounts
from chatd.core.gate import Gate
from storage.changes import PutRow, PutUser, UserSaved
from storage.contract import SharedStore
from storage.keyed import LINKED_IDENTITY, LinkedIdentity
from storage.records import User

from .oidc import Account, NotSignedIn, OidcClient

log = structlog.get_logger("chatd.linked")


def link_hash(issuer: str, subject: str) -> str:
    """Return the key of a link. A line feed is in no issuer and no subject."""
    return sha256(f"{issuer}\n{subject}".encode()).hexdigest()


def link_of(issuer: str, subject: str, user: str, now: int) -> LinkedIdentity:
    """Return a new link, for the caller to commit. `now` in ms."""
    hash = link_hash(issuer, subject)
    return LinkedIdentity(hash=hash, issuer=issuer, subject=subject, user=user, created_at=now)


class LinkedIdentities:
    """Finds the user who is linked with somebody at a service; makes one, where the settings say so."""

    def __init__(self, gate: Gate, accounts: Accounts, now: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._gate = gate
        self._accounts = accounts
        self._now = now
        self._new_id = new_id
        self._making = trio.Lock()  # whoever signs in twice at once for the first time is one patient

    async def user_of(self, account: Account, client: OidcClient) -> User:
        """Return the user. Raises NotSignedIn, Unavailable."""
        store = self._gate.store
        link = await self._link(account)
        if link is None:
            async with self._making:
                link = await self._link(account)
                if link is None:
                    return await self._made(account, client)
        user = await self._gate.read(lambda: store.user(link.user))
        if user is None or user.disabled_at is not None:
            raise NotSignedIn("no such user, or disabled")
        if account.role in (None, user.role) or isinstance(store, SharedStore):
            return user
        (outcome,) = await self._accounts.commit([PutUser(user.id, None, account.role, self._now())])
        return outcome.user if isinstance(outcome, UserSaved) else user

    async def _link(self, account: Account) -> LinkedIdentity | None:
        hash = link_hash(account.issuer, account.subject)
        return await self._gate.read(lambda: self._gate.store.row(LINKED_IDENTITY, hash))

    async def _made(self, account: Account, client: OidcClient) -> User:
        """Make a patient with this identity, where that may be. Raises NotSignedIn, Unavailable."""
        higher = account.role not in (None, "patient")
        if not client.make_patients or higher or isinstance(self._gate.store, SharedStore):
            raise NotSignedIn(
                f"nobody here is linked with them: chatd user link ID {client.name} {account.subject}, to do so"
            )
        now, id = self._now(), self._new_id()
        made = PutUser(id, account.name, "patient", now)
        outcome, _ = await self._accounts.commit([made, PutRow(row=link_of(account.issuer, account.subject, id, now))])
        if not isinstance(outcome, UserSaved):
            raise NotSignedIn("the database refused the user")
        log.info("made a patient for somebody unknown", user=id, provider=client.name)
        return outcome.user
