"""Recovery of connections that were lost: what was sent lately, and sessions that wait for their client to be back.

A client that comes back names its old session and the last event that it got. A session that waits goes on receiving;
its user is seen as gone.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import attrs
import trio

from chatd.transports.engineio.packets import SEPARATOR

from .words import OFFSET_CHARS

LOG_BYTES: Final = 262_144
"""Kept of one session."""

PARKED_PER_USER: Final = 10
"""Sessions of one user that may wait."""

RECOVERABLE: Final = frozenset(("transport close", "transport error", "ping timeout"))
"""Ends after which a client may come back; it says so itself where it doesn't mean to."""


@attrs.define
class RecoveryBudget:
    """Bytes kept over all sessions."""

    limit: int
    held: int = 0


class ResendLog:
    """Payloads that were sent to one client and may not have arrived, in order: many share those of events."""

    def __init__(self, budget: RecoveryBudget) -> None:
        self._budget = budget
        self._payloads: deque[bytes] = deque()
        self._size = 0
        self._whole = True  # nothing is missing since the client got `_base`
        self._base: str | None = None
        self._mark: int | None = None  # payloads that were there at the last ping
        self.closed = False

    def append(self, payload: bytes) -> None:
        """Keep a payload; where they are too many, the oldest go."""
        if self.closed:
            return
        self._payloads.append(payload)
        size = len(payload)
        self._size += size
        self._budget.held += size
        while self._payloads and (self._size > LOG_BYTES or self._budget.held > self._budget.limit):
            self._drop()
            self._whole = False

    def pinged(self) -> None:
        """Note what was sent before a ping: it has arrived when the pong comes."""
        self._mark = len(self._payloads)

    def ponged(self) -> None:
        """Forget what has arrived, but for the last place in it."""
        for _ in range(min(self._mark or 0, len(self._payloads))):
            places = map(place_of, reversed(self._drop().split(SEPARATOR)))
            self._base = next(filter(None, places), self._base)
            self._whole = True
        self._mark = None

    def after(self, place: str | None) -> list[bytes] | None:
        """Return the packets behind the event with this place; None where some of them are gone."""
        packets = [packet for payload in self._payloads for packet in payload.split(SEPARATOR)]
        if place is not None:
            for at, packet in enumerate(packets):
                if place_of(packet) == place:
                    return packets[at + 1 :]
        return packets if self._whole and place == self._base else None

    def close(self) -> None:
        """Forget everything."""
        self.closed = True
        while self._payloads:
            self._drop()

    def _drop(self) -> bytes:
        payload = self._payloads.popleft()
        self._size -= len(payload)
        self._budget.held -= len(payload)
        if self._mark:
            self._mark -= 1
        return payload


def place_of(packet: bytes) -> str | None:
    """Return the place of an event, which is its last argument; None for other packets."""
    if not packet.startswith(b"42") or packet[-2:] != b'"]' or packet[-OFFSET_CHARS - 3 : -OFFSET_CHARS - 2] != b'"':
        return None
    return packet[-OFFSET_CHARS - 2 : -2].decode("ascii", "replace")


class ParkedClient(Protocol):
    """Somebody whose client may come back."""

    pid: str

    @property
    def user_id(self) -> str:
        """The user's id."""
        ...

    async def wait(self) -> None:
        """Be kept up to date, until cancelled."""
        ...

    def give_up(self) -> None:
        """The client will not come back."""
        ...


class Recovery:
    """Connections that may be recovered, by the id that their clients know: lost ones for `seconds` (0: never), and
    live ones. A client may be back before the loss of its connection has been noticed.
    """

    def __init__(self, *, seconds: float, limit: int, nursery: Callable[[], trio.Nursery | None]) -> None:
        self.seconds = seconds
        self.budget = RecoveryBudget(limit)
        self._nursery = nursery
        self._waiting: dict[str, tuple[ParkedClient, trio.CancelScope]] = {}
        self._there: dict[str, ParkedClient] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def joined(self, who: ParkedClient) -> None:
        """Note that somebody is there."""
        if self.seconds:
            self._there[who.pid] = who

    def left(self, who: ParkedClient) -> None:
        """Note that somebody is gone, whether they come back or not."""
        self._there.pop(who.pid, None)

    def park(self, who: ParkedClient) -> bool:
        """Let somebody wait; False: there is no place."""
        nursery = self._nursery()
        if not self.seconds or nursery is None or nursery.cancel_scope.cancel_called:
            return False
        own = [waiting for waiting, _ in self._waiting.values() if waiting.user_id == who.user_id]
        if len(own) >= PARKED_PER_USER:
            self.drop(own[0])
        scope = trio.CancelScope()
        self._waiting[who.pid] = who, scope
        nursery.start_soon(self._wait, who, scope)
        return True

    def drop(self, who: ParkedClient) -> None:
        """Let somebody wait no longer."""
        if self._take(who.pid) is not None:
            who.give_up()

    def find(self, pid: str) -> ParkedClient | None:
        """Return who waits under this id."""
        found = self._waiting.get(pid)
        return None if found is None else found[0]

    def known(self, pid: str) -> ParkedClient | None:
        """Return who waits under this id, or is there."""
        return self.find(pid) or self._there.get(pid)

    def resume(self, who: ParkedClient) -> bool:
        """Let somebody wait no longer, because the client is back; False: it is too late."""
        return self._take(who.pid) is not None

    def _take(self, pid: str) -> ParkedClient | None:
        found = self._waiting.pop(pid, None)
        if found is None:
            return None
        found[1].cancel()
        return found[0]

    async def _wait(self, who: ParkedClient, scope: trio.CancelScope) -> None:
        try:
            with scope, trio.move_on_after(self.seconds):
                await who.wait()
        finally:
            if self._waiting.get(who.pid, (None, None))[1] is scope:
                del self._waiting[who.pid]
                who.give_up()
