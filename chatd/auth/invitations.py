"""Invitations: a code on paper or in a message that signs a patient in, once."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime

import attrs

from chatd.core.accounts import Accounts
from chatd.core.gate import Gate
from storage.changes import PutRow, RowsSaved, SwapRow, TakeRow
from storage.keyed import INVITATION, Invitation
from storage.records import User

from . import opaque

DEFAULT_LIFETIME_S = 14 * 86_400
MAX_LIFETIME_S = 365 * 86_400

MAX_WRONG_BIRTH_DATES = 3

TIME_ZONES_MS = 14 * 3_600_000
"""ms by which the day may be ahead of UTC where a child is born today."""


class NotInvited(Exception):
    """The invitation lets nobody in: unknown, used, over, or the birth date is wrong; the answers are the same."""

    def __init__(self, reason: str) -> None:
        super().__init__("this invitation is not accepted: ask for a new one, or look at the date again")
        self.reason = reason


class Invitations:
    """Makes invitations, and redeems them."""

    def __init__(self, gate: Gate, accounts: Accounts, now: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._gate = gate
        self._accounts = accounts
        self._now = now
        self._new_id = new_id

    async def make(
        self, user: str, *, birth_date: str | None, lifetime: float, by: str | None
    ) -> tuple[str, Invitation]:
        """Make an invitation of this user: its code, and its row. `lifetime` in seconds. Raises Unavailable."""
        code, row = draft(user, birth_date=birth_date, lifetime=lifetime, by=by, now=self._now(), id=self._new_id())
        await self._accounts.commit([PutRow(row=row)])
        return code, row

    async def redeem(self, typed: str, birth_date: str | None) -> User:
        """Use an invitation up: its user. Raises NotInvited, Unavailable."""
        row = await self.find(typed)
        if row is not None and row.birth_date is not None:
            row = await self._try(row)
        if row is None:
            raise NotInvited("no such invitation, used before, or over")
        if row.birth_date not in (None, birth_date):
            if row.wrong >= MAX_WRONG_BIRTH_DATES:
                await self._accounts.commit([TakeRow(kind=INVITATION, key=row.hash)])
            raise NotInvited("wrong birth date")
        user = await self._gate.read(lambda: self._gate.store.user(row.user))
        if user is None or user.disabled_at is not None:
            raise NotInvited("no such user, or disabled")
        (outcome,) = await self._accounts.commit([TakeRow(kind=INVITATION, key=row.hash)])
        if not isinstance(outcome, RowsSaved):
            raise NotInvited("used meanwhile")
        return user

    async def _try(self, row: Invitation | None) -> Invitation | None:
        """Count a try before its birth date is looked at: many at once get no more tries than one by one."""
        while row is not None and row.wrong < MAX_WRONG_BIRTH_DATES:
            tried = attrs.evolve(row, wrong=row.wrong + 1)
            (outcome,) = await self._accounts.commit([SwapRow(old=row, new=tried)])
            if isinstance(outcome, RowsSaved):
                return tried
            row = await self._row(row.hash)
        return None

    async def _row(self, hash: str) -> Invitation | None:
        return await self._gate.read(lambda: self._gate.store.row(INVITATION, hash))

    async def find(self, typed: str) -> Invitation | None:
        """Return the invitation of a code, as it was typed, unless it is over. Raises Unavailable."""
        row = await self._row(opaque.hash_of(opaque.tidy_code(typed)))
        return row if row is not None and row.expires_at > self._now() else None


def checked_birth_date(text: str, now: int) -> str:
    """Return a birth date as it is compared. `now` in ms. Raises ValueError with words for people."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII) is None:
        raise ValueError("a date like 1953-04-30")
    try:
        born = date.fromisoformat(text)
    except ValueError:
        raise ValueError("no calendar has this date") from None
    if born > datetime.fromtimestamp((now + TIME_ZONES_MS) / 1000, UTC).date():
        raise ValueError("this date is in the future")
    return text


def draft(
    user: str, *, birth_date: str | None, lifetime: float, by: str | None, now: int, id: str
) -> tuple[str, Invitation]:
    """Return a new code and its row, for the caller to commit. `lifetime` in s, `now` in ms."""
    code = opaque.make_code()
    row = Invitation(
        hash=opaque.hash_of(code),
        id=id,
        user=user,
        birth_date=birth_date,
        created_by=by,
        created_at=now,
        expires_at=now + round(lifetime * 1000),
    )
    return code, row
