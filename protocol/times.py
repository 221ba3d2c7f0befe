"""Times on the wire: RFC 3339 in UTC with milliseconds; everywhere else: integer milliseconds since 1970."""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=1024)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=256)  # what comes together has few different times
def to_rfc3339(ms: int) -> str:
    """`ms` since the epoch as `2026-11-22T13:17:00.123Z`."""
    second, rest = divmod(ms, 1000)
    return f"{_second(second)}.{rest:03d}Z"


def from_rfc3339(text: str) -> int:
    """The inverse of `to_rfc3339`. Raises ValueError for anything that is not a date and time with its zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return round(at.timestamp() * 1000)
