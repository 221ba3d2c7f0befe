"""The description of the API, OpenAPI 3.1, drawn from the operations and from the classes of the protocol."""

import gzip
import json
import re
from collections.abc import Callable, Iterable
from functools import cache
from hashlib import sha256
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from chatd import __version__
from chatd.commands.dispatch import TABLE
from protocol.schema import schema as wire_schema

from .operation import Operation, Schema
from .static import chosen, names

COMPONENTS: Final = "#/components/schemas/"
PROBLEM: Final = {
    "description": "What went wrong. With `temporary` the same request may succeed later.",
    "type": "object",
    "properties": {
        "code": {"$ref": f"{COMPONENTS}ErrorCode"},
        "message": {"type": "string"},
        "temporary": {"type": "boolean"},
    },
    "required": ["code", "message", "temporary"],
}
SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "chatd_session"},
    "development": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Chatd-User",
        "description": "The id of anybody, in development mode and from this machine only.",
    },
}


def reference(name: str) -> Schema:
    """Return a reference to an object of the protocol, such as `User`."""
    return {"$ref": COMPONENTS + name}


def answer_to(request: str) -> Schema:
    """Return the schema of a request's `ok` as HTTP gives it: its fields alone."""
    return _without(_wire()["replies"][request], "type", "re")


def request_body(request: str, *given: str) -> Schema:
    """Return the schema of a request's fields, without those that are `given` otherwise."""
    return _without(_wire()["requests"][request], "id", *given)


def any_request() -> Schema:
    """Return the schema of any request that needs no connection."""
    asked = [_without(schema, "id") for name, schema in _wire()["requests"].items() if not TABLE[name].needs_session]
    return {"oneOf": asked}


def any_answer() -> Schema:
    """Return the schema of the `ok` of any such request."""
    names = [name for name in _wire()["requests"] if not TABLE[name].needs_session]
    found: list[Schema] = []
    for name in names:
        schema = answer_to(name)
        if schema not in found:
            found.append(schema)
    return {"anyOf": found}


def described(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the document; operations that are hidden are left out."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        if not operation.hidden:
            paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "chatd",
            "version": __version__,
            "description": "The HTTP API beside the WebSocket: docs/http.md has examples, docs/protocol.md the rules.",
        },
        "paths": paths,
        "components": {"schemas": {**_wire()["$defs"], "Problem": PROBLEM}, "securitySchemes": SECURITY},
    }


def operation(operations: Callable[[], Iterable[Operation]]) -> Operation:
    """Return the operation that serves the description of `operations()`, made when it is first asked for."""

    @cache
    def document() -> dict[str, bytes]:
        plain = json.dumps(described(operations()), ensure_ascii=False, separators=(",", ":")).encode()
        return {"": plain, "gzip": gzip.compress(plain, mtime=0)}

    async def run(request: Request) -> Response:
        bodies = document()
        coding = chosen(request.headers.get("accept-encoding", ""), bodies)
        tag = f'"{sha256(bodies[coding]).hexdigest()[:32]}"'
        headers = {"Cache-Control": "no-cache", "ETag": tag, "Vary": "Accept-Encoding"}
        if names(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        if coding:
            headers["Content-Encoding"] = coding
        return Response(bodies[coding], headers=headers, media_type="application/json")

    return Operation(
        method="GET",
        path="/v1/openapi.json",
        run=run,
        public=True,
        text="This description.",
        answers={200: {"type": "object"}},
    )


def _operation(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{operation.method.lower()}{operation.path}").strip("_"),
        "summary": operation.text,
        "security": [] if operation.public else [{name: []} for name in SECURITY],
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": reference("Id")}
                for name in re.findall(r"\{(\w+)\}", operation.path)
            ),
            *(
                {"name": query.name, "in": "query", "description": query.text, "schema": query.schema}
                for query in operation.query
            ),
        ],
        "responses": {
            **{str(status): _answer(schema) for status, schema in operation.answers.items()},
            "default": {
                "description": "An error.",
                "content": {"application/json": {"schema": reference("Problem")}},
            },
        },
    }
    if operation.body is not None:
        found["requestBody"] = {"required": True, "content": {operation.body_type: {"schema": operation.body}}}
    return found


def _answer(schema: Schema | None) -> dict[str, Any]:
    if schema is None:
        return {"description": "Done."}
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}}


@cache
def _wire() -> dict[str, Any]:
    """The protocol's schema, its references as OpenAPI has them, and each request's `ok` in place."""
    document = _moved(wire_schema())
    defs = document["$defs"]
    replies = {name: defs[reply["$ref"].removeprefix(COMPONENTS)] for name, reply in document["replies"].items()}
    # These are frames, which HTTP doesn't have.
    kept = {name: each for name, each in defs.items() if name not in ("Request", "Frame") and "re" not in _fields(each)}
    return {"requests": document["requests"], "replies": replies, "$defs": kept}


def _fields(schema: Schema) -> set[str]:
    return set(schema.get("properties", ()))


def _moved(node: Any) -> Any:
    if isinstance(node, list):
        return [_moved(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: each.replace("#/$defs/", COMPONENTS) if key == "$ref" and isinstance(each, str) else _moved(each)
        for key, each in node.items()
    }


def _without(schema: Schema, *fields: str) -> Schema:
    return {
        **schema,
        "properties": {name: each for name, each in schema["properties"].items() if name not in fields},
        "required": [name for name in schema["required"] if name not in fields],
    }
