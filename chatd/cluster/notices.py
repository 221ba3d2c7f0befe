"""Notices between daemons on one database: rows that each writes, and that the others read within a poll."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic

from chatd.core.gate import Gate
from storage.changes import PutRow
from storage.keyed import R, RowKind

OVERLAP_MS = 30_000
"""Keys are read again for so long: the clocks of two daemons may differ, and a commit takes its time."""

KEPT_MS = 3_600_000
ROWS_PER_LOOK = 1_000


class Notices(Generic[R]):
    """Rows of a kind whose key is a text of `next_key`, and which expire at `expires_at`."""

    def __init__(self, gate: Gate, kind: RowKind[R], now: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._gate = gate
        self._kind = kind
        self._now = now
        self._new_id = new_id
        self._known: dict[str, None] = {}  # keys that were made here or read, oldest first
        self._began = now()

    def next_key(self) -> str:
        """Return a key that begins with the time, so that keys ascend."""
        return f"{self._now():015d}-{self._new_id()}"

    def expires_at(self) -> int:
        """Return when a row of now is forgotten, ms."""
        return self._now() + KEPT_MS

    def tell(self, rows: Sequence[R]) -> None:
        """Write rows that the other daemons are to read; never waits."""
        self._known.update((self._kind.key_of(row), None) for row in rows)
        self._gate.submit([PutRow(row=row) for row in rows])

    async def look(self) -> list[R]:
        """Return what was written elsewhere since the last look, each row once. Raises Unavailable."""
        after = f"{max(self._began, self._now()) - OVERLAP_MS:015d}"
        store, kind = self._gate.store, self._kind
        found: list[R] = []
        place, more = after, True
        while more:
            read = partial(store.rows, kind, None, None, after=place, limit=ROWS_PER_LOOK)
            rows = await self._gate.read(read)
            found += [row for row in rows if kind.key_of(row) not in self._known]
            more = len(rows) == ROWS_PER_LOOK
            place = kind.key_of(rows[-1]) if rows else place
        self._known.update((kind.key_of(row), None) for row in found)
        for key in [key for key in self._known if key < after]:
            del self._known[key]
        return found
