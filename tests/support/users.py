"""Another user: somebody whom the file system keeps out, also where the tests run as root."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65_534


@contextmanager
def as_another() -> Iterator[None]:
    """Be another user for a while. Skips the test where this isn't root."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be another user")
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """Yield an empty folder of that user's, which it reaches; pytest's own are for root alone."""
    with tempfile.TemporaryDirectory(prefix="chatd-another-") as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)
