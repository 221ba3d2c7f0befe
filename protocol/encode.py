"""Frames to JSON. Fields that are None stay out, unless the contract names them as null."""

from typing import Any

import attrs
import msgspec

from protocol.frames import Frame
from protocol.requests import Request
from protocol.types import RequestId

_encoder = msgspec.json.Encoder()
_plans: dict[type[Any], tuple[tuple[str, str, bool], ...]] = {}


def _plan(cls: type[Any]) -> tuple[tuple[str, str, bool], ...]:
    plan = tuple((f.name, f.metadata.get("wire") or f.name, f.metadata.get("always", False)) for f in attrs.fields(cls))
    _plans[cls] = plan
    return plan


def encode(frame: Frame | Request) -> bytes:
    """One frame as UTF-8 JSON."""
    cls = type(frame)
    fields: dict[str, Any] = {"type": cls.TYPE}
    held = frame.__dict__
    for name, wire, always in _plans.get(cls) or _plan(cls):
        field = held[name]
        if field is not None or always:
            fields[wire] = field
    return _encoder.encode(fields)


def encode_object(value: Any) -> msgspec.Raw:
    """One object as JSON that can stand in a frame in its place; `len()` of it is its size in bytes."""
    return msgspec.Raw(_encoder.encode(value))


def encode_sent_ok(re: RequestId, conversation: str, from_rev: int, rev: int, message: msgspec.Raw) -> bytes:
    """The `ok` of a message that was sent: what `encode` makes of its `ChangeOk`, at a quarter of the cost."""
    return _encoder.encode(
        {
            "type": "ok",
            "re": re,
            "conversation": conversation,
            "from": from_rev,
            "rev": rev,
            "messages": (message,),
            "duplicate": False,
        }
    )
