"""Lengths of time as people type them: 90s, 15m, 12h, 30d."""

import re
from typing import Any

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[int]):
    """Becomes whole seconds; `least`, `most`: as they would be typed."""

    name = "duration"

    def __init__(self, *, least: str, most: str) -> None:
        self._least, self._most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([0-9]{1,9})([smhd])", value)
        if not found or int(found[1]) == 0:
            self.fail(f"{value!r} is no length of time: say 90s, 15m, 12h or 30d", param, ctx)
        seconds = _seconds(value)
        if not _seconds(self._least) <= seconds <= _seconds(self._most):
            self.fail(f"{value} is not from {self._least} to {self._most}", param, ctx)
        return seconds


def _seconds(text: str) -> int:
    return int(text[:-1]) * _UNITS[text[-1]]
