"""What every test gets."""

import os
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CHATD_TEST_STRICT=1 a skipped test fails: there, nothing that a test needs may be missing."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CHATD_TEST_STRICT") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped, and CHATD_TEST_STRICT=1: {report.longrepr}"
    return report
