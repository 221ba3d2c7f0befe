"""Verbs of sign-in: passwords, invitations, sessions, API keys, identities elsewhere, second steps."""

from typing import Annotated

import attrs
from msgspec import Meta

from chatd.auth import opaque
from chatd.auth.invitations import MAX_LIFETIME_S, checked_birth_date, draft
from chatd.auth.linked import link_of
from chatd.auth.second_step import KEY_PURPOSE, recovery_codes
from chatd.core.accounts import AccountChange
from protocol.objects import Role
from protocol.types import Name
from storage.changes import DeleteRows, PutRow, RowsSaved, TakeRow
from storage.keyed import (
    API_KEY,
    LINKED_IDENTITY,
    RECOVERY_CODE,
    SECOND_STEP,
    SIGNED_IN,
    ApiKey,
    Password,
    SecondStep,
    SignedIn,
)

from .verbs import PAGE_ROWS, Answer, Port, Verb, VerbFailed, enabled_user, existing_user, sessions_of, time_of


@attrs.frozen(kw_only=True)
class SetPassword(Verb):
    """Gives a user a password, hashed already, and ends their sessions."""

    NAME = "user.passwd"
    user: str
    hash: Annotated[str, Meta(pattern=r"^\$argon2id\$", max_length=200)]

    async def run(self, port: Port) -> Answer:
        await existing_user(port, self.user)
        row = Password(user=self.user, hash=self.hash, changed_at=port.now())
        _, ended = await port.commit([PutRow(row=row), sessions_of(self.user)])
        return {"user": self.user, "ended": len(ended.rows) if isinstance(ended, RowsSaved) else 0}


@attrs.frozen(kw_only=True)
class Invite(Verb):
    """Makes an invitation of a user, good once; `lifetime` in seconds."""

    NAME = "invite"
    user: str
    lifetime: Annotated[int, Meta(ge=60, le=MAX_LIFETIME_S)]
    birth_date: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None

    async def run(self, port: Port) -> Answer:
        await enabled_user(port, self.user)
        try:
            birth_date = None if self.birth_date is None else checked_birth_date(self.birth_date, port.now())
        except ValueError as error:
            raise VerbFailed(f"--birth-date {self.birth_date}: {error}") from None
        code, row = draft(
            self.user,
            birth_date=birth_date,
            lifetime=self.lifetime,
            by=None,
            now=port.now(),
            id=port.new_id(),
        )
        await port.commit([PutRow(row=row)])
        return {"code": code, "expires_at": time_of(row.expires_at)}


@attrs.frozen(kw_only=True)
class ListSessions(Verb):
    """A page of sessions, of one user or all; `next` is the `after` of the next one."""

    NAME = "session.list"
    user: str | None = None
    after: str | None = None

    async def run(self, port: Port) -> Answer:
        user, now = self.user, port.now()
        field = None if user is None else "user"
        rows = await port.read(lambda: port.store.rows(SIGNED_IN, field, user, after=self.after or "", limit=PAGE_ROWS))
        return {
            "sessions": [_session(row) for row in rows if row.expires_at > now],
            "next": rows[-1].hash if len(rows) == PAGE_ROWS else None,
        }


@attrs.frozen(kw_only=True)
class RevokeSession(Verb):
    """Ends one session, at once."""

    NAME = "session.revoke"
    id: str

    async def run(self, port: Port) -> Answer:
        (ended,) = await port.commit([DeleteRows(kind=SIGNED_IN, field="id", value=self.id)])
        if not isinstance(ended, RowsSaved) or not ended.rows:
            raise VerbFailed(f"there is no session {self.id}: see `chatd session list`")
        return _session(ended.rows[0])


@attrs.frozen(kw_only=True)
class RevokeSessions(Verb):
    """Ends all sessions, of one user or of everybody."""

    NAME = "session.revoke_all"
    user: str | None = None

    async def run(self, port: Port) -> Answer:
        user, ended = self.user, 0
        if user is not None:
            await existing_user(port, user)
        while True:  # a change takes a bounded number of rows
            change = DeleteRows(kind=SIGNED_IN, field=None if user is None else "user", value=user)
            (done,) = await port.commit([change])
            if not isinstance(done, RowsSaved) or not done.rows:
                return {"ended": ended}
            ended += len(done.rows)


@attrs.frozen(kw_only=True)
class AddApiKey(Verb):
    """Makes a key for an app's backend; only its hash is kept."""

    NAME = "apikey.add"
    name: Name
    max_role: Role = "staff"

    async def run(self, port: Port) -> Answer:
        secret = opaque.make(opaque.API_KEY)
        row = ApiKey(
            hash=opaque.hash_of(secret), id=port.new_id(), name=self.name, max_role=self.max_role, created_at=port.now()
        )
        await port.commit([PutRow(row=row)])
        return {"key": secret, **_key(row)}


