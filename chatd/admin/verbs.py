"""The operator's verbs. Each is a value that says what is asked for, and runs over a `Port`.

So a command does the same, and prints the same, whether a daemon is running or not.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Protocol, TypeVar

import attrs
from msgspec import Meta

from chatd.auth.tokens import Tokens
from chatd.core.accounts import AccountChange
from protocol.objects import Role
from protocol.times import to_rfc3339
from protocol.types import Name
from storage.changes import (
    AddToken,
    BeginLineage,
    DeleteRows,
    Outcome,
    PutUser,
    Refused,
    RevokeToken,
    RevokeTokens,
    SetDisabled,
    TokensSaved,
    UserSaved,
)
from storage.contract import Store
from storage.keyed import SIGNED_IN
from storage.records import IssuedToken, User

PAGE_ROWS = 500
"""Rows in one answer: far below what an answer may have of bytes."""

TEXTS_SHOWN = 5
"""Texts in one answer: each may have 100,000 characters, which are 600 kB of JSON at worst."""

Answer = dict[str, Any]
T = TypeVar("T")
Lifetime = Annotated[int, Meta(ge=1, le=3650 * 86400)]


class VerbFailed(Exception):
    """Failure of a verb; the message is for people, in one line, and says what to do."""


class Port(Protocol):
    """The store, clock and ids that a verb runs over."""

    @property
    def store(self) -> Store:
        """Return the store; it is read inside `read` only."""
        ...

    async def commit(self, changes: Sequence[AccountChange]) -> list[Outcome]:
        """Keep changes; where connections live, what follows for them. Raises Unavailable."""
        ...

    async def read(self, work: Callable[[], T]) -> T:
        """Raises Unavailable."""
        ...

    def tokens(self) -> Tokens:
        """Raises VerbFailed where none can be issued."""
        ...

    def now(self) -> int:
        """Milliseconds since 1970."""
        ...

    def new_id(self) -> str:
        """A fresh id."""
        ...


@attrs.frozen(kw_only=True)
class Verb:
    """The base of all verbs. `NEW_STORE`: a store is made for it where there is none."""

    NAME: ClassVar[str]
    NEW_STORE: ClassVar[bool] = False

    async def run(self, port: Port) -> Answer:
        """Do it. Raises VerbFailed and Unavailable."""
        raise NotImplementedError


@attrs.frozen(kw_only=True)
class AddUser(Verb):
    """Makes a user; whoever is there already is left as they are."""

    NAME = "user.add"
    NEW_STORE = True
    user: str
    name: Name
    role: Role

    async def run(self, port: Port) -> Answer:
        if await port.read(lambda: port.store.user(self.user)) is not None:
            raise VerbFailed(
                f"there is a user {self.user} already: see `chatd user list`, or change them with "
                "`chatd user rename` and `chatd user role`"
            )
        return await _put(port, PutUser(self.user, self.name, self.role, port.now()))


@attrs.frozen(kw_only=True)
class ChangeUser(Verb):
    """Gives a user another name or role."""

    NAME = "user.change"
    user: str
    name: Name | None = None
    role: Role | None = None

    async def run(self, port: Port) -> Answer:
        before = await existing_user(port, self.user)
        done = await _put(port, PutUser(self.user, self.name, self.role, port.now()))
        if self.role not in (None, before.role):
            await port.commit([sessions_of(self.user)])
        return done


@attrs.frozen(kw_only=True)
class DisableUser(Verb):
    """Shuts a user out, at once, or lets them in again."""

    NAME = "user.disable"
    user: str
    disabled: bool

    async def run(self, port: Port) -> Answer:
        done = await _put(port, SetDisabled(self.user, self.disabled, port.now()))
        await port.commit([sessions_of(self.user)])
        return done


@attrs.frozen(kw_only=True)
class ListUsers(Verb):
    """A page of all users, by id; `next` is the `after` of the next one."""

    NAME = "user.list"
    after: str | None = None

    async def run(self, port: Port) -> Answer:
        users = await port.read(lambda: port.store.all_users(after=self.after, limit=PAGE_ROWS))
        return {"users": [_user(u) for u in users], "next": users[-1].id if len(users) == PAGE_ROWS else None}


@attrs.frozen(kw_only=True)
class IssueToken(Verb):
    """Signs a token for a user, good for `lifetime` seconds."""

    NAME = "token.issue"
    user: str
    lifetime: Lifetime

    async def run(self, port: Port) -> Answer:
        await enabled_user(port, self.user)
        text, claims = port.tokens().issue(self.user, port.new_id(), port.now(), self.lifetime)
        await _done(port, AddToken(claims.jti, claims.user, claims.issued_at, claims.expires_at), self.user)
        return {"token": text, "id": claims.jti, "expires_at": to_rfc3339(claims.expires_at)}


@attrs.frozen(kw_only=True)
class ListTokens(Verb):
    """A page of the tokens that chatd issued, oldest first; `next` is the `after` of the next one."""

    NAME = "token.list"
    user: str | None = None
    after: tuple[int, str] | None = None

    async def run(self, port: Port) -> Answer:
        if self.user is not None:
            await existing_user(port, self.user)
        found = await port.read(lambda: port.store.tokens(user=self.user, after=self.after, limit=PAGE_ROWS))
        last = [found[-1].issued_at, found[-1].jti] if len(found) == PAGE_ROWS else None
        return {"tokens": [_token(t, port.now()) for t in found], "next": last}


@attrs.frozen(kw_only=True)
class RevokeOne(Verb):
    """Makes one token worthless, at once."""

    NAME = "token.revoke"
    id: str

    async def run(self, port: Port) -> Answer:
        (outcome,) = await port.commit([RevokeToken(self.id, port.now())])
        if not isinstance(outcome, TokensSaved):
            raise VerbFailed(
                f"no token {self.id} was issued here: see `chatd token list`; "
                "one that another program signed goes with `chatd token revoke --user ID`"
            )
        return _token(outcome.tokens[0], port.now())


@attrs.frozen(kw_only=True)
class RevokeAll(Verb):
    """Makes all tokens of a user worthless that were issued so far, by whomever."""

    NAME = "token.revoke_all"
    user: str

    async def run(self, port: Port) -> Answer:
        outcome = await _done(port, RevokeTokens(self.user, port.now()), self.user)
        assert isinstance(outcome, TokensSaved)
        return {"user": self.user, "revoked": len(outcome.tokens)}


@attrs.frozen(kw_only=True)
class MessageVersions(Verb):
    """A page of the texts that a message had before it was edited or deleted, oldest first."""

    NAME = "message.versions"
    conversation: str
    seq: Annotated[int, Meta(ge=1)]
    after: int | None = None

    async def run(self, port: Port) -> Answer:
        id, seq = self.conversation, self.seq
        room = await port.read(lambda: port.store.room(id))
        if room is None:
            raise VerbFailed(f"there is no conversation {id}: clients show the ids, and the log when one is created")
        if seq > room.conversation.last_seq:
            raise VerbFailed(f"there is no message {seq} in it: the newest is {room.conversation.last_seq}")
        found = [v for v in await port.read(lambda: port.store.versions(id, seq)) if v.rev > (self.after or 0)]
        page = found[:TEXTS_SHOWN]
        return {
            "versions": [{"rev": v.rev, "until": to_rfc3339(v.at), "body": v.body} for v in page],
            "next": page[-1].rev if len(found) > TEXTS_SHOWN else None,
        }


@attrs.frozen(kw_only=True)
class NewEpoch(Verb):
    """Gives the store another lineage: every client forgets what it holds, and starts anew."""

    NAME = "db.new_epoch"

    async def run(self, port: Port) -> Answer:
        epoch = port.new_id()
        await port.commit([BeginLineage(epoch)])
        return {"epoch": epoch}


def sessions_of(user: str) -> DeleteRows:
    """Return the change that ends all sessions of a user."""
    return DeleteRows(kind=SIGNED_IN, field="user", value=user)


async def _put(port: Port, change: PutUser | SetDisabled) -> Answer:
    outcome = await _done(port, change, change.user)
    assert isinstance(outcome, UserSaved)
    return _user(outcome.user)


async def _done(port: Port, change: AccountChange, user: str) -> Outcome:
    (outcome,) = await port.commit([change])
    if isinstance(outcome, Refused):
        raise _no_user(user) if outcome.reason == "not_found" else VerbFailed(outcome.message)
    return outcome


async def existing_user(port: Port, id: str) -> User:
    """Return the user. Raises VerbFailed where there is none."""
    user = await port.read(lambda: port.store.user(id))
    if user is None:
        raise _no_user(id)
    return user


async def enabled_user(port: Port, id: str) -> User:
    """Return the user. Raises VerbFailed where there is none, or they are disabled."""
    user = await existing_user(port, id)
    if user.disabled_at is not None:
        raise VerbFailed(f"{id} is disabled: `chatd user enable {id}` first")
    return user


def _no_user(user: str) -> VerbFailed:
    return VerbFailed(
        f"there is no user {user}: see `chatd user list`, or `chatd user add {user} --name ... --role ...`"
    )


def _user(user: User) -> Answer:
    return {
        "id": user.id,
        "name": user.name,
        "role": user.role,
        "disabled_at": time_of(user.disabled_at),
        "last_seen_at": time_of(user.last_seen_at),
    }


def _token(token: IssuedToken, now: int) -> Answer:
    state = "revoked" if token.revoked_at is not None else "expired" if token.expires_at <= now else "valid"
    return {
        "id": token.jti,
        "user": token.user,
        "state": state,
        "issued_at": time_of(token.issued_at),
        "expires_at": time_of(token.expires_at),
        "revoked_at": time_of(token.revoked_at),
    }


def time_of(at: int | None) -> str | None:
    return None if at is None else to_rfc3339(at)
