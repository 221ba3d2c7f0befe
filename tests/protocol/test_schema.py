"""The JSON Schema against the contract, whose names are written out here by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from protocol.codes import CloseCode, ErrorCode, may_come_back
from protocol.decode import decode_frame, decode_request
from protocol.encode import encode
from protocol.frames import (
    EVENTS,
    REPLIES,
    Change,
    ChangeOk,
    Error,
    Frame,
    GoingAway,
    HelloOk,
    HistoryOk,
    ListOk,
    Ok,
    Presence,
    SyncOk,
    Typing,
    UnknownEvent,
    UserChanged,
)
from protocol.objects import Info, Limits, Membership, Message, Participant, RevState, Summary, User
from protocol.requests import REQUESTS, ConversationOpen, Hello, MessageSend, Ping, PresenceGet, Request
from protocol.schema import OBJECTS, render, schema
from protocol.types import RequestId

DOCS = Path(__file__).parents[2] / "docs"
CHECKED_IN = DOCS / "protocol.schema.json"
IN_WORDS = (DOCS / "protocol.md").read_text(encoding="utf-8")

# `?` marks what may be absent or null.
REQUEST_FIELDS = {
    "hello": "type id token? user? name? role? device? epoch? revs?",
    "ping": "type id?",
    "conversation.open": "type id? with",
    "conversation.create": "type id? title members client_id?",
    "conversation.list": "type id? cursor? limit? archived?",
    "conversation.get": "type id? conversation",
    "conversation.update": "type id? conversation title",
    "conversation.add": "type id? conversation user",
    "conversation.remove": "type id? conversation user",
    "conversation.leave": "type id? conversation",
    "membership.set": "type id? conversation muted? pinned? archived?",
    "message.send": "type id? conversation client_id body reply_to? attachments?",
    "message.edit": "type id? conversation seq body",
    "message.delete": "type id? conversation seq",
    "message.react": "type id? conversation seq emoji on",
    "message.history": "type id? conversation before? after? limit?",
    "message.search": "type id? query conversation? cursor? limit?",
    "receipt": "type id? conversation delivered? read?",
    "sync": "type id? epoch revs",
    "typing": "type id? conversation active",
    "focus": "type id? conversation?",
    "user.list": "type id? query? role? cursor? limit?",
    "presence.get": "type id? users",
}
CHANGE_OK = (
    "type re conversation from rev info? participants? messages? membership? users? created? duplicate?"  # rule 4
)
REPLY_FIELDS = {
    "hello": "type re protocol user session epoch server_time expires_at? heartbeat limits"
    " conversations? cursor? revs? users? presence?",  # a renewal has no lists
    "ping": "type re server_time",
    "conversation.open": CHANGE_OK,
    "conversation.create": CHANGE_OK,
    "conversation.list": "type re conversations cursor users",
    "conversation.get": "type re conversation info participants membership last_message? users",
    "conversation.update": CHANGE_OK,
    "conversation.add": CHANGE_OK,
    "conversation.remove": CHANGE_OK,
    "conversation.leave": CHANGE_OK,
    "membership.set": CHANGE_OK,
    "message.send": CHANGE_OK,
    "message.edit": CHANGE_OK,
    "message.delete": CHANGE_OK,
    "message.react": CHANGE_OK,
    "message.history": "type re conversation messages more",
    "message.search": "type re hits cursor",
    "receipt": CHANGE_OK,
    "sync": "type re revs",
    "typing": "type re",
    "focus": "type re",
    "user.list": "type re users cursor",
    "presence.get": "type re presence",
}
EVENT_FIELDS = {
    "change": "type conversation from rev info? participants? messages? membership? users?",
    "user": "type user",
    "typing": "type conversation user active",
    "presence": "type user online last_seen?",
    "going_away": "type reconnect_in",
}
ERROR_FIELDS = "type re? code message temporary retry_after?"
OBJECT_FIELDS = {
    "User": "id name role avatar_url? disabled?",
    "Info": "id kind title? created_at last_seq rev",
    "Participant": "user role joined_at left_at? from_seq delivered_seq delivered_at? read_seq read_at? rev",
    "Membership": "muted pinned archived unread",
    "Summary": "conversation info participants membership last_message?",
    "Message": "conversation seq rev id client_id? sender? kind body reply_to? attachments reactions sent_at edited_at?"
    " deleted_at? status? data?",
    "Reaction": "emoji count users",
    "Attachment": "id name type size width? height? url thumbnail_url?",
    "Limits": "max_frame_bytes max_body_chars max_revs max_page max_participants max_attachment_bytes max_attachments",
    "RevState": "rev reset",
    "PresenceState": "user online last_seen?",
    "Hit": "conversation message snippet",
}
ENUMS = {
    ("User", "role"): {"patient", "dentist", "staff", "admin"},
    ("Info", "kind"): {"direct", "group"},
    ("Participant", "role"): {"member", "owner"},
    ("Message", "kind"): {"text", "system"},
    ("Message", "status"): {"sent", "delivered", "read"},
}
ERROR_CODES = "bad_request unauthorized forbidden not_found conflict too_large rate_limited unavailable internal"
COME_BACK = {1001, 1011, 4008, 4010, 4011, 4012, 4013, 4029}
STAY_AWAY = {1000, 1002, 1003, 1007, 1009, 4500, 4501, 4503}

DOCUMENT = schema()


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        path = node["$ref"].removeprefix("#/").split("/")
        node = DOCUMENT
        for step in path:
            node = node[step]
    return node


def assert_fields(node: dict[str, Any], expected: str, tag: str | None = None) -> None:
    body = resolve(node)
    names = expected.split()
    assert body["type"] == "object"
    assert set(body["properties"]) == {name.rstrip("?") for name in names}
    assert set(body["required"]) == {name for name in names if not name.endswith("?")}
    assert "additionalProperties" not in body
    assert body["description"]
    if tag:
        assert body["properties"]["type"] == {"const": tag}


@pytest.mark.parametrize("type", REQUEST_FIELDS)
def test_requests(type: str) -> None:
    assert_fields(DOCUMENT["requests"][type], REQUEST_FIELDS[type], type)


@pytest.mark.parametrize("type", REPLY_FIELDS)
def test_replies(type: str) -> None:
    assert_fields(DOCUMENT["replies"][type], REPLY_FIELDS[type], "ok")


@pytest.mark.parametrize("type", EVENT_FIELDS)
def test_events(type: str) -> None:
    assert_fields(DOCUMENT["events"][type], EVENT_FIELDS[type], type)


@pytest.mark.parametrize("name", OBJECT_FIELDS)
def test_objects(name: str) -> None:
    assert_fields(DOCUMENT["$defs"][name], OBJECT_FIELDS[name])


def test_errors() -> None:
    assert_fields(DOCUMENT["error"], ERROR_FIELDS, "error")


def test_schema_has_every_frame_and_no_other() -> None:
    assert set(DOCUMENT["requests"]) == set(REQUESTS) == set(REQUEST_FIELDS)
    assert set(DOCUMENT["replies"]) == set(REPLIES) == set(REPLY_FIELDS)
    assert set(DOCUMENT["events"]) == set(EVENTS) == set(EVENT_FIELDS)
    assert set(OBJECTS) == set(OBJECT_FIELDS)


@pytest.mark.parametrize(("name", "field"), ENUMS)
def test_choices(name: str, field: str) -> None:
    node = DOCUMENT["$defs"][name]["properties"][field]
    assert set(node.get("enum") or node["anyOf"][0]["enum"]) == ENUMS[name, field]


def test_error_codes() -> None:
    assert DOCUMENT["errorCodes"] == DOCUMENT["$defs"]["ErrorCode"]["enum"] == ERROR_CODES.split()
    assert [str(code) for code in ErrorCode] == ERROR_CODES.split()


def test_close_codes() -> None:
    assert {each["code"]: each["temporary"] for each in DOCUMENT["closeCodes"]} == {
        **dict.fromkeys(COME_BACK, True),
        **dict.fromkeys(STAY_AWAY, False),
    }
    for code in CloseCode:
        assert code.temporary is may_come_back(code) is (code in COME_BACK)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(None, True), (1005, True), (1006, True), (1012, True), (4499, True), (4500, False), (3999, False), (1002, False)],
)
def test_codes_that_others_use(code: int | None, expected: bool) -> None:
    assert may_come_back(code) is expected


def test_all_references_lead_somewhere() -> None:
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            assert resolve(node)
        for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            walk(each)

    walk(DOCUMENT)


def test_the_checked_in_schema_is_the_one_of_the_classes() -> None:
    assert CHECKED_IN.read_text(encoding="utf-8") == render(), "run `chatd schema > docs/protocol.schema.json`"
    assert render().endswith("}\n")
    assert json.loads(render()) == DOCUMENT


NOW = "2026-11-22T13:17:00.123Z"
USER = User(id="pat-1", name="Ada", role="patient")
INFO = Info(id="c1", kind="direct", created_at=NOW, last_seq=1, rev=2)
MEMBERSHIP = Membership(muted=False, pinned=False, archived=False, unread=0)
PARTICIPANT = Participant(user="pat-1", role="member", joined_at=NOW, from_seq=1, delivered_seq=0, read_seq=0, rev=1)
MESSAGE = Message(conversation="c1", seq=1, rev=2, id="m1", sender="pat-1", kind="text", body="It hurts", sent_at=NOW)
SUMMARY = Summary(
    conversation="c1", info=INFO, participants=(PARTICIPANT,), membership=MEMBERSHIP, last_message=MESSAGE
)


@pytest.mark.parametrize(
    "frame",
    [
        Hello(id=1, user="pat-1", name="Ada", revs={"c1": 3}),
        Ping(),
        ConversationOpen(id=2, other="den-1"),
        MessageSend(id=3, conversation="c1", client_id="a-1", body="It hurts"),
        PresenceGet(id="x", users=["pat-1"]),
        HelloOk(
            re=1,
            user=USER,
            session="s",
            epoch="e",
            server_time=NOW,
            heartbeat=25,
            limits=Limits(),
            conversations=(SUMMARY,),
            revs={"c1": RevState(rev=0, reset=True)},
            users=(USER,),
            presence=(),
        ),
        ChangeOk(re=2, conversation="c1", from_rev=0, rev=1, created=True, info=INFO, participants=(PARTICIPANT,)),
        ListOk(re=3, conversations=(SUMMARY,), users=()),
        HistoryOk(re=4, conversation="c1", messages=(MESSAGE,), more=False),
        SyncOk(re=5, revs={}),
        Ok(re=6),
        Error(re=7, code=ErrorCode.RATE_LIMITED, message="slower", temporary=True, retry_after=1.5),
        Change(conversation="c1", from_rev=1, rev=2, messages=(MESSAGE,), membership=MEMBERSHIP),
        UserChanged(user=USER),
        Typing(conversation="c1", user="den-1", active=True),
        Presence(user="den-1", online=False, last_seen=NOW),
        GoingAway(reconnect_in=1.25),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_frames_are_valid(frame: Frame | Request) -> None:
    part = "Request" if isinstance(frame, Request) else "Frame"
    fields = json.loads(encode(frame))
    assert not errors(part, fields)
    assert not errors(part, {**fields, "further": [1]})


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        ("Request", {"type": "message.fly"}),
        ("Request", {"type": "hello"}),
        ("Request", {"type": "conversation.open", "other": "den-1"}),
        ("Request", {"type": "conversation.open", "with": "a b"}),
        ("Request", {"type": "conversation.open", "with": "x" * 129}),
        ("Request", {"type": "sync", "epoch": "e", "revs": {"c1": 0}}),
        ("Request", {"type": "sync", "epoch": "e", "revs": {"a b": 1}}),
        ("Request", {"type": "ping", "id": 2**53 + 1}),
        ("Frame", {"type": "ok"}),
        ("Frame", {"type": "change", "conversation": "c1", "rev": 1}),
        ("Frame", {"type": "change", "conversation": "c1", "from": 0, "rev": 0}),
        ("Frame", {"type": "error", "code": "bad_luck", "message": "", "temporary": False}),
    ],
)
def test_frames_that_are_not(part: str, fields: dict[str, Any]) -> None:
    assert errors(part, fields)


def test_the_contract_in_words_has_every_name() -> None:
    tables = [REQUEST_FIELDS, REPLY_FIELDS, EVENT_FIELDS, OBJECT_FIELDS, {"error": ERROR_FIELDS}]
    fields = {name.rstrip("?") for table in tables for line in table.values() for name in line.split()}
    for name in {*REQUESTS, *EVENTS, *ERROR_CODES.split(), *fields - {"type"}}:
        assert f"`{name}`" in IN_WORDS, name
    for code in CloseCode:
        assert f"| {code} |" in IN_WORDS


def test_the_exchange_in_words_is_valid() -> None:
    asked: dict[RequestId, str] = {}
    lines = [line for line in IN_WORDS.splitlines() if line.startswith(("> {", "< {"))]
    assert len(lines) > 10
    for line in lines:
        if line.startswith(">"):
            request = decode_request(line[2:], Limits())
            assert request.id is not None
            asked[request.id] = request.TYPE
            assert not errors("Request", json.loads(line[2:]))
        else:
            assert not isinstance(decode_frame(line[2:], asked), UnknownEvent)
            assert not errors("Frame", json.loads(line[2:]))


def test_the_schema_is_one() -> None:
    pytest.importorskip("jsonschema").Draft202012Validator.check_schema(DOCUMENT)


def errors(part: str, fields: dict[str, Any]) -> list[Any]:
    checker = pytest.importorskip("jsonschema").Draft202012Validator
    return list(checker({**DOCUMENT, "anyOf": [{"$ref": f"#/$defs/{part}"}]}).iter_errors(fields))
