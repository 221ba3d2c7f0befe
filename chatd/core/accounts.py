"""Changes to users and tokens: kept first, then carried to the connections that live, in the same step.

So a user is cut off even when the operator who asked for it is gone before the answer.
"""

from collections.abc import Sequence

import attrs

from protocol.codes import CloseCode
from protocol.frames import UserChanged
from storage.changes import (
    AdminChange,
    BeginLineage,
    DeleteRows,
    LineageBegun,
    Outcome,
    PutUser,
    RevokeToken,
    RevokeTokens,
    RowsSaved,
    SetDisabled,
    TokensSaved,
    UserSaved,
)
from storage.keyed import SignedIn
from storage.records import User

from . import view
from .event import Event
from .gate import Gate
from .presence import Presence
from .registry import Registry

AccountChange = PutUser | AdminChange


@attrs.frozen
class Accounts:
    """Changes of users and tokens, with what follows from them for live connections."""

    gate: Gate
    registry: Registry
    presence: Presence

    async def commit(self, changes: Sequence[AccountChange]) -> list[Outcome]:
        """Commit, with what follows for live connections. Raises Unavailable."""
        found: list[Outcome] = []

        def publish(outcomes: Sequence[Outcome]) -> None:
            found.extend(outcomes)
            for change, outcome in zip(changes, outcomes, strict=True):
                self._carry_out(change, outcome)

        ticket = self.gate.submit(changes, publish)
        await ticket.done.wait()
        if ticket.error is not None:
            raise ticket.error
        return found

    def noticed(self, user: User) -> None:
        """Carry a change of this user that another program wrote to the connections that live."""
        self._tell(user)
        if user.disabled_at is not None:
            self._cut(user.id, "this account is disabled")

    def _carry_out(self, change: AccountChange, outcome: Outcome) -> None:
        if isinstance(outcome, UserSaved) and outcome.changed:
            self._tell(outcome.user)
        match change, outcome:
            case SetDisabled(user=id, disabled=True), UserSaved():
                self._cut(id, "this account is disabled")
            case RevokeTokens(user=id), TokensSaved():
                self._cut(id, "the token was revoked")
            case RevokeToken(), TokensSaved(tokens=(token,)):
                self._cut(token.user, "the token was revoked", credential_id=token.jti)
            case DeleteRows(), RowsSaved(rows=rows):
                for row in rows:
                    if isinstance(row, SignedIn):
                        self._cut(row.user, "the session was ended", credential_id=row.id)
            case BeginLineage(), LineageBegun():
                for session in self.registry:
                    session.stop(CloseCode.GOING_AWAY, "the server's messages were restored from a backup")
            case _:
                pass

    def _tell(self, user: User) -> None:
        self.registry.replace(user)
        self.presence.user_changed(Event(UserChanged(user=view.user(user))), user.id)

    def _cut(self, user: str, reason: str, *, credential_id: str | None = None) -> None:
        for session in self.registry.signed_in_by(user, credential_id):
            session.stop(CloseCode.REVOKED, reason)
