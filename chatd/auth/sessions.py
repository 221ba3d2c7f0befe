"""Sessions of people who signed in: an opaque secret in a cookie, its hash in the database."""

from collections.abc import Callable, Mapping

import attrs

from chatd.core.accounts import Accounts
from chatd.core.gate import Gate
from chatd.core.identity import Identity, Offer
from storage.changes import DeleteRows, PutRow, RowsSaved, SwapRow
from storage.keyed import SIGNED_IN, SignedIn
from storage.records import User

from . import opaque
from .authenticate import NotAccepted

TOUCHED_EVERY_MS = 3_600_000
"""A session's last use is noted to the hour: a write for each use would be one too many."""

MAX_AGENT_CHARS = 150
SESSIONS_LISTED = 200


class SignInSessions:
    """Begins, finds, lists and ends sessions. `lifetimes`: seconds by role; they count from the last use."""

    def __init__(self, gate: Gate, accounts: Accounts, now: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._gate = gate
        self._accounts = accounts
        self._now = now
        self._new_id = new_id
        self._lifetimes: Mapping[str, float] = {}

    def apply(self, lifetimes: Mapping[str, float]) -> None:
        """Give sessions that begin or are used from now on these lifetimes."""
        self._lifetimes = lifetimes

    def ends_at(self, role: str) -> int:
        """Return when a session of this role ends that is used now, ms."""
        return self._now() + round(self._lifetimes[role] * 1000)

    async def begin(self, user: User, method: str, agent: str | None) -> tuple[str, SignedIn]:
        """Begin a session, always a new one: its secret, for the cookie alone, and its row. Raises Unavailable."""
        secret = opaque.make(opaque.SESSION)
        now = self._now()
        row = SignedIn(
            hash=opaque.hash_of(secret),
            id=self._new_id(),
            user=user.id,
            method=method,
            created_at=now,
            seen_at=now,
            expires_at=self.ends_at(user.role),
            agent=agent[:MAX_AGENT_CHARS] if agent else None,
        )
        await self._accounts.commit([PutRow(row=row)])
        return secret, row

    async def find(self, hash: str) -> SignedIn | None:
        """Return the session of this hash, unless it is over. Raises Unavailable."""
        row = await self._gate.read(lambda: self._gate.store.row(SIGNED_IN, hash))
        return row if row is not None and row.expires_at > self._now() else None

    async def touch(self, row: SignedIn, role: str) -> SignedIn:
        """Note that the session is used now, where that was not noted for an hour. Raises Unavailable."""
        if self._now() - row.seen_at < TOUCHED_EVERY_MS:
            return row
        newer = attrs.evolve(row, seen_at=self._now(), expires_at=max(row.expires_at, self.ends_at(role)))
        (outcome,) = await self._accounts.commit([SwapRow(old=row, new=newer)])
        return newer if isinstance(outcome, RowsSaved) else row

    async def of(self, user: str) -> list[SignedIn]:
        """Return the user's sessions that are not over. Raises Unavailable."""
        rows = await self._gate.read(
            lambda: self._gate.store.rows(SIGNED_IN, "user", user, after="", limit=SESSIONS_LISTED)
        )
        return sorted((row for row in rows if row.expires_at > self._now()), key=lambda row: (row.created_at, row.id))

    async def end(self, user: str, id: str) -> bool:
        """End one session of the user and cut its connections; False: there is none. Raises Unavailable."""
        found = [row for row in await self.of(user) if row.id == id]
        if not found:
            return False
        (outcome,) = await self._accounts.commit([DeleteRows(kind=SIGNED_IN, field="id", value=id)])
        return isinstance(outcome, RowsSaved) and bool(outcome.rows)

    async def end_all(self, user: str, *, but: str | None = None) -> int:
        """End the user's sessions, but the one of this hash; return how many. Raises Unavailable."""
        (outcome,) = await self._accounts.commit([DeleteRows(kind=SIGNED_IN, field="user", value=user, but=but)])
        return len(outcome.rows) if isinstance(outcome, RowsSaved) else 0


class SessionAuthenticator:
    """Accepts the secret of a session: in the cookie, as a bearer, or in `hello`."""

    method = "session"

    def __init__(self, sessions: SignInSessions, gate: Gate) -> None:
        self._sessions = sessions
        self._gate = gate

    async def authenticate(self, offer: Offer) -> Identity | None:
        """Look the session up. Raises NotAccepted, Unavailable."""
        secret = offer.best_token
        if secret is None or not secret.startswith(opaque.SESSION):
            return None
        row = await self._sessions.find(opaque.hash_of(secret))
        if row is None:
            raise NotAccepted("the session has ended", reason="no such session, or it has ended")
        return Identity(
            user=row.user,
            method=self.method,
            credential_id=row.id,
            secret_hash=row.hash,
            expires_at=row.expires_at,
            authenticated_at=row.created_at,
        )

    async def admit(self, identity: Identity, offer: Offer) -> User:  # noqa: ARG002
        """Look session and user up again, and note the use. Raises NotAccepted, Unavailable."""
        assert identity.secret_hash is not None
        row = await self._sessions.find(identity.secret_hash)
        user = await self._gate.read(lambda: self._gate.store.user(identity.user))
        if row is None:
            raise NotAccepted("the session has ended", reason="it ended meanwhile")
        if user is None or user.disabled_at is not None:
            raise NotAccepted("the session has ended", reason="no such user, or disabled")
        await self._sessions.touch(row, user.role)
        return user
