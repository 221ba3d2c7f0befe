"""The sessions that are polled, by their ids; how many a user and an address may have."""

from collections import Counter
from collections.abc import Callable
from secrets import token_urlsafe
from typing import Final

import structlog
import trio

from chatd.commands.parts import Parts
from chatd.config import Limits
from chatd.core.errors import Refusal, not_found
from chatd.core.identity import Carried
from chatd.net.addresses import source_of
from protocol.codes import ErrorCode

from ..sessions import LiveSessions
from .session import PollingSession, SessionTerms

log = structlog.get_logger("chatd.connection")

ID_BYTES: Final = 32
"""Random bytes in a session's id: nobody guesses it."""

ENDED_S: Final = 30.0
"""Seconds that a session is kept after its end: its client may fetch the last frames, and learns why it ended."""


class PollingSessions:
    """Opens and finds sessions. `terms`, `limits`: as they are now; `nursery`: where sessions live."""

    def __init__(
        self,
        parts: Parts,
        sessions: LiveSessions,
        *,
        terms: Callable[[], SessionTerms],
        limits: Callable[[], Limits],
        nursery: Callable[[], trio.Nursery | None],
    ) -> None:
        self._parts = parts
        self._sessions = sessions
        self._terms = terms
        self._limits = limits
        self._nursery = nursery
        self._by_id: dict[str, PollingSession] = {}
        self._of_user: Counter[str] = Counter()
        self._of_source: Counter[str] = Counter()

    def open(self, user: str, carried: Carried, address: str | None) -> PollingSession:
        """Begin a session for this user, whose request showed this. Raises Refusal."""
        nursery = self._nursery()
        if nursery is None or self._parts.draining():
            raise Refusal(ErrorCode.UNAVAILABLE, "the server is shutting down; come back in a moment")
        self._admit(user, address)
        session = PollingSession(
            token_urlsafe(ID_BYTES), self._parts, self._terms(), user=user, carried=carried, address=address
        )
        log.info("connected", session=session.session.id, address=address, transport="polling")
        self._by_id[session.id] = session
        self._of_user[user] += 1
        self._of_source[_source(address)] += 1
        nursery.start_soon(self._live, session)
        return session

    def of(self, user: str, id: str) -> PollingSession:
        """Return the user's session with this id. Raises Refusal (`not_found`), the same for another user's."""
        session = self._by_id.get(id)
        if session is None or session.user != user:
            raise not_found("session")
        return session

    def _admit(self, user: str, address: str | None) -> None:
        """Refuse a session over the limits; those that have ended count until they are forgotten."""
        limits = self._limits()
        if (
            len(self._by_id) >= limits.connections
            or self._of_user[user] >= self._parts.connections_per_user
            or (not self._parts.development and self._of_source[_source(address)] >= limits.connections_per_address)
        ):
            self._parts.metrics.drop("too_many_connections")
            raise Refusal(ErrorCode.RATE_LIMITED, "too many sessions")

    async def _live(self, session: PollingSession) -> None:
        try:
            with self._sessions.holding(session):
                await session.run()
            await trio.sleep(ENDED_S)
        finally:
            del self._by_id[session.id]
            for counter, key in ((self._of_user, session.user), (self._of_source, _source(session.address))):
                counter[key] -= 1
                if not counter[key]:
                    del counter[key]


def _source(address: str | None) -> str:
    return "" if address is None else source_of(address)
