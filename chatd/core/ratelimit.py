"""Token buckets against floods."""

from collections.abc import Callable

import trio


class TokenBucket:
    """`rate` tokens a second, at most `burst` saved up; `clock` in seconds."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._at = clock()

    def take(self, tokens: int = 1) -> float:
        """Take tokens: 0, or the seconds until there are so many, and none is taken."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens >= tokens:
            self._tokens -= tokens
            return 0.0
        return (tokens - self._tokens) / self._rate

    @property
    def full(self) -> bool:
        """Return True if it could be forgotten without anybody noticing."""
        return self._tokens + (self._clock() - self._at) * self._rate >= self._burst


class Buckets:
    """A bucket per user, over all connections; full ones are forgotten."""

    SWEEP = 1024

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = trio.current_time) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, TokenBucket] = {}
        self._sweep_at = self.SWEEP

    def of(self, user: str) -> TokenBucket:
        """The user's bucket."""
        bucket = self._buckets.get(user)
        if bucket is None:
            if len(self._buckets) >= self._sweep_at:
                self._buckets = {id: kept for id, kept in self._buckets.items() if not kept.full}
                self._sweep_at = max(self.SWEEP, 2 * len(self._buckets))
            bucket = self._buckets[user] = TokenBucket(self._rate, self._burst, self._clock)
        return bucket
