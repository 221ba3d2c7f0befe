"""Changes to users and tokens: kept first, then carried to the connections that live, in the same step.

So whoever is shut out is cut off even when the one who asked for it is gone before the answer.
"""

from collections.abc import Sequence

from protocol.codes import CloseCode
from protocol.frames import UserChanged
from storage.changes import (
    AdminChange,
    BeginLineage,
    LineageBegun,
    Outcome,
    PutUser,
    RevokeToken,
    RevokeTokens,
    SetDisabled,
    TokensSaved,
    UserSaved,
)
from storage.records import User

from . import view
from .services import Services
from .wire import Event

AccountChange = PutUser | AdminChange


async def commit(services: Services, changes: Sequence[AccountChange]) -> list[Outcome]:
    """Commit, with what follows for live connections. Raises Unavailable."""
    found: list[Outcome] = []

    def publish(outcomes: Sequence[Outcome]) -> None:
        found.extend(outcomes)
        for change, outcome in zip(changes, outcomes, strict=True):
            _carry_out(services, change, outcome)

    ticket = services.gate.submit(changes, publish)
    await ticket.done.wait()
    if ticket.error is not None:
        raise ticket.error
    return found


def noticed(services: Services, user: User) -> None:
    """Somebody else changed this user: the same follows."""
    _tell(services, user)
    if user.disabled_at is not None:
        _cut(services, user.id, "this account is disabled")


def _carry_out(services: Services, change: AccountChange, outcome: Outcome) -> None:
    if isinstance(outcome, UserSaved) and outcome.changed:
        _tell(services, outcome.user)
    match change, outcome:
        case SetDisabled(user=id, disabled=True), UserSaved():
            _cut(services, id, "this account is disabled")
        case RevokeTokens(user=id), TokensSaved():
            _cut(services, id, "the token was revoked")
        case RevokeToken(), TokensSaved(tokens=(token,)):
            _cut(services, token.user, "the token was revoked", jti=token.jti)
        case BeginLineage(), LineageBegun():
            for session in services.registry:
                session.stop(CloseCode.GOING_AWAY, "the server's messages were restored from a backup")
        case _:
            pass


def _tell(services: Services, user: User) -> None:
    services.registry.replace(user)
    services.presence.user_changed(Event(UserChanged(user=view.user(user))), user.id)


def _cut(services: Services, user: str, reason: str, *, jti: str | None = None) -> None:
    for session in services.registry.signed_in_by(user, jti):
        session.stop(CloseCode.REVOKED, reason)
