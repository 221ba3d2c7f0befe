"""One JSON Schema (2020-12) of every frame, drawn from the classes: what `chatd schema` prints."""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any, get_type_hints

import attrs
import msgspec

from protocol import objects, types
from protocol.codes import CloseCode, ErrorCode
from protocol.decode import MAX_DEPTH
from protocol.frames import EVENTS, REPLIES, Error, Frame
from protocol.requests import REQUESTS, Request

SCALARS: dict[str, Any] = {name: getattr(types, name) for name in ("Id", "Seq", "Mark", "Rev", "Time")}
OBJECTS: dict[str, type[Any]] = {name: cls for name, cls in vars(objects).items() if attrs.has(cls)}


def schema() -> dict[str, Any]:
    """The whole document. Validate a client's frame against `$defs/Request`, a server's against `$defs/Frame`."""
    replies = {cls.__name__: cls for cls in REPLIES.values()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "chatd wire protocol, version 1",
        "description": (
            f"Every text frame is one JSON object, nested at most {MAX_DEPTH} deep. Unknown fields are ignored in both"
            " directions, and so are events of unknown types. A field that is not required may be null as well."
            " docs/protocol.md is the contract in words."
        ),
        "anyOf": [_ref("$defs", "Request"), _ref("$defs", "Frame")],
        "requests": {name: _frame(cls) for name, cls in REQUESTS.items()},
        "replies": {name: _ref("$defs", cls.__name__) for name, cls in REPLIES.items()},
        "error": _frame(Error),
        "events": {name: _frame(cls) for name, cls in EVENTS.items()},
        "errorCodes": list(ErrorCode),
        "closeCodes": [
            {"code": code.value, "name": code.name.lower(), "temporary": code.temporary} for code in CloseCode
        ],
        "$defs": {
            "Request": {
                "description": "What a client sends.",
                "anyOf": [_ref("requests", name) for name in REQUESTS],
            },
            "Frame": {
                "description": "What the server sends.",
                "anyOf": [
                    *(_ref("$defs", name) for name in replies),
                    {"$ref": "#/error"},
                    *(_ref("events", name) for name in EVENTS),
                ],
            },
            **{name: _frame(cls) for name, cls in replies.items()},
            **{name: _object(cls) for name, cls in OBJECTS.items()},
            "ErrorCode": {"description": _description(ErrorCode), "enum": list(ErrorCode)},
            **_scalars(),
        },
    }


def render() -> str:
    """The document as text, the same for the same classes."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "/".join(("#", *path))}


def _frame(cls: type[Frame | Request]) -> dict[str, Any]:
    body = _object(cls)
    body["properties"] = {"type": {"const": cls.TYPE}, **body["properties"]}
    body["required"].insert(0, "type")
    return body


def _object(cls: type[Any]) -> dict[str, Any]:
    """Return the schema of a class under its wire names. Fields that are None unless given may be absent; no others."""
    fields = attrs.fields(cls)
    hints = get_type_hints(cls, include_extras=True)
    wire = {field.name: field.metadata.get("wire") or field.name for field in fields}
    required = [f for f in fields if f.default is not None or f.metadata.get("always")]
    return {
        "description": _description(cls),
        "type": "object",
        "properties": dict(zip(wire.values(), _types(hints[name] for name in wire), strict=True)),
        "required": [wire[field.name] for field in required],
    }


def _description(cls: type[Any]) -> str:
    return " ".join((cls.__doc__ or "").split())


def _types(hints: Iterable[Any]) -> list[Any]:
    found, _ = msgspec.json.schema_components(hints, ref_template="#/$defs/{name}")
    return [_tidy(each) for each in found]


@cache
def _scalars() -> dict[str, dict[str, Any]]:
    found, _ = msgspec.json.schema_components(SCALARS.values())
    return dict(zip(SCALARS, found, strict=True))


def _tidy(node: Any) -> Any:
    """Return a schema with references to the scalars, without the `{}` that stands for an object encoded beforehand."""
    if isinstance(node, list):
        return [_tidy(each) for each in node if each != {}]
    if not isinstance(node, dict):
        return node
    for name, scalar in _scalars().items():
        if node == scalar:
            return _ref("$defs", name)
    tidy = {key: _tidy(each) for key, each in node.items()}
    choices = tidy.get("anyOf", ())
    return choices[0] if len(choices) == 1 else tidy
