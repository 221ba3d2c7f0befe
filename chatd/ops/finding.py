"""Findings of `chatd check`."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import attrs

from chatd.config import LoadedConfig


@attrs.frozen
class CheckFinding:
    """One finding: a line."""

    level: Literal["ok", "warning", "wrong"]
    what: str
    text: str


def exposed(what: str, path: Path, advice: str) -> Iterator[CheckFinding]:
    """Yield a finding where others than the owner can read or write what is at `path`."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield CheckFinding("wrong", what, f"{path}: open to others than its owner (mode {mode:04o}); {advice}")


def listening_place(loaded: LoadedConfig) -> str:
    """Return host and port for people, with where the host came from, where that is the environment."""
    server, source = loaded.config.server, loaded.sources.get("server.host")
    place = f"{server.host} port {server.port}"
    if source is None or source.place != "environment":
        return place
    return f"{place} (the host is from the variable {source.name})"
