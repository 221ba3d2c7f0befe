"""The one strict decoder at the edge: after it, nothing deeper ever sees a text trap.

Two kinds of failure. `Malformed`: not a JSON object in the spirit of I-JSON (RFC 7493); the connection closes.
`BadRequest`: a good object that breaks the schema; the connection lives, and the message names the field's path.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any, NotRequired, TypedDict, cast, get_args, get_type_hints

import attrs
import msgspec

from protocol.codes import CloseCode
from protocol.frames import EVENTS, REPLIES, Error, Frame, Ok, UnknownEvent
from protocol.objects import Limits
from protocol.requests import (
    LATER,
    REQUESTS,
    ConversationCreate,
    ConversationList,
    Hello,
    MessageEdit,
    MessageHistory,
    MessageSearch,
    MessageSend,
    Request,
    Sync,
    UserList,
)
from protocol.types import MAX_INT, Id, RequestId, is_id, value

MAX_DEPTH = 32
"""Depth to which objects and arrays may nest."""

_NUL = "\\u0000"  # in JSON a NUL is always escaped; behind an escaped backslash this is only text
# Strings with what follows up to a bracket; possessive, and each ends somewhere: linear in time.
_STRINGS = re.compile(rb'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)[^"\[\]{}]*+)++', re.DOTALL)
_HOLD_TEXTS = (list, dict)
_STEPS = bytes(1 if byte in b"[{" else 255 for byte in range(256))  # 255 is -1 as a signed byte
_TOO_DEEP = b"\1" * (MAX_DEPTH + 1)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


class Malformed(Exception):
    """The text is no such object: close the connection with `code`."""

    def __init__(self, reason: str, code: CloseCode = CloseCode.NOT_AN_OBJECT) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class BadRequest(Exception):
    """A good object that breaks the schema: answer with `bad_request`. `re`: the request's id where it has one."""

    def __init__(self, message: str, re: RequestId | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.re = re


@value
class _Object:
    """Any object: its fields are skipped, and their JSON is checked all the same."""


@value
class _Peek:
    type: str


@value
class _PeekId:
    id: RequestId | None = None


@value
class _PeekReply:
    type: str
    re: RequestId | None = None


class _Reader:
    """One class's decoder; a class with a renamed field goes through a TypedDict of its wire names."""

    def __init__(self, cls: type[Any]) -> None:
        fields = attrs.fields(cls)
        hints = get_type_hints(cls, include_extras=True)
        self.cls = cls
        self.names = {f.metadata.get("wire") or f.name: f.name for f in fields}
        self.ids = tuple((wire, name) for wire, name in self.names.items() if Id in _parts(hints[name]))
        self.shape: Any = cls
        self.renamed = any(wire != name for wire, name in self.names.items())
        if self.renamed:
            required = {f.name for f in fields if f.default is attrs.NOTHING}
            self.shape = _typed_dict(
                cls.__name__,
                {
                    wire: hints[name] if name in required else NotRequired[hints[name]]
                    for wire, name in self.names.items()
                },
            )
        self._decoder = msgspec.json.Decoder(self.shape)

    def decode(self, text: str) -> Any:
        got = self._decoder.decode(text)
        return self._make(got) if self.renamed else got

    def convert(self, fields: dict[str, Any]) -> Any:
        got = msgspec.convert(fields, self.shape)
        return self._make(got) if self.renamed else got

    def _make(self, fields: dict[str, Any]) -> Any:
        return self.cls(**{self.names[wire]: field for wire, field in fields.items()})


_typed_dict: Any = TypedDict  # made at run time, which type checkers do not follow


def _parts(hint: Any) -> list[Any]:
    return [hint, *(part for arg in get_args(hint) for part in _parts(arg))]


_object = msgspec.json.Decoder(_Object)
_peek = msgspec.json.Decoder(_Peek)
_peek_id = msgspec.json.Decoder(_PeekId)
_peek_reply = msgspec.json.Decoder(_PeekReply)
_requests = {name: _Reader(cls) for name, cls in REQUESTS.items()}
_events = {name: _Reader(cls) for name, cls in EVENTS.items()}
_replies = {name: _Reader(cls) for name, cls in REPLIES.items()}
_error = _Reader(Error)


def decode_request(text: str, limits: Limits) -> Request:
    """The request in one text frame.

    Raises `Malformed` (too large, too deep, not I-JSON, not an object) or `BadRequest` (breaks the schema).
    """
    try:
        _check_extent(text, limits.max_frame_bytes)
        request: Request = _requests[_peek.decode(text).type].decode(text)
    except (msgspec.ValidationError, KeyError):
        request = _second_look(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Malformed(f"not JSON: {_short(error)}") from None
    complaint = (_nul_in(request) if _NUL in text else None) or _complaint(request, limits)
    if complaint is not None:
        raise BadRequest(complaint, _usable(request.id))
    return request


def request_of(type: str, fields: dict[str, Any], limits: Limits) -> Request:
    """Return the request that these fields are, which somebody has read from JSON already. `type`: a known one.

    Raises `BadRequest`.
    """
    try:
        request: Request = _requests[type].convert(fields)
    except msgspec.ValidationError as error:
        raise BadRequest(for_people(str(error))) from None
    nul = False
    for field in fields.values():
        if isinstance(field, str):
            if "\0" in field:
                nul = True
        elif isinstance(field, _HOLD_TEXTS):
            nul = True
    complaint = (_nul_in(request) if nul else None) or _complaint(request, limits)
    if complaint is not None:
        raise BadRequest(complaint, _usable(request.id))
    return request


def peek_id(text: str) -> RequestId | None:
    """Return the `id` of a request that is not worth more than a look; None where it has none that can be used."""
    try:
        return _usable(_peek_id.decode(text).id)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def decode_frame(text: str, expected: dict[RequestId, str]) -> Frame:
    """The server's frame, as a client reads it; `expected`: the `type` of each request that waits for its `ok`.

    Raises `Malformed` where the server breaks the protocol.
    """
    try:
        peek = _peek_reply.decode(text)
        if peek.type == "error":
            return cast(Frame, _error.decode(text))
        if peek.type == "ok":
            if peek.re is None:
                raise Malformed("the server's frame: an `ok` without `re`")
            reader = _replies.get(expected.get(peek.re, ""))
            return cast(Frame, reader.decode(text)) if reader else Ok(re=peek.re)
        if peek.type in _events:
            return cast(Frame, _events[peek.type].decode(text))
        return UnknownEvent(type=peek.type, fields=msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Malformed(f"the server's frame: {_short(error)}") from None


def _check_extent(text: str, max_bytes: int) -> None:
    size = len(text) if text.isascii() else len(text.encode())
    if size > max_bytes:
        raise Malformed(f"a frame may have {max_bytes} bytes, got {size}", CloseCode.TOO_LARGE)
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise Malformed(f"nested more than {MAX_DEPTH} deep")


def _depth(text: str) -> int:
    """Return the nesting depth of the brackets, whatever closes what; beyond the bound, only that it is beyond."""
    steps = _STRINGS.sub(b"", text.encode(errors="surrogatepass")).translate(_STEPS, _NOT_BRACKETS)
    if _TOO_DEEP in steps:
        return MAX_DEPTH + 1
    return max(accumulate(memoryview(steps).cast("b")), default=0)


def _second_look(text: str) -> Request:
    """Read slowly a frame that the fast decoder refused: it stops at the first wrong field, and more may follow.

    Later text may be no JSON at all, or name the field again: of duplicates the last counts.
    """
    try:
        _object.decode(text)
    except msgspec.ValidationError:
        raise Malformed("not a JSON object") from None
    except msgspec.DecodeError as error:
        raise Malformed(f"not JSON: {_short(error)}") from None
    fields = json.loads(text, parse_int=_int)
    try:
        re = _usable(msgspec.convert(fields.get("id"), RequestId | None))
    except msgspec.ValidationError:
        re = None
    try:
        tag = msgspec.convert(fields, _Peek).type
        reader = _requests.get(tag)
        if tag in LATER:
            raise BadRequest("not available yet", re)
        if reader is None:
            raise BadRequest(f"`type`: unknown request {tag[:64]!r}", re)
        return cast(Request, reader.convert(fields))
    except msgspec.ValidationError as error:
        raise BadRequest(for_people(str(error)), re) from None


def _int(digits: str) -> int:
    """The integer, or one as wrong: thousands of digits take quadratic time, and Python refuses them."""
    return int(digits) if len(digits) < 20 else (2 * MAX_INT if digits[0] != "-" else -2 * MAX_INT)


def _usable(id: RequestId | None) -> RequestId | None:
    """The id as an `error` may repeat it: not one that is wrong itself."""
    return None if isinstance(id, str) and "\0" in id else id


_PHRASES = (
    (re.compile(r"`str` of length >= 1$"), "at least 1 character"),
    (re.compile(r"`str` of length <= (\d+)$"), r"at most \1 characters"),
    (re.compile(r"`array` of length <= (\d+)$"), r"at most \1 items"),
    (re.compile(r"`int` >= (-?\d+)$"), r"an integer of at least \1"),
    (re.compile(r"`int` <= (\d+)$"), r"an integer of at most \1"),
    (re.compile(r"^Invalid enum value (.{,64}).*$", re.DOTALL), r"unknown value \1"),
    (re.compile(r" \| null`, got"), "`, got"),  # null stands for absent
    (re.compile(r" \| "), "` or `"),
)
_NAMES = {
    "`str`": "a string",
    "`int`": "an integer",
    "`float`": "a number with a fraction or exponent",
    "`bool`": "a boolean",
    "`object`": "an object",
    "`array`": "an array",
    "`null`": "null",
}
_MISSING = re.compile(r"^Object missing required field `(\w+)`$")


def for_people(message: str) -> str:
    """msgspec's message with the path in front: `$.seq` becomes `seq`."""
    what, _, where = message.partition(" - at `")
    path = where.rstrip("`").removeprefix("$.").replace("key` in `$.revs", "revs[...]").replace("[...]", ".<key>")
    if missing := _MISSING.match(what):
        path, what = missing[1], "missing"
    for pattern, phrase in _PHRASES:
        what = pattern.sub(phrase, what)
    for name, plain in _NAMES.items():
        what = what.replace(name, plain)
    return f"`{path}`: {what[:1].lower()}{what[1:]}"


def _short(error: BaseException) -> str:
    return str(error)[:120] or type(error).__name__


def _nul_in(request: Request) -> str | None:
    """Return what is wrong with a request that has a NUL somewhere, where it is in a field."""
    for wire, name in _requests[request.TYPE].names.items():
        for path, text in _texts(getattr(request, name), wire):
            if "\0" in text:
                return f"`{path}`: a NUL character is not allowed"
    return None


def _complaint(request: Request, limits: Limits) -> str | None:
    """Return a breach of what types can't say: ids, limits of settings, fields that exclude each other."""
    for wire, name in _requests[request.TYPE].ids:
        held = getattr(request, name)
        if held is None or (is_id(held) if isinstance(held, str) else all(map(is_id, held))):
            continue
        path = next(path for path, text in _texts(held, wire) if not is_id(text))
        return f"`{path}`: expected 1 to 128 printable ASCII characters without space"
    check = _LIMITS.get(type(request))
    return check(request, limits) if check else None


def _texts(field: Any, path: str) -> Iterator[tuple[str, str]]:
    """The strings in a field of a request, keys included, with their paths."""
    if isinstance(field, str):
        yield path, field
    elif isinstance(field, dict):
        yield from ((f"{path}.<key>", key) for key in field)
    elif isinstance(field, list):
        yield from ((f"{path}[{index}]", text) for index, text in enumerate(field))


def _body(request: MessageSend | MessageEdit, limits: Limits) -> str | None:
    if len(request.body) > limits.max_body_chars:
        return f"`body`: expected at most {limits.max_body_chars} characters, got {len(request.body)}"
    if not request.body and not (isinstance(request, MessageSend) and request.attachments):
        return "`body`: expected at least 1 character (none only with attachments)"
    if isinstance(request, MessageSend) and request.attachments and len(request.attachments) > limits.max_attachments:
        return f"`attachments`: expected at most {limits.max_attachments} files, got {len(request.attachments)}"
    return None


def _revs(request: Hello | Sync, limits: Limits) -> str | None:
    if request.revs and len(request.revs) > limits.max_revs:
        return f"`revs`: expected at most {limits.max_revs} conversations, got {len(request.revs)}"
    return None


def _page(request: ConversationList | MessageHistory | MessageSearch | UserList, limits: Limits) -> str | None:
    if request.limit is not None and request.limit > limits.max_page:
        return f"`limit`: expected an integer of at most {limits.max_page}"
    return None


def _history(request: MessageHistory, limits: Limits) -> str | None:
    if request.before is not None and request.after is not None:
        return "`after`: not together with `before`"
    return _page(request, limits)


def _members(request: ConversationCreate, limits: Limits) -> str | None:
    if len(request.members) > limits.max_participants:
        return f"`members`: expected at most {limits.max_participants} users, got {len(request.members)}"
    return None


_LIMITS: dict[type[Request], Callable[[Any, Limits], str | None]] = {
    Hello: _revs,
    Sync: _revs,
    ConversationCreate: _members,
    MessageSend: _body,
    MessageEdit: _body,
    MessageHistory: _history,
    MessageSearch: _page,
    ConversationList: _page,
    UserList: _page,
}
