"""Pages: opaque cursors, and as many items as a frame may hold."""

import base64
from collections.abc import Iterable
from typing import Any

import msgspec

from chatd.core import view
from chatd.core.errors import Refusal
from protocol.codes import ErrorCode
from protocol.encode import encode_object
from protocol.objects import Encoded
from storage.records import SummaryPage, User

DEFAULT_PAGE_ITEMS = 50
"""Items of a page whose request names no limit."""

ITEMS_BYTES = 700 * 1024
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


def fit(items: Iterable[Any], budget: int = ITEMS_BYTES) -> tuple[Encoded, ...]:
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


PRESENCE_BYTES = 64
"""Bytes that `presence` in `hello` has of one person, besides the id."""


def fit_summaries(page: SummaryPage, viewer: str) -> tuple[tuple[Encoded, ...], list[User]]:
    """The page's conversations as JSON, as many as a frame holds with their people, but at least one; and the people.

    A group may have hundreds, and a page of groups more than a frame can name.
    """
    found: list[Encoded] = []
    people: dict[str, User] = {}
    size = 0
    for summary in page.summaries:
        encoded = encode_object(view.summary(summary, viewer))
        ids = (p.user for p in summary.room.participants)
        new = {id: page.users[id] for id in ids if id in page.users and id not in people}
        size += (
            len(encoded) + 1 + sum(len(encode_object(view.user(u))) + len(u.id) + PRESENCE_BYTES for u in new.values())
        )
        if size > ITEMS_BYTES and found:
            break
        found.append(encoded)
        people |= new
    return tuple(found), list(people.values())
