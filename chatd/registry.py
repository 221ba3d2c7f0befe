"""Who is connected: each user's live sessions."""

from collections.abc import Iterator

from .session import Session


class Registry:
    """An event for a user goes to every session here; nobody joins a room to receive."""

    def __init__(self) -> None:
        self._sessions: dict[str, dict[Session, None]] = {}
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

    def __iter__(self) -> Iterator[Session]:
        return iter([session for sessions in self._sessions.values() for session in sessions])
