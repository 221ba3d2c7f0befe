"""Changes to users and tokens: kept first, then carried to the connections that live, in the same step.

So a user is cut off even when the operator who asked for it is gone before the answer.
"""

from collections.abc import Callable, Sequence

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
from .presence import PresenceIndex
from .registry import Registry

AccountChange = PutUser | AdminChange


@attrs.frozen
class Cut:
    """Connections to be cut: of a user, those that this credential let in; None: all. `reason` is for the client."""

    user: str
    credential_id: str | None
    reason: str


@attrs.frozen
class Accounts:
    """Changes of users and tokens, with what follows from them for live connections."""

    gate: Gate
    registry: Registry
    presence: PresenceIndex
    _listeners: list[Callable[[Sequence[Cut]], None]] = attrs.Factory(list)

    def subscribe_cuts(self, listener: Callable[[Sequence[Cut]], None]) -> None:
        """Have `listener` called with what a commit here has cut off."""
        self._listeners.append(listener)

    async def commit(self, changes: Sequence[AccountChange]) -> list[Outcome]:
        """Commit, with what follows for live connections. Raises Unavailable."""
        found: list[Outcome] = []

        def publish(outcomes: Sequence[Outcome]) -> None:
            found.extend(outcomes)
            cuts: list[Cut] = []
            for change, outcome in zip(changes, outcomes, strict=True):
                self._carry_out(change, outcome, cuts)
            for cut in cuts:
                self.carry_out_cut(cut)
            if cuts:
                for listener in self._listeners:
                    listener(cuts)

        ticket = self.gate.submit(changes, publish)
        await ticket.done.wait()
        if ticket.error is not None:
            raise ticket.error
        return found

    def noticed(self, user: User) -> None:
        """Carry a change of this user that another program wrote to the connections that live."""
        self._tell(user)
        if user.disabled_at is not None:
            self.carry_out_cut(Cut(user.id, None, "this account is disabled"))

    def deleted(self, user: str) -> None:
        """Cut off the connections of a user whose row another program deleted."""
        self.carry_out_cut(Cut(user, None, "this account was deleted"))

    def _carry_out(self, change: AccountChange, outcome: Outcome, cuts: list[Cut]) -> None:
        if isinstance(outcome, UserSaved) and outcome.changed:
            self._tell(outcome.user)
        match change, outcome:
            case SetDisabled(user=id, disabled=True), UserSaved():
                cuts.append(Cut(id, None, "this account is disabled"))
            case RevokeTokens(user=id), TokensSaved():
                cuts.append(Cut(id, None, "the token was revoked"))
            case RevokeToken(), TokensSaved(tokens=(token,)):
                cuts.append(Cut(token.user, token.jti, "the token was revoked"))
            case DeleteRows(), RowsSaved(rows=rows):
                cuts += [Cut(row.user, row.id, "the session was ended") for row in rows if isinstance(row, SignedIn)]
            case BeginLineage(), LineageBegun():
                for session in self.registry:
                    session.stop(CloseCode.GOING_AWAY, "the server's messages were restored from a backup")
            case _:
                pass

    def _tell(self, user: User) -> None:
        self.registry.replace(user)
        self.presence.user_changed(Event(UserChanged(user=view.user(user))), user.id)

    def carry_out_cut(self, cut: Cut) -> None:
        """Cut connections off."""
        for session in self.registry.signed_in_by(cut.user, cut.credential_id):
            session.stop(CloseCode.REVOKED, cut.reason)
