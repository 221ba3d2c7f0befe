"""Lengths of time as people type them: 90s, 15m, 12h, 30d."""

import re
from typing import Any

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[int]):
    """Becomes whole seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([0-9]{1,9})([smhd])", value)
        if not found or int(found[1]) == 0:
            self.fail(f"{value!r} is no length of time: say 90s, 15m, 12h or 30d", param, ctx)
        return int(found[1]) * _UNITS[found[2]]
