"""Each user's live sessions."""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from storage.records import User

from .identity import Identity
from .session import Session


@attrs.define
class Arrival:
    """A session that is signing in with this identity. `user`: the row, where that changed meanwhile."""

    identity: Identity
    user: User | None = None


class Registry:
    """An event for a user goes to every session here; nobody joins a room to receive."""

    def __init__(self) -> None:
        self._sessions: dict[str, dict[Session, None]] = {}
        self._arriving: dict[str, dict[Session, Arrival]] = {}
        self._parked: dict[str, dict[Session, None]] = {}
        self.count = 0

    def add(self, user: str, session: Session) -> None:
        """The session receives what the user receives, from now on."""
        self._sessions.setdefault(user, {})[session] = None
        self.count += 1

    def remove(self, user: str, session: Session) -> bool:
        """The session is gone; whether it was the user's last live one."""
        sessions = self._sessions[user]
        was_live = self.online(user)
        self.unpark(user, session)
        del sessions[session]
        self.count -= 1
        if not sessions:
            del self._sessions[user]
        return was_live and not self.online(user)

    def park(self, user: str, session: Session) -> bool:
        """The session's client is gone and may come back: it receives on, but is not live. Whether it was the last."""
        self._parked.setdefault(user, {})[session] = None
        return not self.online(user)

    def unpark(self, user: str, session: Session) -> None:
        """The session is live again, if it was not."""
        parked = self._parked.get(user)
        if parked is not None:
            parked.pop(session, None)
            if not parked:
                del self._parked[user]

    def is_parked(self, session: Session) -> bool:
        """Return True if the session's client is gone and may come back."""
        return session in self._parked.get(session.user_id, ())

    def of(self, user: str) -> tuple[Session, ...]:
        """The user's sessions, oldest first, those of clients that may come back included."""
        sessions = self._sessions.get(user)
        return tuple(sessions) if sessions else ()

    def online(self, user: str) -> bool:
        """Return True if any session of the user is live."""
        sessions = self._sessions.get(user)
        return sessions is not None and (not self._parked or len(sessions) > len(self._parked.get(user, ())))

    def user_ids(self) -> list[str]:
        """Return the users with a session that lives or signs in."""
        return list(self._sessions.keys() | self._arriving.keys())

    @property
    def users(self) -> int:
        """Users with a live session."""
        return len(self._sessions) - sum(not self.online(user) for user in self._parked)

    @contextmanager
    def arriving(self, identity: Identity, session: Session) -> Iterator[Arrival]:
        """Have the session found while it signs in: disabling or revoking meanwhile must also affect it."""
        user = identity.user
        arrival = Arrival(identity)
        self._arriving.setdefault(user, {})[session] = arrival
        try:
            yield arrival
        finally:
            del self._arriving[user][session]
            if not self._arriving[user]:
                del self._arriving[user]

    def signed_in_by(self, user: str, credential_id: str | None) -> list[Session]:
        """Return the user's sessions, those that are signing in too: all, or those that this credential let in."""
        live = [(session, session.identity) for session in self.of(user)]
        live += [(session, arrival.identity) for session, arrival in self._arriving.get(user, {}).items()]
        return [
            session
            for session, identity in live
            if credential_id is None or (identity is not None and identity.credential_id == credential_id)
        ]

    def replace(self, user: User) -> None:
        """The user's row is another now, for all sessions."""
        for session in self.of(user.id):
            session.user = user
        for arrival in self._arriving.get(user.id, {}).values():
            arrival.user = user

    def __iter__(self) -> Iterator[Session]:
        return iter([session for sessions in self._sessions.values() for session in sessions])
