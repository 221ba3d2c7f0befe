"""Shares of all connections: memory for unfinished input, turns of the loop, time to end."""

from typing import Final

import attrs
import trio

from chatd.core.errors import Closing
from protocol.codes import CloseCode

STRANGERS_BYTES: Final = 32 * 1024 * 1024
"""Held over all connections that are not signed in."""
STRANGERS_END_S: Final = 2.0
"""Seconds from the decision to close a WebSocket of somebody who is not signed in until its socket is free."""
STRANGERS_ENDS: Final = 500
"""Ends under way at the same time."""
MESSAGE_S: Final = 60.0
"""Seconds from a message's first byte to its last: 256 KiB over the slowest mobile network."""


class UnfinishedBudget:
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


class StrangersEnds:
    """Ends of strangers' connections: bounded in time and, all together, in number.

    A peer whose close frame has left is waited for, so that it reads its code. Where very many end at once, the one
    that has had the longest time for that is cut, instead of holding its descriptor while others wait for a turn.
    """

    def __init__(self) -> None:
        self._under_way: dict[trio.CancelScope, None] = {}  # the oldest first

    def begin(self, scope: trio.CancelScope, seconds: float) -> None:
        """End what `scope` surrounds within these seconds; a second time nothing happens."""
        if scope in self._under_way:
            return
        scope.deadline = min(scope.deadline, trio.current_time() + min(seconds, STRANGERS_END_S))
        self._under_way[scope] = None
        if len(self._under_way) > STRANGERS_ENDS:
            oldest = next(iter(self._under_way))
            del self._under_way[oldest]
            oldest.cancel()

    def over(self, scope: trio.CancelScope) -> None:
        """Note that it has ended, if it had begun to."""
        self._under_way.pop(scope, None)


@attrs.frozen
class MemoryShares:
    """`strangers`: memory for connections that are not signed in, who take `turns`; `known`: memory for all others.

    `ends`: of strangers' connections.
    """

    strangers: UnfinishedBudget = attrs.field(factory=lambda: UnfinishedBudget(STRANGERS_BYTES))
    known: UnfinishedBudget = attrs.field(factory=lambda: UnfinishedBudget(0))
    turns: Turnstile = attrs.field(factory=Turnstile)
    ends: StrangersEnds = attrs.field(factory=StrangersEnds)


class Unfinished:
    """One connection's share of a budget, given back by `release`."""

    def __init__(self, budget: UnfinishedBudget) -> None:
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

    def move(self, budget: UnfinishedBudget) -> None:
        """Have what is held count against another budget, full or not."""
        self._budget.held -= self._held
        budget.held += self._held
        self._budget = budget

    def release(self) -> None:
        """Give all of it back; the connection is over."""
        self._budget.held -= self._held
        self._held = 0
