"""Sink that a client's session writes to: its Engine.IO session, and the log of what may not have arrived."""

import trio

from chatd.core.outbox import Cork
from chatd.transports.engineio.packets import SEPARATOR
from chatd.transports.engineio.session import EngineSession

from .recovery import ResendLog


class Wire:
    """A sink. While the client is gone there is only the log.

    Packets that come while the cork is on become two payloads: an event, the same for many, and what follows it.
    """

    def __init__(self, engine: EngineSession, log: ResendLog | None, cork: Cork) -> None:
        self.limit = engine.limit
        self.log = log
        self._cork = cork
        self._gathered: list[bytes] = []
        self._engine: EngineSession | None = None
        self._cut = False
        self._empty = trio.Event()
        self.attach(engine)

    def attach(self, engine: EngineSession) -> None:
        """Go by this Engine.IO session from now on."""
        self._engine = engine
        engine.subscribe(drained=self._drained, pinged=self._pinged, ponged=self._ponged)

    def detach(self) -> None:
        """The client is gone; it may come back."""
        self._engine = None
        self._drained()

    @property
    def is_cut(self) -> bool:
        """Return True if nothing new will leave any more."""
        return self._cut

    @property
    def queued(self) -> int:
        """Bytes of live events that wait."""
        return 0 if self._engine is None else self._engine.queued

    def push(self, data: bytes, *, counts: bool = True) -> None:
        """Send a payload; never waits."""
        if self._cut or not data:
            return
        if self._cork.on and counts:
            if not self._gathered:
                self._cork.gather_first(self)
            self._gathered.append(data)
            return
        if self._gathered:
            self.flush()
        self._leave(data, counts=counts)

    def flush(self) -> None:
        """Send what was gathered."""
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._leave(gathered[0], counts=True)
            if len(gathered) > 1:
                self._leave(SEPARATOR.join(gathered[1:]), counts=True)

    def _leave(self, data: bytes, *, counts: bool) -> None:
        if self.log is not None:
            self.log.append(data)
        if self._engine is not None:
            self._engine.push(data, counts=counts)

    def resend(self, payload: bytes) -> None:
        """Send what is in the log already."""
        if self._engine is not None and payload:
            self._engine.push(payload, counts=False)

    async def drained(self) -> None:
        """Wait until nothing waits to leave; a client that is gone waits for nothing."""
        engine = self._engine
        if engine is not None and engine.link is not None:
            await engine.link.drained()
            return
        while self._engine is not None and self._engine.link is None and not self._engine.is_empty and not self._cut:
            await self._empty.wait()

    def cut(self, reason: str) -> None:
        """End the session: drop what waits."""
        if self._cut:
            return
        self._cut = True
        if self.log is not None:
            self.log.close()
        if self._engine is not None:
            self._engine.cut(reason)
        self._drained()

    def _drained(self) -> None:
        self._empty.set()
        self._empty = trio.Event()

    def _pinged(self) -> None:
        if self.log is not None:
            self.log.pinged()

    def _ponged(self) -> None:
        if self.log is not None:
            self.log.ponged()
