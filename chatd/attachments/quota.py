"""Bytes that each user may upload in a day. The day begins with the first of them, and is kept in the store."""

import math
from collections.abc import Callable
from functools import partial

import trio

from chatd.core.errors import Refusal
from chatd.core.gate import Gate
from protocol.codes import ErrorCode
from storage.changes import Change, PutRow, RowsSaved, SwapRow
from storage.keyed import UPLOADED, Uploaded

DAY_MS = 24 * 3_600_000


class Quota:
    """Counts what came in, also of what was refused or cut off. `most`: bytes of a user in a day; `now`: ms."""

    def __init__(self, gate: Gate, most: int, now: Callable[[], int]) -> None:
        self._gate = gate
        self._most = most
        self._now = now
        self._one_at_a_time = trio.Lock()

    async def check(self, user: str, size: int) -> None:
        """Raise Refusal (`rate_limited`) where the user may not upload so many bytes more today."""
        row = self._current(user, await self._kept(user))
        if row.bytes + size > self._most:
            left_s = (row.expires_at - self._now()) / 1000
            hours = max(1, math.ceil(left_s / 3600))
            raise Refusal(
                ErrorCode.RATE_LIMITED,
                f"this is more than may be uploaded in a day; it can be sent in {hours} h",
                retry_after=max(1.0, left_s),
            )

    async def charge(self, user: str, size: int) -> None:
        """Count bytes that came in. Raises Unavailable."""
        if not size:
            return
        async with self._one_at_a_time:
            while True:
                old = await self._kept(user)
                row = self._current(user, old)
                new = Uploaded(user=user, bytes=row.bytes + size, expires_at=row.expires_at)
                change: Change = PutRow(row=new) if old is None else SwapRow(old=old, new=new)
                (outcome,) = await self._gate.commit([change])
                if isinstance(outcome, RowsSaved):
                    return

    async def _kept(self, user: str) -> Uploaded | None:
        return await self._gate.read(partial(self._gate.store.row, UPLOADED, user))

    def _current(self, user: str, row: Uploaded | None) -> Uploaded:
        """The day that is kept, or one that begins now."""
        now = self._now()
        if row is not None and row.expires_at > now:
            return row
        return Uploaded(user=user, bytes=0, expires_at=now + DAY_MS)
