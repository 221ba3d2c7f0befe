"""The strict decoder at the edge: what it takes, what it refuses, and in which words."""

# ruff: noqa: UP031 -- JSON is full of braces

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.codes import CloseCode
from protocol.decode import MAX_DEPTH, BadRequest, Malformed, decode_frame, decode_request
from protocol.frames import Error, Ok, PingOk, UnknownEvent
from protocol.objects import Limits
from protocol.requests import (
    REQUESTS,
    ConversationOpen,
    Focus,
    Hello,
    MessageSend,
    Ping,
    Request,
    SetTyping,
    UserList,
)
from protocol.types import MAX_INT, RequestId

LIMITS = Limits()

C = {"conversation": "c1"}
LEAST: dict[str, dict[str, Any]] = {
    "hello": {"id": 1},
    "ping": {},
    "conversation.open": {"with": "den-1"},
    "conversation.create": {"title": "Recall", "members": ["den-1"]},
    "conversation.list": {},
    "conversation.get": C,
    "conversation.update": {**C, "title": "Recall"},
    "conversation.add": {**C, "user": "den-1"},
    "conversation.remove": {**C, "user": "den-1"},
    "conversation.leave": C,
    "membership.set": C,
    "message.send": {**C, "client_id": "a-1", "body": "It hurts"},
    "message.edit": {**C, "seq": 1, "body": "It hurt"},
    "message.delete": {**C, "seq": 1},
    "message.react": {**C, "seq": 1, "emoji": "🦷", "on": True},
    "message.history": C,
    "message.search": {"query": "tooth"},
    "receipt": C,
    "sync": {"epoch": "e", "revs": {"c1": 1}},
    "typing": {**C, "active": True},
    "focus": {},
    "user.list": {},
    "presence.get": {"users": []},
}
"""The fields that each request must have."""

MOST: dict[str, dict[str, Any]] = {
    "hello": {
        "token": "t",
        "user": "pat-1",
        "name": "Ada",
        "role": "patient",
        "device": "phone",
        "epoch": "e",
        "revs": {"c1": 3},
    },
    "conversation.create": {"client_id": "g-1"},
    "conversation.list": {"cursor": "p2", "limit": 200, "archived": True},
    "membership.set": {"muted": True, "pinned": False, "archived": True},
    "message.send": {"reply_to": 1, "attachments": ["a1", "a2"]},
    "message.history": {"before": 0, "limit": 1},
    "message.search": {**C, "cursor": "p2", "limit": 7},
    "receipt": {"delivered": 0, "read": 3},
    "focus": C,
    "user.list": {"query": "", "role": "staff", "cursor": "p2", "limit": 9},
}
"""Those that it may have."""


def frame(type: str, **fields: Any) -> str:
    return json.dumps({"type": type, **fields}, ensure_ascii=False)


def decode(text: str, limits: Limits = LIMITS) -> Request:
    return decode_request(text, limits)


def complaint(text: str, limits: Limits = LIMITS) -> str:
    with pytest.raises(BadRequest) as caught:
        decode(text, limits)
    assert str(caught.value) == caught.value.message
    return caught.value.message


def complaint_re(text: str) -> RequestId | None:
    with pytest.raises(BadRequest) as caught:
        decode(text)
    return caught.value.re


def close_code(text: str, limits: Limits = LIMITS) -> CloseCode:
    with pytest.raises(Malformed) as caught:
        decode(text, limits)
    assert str(caught.value) == caught.value.reason
    return caught.value.code


def decode_or_refuse(text: str) -> None:
    with contextlib.suppress(Malformed, BadRequest):
        assert isinstance(decode(text), Request)


def held(request: Request) -> dict[str, Any]:
    """What a request holds, under the names of the wire."""
    fields = {name: field for name, field in vars(request).items() if field is not None}
    return {"with" if name == "other" else name: field for name, field in fields.items()}


# Requests and their fields


@pytest.mark.parametrize("type", REQUESTS)
def test_every_request_with_the_least_it_must_have(type: str) -> None:
    request = decode(frame(type, **LEAST[type]))
    assert isinstance(request, REQUESTS[type])
    assert held(request) == LEAST[type]


