"""Metrics for Prometheus. No name and no label holds a user, a conversation or a text.

Events that are rare enough are counted when they happen; states, and what is counted on the hot path, are read when
somebody asks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import attrs
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SIZE_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
DURATION_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REASONS: Final = (
    "too_slow",  # a session that did not read
    "rate_limited",  # a request
    "typing",  # over the rate: answered, and not passed on
    "too_many_requests",  # a session that went on and on
    "too_many_connections",
    "origin",  # a handshake from a page that may not
)

Read = Callable[[], Mapping[str, float]]
"""Values by the label's value; "" where there is no label."""


@attrs.frozen
class _Reading:
    name: str
    help: str
    label: str
    read: Read
    counts: bool

    def family(self) -> Metric:
        kind = CounterMetricFamily if self.counts else GaugeMetricFamily
        family = kind(self.name, self.help, labels=[self.label] if self.label else None)
        for value, number in self.read().items():
            family.add_metric([value] if self.label else [], number)
        return family


class Metrics:
    """One daemon's metrics; each daemon has a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._readings: list[_Reading] = []
        self.commit_changes = Histogram(
            "chatd_commit_changes", "Changes in one commit.", buckets=SIZE_BUCKETS, registry=self._registry
        )
        self.commit_seconds = Histogram(
            "chatd_commit_seconds",
            "Seconds of one commit, its sync included.",
            buckets=DURATION_BUCKETS_S,
            registry=self._registry,
        )
        self.loop_delay = Histogram(
            "chatd_loop_delay_seconds",
            "Seconds by which a timer of the event loop was late.",
            buckets=DURATION_BUCKETS_S,
            registry=self._registry,
        )
        self.dropped = Counter(
            "chatd_dropped", "What was refused or cut off, by reason.", ["reason"], registry=self._registry
        )
        for reason in REASONS:
            self.dropped.labels(reason)  # a series that begins with the first event shows no increase
        self.http_requests = Counter(
            "chatd_http_requests",
            "HTTP requests, by operation and status.",
            ["method", "operation", "status"],
            registry=self._registry,
        )
        self._answers: dict[tuple[str, str, int], Counter] = {}
        ProcessCollector(registry=self._registry)
        self._registry.register(_Readings(self._readings))

    def drop(self, reason: str) -> None:
        """Count something that was refused or cut off; `reason` is one of `REASONS`."""
        self.dropped.labels(reason).inc()

    def answered(self, method: str, operation: str, status: int) -> None:
        """Count an HTTP request."""
        key = (method, operation, status)
        counter = self._answers.get(key)
        if counter is None:  # looking it up by its labels takes ten times as long
            counter = self._answers[key] = self.http_requests.labels(*key)
        counter.inc()

    def gauge(self, name: str, help: str, read: Callable[[], float]) -> None:
        """Have a state read when somebody asks."""
        self._readings.append(_Reading(name, help, "", lambda: {"": read()}, counts=False))

    def gauges(self, name: str, help: str, label: str, read: Read) -> None:
        """The same, for a state that has several values."""
        self._readings.append(_Reading(name, help, label, read, counts=False))

    def counter(self, name: str, help: str, read: Callable[[], float]) -> None:
        """Have a number that only grows read when somebody asks."""
        self._readings.append(_Reading(name, help, "", lambda: {"": read()}, counts=True))

    def counters(self, name: str, help: str, label: str, read: Read) -> None:
        """The same, for several numbers."""
        self._readings.append(_Reading(name, help, label, read, counts=True))

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)


class _Readings:
    """Readings that are taken when somebody asks, as the library's registry wants them."""

    def __init__(self, readings: Iterable[_Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        for reading in self._readings:
            yield reading.family()

    def describe(self) -> Iterable[Metric]:
        return ()  # or the registry would read everything when this is registered
