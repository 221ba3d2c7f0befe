"""The contract between an engine and what is served on it."""

from typing import Protocol

from chatd.core.identity import Carried
from chatd.net.head import Head

from .session import EngineSession


class Receiver(Protocol):
    """One session's messages. Its calls are made by one task at a time, in the order in which the messages came."""

    def take(self, message: str | bytes) -> bool:
        """Serve a message, if that needs no waiting; else False, and `serve` is called. Raises BrokenPacket."""
        ...

    async def serve(self) -> None:
        """Serve the message that `take` left. Raises BrokenPacket."""
        ...

    async def run(self) -> None:
        """Do what the session needs besides, until cancelled."""
        ...

    def left(self, reason: str) -> None:
        """The session is over; called once, synchronously."""
        ...


class EngineApplication(Protocol):
    """Application that is served on an engine."""

    def owner(self, head: Head) -> bytes:
        """Return a digest of the credentials that a request shows; b"" where it shows none."""
        ...

    def open(self, session: EngineSession, head: Head, address: str | None, shown: Carried | None) -> Receiver:
        """Take a new session. Raises settings.BadQuery to refuse it.

        `shown`: the credentials that count of a poll; None: it begins by a WebSocket's handshake.
        """
        ...
