"""Boxes of the ISO base media file format (ISO/IEC 14496-12, 4.2), read and blanked where they lie.

A box that is blanked becomes a `free` one of the same size, full of zeros, so that no offset in the file moves.
"""

from collections.abc import Iterator
from typing import BinaryIO

import attrs

from .errors import Damaged

MAX_BOXES = 100_000
"""Boxes in one container, at most: far more than any player takes."""

ZEROS_BYTES = 1 << 16


@attrs.frozen
class Box:
    """Place of a box: `start` of its header, `body` of its content, and `end`."""

    kind: bytes
    start: int
    body: int
    end: int


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes from `start` to `end`, which they fill exactly."""
    at = start
    for _ in range(MAX_BOXES):
        if at == end:
            return
        box = _box(file, at, end)
        yield box
        at = box.end
    raise Damaged("too many boxes")


def _box(file: BinaryIO, at: int, end: int) -> Box:
    file.seek(at)
    header = file.read(min(16, end - at))
    if len(header) < 8:
        raise Damaged("a box without its header")
    size, kind, body = int.from_bytes(header[:4]), header[4:8], at + 8
    if size == 1:
        if len(header) < 16:
            raise Damaged("a box without its size")
        size, body = int.from_bytes(header[8:16]), at + 16
    elif size == 0:
        size = end - at
    if size < body - at or at + size > end:
        raise Damaged("a box beyond its container")
    return Box(kind, at, body, at + size)


def blank(file: BinaryIO, box: Box) -> None:
    """Make it a `free` box of zeros, of the size that it had."""
    file.seek(box.start + 4)
    file.write(b"free")
    zero(file, box.body, box.end)


def zero(file: BinaryIO, start: int, end: int) -> None:
    """Put zeros from `start` to before `end`."""
    file.seek(start)
    left = end - start
    while left > 0:
        left -= file.write(bytes(min(left, ZEROS_BYTES)))


def read(file: BinaryIO, start: int, end: int, limit: int) -> bytes:
    """All from `start` to before `end`; Damaged if it is more than `limit` or not there."""
    if end - start > limit:
        raise Damaged("a table that is too large")
    file.seek(start)
    data = file.read(end - start)
    if len(data) != end - start:
        raise Damaged("the file is cut off")
    return data
