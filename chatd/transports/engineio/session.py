"""One Engine.IO session without I/O: packets come in, payloads are to leave, and something is due at some time.

Its first transport opens it. A session over polling may be taken over by a WebSocket, once.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from .packets import CLOSE, NOOP, PING, SEPARATOR, BrokenPacket, EngineKind
from .settings import EngineSettings

POLLING: Final = "polling"
WEBSOCKET: Final = "websocket"
LOST: Final = frozenset(("ping timeout", "transport close", "transport error", "parse error"))
"""Ends after which nothing that waits is fetched any more."""


class SessionLink(Protocol):
    """The WebSocket of a session."""

    @property
    def queued(self) -> int:
        """Bytes that wait."""
        ...

    def push(self, payload: bytes, *, counts: bool) -> None:
        """Send a payload's packets; never waits."""
        ...

    async def drained(self) -> None:
        """Wait until nothing waits to leave."""
        ...

    def trust(self) -> None:
        """Take from its client, who is signed in, what the settings allow."""
        ...

    def end(self, reason: str) -> None:
        """Close it, after what waits to leave; never waits."""
        ...


class EngineSession:
    """A session: a sink for payloads, and the state of its transports. `clock` in seconds.

    `on_output` is called whenever a pending poll may have something to answer; `on_close(reason)` once, synchronously.
    """

    def __init__(self, sid: str, settings: EngineSettings, *, clock: Callable[[], float]) -> None:
        self.sid = sid
        self.settings = settings
        self.limit = settings.outbox_bytes
        self.transport = POLLING
        self.link: SessionLink | None = None
        self.probing: SessionLink | None = None
        """A WebSocket that may take over; `probed`: it has shown that it works."""
        self.probed = False
        self.closed: str | None = None
        self._closed_by_client = False
        self.on_output: Callable[[], None] = lambda: None
        self.on_close: Callable[[str], None] = lambda reason: None
        self.trusted = False
        self._listeners: list[tuple[Callable[[], None], Callable[[], None], Callable[[], None]]] = []
        self.busy = False
        """Somebody reads nothing for the moment, because what came is being served: silence says nothing."""
        self._clock = clock
        self._queue: deque[tuple[bytes, bool]] = deque()
        self._counted = 0
        self._ping_at = clock() + settings.ping_interval
        self._pong_by = float("inf")

    def open_packet(self, transport: str) -> bytes:
        """Return the first packet; from now on the session goes by this transport."""
        self.transport = transport
        settings = self.settings
        fields = {
            "sid": self.sid,
            "upgrades": [WEBSOCKET] if transport == POLLING else [],
            "pingInterval": round(settings.ping_interval * 1000),
            "pingTimeout": round(settings.ping_timeout * 1000),
            "maxPayload": settings.max_payload,
        }
        return EngineKind.OPEN.value.encode() + msgspec.json.encode(fields)

    def subscribe(self, *, drained: Callable[[], None], pinged: Callable[[], None], ponged: Callable[[], None]) -> None:
        """Call these whenever nothing waits any more, a ping was sent, and its answer came."""
        self._listeners.append((drained, pinged, ponged))

    def trust(self) -> None:
        """The client is signed in: its WebSocket, now or later, may send more."""
        self.trusted = True
        if self.link is not None:
            self.link.trust()

    def _tell_drained(self) -> None:
        for drained, _, _ in self._listeners:
            drained()

    # -- what leaves --

    @property
    def is_cut(self) -> bool:
        """Return True if nothing new will leave any more."""
        return self.closed is not None

    @property
    def queued(self) -> int:
        """Bytes of live events that wait."""
        return self.link.queued if self.link is not None else self._counted

    @property
    def is_empty(self) -> bool:
        """Return True if nothing waits for a poll."""
        return not self._queue

    def push(self, payload: bytes, *, counts: bool = True) -> None:
        """Send a payload; never waits. A session whose client doesn't fetch is closed as too slow."""
        if self.closed is not None or not payload:
            return
        if self.link is not None:
            self.link.push(payload, counts=counts)
            return
        self._queue.append((payload, counts))
        if counts:
            self._counted += len(payload)
            if self._counted > self.limit:
                self.cut("too slow")
                return
        self.on_output()

    def cut(self, reason: str) -> None:
        """End the session: drop what waits."""
        self._queue.clear()
        self._counted = 0
        self.close(reason)

    def take(self) -> bytes:
        """Return what waits for a poll, as one payload of about `max_payload` bytes at most; b"" for nothing."""
        parts: list[bytes] = []
        size = 0
        while self._queue and (not parts or size + len(self._queue[0][0]) <= self.settings.max_payload):
            payload, counts = self._queue.popleft()
            parts.append(payload)
            size += len(payload) + 1
            if counts:
                self._counted -= len(payload)
        if parts and not self._queue:
            self._tell_drained()
        return SEPARATOR.join(parts)

    def answer(self) -> bytes | None:
        """Return what a pending poll is answered, or None where it goes on waiting."""
        if not self.is_empty:
            return self.take()
        if self.closed is not None:
            return NOOP if self._closed_by_client else CLOSE
        return NOOP if self.probed else None

    # -- what comes in --

    def receive(self, kind: EngineKind, data: str | bytes) -> str | bytes | None:
        """Take a packet of the transport that counts; return the message, if it is one. Raises BrokenPacket."""
        if kind is EngineKind.MESSAGE:
            return data
        if kind is EngineKind.PONG:
            self._pong_by = float("inf")
            self._ping_at = self._clock() + self.settings.ping_interval
            for _, _, ponged in self._listeners:
                ponged()
        elif kind is EngineKind.CLOSE:
            self.close("transport close", by_client=True)
        else:
            raise BrokenPacket("a packet that a client doesn't send here")
        return None

    # -- the clock --

    @property
    def due(self) -> float:
        """Time at which `tick` is to be called next."""
        return min(self._ping_at, self._pong_by)

    def tick(self) -> None:
        """Send a ping, or end a session whose client didn't answer the last one."""
        now = self._clock()
        if now >= self._pong_by:
            if self.busy:
                self._pong_by = now + self.settings.ping_timeout
            else:
                self.close("ping timeout")
        elif now >= self._ping_at:
            self._pong_by = self._ping_at + self.settings.ping_timeout
            self._ping_at = float("inf")
            self.push(PING, counts=False)
            for _, pinged, _ in self._listeners:
                pinged()

    # -- the upgrade --

    def probe(self, link: SessionLink) -> bool:
        """Let a WebSocket try to take over; False: the session has one already, or one that tries."""
        if self.closed is not None or self.transport != POLLING or self.probing is not None:
            return False
        self.probing, self.probed = link, False
        return True

    def confirm(self) -> None:
        """The WebSocket works: a poll ends, so that the client can stop polling."""
        self.probed = True
        self.on_output()

    def give_up_probe(self, link: SessionLink) -> None:
        """The WebSocket that tried is gone; polling goes on."""
        if self.probing is link:
            self.probing, self.probed = None, False

    def upgrade(self) -> None:
        """Let the WebSocket that was probed take over; what waits leaves by it."""
        assert self.probing is not None
        self.link, self.probing, self.probed = self.probing, None, False
        self.transport = WEBSOCKET
        waiting = list(self._queue)
        self._queue.clear()
        self._counted = 0
        for payload, counts in waiting:
            self.link.push(payload, counts=counts)
        if self.trusted:
            self.link.trust()
        self.on_output()
        self._tell_drained()

    def attach(self, link: SessionLink) -> None:
        """Let the session, which begins by a WebSocket, go by this one."""
        self.link = link

    # -- the end --

    def close(self, reason: str, *, by_client: bool = False) -> None:
        """End the session; `by_client`: it said so. Waiting packets still leave, unless the client is lost."""
        if self.closed is not None:
            return
        self.closed, self._closed_by_client = reason, by_client
        if reason in LOST:
            self._queue.clear()
            self._counted = 0
        for link in (self.link, self.probing):
            if link is not None:
                link.end(reason)
        self.probing = None
        self.on_output()
        self._tell_drained()
        self.on_close(reason)
