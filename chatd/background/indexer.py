"""Keeps the store's search index up, behind the sends: a message costs nothing for it until there is time.

Searches read through the messages that are not in the index yet. So the newest may wait, and those that somebody edits
or deletes meanwhile were never in it. When many wait, they go in a few at a time: commits go on in between.
"""

from functools import partial

import structlog
import trio

from chatd.core.gate import Gate
from storage.contract import Unavailable

log = structlog.get_logger("chatd.indexer")

WAITING = 2_000
"""Messages that may wait: reading through them takes a search some 3 ms."""

BATCH = 500
"""Messages that go into the index at once: commits wait for it, about 10 ms."""

BEHIND = 20_000
"""So many that wait are told in the log: a store of an older version, an hour of heavy load."""

PAUSE, BUSY_PAUSE = 0.05, 0.5
"""Seconds between two batches, and while the gate is busy."""

BUSY = 100
"""Changes in PAUSE from which on the gate counts as busy."""


class Indexer:
    """See the module's text."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._changes = 0  # since they were last counted
        self._wake = trio.Event()

    def committed(self, changes: int) -> None:
        """So many changes were committed."""
        self._changes += changes
        if self._changes >= BATCH:
            self._wake.set()

    async def run(self) -> None:
        """Index, until cancelled; a store that can't is tried again when more has come."""
        while True:
            self._changes, self._wake = 0, trio.Event()
            try:
                await self._catch_up()
            except Unavailable:
                pass  # the gate tells the operator when commits fail, too
            except Exception:
                log.exception("indexing failed")
            await self._wake.wait()

    async def _catch_up(self) -> None:
        index = self._gate.store.index
        left = await self._gate.maintain(partial(index, 0))
        behind = left >= BEHIND
        if behind:
            log.info("search index behind", messages=left)
        while left >= WAITING:
            left = await self._gate.maintain(partial(index, BATCH))
            self._changes = 0
            await trio.sleep(PAUSE)
            if self._changes >= BUSY:
                await trio.sleep(BUSY_PAUSE)
        if behind:
            log.info("search index complete")
