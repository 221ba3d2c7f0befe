"""The second step of a sign-in by password: a code of an authenticator app, or one of ten recovery codes."""

import re
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Final

import attrs
import structlog

from chatd.core.accounts import Accounts
from chatd.core.gate import Gate
from storage.changes import RowsSaved, SwapRow, TakeRow
from storage.keyed import RECOVERY_CODE, SECOND_STEP, RecoveryCode, SecondStep

from . import opaque, totp
from .sealing import Sealer, Unsealable
from .throttle import TooManyTries

log = structlog.get_logger("chatd.second_step")

KEY_PURPOSE: Final = "second step"
"""Purpose of the key that secrets are sealed with."""

RECOVERY_CODES: Final = 10

FREE_TRIES: Final = 5
FIRST_WAIT_S, MAX_WAIT_S = 60.0, 3600.0
"""The wait after five wrong codes in a row; it doubles with each. Only who knows the password gets that far."""

MAX_USERS_REMEMBERED: Final = 10_000


@attrs.define
class _Wrong:
    """Wrong codes of a user in a row, and when the next try may come."""

    count: int = 0
    not_before: float = 0.0


def recovery_codes(user: str, now: int) -> tuple[list[str], list[RecoveryCode]]:
    """Return ten new codes, and their rows, for the caller to commit."""
    codes = [opaque.make_code() for _ in range(RECOVERY_CODES)]
    return codes, [RecoveryCode(hash=recovery_hash(user, code), user=user, created_at=now) for code in codes]


def recovery_hash(user: str, code: str) -> str:
    """Return the key of a recovery code's row: another user's code is another row. It has bits enough for no salt."""
    return sha256(f"{user}\n{opaque.tidy_code(code)}".encode()).hexdigest()


class SecondSteps:
    """Checks second steps. `clock` in seconds, `now` in ms."""

    def __init__(
        self, gate: Gate, accounts: Accounts, now: Callable[[], int], clock: Callable[[], float], sealer: Sealer
    ) -> None:
        self._gate = gate
        self._accounts = accounts
        self._now = now
        self._clock = clock
        self._sealer = sealer
        self._wrong: OrderedDict[str, _Wrong] = OrderedDict()

    async def of(self, user: str) -> SecondStep | None:
        """Return the user's second step, where one is set up. Raises Unavailable."""
        return await self._gate.read(lambda: self._gate.store.row(SECOND_STEP, user))

    async def passes(self, row: SecondStep, typed: str) -> bool:
        """Use a code up; False for a wrong one. Raises TooManyTries, Unavailable.

        A code counts once: the step of time it belongs to, and all before it, are over with it.
        """
        wrong = self._wrong.get(row.user) or _Wrong()
        if wrong.not_before > self._clock():
            raise TooManyTries(wrong.not_before - self._clock())
        self._count(row.user, wrong)  # before anything is awaited: many at once get no more tries than one by one
        code = "".join(typed.split())
        right = await (self._is_current(row, code) if re.fullmatch("[0-9]{6}", code) else self._recovers(row, code))
        if right:
            self._wrong.pop(row.user, None)
        return right

    def _count(self, user: str, wrong: _Wrong) -> None:
        wrong.count += 1
        if wrong.count > FREE_TRIES:
            wait = min(FIRST_WAIT_S * 2 ** min(wrong.count - FREE_TRIES - 1, 10), MAX_WAIT_S)
            wrong.not_before = self._clock() + wait
        self._wrong[user] = wrong
        self._wrong.move_to_end(user)
        if len(self._wrong) > MAX_USERS_REMEMBERED:
            self._wrong.popitem(last=False)

    async def _is_current(self, row: SecondStep, code: str) -> bool:
        try:
            secret = self._sealer.open(row.sealed, row.user)
        except Unsealable:
            log.error("a second step can't be read: the daemon's secret is another one now", user=row.user)
            return False
        step = totp.matching_step(secret, code, self._now(), after=row.last_used)
        if step is None:
            return False
        (outcome,) = await self._accounts.commit([SwapRow(old=row, new=attrs.evolve(row, last_used=step))])
        return isinstance(outcome, RowsSaved)  # else somebody was faster, with this code

    async def _recovers(self, row: SecondStep, code: str) -> bool:
        if not 1 <= len(code) <= 100:
            return False
        (outcome,) = await self._accounts.commit([TakeRow(kind=RECOVERY_CODE, key=recovery_hash(row.user, code))])
        if not isinstance(outcome, RowsSaved):
            return False
        log.warning("a recovery code was used", user=row.user)
        return True
