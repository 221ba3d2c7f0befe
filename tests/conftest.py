"""What every test gets."""

import importlib
import os
import pkgutil
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import structlog
from coverage import Coverage
from structlog.dev import ConsoleRenderer, plain_traceback

from storage.contract import Store
from support.shaped_contract import choose_shapes
from support.shaped_stores import SHAPED_KINDS
from support.skipped import pytest_terminal_summary
from support.spread import spread
from support.stores import KINDS, Desk, Kind

__all__ = ["pytest_terminal_summary"]  # a hook: imported for being found here

HERE = Path(__file__).parent

_measuring = Coverage.current()
MEASURED = ("protocol", "storage")
UNTRACED = ("hypothesis", "untraced")
"""What counts as covering `protocol` and `storage`: their own tests, without those marked so, which run a little of
everything, something else each time, or the same very often. Tracing makes others up to three times as slow."""

if _measuring is not None:
    for package in map(importlib.import_module, MEASURED):  # what importing runs is covered by importing all of it
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    _measuring.stop()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    choose_shapes(config, items)
    spread(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Measure coverage in these tests alone, and not in their fixtures, which thousands of them share."""
    wanted = item.path.relative_to(HERE).parts[0] in MEASURED and not any(map(item.get_closest_marker, UNTRACED))
    if _measuring is None or not wanted:
        return (yield)
    _measuring.start()
    try:
        return (yield)
    finally:
        _measuring.stop()


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a script: what the tests start would not hear Ctrl-C either.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _log_plainly() -> None:
    """Write tracebacks without the values of variables: with them, each takes a third of a second."""
    ConsoleRenderer.get_active().exception_formatter = plain_traceback


_log_plainly()


@pytest.fixture(autouse=True)
def _logs_as_at_first() -> Iterator[None]:
    """Who configures logging in this process, as commands do, does it for one test."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
        _log_plainly()
        for name, module in list(sys.modules.items()):
            if name.startswith("chatd.") and hasattr(module, "log"):
                vars(module.log).pop("bind", None)  # a logger keeps what was configured when it was first used


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CHATD_TEST_STRICT=1 a skipped test fails: there, nothing that a test needs may be missing."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CHATD_TEST_STRICT") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped, and CHATD_TEST_STRICT=1: {report.longrepr}"
    return report


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test in a folder of its own."""
    monkeypatch.chdir(tmp_path)


# -- what is promised of every store is tested on each; who needs another has a `store` of its own --


@pytest.fixture(params=[*KINDS, *SHAPED_KINDS], ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    assert isinstance(request.param, Kind)
    return request.param


@pytest.fixture
def store(kind: Kind, tmp_path: Path) -> Iterator[Store]:
    store = kind.open(tmp_path)
    yield store
    store.close()


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)
