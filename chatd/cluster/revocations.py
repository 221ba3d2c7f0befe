"""Revocations between daemons on one database: each cuts off within two seconds whom another one revoked."""

from collections.abc import Sequence

from chatd.core.accounts import Accounts, Cut
from storage.keyed import Revocation

from .notices import Notices


class Revocations:
    """Tells other daemons what was revoked here, and carries out what was revoked there."""

    def __init__(self, notices: Notices[Revocation], accounts: Accounts) -> None:
        self._notices = notices
        self._accounts = accounts
        accounts.subscribe_cuts(self._tell)

    def _tell(self, cuts: Sequence[Cut]) -> None:
        notices = self._notices
        notices.tell(
            [
                Revocation(
                    key=notices.next_key(),
                    user=cut.user,
                    credential_id=cut.credential_id,
                    expires_at=notices.expires_at(),
                )
                for cut in cuts
            ]
        )

    async def look(self) -> None:
        """Carry out what was revoked elsewhere since the last look. Raises Unavailable."""
        for row in await self._notices.look():
            self._accounts.carry_out_cut(Cut(row.user, row.credential_id, "signed out by another server"))
