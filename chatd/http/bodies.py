"""Bodies and queries as requests of the protocol, read by its one strict decoder."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec
from starlette.requests import ClientDisconnect, Request

from chatd.core.errors import Refusal
from chatd.net.head import Head
from protocol import requests
from protocol.codes import CloseCode, ErrorCode
from protocol.decode import BadRequest, Malformed, decode_request
from protocol.objects import Limits

from .answers import Failed

R = TypeVar("R", bound=requests.Request)


def media_type(head: Head) -> str | None:
    """Return the body's type in lower case, without parameters; "" where it isn't said, None without a body."""
    given = head.get(b"content-type")
    if given is None and head.get(b"content-length") in (None, b"0") and head.get(b"transfer-encoding") is None:
        return None
    return (given or b"").partition(b";")[0].strip().lower().decode("latin-1")


async def json_text(request: Request) -> str:
    """Return the text of a JSON body. Raises Failed (415), Refusal, or ClientDisconnect."""
    try:
        return (await json_bytes(request)).decode()
    except UnicodeDecodeError:
        raise Refusal(ErrorCode.BAD_REQUEST, "the body is not UTF-8") from None


async def json_bytes(request: Request) -> bytes:
    """Return the bytes of a body that is said to be JSON. Raises Failed (415), or ClientDisconnect."""
    if media_type(request.state.head) != "application/json":
        raise Failed(415, ErrorCode.BAD_REQUEST, "the body must be JSON: Content-Type: application/json")
    parts, more = list[bytes](), True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message["body"])
        more = message["more_body"]
    return b"".join(parts)


def with_fields(text: str, given: Mapping[str, Any]) -> str:
    """Return a JSON object's text with `given` put into it, over fields of the same names.

    They are put before the last brace: of duplicate names the last counts. A text that is no object stays wrong, as
    its braces stay as unbalanced as they were; the decoder sees that.
    """
    body = text.rstrip()
    if not body.endswith("}"):
        return text
    fields = msgspec.json.encode(given).decode()[1:]
    inner = body[:-1].rstrip()
    return f"{inner}{'' if inner.endswith('{') else ','}{fields}"


def decoded(text: str, limits: Limits) -> requests.Request:
    """Return the request in a text. Raises Refusal."""
    try:
        return decode_request(text, limits)
    except BadRequest as error:
        raise Refusal(ErrorCode.BAD_REQUEST, error.message) from None
    except Malformed as error:
        code = ErrorCode.TOO_LARGE if error.code is CloseCode.TOO_LARGE else ErrorCode.BAD_REQUEST
        raise Refusal(code, f"the body: {error.reason}") from None


def made(kind: type[R], limits: Limits, **fields: Any) -> R:
    """Return a request of this kind with these fields, held to the same rules as one from a frame. Raises Refusal."""
    present = {name: value for name, value in fields.items() if value is not None}
    return cast(R, decoded(json.dumps({"type": kind.TYPE, **present}), limits))


def whole_number(text: str | None) -> int | str | None:
    """Return a parameter of the query as a number, where it is one; the decoder refuses what isn't."""
    if text is not None and len(text) < 17 and text.removeprefix("-").isdecimal() and text.isascii():
        return int(text)
    return text


def true_or_false(text: str | None) -> bool | str | None:
    """The same for a boolean."""
    return {"true": True, "false": False}.get(text, text) if text is not None else None
