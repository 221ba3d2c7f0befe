"""Bounds of one request: how much of it is read, and for how long."""

from typing import Final

import attrs

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_HEAD_LINES: Final = 128
"""Lines of a head; each costs more to read than its bytes."""


@attrs.frozen(kw_only=True)
class Bounds:
    """`head_bytes`: request line and headers; `body_s`: seconds from the head's end until the body is complete."""

    head_bytes: int = MAX_HEAD_BYTES
    body_bytes: int = 65_536
    body_s: float = 60.0