@pytest.mark.parametrize("type", REQUESTS)
def test_every_request_with_all_it_may_have(type: str) -> None:
    fields = {"id": "x", **LEAST[type], **MOST.get(type, {})}
    assert held(decode(frame(type, **fields))) == fields


@pytest.mark.parametrize(("type", "name"), [(type, name) for type, fields in LEAST.items() for name in fields])
def test_a_missing_field_is_named(type: str, name: str) -> None:
    less = {field: value for field, value in LEAST[type].items() if field != name}
    assert complaint(frame(type, **less)) == f"`{name}`: missing"


@pytest.mark.parametrize(
    ("type", "name"),
    [(type, name) for type in REQUESTS for name in ("id", *LEAST[type], *MOST.get(type, {}))],
)
@pytest.mark.parametrize("wrong", [1.5, {"a": []}, [[]], [1], 1e400])
def test_every_wrong_type_names_its_path(type: str, name: str, wrong: Any) -> None:
    text = frame(type, **{**LEAST[type], name: wrong}).replace("Infinity", "1e400")
    assert complaint(text).startswith((f"`{name}`: expected ", f"`{name}[0]`: expected ", f"`{name}.<key>`: expected "))


@pytest.mark.parametrize(("type", "name"), [(type, name) for type in REQUESTS for name in ("id", *MOST.get(type, {}))])
def test_null_stands_for_absent(type: str, name: str) -> None:
    if (type, name) == ("hello", "id"):
        assert complaint(frame(type, id=None)) == "`id`: expected an integer or a string, got null"
    else:
        assert decode(frame(type, **{**LEAST[type], name: None})) == decode(frame(type, **LEAST[type]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (frame("ping", id=True), "`id`: expected an integer or a string, got a boolean"),
        (frame("ping", id="x" * 65), "`id`: expected at most 64 characters"),
        (frame("ping", id=MAX_INT + 1), f"`id`: expected an integer of at most {MAX_INT}"),
        (frame("ping", id=-MAX_INT - 1), f"`id`: expected an integer of at least -{MAX_INT}"),
        (frame("ping", id=7.0), "`id`: expected an integer or a string, got a number with a fraction or exponent"),
        (frame("hello", id=1, role="boss"), "`role`: unknown value 'boss'"),
        (frame("hello", id=1, role="b" * 9999), f"`role`: unknown value '{'b' * 63}"),
        (frame("hello", id=1, device="🦷" * 65), "`device`: expected at most 64 characters"),
        (frame("hello", id=1, revs=[]), "`revs`: expected an object, got an array"),
        (frame("hello", id=1, revs={"c1": 0}), "`revs.<key>`: expected an integer of at least 1"),
        (frame("hello", id=1, revs={"c1": None}), "`revs.<key>`: expected an integer, got null"),
        (frame("typing", **C, active=1), "`active`: expected a boolean, got an integer"),
        (frame("typing", **C, active="yes"), "`active`: expected a boolean, got a string"),
        (frame("message.history", **C, limit=0), "`limit`: expected an integer of at least 1"),
        (frame("message.history", **C, limit=201), "`limit`: expected an integer of at most 200"),
        (frame("conversation.list", limit=201), "`limit`: expected an integer of at most 200"),
        (frame("user.list", limit=201), "`limit`: expected an integer of at most 200"),
        (frame("message.search", query="x", limit=201), "`limit`: expected an integer of at most 200"),
        (frame("message.history", **C, before=3, after=1), "`after`: not together with `before`"),
        (frame("message.send", **C, body="x", client_id=""), "`client_id`: expected at least 1 character"),
        (frame("presence.get", users=["u"] * 201), "`users`: expected at most 200 items"),
        (frame("presence.get", users=["u", 5]), "`users[1]`: expected a string, got an integer"),
        (frame("message.edit", **C, seq=0, body="x"), "`seq`: expected an integer of at least 1"),
        (
            frame("message.edit", **C, seq=1, body=""),
            "`body`: expected at least 1 character (none only with attachments)",
        ),
        (frame("message.fly"), "`type`: unknown request 'message.fly'"),
        (frame("x" * 999), f"`type`: unknown request '{'x' * 64}'"),
        ("{}", "`type`: missing"),
        ('{"type":null}', "`type`: expected a string, got null"),
        ('{"type":7}', "`type`: expected a string, got an integer"),
    ],
)
def test_what_people_are_told(text: str, message: str) -> None:
    assert complaint(text) == message


