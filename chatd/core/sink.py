"""The contract of what a session writes to: a socket's outbox, or numbered payloads that wait to be fetched."""

from typing import Protocol


class Sink(Protocol):
    """Takes whole payloads, in order. `limit`: bytes of live events that may wait before the session ends."""

    limit: int

    @property
    def is_cut(self) -> bool:
        """Return True if nothing new will leave any more."""
        ...

    def push(self, data: bytes, *, counts: bool = True) -> None:
        """Take a payload; never waits. `counts`: it counts to the limit. After a cut nothing happens, nor by b""."""
        ...

    async def drained(self) -> None:
        """Wait until nothing waits to leave, or the sink was cut."""
        ...

    def cut(self, reason: str) -> None:
        """End the session: drop what waits."""
        ...
