"""One line about all tests that were skipped, so that nobody takes them for passed."""

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many were skipped, and why."""
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", ()))
    if reasons:
        each = "; ".join(f"{count} because: {reason}" for reason, count in reasons.most_common())
        terminalreporter.write_line(f"{reasons.total()} skipped: {each}", yellow=True)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    # The place, the line and "Skipped: the reason".
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return " ".join(text.removeprefix("Skipped: ").split())
