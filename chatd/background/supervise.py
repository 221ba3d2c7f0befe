"""Background jobs: a failing one is logged and started again; it never ends the daemon."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import attrs
import structlog
import trio

from storage.contract import Unavailable

log = structlog.get_logger("chatd.jobs")

FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 60.0

SOUND_AFTER_S = 60.0
"""Seconds without a failure after which a job counts as sound again."""

Job = Callable[[], Awaitable[None]]


@attrs.frozen
class Failure:
    """The last failure of a job. `kind`: the exception's type; `failures`: failures in a row."""

    kind: str
    failures: int


def pause(failures: int, backoff: float) -> float:
    """Return the seconds between the last of so many failures in a row and the next start."""
    doublings = min(failures - 1, 10)  # without the bound a day of failures overflows a float
    return min(backoff * 2.0**doublings, MAX_BACKOFF_S)


def repeating(interval: float, work: Job) -> Job:
    """Return a job that does `work` each `interval` seconds; a store that is unavailable is no failure of the job."""

    async def job() -> None:
        while True:
            with suppress(Unavailable):  # the gate tells the operator
                await work()
            await trio.sleep(interval)

    return job


class Jobs:
    """Supervises background jobs, and knows which of them fail."""

    def __init__(self) -> None:
        self._failing: dict[str, Failure] = {}
        self._failures: dict[str, int] = {}

    @property
    def failing(self) -> Mapping[str, Failure]:
        """Jobs whose last failure is less than `SOUND_AFTER_S` ago, by name; for `/readyz`."""
        return self._failing

    @property
    def failures(self) -> Mapping[str, int]:
        """Failures since the start, by the name of each job that was ever started; for metrics."""
        return self._failures

    async def supervise(self, name: str, job: Job, *, backoff: float = FIRST_BACKOFF_S) -> None:
        """Run `job` until it returns or this is cancelled; after an exception start it again.

        `backoff`: seconds before the first new start; they double with each failure in a row, up to `MAX_BACKOFF_S`.
        """
        self._failures.setdefault(name, 0)
        while True:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._recover, name)
                    await job()
                    nursery.cancel_scope.cancel()
                self._failing.pop(name, None)
                return
            # A bug that surfaces during cancellation comes in a group with Cancelled, which plain `except` lets escape.
            except* Exception as group:
                self._failed(name, group)
            await trio.sleep(pause(self._failing[name].failures, backoff))

    async def _recover(self, name: str) -> None:
        if name in self._failing:
            await trio.sleep(SOUND_AFTER_S)
            del self._failing[name]
            log.info("job works again", job=name)

    def _failed(self, name: str, group: BaseExceptionGroup[Exception]) -> None:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        before = self._failing.get(name)
        self._failing[name] = Failure(type(error).__name__, before.failures + 1 if before else 1)
        self._failures[name] += 1
        log.error("job failed", job=name, failures=self._failing[name].failures, exc_info=group)