@pytest.mark.parametrize("bad", ["", "x" * 129, "a b", "é", "a\tb", "a\n", "\x7f", "\u2028", "a\0"])
@pytest.mark.parametrize(
    ("type", "name", "wrap", "path"),
    [
        ("conversation.get", "conversation", lambda bad: bad, "conversation"),
        ("conversation.open", "with", lambda bad: bad, "with"),
        ("presence.get", "users", lambda bad: ["good", bad], "users[1]"),
        ("hello", "revs", lambda bad: {"good": 1, bad: 1}, "revs.<key>"),
    ],
)
def test_ids_are_printable_ascii(type: str, name: str, wrap: Any, path: str, bad: str) -> None:
    expected = (
        "a NUL character is not allowed"
        if "\0" in bad
        else "expected 1 to 128 printable ASCII characters without space"
    )
    assert complaint(frame(type, id=1, **{name: wrap(bad)})) == f"`{path}`: {expected}"


def test_the_longest_id_of_all_printable_characters() -> None:
    id = "".join(map(chr, range(0x21, 0x7F))).ljust(128, "~")
    assert decode(frame("focus", conversation=id)) == Focus(conversation=id)


def test_the_error_says_whose_it_is() -> None:
    assert complaint_re(frame("message.fly", id=7)) == 7
    assert complaint_re(frame("typing", id="x" * 64)) == "x" * 64
    assert complaint_re(frame("typing", active=5) + " ") is None
    assert complaint_re(frame("conversation.get", id=7, conversation="a b")) == 7
    assert complaint_re('{"type":5,"id":1,"id":""}') == ""


@pytest.mark.parametrize("id", [1.5, True, [], {}, "x" * 65, MAX_INT + 1, "a\0"])
@pytest.mark.parametrize("type", ["ping", "message.fly"])
def test_a_wrong_id_is_not_repeated(type: str, id: Any) -> None:
    assert complaint_re(frame(type, id=id)) is None


@pytest.mark.parametrize("id", [0, -MAX_INT, MAX_INT, "", "x" * 64, "🦷" * 64])
def test_ids_of_requests(id: Any) -> None:
    assert decode(frame("ping", id=id)) == Ping(id=id)


def test_unknown_fields_are_ignored() -> None:
    assert decode(frame("ping", id=1, later={"a": [1, None]})) == Ping(id=1)
    assert decode(frame("conversation.open", **{"with": "u", "other": 5})) == ConversationOpen(other="u")


def test_limits_are_those_of_the_server() -> None:
    small = Limits(max_body_chars=3, max_revs=1, max_page=2)
    assert decode(frame("message.send", **C, client_id="a", body="🦷🦷🦷"), small)
    too_long = frame("message.send", **C, client_id="a", body="🦷🦷🦷🦷")
    assert complaint(too_long, small) == "`body`: expected at most 3 characters, got 4"
    for type in ("hello", "sync"):
        assert decode(frame(type, id=1, epoch="e", revs={"a": 1}), small)
        message = complaint(frame(type, id=1, epoch="e", revs={"a": 1, "b": 1}), small)
        assert message == "`revs`: expected at most 1 conversations, got 2"
    assert decode(frame("user.list", limit=2), small) == UserList(limit=2)
    assert complaint(frame("user.list", limit=3), small) == "`limit`: expected an integer of at most 2"


def test_a_body_may_be_empty_with_attachments_only() -> None:
    assert decode(frame("message.send", **C, client_id="a", body="", attachments=["f"]))
    no_attachments: tuple[Any, ...] = (None, [])
    for attachments in no_attachments:
        assert complaint(frame("message.send", **C, client_id="a", body="", attachments=attachments)).startswith(
            "`body`"
        )


