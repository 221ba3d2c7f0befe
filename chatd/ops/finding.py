"""Findings of `chatd check`."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import attrs


@attrs.frozen
class Finding:
    """One finding: a line."""

    level: Literal["ok", "warning", "wrong"]
    what: str
    text: str


def exposed(what: str, path: Path, advice: str) -> Iterator[Finding]:
    """Yield a finding where others than the owner can read or write what is at `path`."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield Finding("wrong", what, f"{path}: open to others than its owner (mode {mode:04o}); {advice}")
