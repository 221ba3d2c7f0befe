"""Slows guessing down: by user and address, by address, and, without ever shutting somebody out, by user."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

FREE_TRIES = 5
"""Wrong passwords of one user from one address that cost nothing."""

FIRST_WAIT_S, MAX_WAIT_S = 1.0, 300.0
"""The wait after that; it doubles with each wrong one."""

TRIES_PER_ADDRESS = 100
ADDRESS_WINDOW_S = 60.0

SLOW_FROM_FAILURES = 20
"""Wrong passwords of one user from all addresses, in `USER_WINDOW_S`, from which on strangers are slowed."""

USER_WINDOW_S = 600.0
SLOW_S = 1.5
"""Seconds that a try of such a user takes longer, from an address that never was right before."""

MAX_TRIES_REMEMBERED = 20_000
"""Pairs, addresses and users that are remembered, of each; the oldest are forgotten."""

K = TypeVar("K")
V = TypeVar("V")


class TooManyTries(Exception):
    """Refusal of a try that comes too early. `retry_after` in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("too many tries")
        self.retry_after = retry_after


@attrs.define
class _Tries:
    """Failures of a user from an address, and when the next try may come; `known`: one was right before."""

    failures: int = 0
    not_before: float = 0.0
    known: bool = False


@attrs.define
class _Window:
    """Tries since a window began."""

    began: float
    tries: int = 0


class _Remembered(Generic[K, V]):
    """A dict that forgets what was not used for longest."""

    def __init__(self, make: Callable[[], V]) -> None:
        self._make = make
        self._values: OrderedDict[K, V] = OrderedDict()

    def __getitem__(self, key: K) -> V:
        value = self._values.pop(key, None)
        if value is None:
            value = self._make()
            if len(self._values) >= MAX_TRIES_REMEMBERED:
                self._values.popitem(last=False)
        self._values[key] = value
        return value


class Throttle:
    """Counts tries to sign in. `clock` in seconds. An address of None (a socket without one) is one address."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pairs: _Remembered[tuple[str, str | None], _Tries] = _Remembered(_Tries)
        self._addresses: _Remembered[str | None, _Window] = _Remembered(lambda: _Window(clock()))
        self._users: _Remembered[str, _Window] = _Remembered(lambda: _Window(clock()))

    def admit(self, address: str | None) -> None:
        """Count a try of any credential from this address. Raises TooManyTries."""
        window = self._current(self._addresses[address], ADDRESS_WINDOW_S)
        if window.tries >= TRIES_PER_ADDRESS:
            raise TooManyTries(window.began + ADDRESS_WINDOW_S - self._clock())
        window.tries += 1

    def admit_user(self, user: str, address: str | None) -> float:
        """Return the seconds that this try of the user's password is to be slowed by. Raises TooManyTries."""
        pair = self._pairs[user, address]
        wait = pair.not_before - self._clock()
        if wait > 0:
            raise TooManyTries(wait)
        crowded = self._current(self._users[user], USER_WINDOW_S).tries >= SLOW_FROM_FAILURES
        return SLOW_S if crowded and not pair.known else 0.0

    def knows(self, user: str, address: str | None) -> bool:
        """Return True if the user's password was right before from this address."""
        return self._pairs[user, address].known

    def failed(self, user: str, address: str | None) -> None:
        """Count a wrong password."""
        pair = self._pairs[user, address]
        pair.failures += 1
        if pair.failures > FREE_TRIES:
            doublings = min(pair.failures - FREE_TRIES - 1, 10)
            pair.not_before = self._clock() + min(FIRST_WAIT_S * 2**doublings, MAX_WAIT_S)
        self._current(self._users[user], USER_WINDOW_S).tries += 1

    def succeeded(self, user: str, address: str | None) -> None:
        """Forget the wrong ones before a right password, of this user from this address."""
        pair = self._pairs[user, address]
        pair.failures, pair.not_before, pair.known = 0, 0.0, True

    def good(self, address: str | None) -> None:
        """Take back the count of a try whose credential was good: a clinic behind one address must not notice."""
        window = self._addresses[address]
        window.tries = max(0, window.tries - 1)

    def _current(self, window: _Window, seconds: float) -> _Window:
        now = self._clock()
        if now - window.began >= seconds:
            window.began, window.tries = now, 0
        return window
