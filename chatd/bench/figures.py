"""The numbers of a run. Pure."""

import math
from collections import Counter

import attrs

_FINE = 100
"""Steps in which a duration grows e-fold: each is 1 % wide."""


class Durations:
    """Durations in seconds, to a percent of their length: as many as you like in the same little memory."""

    def __init__(self) -> None:
        self._steps: Counter[int] = Counter()
        self._most = 0.0
        self.count = 0

    def add(self, seconds: float) -> None:
        """One more; below a microsecond is taken for one."""
        self.count += 1
        self._steps[int(math.log(max(seconds, 1e-6) * 1e6) * _FINE)] += 1
        if seconds > self._most:
            self._most = seconds

    def clear(self) -> None:
        """Forget all."""
        self._steps.clear()
        self._most, self.count = 0.0, 0

    def percentiles(self) -> "Percentiles | None":
        """Return the percentiles; None of nothing."""
        if not self.count:
            return None
        return Percentiles(p50=self._at(0.5), p90=self._at(0.9), p99=self._at(0.99), max=self._most * 1e3)

    def _at(self, share: float) -> float:
        """ms below or at which this share of them is."""
        left = math.ceil(share * self.count)
        for step in sorted(self._steps):
            left -= self._steps[step]
            if left <= 0:
                break
        return min(math.exp((step + 0.5) / _FINE) / 1e3, self._most * 1e3)


@attrs.frozen(kw_only=True)
class Percentiles:
    """Percentiles of durations, in ms."""

    p50: float
    p90: float
    p99: float
    max: float


@attrs.frozen(kw_only=True)
class Workload:
    """The workload of a run.

    `members` is 2 for pairs; `body_bytes`: of each message's text; `seconds`: what is measured.
    """

    conversations: int
    members: int
    senders: int
    window: int
    body_bytes: int
    receipts: bool
    seconds: float
    warm_up: float


@attrs.frozen(kw_only=True)
class ServerCost:
    """The cost of the server's process. Bytes of memory are those in use (resident)."""

    cpu_percent: float
    """CPU time while it was measured, in % of one core."""
    cpu_us_per_message: float | None
    """us of CPU time for each acknowledged message, all its deliveries included; None where there was none."""
    cpu_us_per_delivery: float | None
    memory_start: int
    memory_end: int
    memory_peak: int
    """The most since the process began."""


@attrs.frozen(kw_only=True)
class Syncs:
    """ms to write 4 KiB to the server's disk and sync them: what it takes to make an acknowledgement durable."""

    p50: float
    p99: float


@attrs.frozen(kw_only=True)
class Figures:
    """The figures of a run: the JSON of `chatd bench --json`. None: not to be had."""

    version: str
    """Version of this program."""
    server: str
    """Its URL."""
    private: bool
    """True if the server was started for this run."""
    workload: Workload
    seconds: float
    """Seconds measured; fewer than asked for if interrupted."""
    interrupted: bool
    failure: str | None
    """Reason that it ended early or could not be finished, in one line."""
    acknowledged: int
    """Messages that their sender knows to be kept."""
    acknowledged_per_second: float
    delivered: int
    """Messages that reached a member who did not send them: one of a conversation of three is delivered twice."""
    delivered_per_second: float
    ack_ms: Percentiles | None
    """Time from sending a message to its acknowledgement."""
    sync_ms: Syncs | None
    cost: ServerCost | None
    load_cpu_percent: float
    """CPU time of this program, in % of one core: near 100 it is what limits the rest."""
    errors: dict[str, int]
    """Refused requests by code, the warm-up's included; the messages were sent again."""
    discrepancies: list[str]
    """Messages lost, doubled, or out of order. Checked from the first message to the last."""

    @property
    def good(self) -> bool:
        """Return True if all went as it must."""
        return not self.discrepancies and self.failure is None
