"""Constrained types of the wire, and the decorators that make a class part of it."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar, dataclass_transform

import attrs
from msgspec import Meta

MAX_INT = 2**53
"""Largest integer that every JSON reader keeps exact (RFC 7493, section 2.2)."""

MAX_NAME_CHARS = 200

RequestId = Annotated[int, Meta(ge=-MAX_INT, le=MAX_INT)] | Annotated[str, Meta(max_length=64)]
Id = Annotated[
    str,
    # Not `pattern=`, which takes three times as long as the rest of the decoding: a request's ids go through `is_id`.
    Meta(
        description="printable ASCII without space; opaque, compared exactly",
        extra_json_schema={"minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
    ),
]
ClientId = Annotated[str, Meta(min_length=1, max_length=64, description="unique per sender: makes a repeat harmless")]
Seq = Annotated[int, Meta(ge=1, le=MAX_INT, description="a message's place in its conversation")]
Mark = Annotated[int, Meta(ge=0, le=MAX_INT, description="a watermark: a seq, or 0 before the first message")]
Rev = Annotated[int, Meta(ge=1, le=MAX_INT, description="the number of a durable change")]
Limit = Annotated[int, Meta(ge=1, le=MAX_INT, description="at most `limits.max_page`; 50 where absent")]
Cursor = Annotated[str, Meta(max_length=1024, description="opaque; from the page before")]
Body = Annotated[str, Meta(description="1 to `limits.max_body_chars` code points; may be empty with attachments")]
Title = Annotated[str, Meta(min_length=1, max_length=200)]
Time = Annotated[str, Meta(description="RFC 3339, UTC, milliseconds")]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]
Token = Annotated[str, Meta(max_length=8192)]

T = TypeVar("T")


def is_id(text: str) -> bool:
    """Return True if `text` can be an `Id`."""
    return 0 < len(text) <= 128 and text.isascii() and text.isprintable() and " " not in text


def is_name(text: str) -> bool:
    """Return True if `text` can be a `Name` in one line."""
    return 0 < len(text) <= MAX_NAME_CHARS and text.isprintable()


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(attrs.field,))
def value(cls: type[T]) -> type[T]:
    """A class with keyword arguments, frozen for type checkers alone: at run time that makes fields slow to read.

    Without slots: the encoder goes by an instance's `__dict__`.
    """
    return attrs.define(cls, slots=False, kw_only=True, unsafe_hash=True)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(attrs.field,))
def frame(tag: str) -> Callable[[type[T]], type[T]]:
    """Like `value`, for a class that is a whole frame: `tag` is its `type` on the wire."""

    def make(cls: type[T]) -> type[T]:
        made = value(cls)
        made.TYPE = tag  # type: ignore[attr-defined]
        return made

    return make


def wire(name: str | None = None, *, always: bool = False, default: Any = attrs.NOTHING) -> Any:
    """A field whose name on the wire is a keyword in Python, or that is written even when it is None (`always`)."""
    return attrs.field(default=default, metadata={"wire": name, "always": always})
