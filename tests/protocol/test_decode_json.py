"""The strict decoder at the edge: which JSON it takes, how much of it, and that it stands whatever comes."""

# ruff: noqa: UP031 -- JSON is full of braces

import json
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from protocol import decode as decode_module
from protocol.codes import CloseCode
from protocol.decode import MAX_DEPTH
from protocol.objects import Limits
from protocol.requests import REQUESTS, ConversationOpen, Hello, MessageSend, Ping, Request, SetTyping
from protocol.types import MAX_INT
from support.requests import LEAST, LIMITS, MOST, C, close_code, complaint, decode, decode_or_refuse, frame

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


@given(st.lists(st.sampled_from(["[", "]", "{", "}", '"', "\\", "a", "é"])).map("".join))
def test_depth_is_that_of_a_walk_over_every_character(text: str) -> None:
    with mock.patch.object(decode_module, "MAX_DEPTH", 3), mock.patch.object(decode_module, "_TOO_DEEP", b"\1" * 4):
        assert (decode_module._depth(text) > 3) == (_walked_depth(text) > 3)


def _walked_depth(text: str) -> int:
    depth = deepest = 0
    inside = escaped = False
    for char in text:
        if escaped:
            escaped = False
        elif inside and char == "\\":
            escaped = True
        elif char == '"':
            inside = not inside
        elif not inside:
            depth += (char in "[{") - (char in "]}")
            assume(depth >= 0)  # no JSON, whatever its depth
            deepest = max(deepest, depth)
    return deepest


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
def test_duplicate_names_the_last_counts(text: str, request_: Request) -> None:
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
