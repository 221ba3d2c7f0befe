"""Ranges of a file (RFC 9110, 14): which bytes a request means."""

import re
from typing import Final

import attrs

_RANGE: Final = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.ASCII | re.IGNORECASE)


@attrs.frozen
class Range:
    """The bytes from `start` to before `end`."""

    start: int
    end: int


class Unsatisfiable(Exception):
    """The range has no byte of the file (416)."""


def range_of(given: str | None, condition: str | None, tag: str, size: int) -> Range | None:
    """Return the part that `Range` asks for; None: the whole file. Raises Unsatisfiable.

    `condition`: `If-Range`. Several ranges, other units and what is malformed are answered with the whole file, as a
    server may.
    """
    if given is None or (condition is not None and condition.strip() != tag):
        return None
    found = _RANGE.fullmatch(given)
    if found is None:
        return None
    first, last = found[1], found[2]
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    elif last:
        start, end = max(0, size - int(last)), size
    else:
        return None
    if start >= end:
        raise Unsatisfiable
    return Range(start, end)
