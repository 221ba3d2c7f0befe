"""The strict decoder at the edge: which requests it takes, what it tells of wrong ones; and what a client takes."""

from typing import Any

import pytest

from protocol.decode import Malformed, decode_frame
from protocol.frames import Error, Ok, PingOk, UnknownEvent
from protocol.objects import Limits
from protocol.requests import REQUESTS, ConversationOpen, Focus, Ping, UserList
from protocol.types import MAX_INT
from support.requests import LEAST, MOST, C, complaint, complaint_re, decode, frame, held


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
def test_decode_error_message_is_for_people(text: str, message: str) -> None:
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
