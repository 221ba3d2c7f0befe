"""What others have, on Node.js (tests/peers): run for one answer each."""

import fcntl
import functools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "peers"
LOCK = FOLDER / "package-lock.json"
INSTALLED = FOLDER / "node_modules" / ".installed"  # the lock file that it was installed from
NEEDED = (20, 0)
"""The oldest Node.js that all of them run on."""


@functools.cache
def node() -> str:
    """The command, with the packages installed, on first use. Skips the test where there is none."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        pytest.skip("needs Node.js and npm for what others have: install nodejs and npm")
    version = subprocess.run((found, "--version"), capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < NEEDED:
        pytest.skip(f"needs Node.js {NEEDED[0]} or newer for what others have; this is {version.strip()}")
    with _alone():
        if not INSTALLED.exists() or INSTALLED.read_text() != LOCK.read_text():
            _run((npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"), timeout=300)
            INSTALLED.write_text(LOCK.read_text())
    return found


def answer_of(script: str, *, within_s: float = 60, **wanted: Any) -> Any:
    """The answer of a script in tests/peers to this, as JSON."""
    return json.loads(_run((node(), script), stdin=json.dumps(wanted), timeout=within_s))


@contextmanager
def _alone() -> Iterator[None]:
    """Not while another process that runs tests is at it."""
    folder = os.open(FOLDER, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _run(command: tuple[str, ...], *, stdin: str = "", timeout: float) -> str:
    done = subprocess.run(
        command, cwd=FOLDER, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