@attrs.frozen(kw_only=True)
class ListApiKeys(Verb):
    """A page of the API keys; `next` is the `after` of the next one."""

    NAME = "apikey.list"
    after: str | None = None

    async def run(self, port: Port) -> Answer:
        rows = await port.read(lambda: port.store.rows(API_KEY, None, None, after=self.after or "", limit=PAGE_ROWS))
        return {"keys": [_key(row) for row in rows], "next": rows[-1].hash if len(rows) == PAGE_ROWS else None}


@attrs.frozen(kw_only=True)
class RevokeApiKey(Verb):
    """Makes an API key worthless, at once."""

    NAME = "apikey.revoke"
    id: str

    async def run(self, port: Port) -> Answer:
        (gone,) = await port.commit([DeleteRows(kind=API_KEY, field="id", value=self.id)])
        if not isinstance(gone, RowsSaved) or not gone.rows:
            raise VerbFailed(f"there is no API key {self.id}: see `chatd apikey list`")
        return _key(gone.rows[0])


def _session(row: SignedIn) -> Answer:
    return {
        "id": row.id,
        "user": row.user,
        "method": row.method,
        "created_at": time_of(row.created_at),
        "seen_at": time_of(row.seen_at),
        "expires_at": time_of(row.expires_at),
        "agent": row.agent,
    }


def _key(row: ApiKey) -> Answer:
    return {"id": row.id, "name": row.name, "max_role": row.max_role, "created_at": time_of(row.created_at)}


@attrs.frozen(kw_only=True)
class LinkIdentity(Verb):
    """Links somebody whom an identity service knows with a user here."""

    NAME = "user.link"
    user: str
    issuer: Annotated[str, Meta(min_length=1, max_length=255)]
    subject: Annotated[str, Meta(min_length=1, max_length=255)]

    async def run(self, port: Port) -> Answer:
        await existing_user(port, self.user)
        row = link_of(self.issuer, self.subject, self.user, port.now())
        known = await port.read(lambda: port.store.row(LINKED_IDENTITY, row.hash))
        if known is not None and known.user != self.user:
            raise VerbFailed(
                f"{self.subject} is linked with {known.user} already: `chatd user unlink {known.user}` first"
            )
        await port.commit([PutRow(row=row)])
        return {"user": self.user, "issuer": self.issuer, "subject": self.subject}


@attrs.frozen(kw_only=True)
class UnlinkIdentities(Verb):
    """Forgets who a user is at identity services, and ends the sessions that were begun there."""

    NAME = "user.unlink"
    user: str

    async def run(self, port: Port) -> Answer:
        await existing_user(port, self.user)
        gone, _ = await port.commit(
            [DeleteRows(kind=LINKED_IDENTITY, field="user", value=self.user), sessions_of(self.user)]
        )
        return {"user": self.user, "unlinked": len(gone.rows) if isinstance(gone, RowsSaved) else 0}


@attrs.frozen(kw_only=True)
class SetSecondStep(Verb):
    """Gives a user a second step, and ends their sessions. `secret`: in base32; it is kept sealed.

    The answer has ten recovery codes, of which only hashes are kept.
    """

    NAME = "user.totp"
    user: str
    secret: Annotated[str, Meta(pattern="^[A-Z2-7]{32}$")]
    step: int

    async def run(self, port: Port) -> Answer:
        await existing_user(port, self.user)
        sealed = port.tokens().sealer(KEY_PURPOSE).seal(self.secret, self.user)
        codes, rows = recovery_codes(self.user, port.now())
        step = SecondStep(user=self.user, sealed=sealed, last_used=self.step, created_at=port.now())
        forget = DeleteRows(kind=RECOVERY_CODE, field="user", value=self.user)
        kept: list[AccountChange] = [PutRow(row=row) for row in (step, *rows)]
        await port.commit([forget, *kept, sessions_of(self.user)])
        return {"user": self.user, "codes": codes}


@attrs.frozen(kw_only=True)
class ResetSecondStep(Verb):
    """Takes a user's second step and recovery codes away, and ends their sessions."""

    NAME = "user.reset_2fa"
    user: str

    async def run(self, port: Port) -> Answer:
        await existing_user(port, self.user)
        gone, *_ = await port.commit(
            [
                TakeRow(kind=SECOND_STEP, key=self.user),
                DeleteRows(kind=RECOVERY_CODE, field="user", value=self.user),
                sessions_of(self.user),
            ]
        )
        return {"user": self.user, "had": isinstance(gone, RowsSaved)}
