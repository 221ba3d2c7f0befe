"""Upkeep of the store while it serves: rows of an earlier version, then the search index.

The index is filled behind the sends: a message costs nothing for it until there is time.

Searches read through the messages that are not in the index yet. So the newest may wait, and those that are edited or
deleted meanwhile were never in it. When many wait, they go in a few at a time: commits go on in between.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import structlog
import trio

from chatd.core.gate import Gate
from storage.changes import Change, Outcome
from storage.contract import Unavailable

log = structlog.get_logger("chatd.indexer")

MAX_WAITING_MESSAGES = 2_000
"""Messages that may wait: reading through them takes a search some 3 ms."""

MESSAGES_PER_BATCH = 500
"""Messages that go into the index at once: commits wait for it, about 10 ms."""

BEHIND_FROM_MESSAGES = 20_000
"""Waiting messages that are worth a line in the log: a store of an older version, an hour of heavy load."""

PAUSE_S, BUSY_PAUSE_S = 0.05, 0.5
"""Pauses between two batches, and while the gate is busy."""

BUSY_FROM_CHANGES = 100
"""Changes committed in one pause from which on the gate counts as busy."""


class Indexer:
    """Refills rows of an earlier version once, then indexes messages whenever enough of them were committed."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._changes = 0  # since they were last counted
        self._wake = trio.Event()
        gate.subscribe(self._committed)

    def _committed(self, changes: Sequence[Change], _outcomes: Sequence[Outcome]) -> None:
        self._changes += len(changes)
        if self._changes >= MESSAGES_PER_BATCH:
            self._wake.set()

    async def run(self) -> None:
        """Index, until cancelled. A store that is unavailable is tried again when more was committed."""
        refilled = False
        while True:
            self._changes, self._wake = 0, trio.Event()
            with suppress(Unavailable):  # the gate tells the operator when commits fail, too
                if not refilled:
                    await self._refill()
                    refilled = True
                await self._catch_up()
            await self._wake.wait()

    async def _refill(self) -> None:
        refill = self._gate.store.refill
        left = await self._gate.maintain(partial(refill, 0))
        while left:
            left = await self._gate.maintain(partial(refill, MESSAGES_PER_BATCH))
            await trio.sleep(PAUSE_S)

    async def _catch_up(self) -> None:
        index = self._gate.store.index
        left = await self._gate.maintain(partial(index, 0))
        behind = left >= BEHIND_FROM_MESSAGES
        if behind:
            log.info("search index behind", messages=left)
        while left >= MAX_WAITING_MESSAGES:
            left = await self._gate.maintain(partial(index, MESSAGES_PER_BATCH))
            self._changes = 0
            await trio.sleep(PAUSE_S)
            if self._changes >= BUSY_FROM_CHANGES:
                await trio.sleep(BUSY_PAUSE_S)
        if behind:
            log.info("search index complete")
