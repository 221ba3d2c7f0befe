"""Programs of others on Node.js, in folders of their own below tests/."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

NPM_INSTALL_TIMEOUT_S = 300


def node(needed: tuple[int, int], purpose: str) -> str:
    """The command, of this version or newer. Skips the test where there is none, or no npm."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        pytest.skip(f"needs Node.js and npm for {purpose}: install nodejs and npm")
    version = subprocess.run((found, "--version"), capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < needed:
        pytest.skip(f"needs Node.js {'.'.join(map(str, needed))} or newer for {purpose}; this is {version.strip()}")
    return found


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Not while another process that runs tests is at it."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def run(
    *command: str,
    folder: Path,
    stdin: str = "",
    timeout_s: float = NPM_INSTALL_TIMEOUT_S,
    env: Mapping[str, str] | None = None,
) -> str:
    """What a command wrote to standard output; it must succeed. `env`: besides what is set here."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **(env or {})}, input=stdin, capture_output=True, text=True,
        timeout=timeout_s, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
