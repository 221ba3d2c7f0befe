"""Sessions of people who stay connected go on; what has expired is forgotten."""

from collections.abc import Callable

import attrs
import trio

from chatd.core.gate import Gate
from chatd.core.registry import Registry
from protocol.codes import CloseCode
from storage.changes import ForgetRows
from storage.keyed import KINDS

from .sessions import SignInSessions

UPKEEP_EVERY_S = 60.0

FORGOTTEN_AFTER_MS = 3_600_000
"""An expired row is kept a while, so that a late try is told that it has expired."""


class Upkeep:
    """Looks after sessions that are connected, and after what has expired."""

    def __init__(self, gate: Gate, registry: Registry, sessions: SignInSessions, now: Callable[[], int]) -> None:
        self._gate = gate
        self._registry = registry
        self._sessions = sessions
        self._now = now
        self._ahead = now() - round(trio.current_time() * 1000)  # ms of the clock before the time that always goes on

    async def __call__(self) -> None:
        """Do it once. Raises Unavailable."""
        for connection in list(self._registry):
            identity, user = connection.identity, connection.user
            if identity is None or user is None or identity.method != "session":
                continue
            assert identity.secret_hash is not None
            row = await self._sessions.find(identity.secret_hash)
            if row is None:  # ended where nobody could tell
                connection.stop(CloseCode.REVOKED, "the session was ended")
                continue
            row = await self._sessions.touch(row, user.role)
            connection.identity = attrs.evolve(identity, expires_at=row.expires_at)
        now = self._now()
        ahead = now - round(trio.current_time() * 1000)
        self._ahead = min(self._ahead, ahead)
        if ahead - self._ahead > FORGOTTEN_AFTER_MS:
            return  # the clock jumped, perhaps to a wrong time: what seems to have expired is left alone
        before = now - FORGOTTEN_AFTER_MS
        await self._gate.commit([ForgetRows(kind=kind, before=before) for kind in KINDS if kind.expires is not None])
