"""The order of tests: those of real processes, which mostly wait, among the others, which mostly compute.

In the order of folders all test processes would wait at the same time, and the processors would stand idle.
"""

from itertools import groupby

import pytest

WAITING = "tests/e2e/"


def spread(items: list[pytest.Item]) -> None:
    """Put the waiting tests, evenly and in their order, between the files of the others."""
    waiting = [item for item in items if item.nodeid.startswith(WAITING)]
    others = [item for item in items if not item.nodeid.startswith(WAITING)]
    ordered: list[pytest.Item] = []
    taken = passed = 0
    for _, file in groupby(others, key=lambda item: item.path):
        tests = list(file)
        passed += len(tests)
        due = len(waiting) * passed // len(others)
        ordered += [*tests, *waiting[taken:due]]
        taken = due
    items[:] = ordered if others else waiting
