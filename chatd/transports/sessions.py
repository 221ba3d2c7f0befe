"""The one table of live sessions, by whatever transport they came."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import trio

from protocol.codes import CloseCode
from protocol.frames import Frame, GoingAway

TRANSPORTS: Final = ("websocket", "polling", "sse", "socketio")
"""All there are, for metrics that show those without a session, too."""


SHUTTING_DOWN: Final = "the server is shutting down"


class LiveSession(Protocol):
    """A session that can be told and ended.

    `transport`: what it came by; `ended`: set when nothing of it is left; `delivered`: events that it was given;
    `queued`: bytes that wait for a slow reader.
    """

    transport: str
    ended: trio.Event

    @property
    def delivered(self) -> int: ...

    @property
    def queued(self) -> int: ...

    def tell(self, frame: Frame) -> None:
        """Send it a frame that belongs to no conversation; never waits."""
        ...

    async def quiet(self) -> None:
        """Wait until all that it asked is answered."""
        ...

    def stop(self, code: CloseCode, reason: str) -> None:
        """Begin to end it, unless it is ending; never waits."""
        ...


class LiveSessions:
    """Live sessions, in the order in which they came."""

    def __init__(self) -> None:
        self._live: dict[LiveSession, None] = {}
        self._delivered = 0  # by those that have ended
        self._going = False

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(list(self._live))

    def by_transport(self) -> Counter[str]:
        """Count the sessions by transport."""
        return Counter(live.transport for live in self._live)

    @property
    def delivered(self) -> int:
        """Events that sessions were given since the start."""
        return self._delivered + sum(live.delivered for live in self._live)

    @property
    def queued(self) -> int:
        """Bytes that wait for slow readers."""
        return sum(live.queued for live in self._live)

    @contextmanager
    def holding(self, live: LiveSession) -> Iterator[None]:
        """Have it in the table during the block; one that came as all others were ended is ended, too."""
        self._live[live] = None
        if self._going:
            live.stop(CloseCode.GOING_AWAY, SHUTTING_DOWN)
        try:
            yield
        finally:
            del self._live[live]
            self._delivered += live.delivered

    async def say_goodbye(self, rng: random.Random) -> None:
        """Tell all of them that the server goes, let them have their answers, end them, and wait for that."""
        for number, live in enumerate(list(self._live)):
            # Spread, so that not everybody is back in the same instant.
            live.tell(GoingAway(reconnect_in=round(1 + number * 0.01 + rng.random(), 3)))
        for live in list(self._live):
            await live.quiet()
        self._going = True
        for live in list(self._live):
            live.stop(CloseCode.GOING_AWAY, SHUTTING_DOWN)
        while self._live:
            await next(iter(self._live)).ended.wait()