# What is no JSON object in the spirit of I-JSON


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "5",
        '"ping"',
        "[]",
        '[{"type":"ping"}]',
        '\ufeff{"type":"ping"}',
        '{"type":"ping"} x',
        '{"type":"ping"}{}',
        '{"type":"ping",}',
        "{'type':'ping'}",
        '{"type":"ping","x":NaN}',
        '{"type":"ping","x":Infinity}',
        '{"type":"ping","x":-Infinity}',
        '{"type":"ping","id":NaN}',
        '{"type":"ping","x":01}',
        '{"type":"ping","x":1.}',
        '{"type":"ping","x":.5}',
        '{"type":"ping","x":+1}',
        '{"type":"ping","x":tru}',
        '{"type":"ping","x":"\\q"}',
        '{"type":"ping","x":"\\u12"}',
        '{"type":"ping","x":"a\nb"}',
        '{"type":"ping","x":"a\0b"}',
        '{"type":"ping","x":[}',
        '{"type":"ping","x":[}]',
        '{"type":"ping"',
        '{"type":5,',  # a wrong field does not hide what follows it
        '{"type":5,"x":nul}',
        '{"type":"typing","active":5,"x":nul}',
        '{"type":5,"x":"\\ud800"}',
        '{"id":[],"type":"ping"}}',
    ],
)
def test_no_json_object(text: str) -> None:
    assert close_code(text) is CloseCode.NOT_AN_OBJECT


def test_white_space_around_is_json() -> None:
    assert decode(' \r\n\t{ "type" : "ping" }\n') == Ping()


LONE = [
    "\\ud800",
    "\\uDBFF",
    "\\udc00",
    "\\uDFFF",
    "\\ud83d\\u0041",
    "\\ud83d\\ud83d\\ude00",
    "\\ud83dx",
    "\\ude00\\ud83d",
    "\ud800",
]


@pytest.mark.parametrize("lone", LONE)
@pytest.mark.parametrize(
    "text",
    [
        '{"type":"ping","id":"%s"}',
        '{"type":"ping","x":"%s"}',
        '{"type":"ping","%s":1}',
        '{"type":"ping","x":{"%s":1}}',
        '{"type":"ping","x":[["%s"]]}',
        '{"type":"ping","x":"%s","x":1}',
        '{"type":"%s"}',
        '{"type":"hello","id":1,"revs":{"%s":1}}',
        '{"x":"%s","type":"ping"}',
    ],
)
def test_lone_surrogates(text: str, lone: str) -> None:
    assert close_code(text.replace("%s", lone)) is CloseCode.NOT_AN_OBJECT


def test_surrogate_pairs() -> None:
    assert decode('{"type":"ping","id":"\\ud83e\\uDDB7","\\ud83e\\uddb7":"\\ud83e\\uddb7"}') == Ping(id="🦷")
    assert decode('{"type":"ping","id":"\\\\ud83e"}') == Ping(id="\\ud83e")


# Size


@pytest.mark.parametrize("char", ["x", "é", "€", "🦷", '\\"'])
def test_size_counts_bytes(char: str) -> None:
    empty = frame("ping", x="")
    text = empty.replace('""', f'"{char * 50}"')
    size = len(text.encode())
    assert decode(text, Limits(max_frame_bytes=size)) == Ping()
    assert close_code(text, Limits(max_frame_bytes=size - 1)) is CloseCode.TOO_LARGE


def test_a_frame_of_the_largest_size() -> None:
    room = LIMITS.max_frame_bytes - len(frame("ping", x=""))
    assert decode(frame("ping", x="x" * room)) == Ping()
    assert close_code(frame("ping", x="x" * (room + 1))) is CloseCode.TOO_LARGE
    assert close_code("[" * (LIMITS.max_frame_bytes + 1)) is CloseCode.TOO_LARGE


# Depth


def nested(depth: int, open: str = "[", close: str = "]") -> str:
    """A ping whose brackets, with its own, nest `depth` deep."""
    return '{"type":"ping","x":' + open * (depth - 1) + close * (depth - 1) + "}"


