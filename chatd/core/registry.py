"""Who is connected: each user's live sessions."""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from storage.records import User

from .session import Session


@attrs.define
class Arrival:
    """A session that is signing in, with the token of this id. `user`: the row, where that changed meanwhile."""

    jti: str | None
    user: User | None = None


class Registry:
    """An event for a user goes to every session here; nobody joins a room to receive."""

    def __init__(self) -> None:
        self._sessions: dict[str, dict[Session, None]] = {}
        self._arriving: dict[str, dict[Session, Arrival]] = {}
        self.count = 0

    def add(self, user: str, session: Session) -> None:
        """The session receives what the user receives, from now on."""
        self._sessions.setdefault(user, {})[session] = None
        self.count += 1

    def remove(self, user: str, session: Session) -> bool:
        """The session is gone; whether it was the user's last."""
        sessions = self._sessions[user]
        del sessions[session]
        self.count -= 1
        if not sessions:
            del self._sessions[user]
        return not sessions

    def of(self, user: str) -> tuple[Session, ...]:
        """The user's live sessions, oldest first."""
        sessions = self._sessions.get(user)
        return tuple(sessions) if sessions else ()

    def online(self, user: str) -> bool:
        """Whether any session of the user lives."""
        return user in self._sessions

    @property
    def users(self) -> int:
        """Users with a live session."""
        return len(self._sessions)

    @contextmanager
    def arriving(self, user: str, session: Session, jti: str | None) -> Iterator[Arrival]:
        """While the session signs in as this user: what befalls the user then must not pass it by."""
        arrival = Arrival(jti)
        self._arriving.setdefault(user, {})[session] = arrival
        try:
            yield arrival
        finally:
            del self._arriving[user][session]
            if not self._arriving[user]:
                del self._arriving[user]

    def signed_in_by(self, user: str, jti: str | None) -> list[Session]:
        """The user's sessions, those that are signing in too: all, or those that the token of this id let in."""
        live = [session for session in self.of(user) if jti in (None, session.jti)]
        return live + [s for s, arrival in self._arriving.get(user, {}).items() if jti in (None, arrival.jti)]

    def replace(self, user: User) -> None:
        """The user's row is another now, for all sessions."""
        for session in self.of(user.id):
            session.user = user
        for arrival in self._arriving.get(user.id, {}).values():
            arrival.user = user

    def __iter__(self) -> Iterator[Session]:
        return iter([session for sessions in self._sessions.values() for session in sessions])
