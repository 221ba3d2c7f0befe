"""Pages: opaque cursors, and as many items as a frame may hold."""

import base64
from collections.abc import Iterable
from typing import Any

import msgspec

from protocol.codes import ErrorCode
from protocol.encode import encode_object
from protocol.objects import Encoded

from .errors import Refusal

BUDGET = 700 * 1024
"""Bytes of items in one reply; with what surrounds them it stays under the 1 MiB that a frame may have."""


def cursor_of(key: tuple[Any, ...] | None) -> str | None:
    """The cursor that continues behind `key`."""
    return None if key is None else base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def key_of(cursor: str | None, shape: type[tuple[Any, ...]]) -> tuple[Any, ...] | None:
    """The inverse of `cursor_of`. Raises Refusal for anything that is no cursor of this shape."""
    if cursor is None:
        return None
    try:
        key: tuple[Any, ...] = msgspec.json.decode(
            base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=shape
        )
        return key
    except (ValueError, msgspec.DecodeError):
        raise Refusal(ErrorCode.BAD_REQUEST, "`cursor`: not one that this server gave") from None


def fit(items: Iterable[Any], budget: int = BUDGET) -> tuple[Encoded, ...]:
    """The items as JSON, as many as the budget (bytes) holds, but at least one."""
    found: list[Encoded] = []
    size = 0
    for item in items:
        encoded = encode_object(item)
        size += len(bytes(encoded)) + 1
        if size > budget and found:
            break
        found.append(encoded)
    return tuple(found)
