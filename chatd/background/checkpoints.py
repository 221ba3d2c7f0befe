"""Watch over the log of the database file: where another program reads on, it can't be copied and grows."""

from typing import Final

import structlog
import trio

from chatd.core.gate import Gate
from storage.contract import LoggedStore

log = structlog.get_logger("chatd.checkpoints")

CHECKPOINT_EVERY_S: Final = 15.0
BLOCKED_S: Final = 60.0
"""Seconds without a whole checkpoint that are worth a line in the log."""


class Checkpoints:
    """Tries to copy a log that has grown, and says once where a reader keeps it from that for too long."""

    def __init__(self, gate: Gate, store: LoggedStore) -> None:
        self._gate = gate
        self._store = store
        self._blocked_since: float | None = None
        self._said = False

    async def __call__(self) -> None:
        """Look once. Raises Unavailable."""
        blocked = await self._gate.maintain(self._store.checkpoint)
        now = trio.current_time()
        if not blocked:
            if self._said:
                log.info("the database's log is copied again")
            self._blocked_since, self._said = None, False
        elif self._blocked_since is None:
            self._blocked_since = now
        elif now - self._blocked_since > BLOCKED_S and not self._said:
            self._said = True
            log.warning(
                "another program reads the database and doesn't end: the log beside it (-wal) grows",
                log_bytes=blocked,
                seconds=round(now - self._blocked_since),
            )
