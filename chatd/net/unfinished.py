"""The budget that unfinished input of all connections shares: memory, and turns of the loop."""

from typing import Final

import attrs
import trio

from chatd.core.errors import Closing
from protocol.codes import CloseCode

STRANGERS_BYTES: Final = 32 * 1024 * 1024
"""Held over all connections that are not signed in."""
MESSAGE_S: Final = 60.0
"""Seconds from a message's first byte to its last: 256 KiB over the slowest mobile network."""


class Budget:
    """Bytes that many connections share. `held`: those in use."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class Turnstile:
    """Lets one task through in each turn of the loop, in the order in which they came.

    However many strangers send at once, everybody else gets a turn between two of them.
    """

    def __init__(self) -> None:
        self._lock = trio.Lock()

    async def wait(self) -> None:
        """Wait for one's turn."""
        async with self._lock:
            await trio.lowlevel.checkpoint()


@attrs.frozen
class Shares:
    """`strangers`: memory for connections that are not signed in, who take `turns`; `known`: memory for all others."""

    strangers: Budget = attrs.field(factory=lambda: Budget(STRANGERS_BYTES))
    known: Budget = attrs.field(factory=lambda: Budget(0))
    turns: Turnstile = attrs.field(factory=Turnstile)


class Unfinished:
    """One connection's share of a budget, given back by `release`."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0
        self._since: float | None = None  # when the message under way began

    def hold(self, size: int) -> None:
        """Say that `size` bytes are held now. Raises Closing where the budget has no room, or it takes too long."""
        more = size - self._held
        if more > 0 and self._budget.held + more > self._budget.limit:
            raise Closing(CloseCode.OVERLOADED, "too much unfinished input")
        self._budget.held += more
        self._held = size
        if not size:
            self._since = None
        elif self._since is None:
            self._since = trio.current_time()
        elif trio.current_time() - self._since > MESSAGE_S:
            raise Closing(CloseCode.SILENT, "a message took too long")

    def complete(self) -> None:
        """Note that a message is complete; what is held belongs to the next one."""
        self._since = None

    def move(self, budget: Budget) -> None:
        """Have what is held count against another budget, full or not."""
        self._budget.held -= self._held
        budget.held += self._held
        self._budget = budget

    def release(self) -> None:
        """Give all of it back; the connection is over."""
        self._budget.held -= self._held
        self._held = 0
