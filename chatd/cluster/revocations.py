"""Revocations between daemons on one database: each cuts off within two seconds whom another one revoked."""

from collections.abc import Callable, Sequence

from chatd.core.accounts import Accounts, Cut
from chatd.core.gate import Gate
from storage.changes import PutRow
from storage.keyed import REVOCATION, Revocation

OVERLAP_MS = 30_000
"""Keys are read again for so long: the clocks of two daemons may differ, and a commit takes its time."""

KEPT_MS = 3_600_000
ROWS_PER_LOOK = 1_000


class Revocations:
    """Tells other daemons what was revoked here, and carries out what was revoked there."""

    def __init__(self, gate: Gate, accounts: Accounts, now: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._gate = gate
        self._accounts = accounts
        self._now = now
        self._new_id = new_id
        self._known: dict[str, None] = {}  # keys that were made here or carried out, oldest first
        self._began = now()
        accounts.subscribe_cuts(self._tell)

    def _tell(self, cuts: Sequence[Cut]) -> None:
        now = self._now()
        rows = [
            Revocation(
                key=f"{now:015d}-{self._new_id()}",
                user=cut.user,
                credential_id=cut.credential_id,
                expires_at=now + KEPT_MS,
            )
            for cut in cuts
        ]
        self._known.update((row.key, None) for row in rows)
        self._gate.submit([PutRow(row=row) for row in rows])

    async def look(self) -> None:
        """Carry out what was revoked elsewhere since the last look. Raises Unavailable."""
        after = f"{max(self._began, self._now()) - OVERLAP_MS:015d}"
        store = self._gate.store
        rows = await self._gate.read(lambda: store.rows(REVOCATION, None, None, after=after, limit=ROWS_PER_LOOK))
        for row in rows:
            if row.key not in self._known:
                self._known[row.key] = None
                self._accounts.carry_out_cut(Cut(row.user, row.credential_id, "signed out by another server"))
        for key in [key for key in self._known if key < after]:
            del self._known[key]
