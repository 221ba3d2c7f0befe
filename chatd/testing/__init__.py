"""The pytest plugin for those who build on chatd: a daemon inside the test, and seeded schedules.

pytest loads this module wherever chatd is installed, so what costs time to import stays in `harness` until it is used.
`docs/testing.md` has a complete example.
"""

import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .harness import Disconnected, Frame, Refused, Server, TestClient, daemon

__all__ = ["Disconnected", "Frame", "Refused", "Server", "TestClient", "daemon"]

VARIABLE = "CHATD_SCHEDULE_SEED"


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import harness

        return getattr(harness, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--chatd-schedule-seed`."""
    parser.getgroup("chatd").addoption(
        "--chatd-schedule-seed",
        type=int,
        metavar="N",
        help=f"the order in which Trio runs tasks follows from this number, the same each time (or {VARIABLE}=N)",
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which order a failure belongs to."""
    seed = schedule_seed(config)
    return None if seed is None else f"chatd: Trio's schedule is seeded with {seed} (--chatd-schedule-seed={seed})"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Start each test's schedule from the seed, so that it doesn't depend on the tests before it."""
    seed = schedule_seed(item.config)
    if seed is not None:
        seed_schedule(seed)


def schedule_seed(config: pytest.Config) -> int | None:
    """The seed that was asked for, if any. Raises pytest.UsageError where it is no number."""
    option: int | None = config.getoption("chatd_schedule_seed")
    text = os.environ.get(VARIABLE)
    if option is not None or not text:
        return option
    try:
        return int(text)
    except ValueError:
        raise pytest.UsageError(f"{VARIABLE}={text}: expected an integer") from None


def seed_schedule(seed: int) -> None:
    """Make the order in which Trio runs tasks follow from `seed`, from now on."""
    from trio._core import _run

    # Trio shuffles its tasks and has no public way to repeat an order; Hypothesis is given it by these same two names.
    # Within a test of Hypothesis, Hypothesis itself seeds the order, for each example.
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    _run._r.seed(seed)


@pytest.fixture
async def chatd_server() -> "AsyncIterator[Server]":
    """A daemon in development mode with an empty store, for one Trio test.

    Time is virtual where the test takes a clock, too (`autojump_clock`).
    """
    from .harness import daemon

    async with daemon() as server:
        yield server