def test_depth() -> None:
    assert decode(nested(MAX_DEPTH)) == Ping()
    assert close_code(nested(MAX_DEPTH + 1)) is CloseCode.NOT_AN_OBJECT
    objects = '{"a":' * (MAX_DEPTH - 1) + "1" + "}" * (MAX_DEPTH - 1)
    assert decode('{"type":"ping","x":' + objects + "}") == Ping()
    assert close_code('{"type":"ping","x":[' + objects + "]}") is CloseCode.NOT_AN_OBJECT
    mixed = '[{"a":' * 15 + "[]" + "}]" * 15
    assert decode('{"type":"ping","x":' + mixed + "}") == Ping()
    assert close_code('{"type":"ping","x":[' + mixed + "]}") is CloseCode.NOT_AN_OBJECT


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_great_depth(depth: int) -> None:
    assert close_code(nested(depth)) is CloseCode.NOT_AN_OBJECT
    assert close_code("[" * depth) is CloseCode.NOT_AN_OBJECT
    assert close_code('{"type":"ping","x":' + '{"a":' * (depth // 4)) is CloseCode.NOT_AN_OBJECT


def test_width_is_not_depth() -> None:
    assert decode(frame("ping", x=[[]] * 10_000)) == Ping()
    assert decode(frame("ping", x=[{"a": [1]}] * 10_000)) == Ping()


@pytest.mark.parametrize(
    "body",
    ["[" * 40, "{" * 40, "[{" * 40, '"' + "[" * 40 + '"', '\\"' + "[" * 40, "\\" + "{" * 40, "\\\\" * 40 + "[" * 40],
)
def test_brackets_in_strings_do_not_nest(body: str) -> None:
    request = decode(frame("message.send", **C, client_id="a", body=body))
    assert isinstance(request, MessageSend)
    assert request.body == body
    assert decode(frame("ping", **{body: body})) == Ping()


@pytest.mark.parametrize(
    "bit", ['"', "\\", "[", "]", "{", "}", "[]", "{}", '\\"', '"\\', '"[', '["', '[{"', "\\u0000", "\\ud800"]
)
def test_a_large_frame_of_traps_takes_linear_time(bit: str) -> None:
    for before, after in (
        ("", ""),
        ('{"type":"ping","x":"', '"}'),
        ('{"type":5,"x":"', '"}'),
        ('{"type":"ping","x":', "}"),
    ):
        room = LIMITS.max_frame_bytes - len(before) - len(after)
        text = before + bit * (room // len(bit)) + after
        decode_or_refuse(text)


# Numbers


@pytest.mark.parametrize(
    "number", ["1e400", "-1e400", "1" * 5_000, "-" + "1" * 5_000, str(2**63), str(2**64), str(MAX_INT + 1)]
)
def test_large_numbers_matter_in_named_fields_only(number: str) -> None:
    assert decode('{"type":"ping","id":1,"x":%s,"y":[%s]}' % (number, number)) == Ping(id=1)
    assert complaint('{"type":"ping","id":%s}' % number).startswith("`id`: expected ")
    assert complaint('{"type":"receipt","conversation":"c","read":%s}' % number).startswith("`read`: expected ")
    assert complaint('{"type":"sync","epoch":"e","revs":{"c":%s}}' % number).startswith("`revs.<key>`: expected ")
    assert complaint('{"type":5,"x":%s}' % number).startswith("`type`: expected ")


def test_the_largest_integer() -> None:
    assert decode('{"type":"ping","id":%d}' % 2**53) == Ping(id=2**53)
    assert complaint('{"type":"ping","id":%d}' % (2**53 + 1)) == f"`id`: expected an integer of at most {2**53}"


# NUL


def test_nul() -> None:
    assert complaint('{"type":"hello","id":1,"device":"a\\u0000"}') == "`device`: a NUL character is not allowed"
    assert complaint('{"type":"message.search","query":"\\u0000"}') == "`query`: a NUL character is not allowed"
    assert complaint('{"type":"ping","id":"\\u0000"}') == "`id`: a NUL character is not allowed"
    assert complaint('{"type":"conversation.open","with":"\\u0000"}') == "`with`: a NUL character is not allowed"
    attachments = '{"type":"message.send","conversation":"c","client_id":"a","body":"","attachments":["a","\\u0000"]}'
    assert complaint(attachments) == "`attachments[1]`: a NUL character is not allowed"


def test_nul_behind_a_backslash_is_text() -> None:
    assert decode('{"type":"hello","id":1,"device":"\\\\u0000"}') == Hello(id=1, device="\\u0000")
    assert complaint('{"type":"hello","id":1,"device":"\\\\\\u0000"}') == "`device`: a NUL character is not allowed"


def test_nul_is_ignored_with_its_field() -> None:
    assert decode('{"type":"ping","x":"\\u0000","\\u0000":1}') == Ping()


# Duplicates


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ('{"type":"ping","id":1,"id":2}', Ping(id=2)),
        ('{"type":"pong","type":"ping"}', Ping()),
        ('{"type":5,"type":"ping","id":1}', Ping(id=1)),
        ('{"type":"ping","id":{},"id":1}', Ping(id=1)),
        ('{"type":"conversation.open","with":5,"with":"u"}', ConversationOpen(other="u")),
        ('{"type":"hello","id":1,"revs":{"c":0,"c":2}}', Hello(id=1, revs={"c": 2})),
        (
            '{"type":"typing","conversation":"a b","conversation":"c","active":true}',
            SetTyping(conversation="c", active=True),
        ),
    ],
)
def test_of_duplicate_names_the_last_counts(text: str, request_: Request) -> None:
    assert decode(text) == request_


def test_a_wrong_last_duplicate_counts_too() -> None:
    assert complaint('{"type":"ping","type":"pong"}') == "`type`: unknown request 'pong'"
    assert complaint('{"type":"ping","type":5}') == "`type`: expected a string, got an integer"
    assert complaint('{"type":"ping","id":1,"id":[]}').startswith("`id`: ")


# Whatever comes


AT_ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ANY_TEXT = st.text(st.characters(codec=None))
BITS = st.sampled_from(
    [
        *'",:{}[]\\-1\0 \ufeff\ud800',
        *("\\u0000", "\\ud83d", "\\ude00", "null", "true", ".5", "e400", "9" * 30),
        *('{"type":"', "ping", '"type":', '"hello"', '"id":', '"revs":'),
    ]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(sorted({name for fields in (*LEAST.values(), *MOST.values()) for name in fields} | {"id"}))


@AT_ANY_SPEED
@given(ANY_TEXT)
def test_any_text(text: str) -> None:
    decode_or_refuse(text)


@AT_ANY_SPEED
@given(st.lists(BITS).map("".join))
def test_any_heap_of_json_bits(text: str) -> None:
    decode_or_refuse(text)


@AT_ANY_SPEED
@given(st.sampled_from(list(REQUESTS)), st.dictionaries(NAMES, ANY_JSON), st.booleans(), st.data())
def test_any_fields(type: str, fields: dict[str, Any], escaped: bool, data: st.DataObject) -> None:
    text = json.dumps({"type": type, **LEAST[type], **fields}, ensure_ascii=escaped)
    decode_or_refuse(text)
    decode_or_refuse(text[: data.draw(st.integers(0, len(text)))])


@AT_ANY_SPEED
@given(st.sampled_from(list(REQUESTS)), ANY_JSON)
def test_any_further_fields_change_nothing(type: str, further: Any) -> None:
    text = frame(type, **LEAST[type])
    more = json.dumps(further).replace("NaN", "1").replace("-Infinity", "1e999").replace("Infinity", "1e999")
    assert decode(f'{text[:-1]},"further":{more}}}') == decode(text)


# A client's side


def test_a_client_reads_replies_by_what_it_asked() -> None:
    text = '{"type":"ok","re":"a","server_time":"2026-11-22T13:17:00.123Z"}'
    assert decode_frame(text, {"a": "ping"}) == PingOk(re="a", server_time="2026-11-22T13:17:00.123Z")
    assert decode_frame(text, {"a": "typing"}) == Ok(re="a")
    assert decode_frame(text, {}) == Ok(re="a")
    assert decode_frame('{"type":"ok","re":""}', {}) == Ok(re="")


def test_a_client_reads_errors() -> None:
    error = decode_frame('{"type":"error","code":"not_found","message":"no","temporary":false,"further":1}', {})
    assert isinstance(error, Error)
    assert (error.re, error.code, error.retry_after) == (None, "not_found", None)


def test_a_client_meets_a_later_version() -> None:
    event = decode_frame('{"type":"party","at":[1,{"a":null}]}', {})
    assert event == UnknownEvent(type="party", fields={"type": "party", "at": [1, {"a": None}]})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"type":5}',
        '{"type":"ok"}',
        '{"type":"ok","re":1}',
        '{"type":"change"}',
        '{"type":"error","code":"bad_luck","message":""}',
        '{"type":"party","x":"\ud800"}',
        '{"type":"party","x":' + "[" * 100_000,
    ],
)
def test_a_client_refuses_a_server_that_breaks_the_protocol(text: str) -> None:
    with pytest.raises(Malformed):
        decode_frame(text, {1: "ping"})
