"""The order in which waiting tasks are served one at a time, so that guessers don't shut out everybody else."""

from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


class Turns:
    """Lock with one holder at a time.

    Known holders go first. Among strangers users take turns, so that tries of one user wait for each other, and
    those of another wait for one try of each at most.
    """

    def __init__(self) -> None:
        self._busy = False
        self._known: deque[trio.Event] = deque()
        self._strangers: OrderedDict[str, deque[trio.Event]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, user: str, *, known: bool, wait_s: float) -> AsyncIterator[None]:
        """Hold the turn. Raises trio.TooSlowError where it doesn't come within `wait_s` seconds."""
        with trio.fail_after(wait_s):
            await self._acquire(user, known=known)
        try:
            yield
        finally:
            self._pass_on()

    async def _acquire(self, user: str, *, known: bool) -> None:
        await trio.lowlevel.checkpoint()
        if not self._busy:
            self._busy = True
            return
        queue = self._known if known else self._strangers.setdefault(user, deque())
        given = trio.Event()
        queue.append(given)
        try:
            await given.wait()
        except trio.Cancelled:
            if given.is_set():
                self._pass_on()
            else:
                queue.remove(given)
                if not known and not queue:
                    del self._strangers[user]
            raise

    def _pass_on(self) -> None:
        """Give the turn to whoever is next; it stays taken while somebody waits."""
        if self._known:
            self._known.popleft().set()
        elif self._strangers:
            user, queue = self._strangers.popitem(last=False)
            queue.popleft().set()
            if queue:
                self._strangers[user] = queue  # behind every other user
        else:
            self._busy = False
