"""Frames to JSON, and back to the same frames."""

import json
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Meta, Raw

from protocol.codes import ErrorCode
from protocol.decode import decode_frame, decode_request
from protocol.encode import encode, encode_object, encode_sent_ok
from protocol.frames import EVENTS, REPLIES, Change, ChangeOk, Error, GetOk, ListOk, Ok, Typing
from protocol.objects import Info, Limits, Membership, Message, Summary, User
from protocol.requests import REQUESTS, ConversationOpen, Focus, MessageHistory, MessageSend, Ping
from protocol.types import Id, RequestId, is_id

AT_ANY_SPEED = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
TEXT = st.text(st.sampled_from('aZ09 "\\/{}[]\n\x7f\u2028é€🦷'), max_size=12)
IDS = st.text(st.sampled_from('!"\\a~'), min_size=1, max_size=8)
FRAMES: list[Any] = [Error, *EVENTS.values(), *dict.fromkeys(REPLIES.values())]

INFO = Info(id="c1", kind="direct", created_at="2026-11-22T13:17:00.123Z", last_seq=1, rev=2)
MEMBERSHIP = Membership(muted=False, pinned=False, archived=False, unread=0)
MESSAGE = Message(
    conversation="c1", seq=1, rev=2, id="m1", sender="u", kind="text", body="🦷", sent_at="2026-11-22T13:17:00.123Z"
)
SUMMARY = Summary(conversation="c1", info=INFO, participants=(), membership=MEMBERSHIP, last_message=MESSAGE)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """All that a field with this type can hold."""
    if hint == Id:
        return IDS
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return bounded(args[0], args[1])
    if origin in (Union, UnionType):
        return st.one_of([values(arg) for arg in args if arg is not Raw])
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(values(args[0]), max_size=2).map(tuple)
    if origin is list:
        return st.lists(values(args[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(values(args[0]), values(args[1]), max_size=2)
    if attrs.has(hint):
        return instances(hint)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        Any: st.none() | st.booleans() | st.integers(-5, 5) | TEXT,
        NoneType: st.none(),
        ErrorCode: st.sampled_from(ErrorCode),
        bool: st.booleans(),
        float: st.floats(0, 1e6),
        int: st.integers(0, 2**53),
        str: TEXT,
    }
    return simple[hint]


def replace(frame: Any, **fields: Any) -> Any:
    return attrs.evolve(frame, **fields)


def bounded(hint: Any, meta: Meta) -> st.SearchStrategy[Any]:
    if hint is int:
        return st.integers(int(meta.ge or 0), int(meta.le or 2**53))
    if hint is str:
        return TEXT.filter(lambda text: len(text) >= (meta.min_length or 0))
    return values(hint)


@cache
def instances(cls: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls, include_extras=True)
    return st.builds(cls, **{name: values(hint) for name, hint in hints.items() if get_origin(hint) is not ClassVar})


@pytest.mark.parametrize("cls", FRAMES, ids=lambda cls: cls.__name__)
@AT_ANY_SPEED
@given(data=st.data())
@pytest.mark.untraced
def test_a_client_reads_what_the_server_wrote(cls: Any, data: st.DataObject) -> None:
    frame = data.draw(instances(cls))
    expected = {frame.re: next(t for t, reply in REPLIES.items() if reply is cls)} if isinstance(frame, Ok) else {}
    assert decode_frame(encode(frame).decode(), expected) == frame


@pytest.mark.parametrize("type", REQUESTS)
@AT_ANY_SPEED
@given(data=st.data())
def test_the_server_reads_what_a_client_wrote(type: str, data: st.DataObject) -> None:
    cls: Any = REQUESTS[type]
    request = data.draw(instances(cls))
    if isinstance(request, MessageHistory) and request.after is not None:
        request = replace(request, before=None)
    if hasattr(request, "body"):
        request = replace(request, body=f"{request.body}.")
    if hasattr(request, "limit") and request.limit:
        request = replace(request, limit=request.limit % 200 + 1)
    assert decode_request(encode(request).decode(), Limits()) == request


@pytest.mark.parametrize("cls", FRAMES, ids=lambda cls: cls.__name__)
@AT_ANY_SPEED
@given(data=st.data())
@pytest.mark.untraced
def test_a_client_ignores_what_it_does_not_know(cls: Any, data: st.DataObject) -> None:
    frame = data.draw(instances(cls))
    expected = {frame.re: next(t for t, reply in REPLIES.items() if reply is cls)} if isinstance(frame, Ok) else {}
    fields = {**json.loads(encode(frame)), "further": {"a": [1]}}
    assert decode_frame(json.dumps(fields), expected) == frame


def test_field_that_is_none_is_left_out() -> None:
    assert encode(Ping()) == b'{"type":"ping"}'
    assert encode(Error(code=ErrorCode.NOT_FOUND, message="no")) == (
        b'{"type":"error","code":"not_found","message":"no","temporary":false}'
    )
    assert encode(Focus(id=0)) == b'{"type":"focus","id":0}'


def test_field_that_the_contract_names_as_null_is_null() -> None:
    assert json.loads(encode(ListOk(re=1, conversations=(), users=()))) == {
        "type": "ok",
        "re": 1,
        "conversations": [],
        "cursor": None,
        "users": [],
    }


def test_names_of_the_wire() -> None:
    assert json.loads(encode(ConversationOpen(id=2, other="den-1"))) == {
        "type": "conversation.open",
        "id": 2,
        "with": "den-1",
    }
    for frame in (Change(conversation="c1", from_rev=1, rev=2), ChangeOk(re=3, conversation="c1", from_rev=1, rev=2)):
        assert json.loads(encode(frame)).items() >= {"conversation": "c1", "from": 1, "rev": 2}.items()


def test_empty_lists_and_false_are_written() -> None:
    ok = json.loads(encode(ChangeOk(re=1, conversation="c1", from_rev=0, rev=1, users=(), duplicate=False)))
    assert ok == {"type": "ok", "re": 1, "conversation": "c1", "from": 0, "rev": 1, "users": [], "duplicate": False}
    assert (
        json.loads(encode(MessageSend(conversation="c", client_id="a", body="", attachments=[])))["attachments"] == []
    )


def test_text_is_utf8() -> None:
    frame = Typing(conversation="c1", user="u", active=True)
    assert encode(frame) == b'{"type":"typing","conversation":"c1","user":"u","active":true}'
    assert "🦷".encode() in bytes(encode_object(MESSAGE))


def test_an_object_may_be_encoded_beforehand() -> None:
    raw = encode_object(SUMMARY)
    users = (User(id="u", name="Ada", role="patient"),)
    frame = ListOk(re=1, conversations=(SUMMARY, SUMMARY), users=users)
    assert encode(replace(frame, conversations=(raw, SUMMARY))) == encode(frame)
    assert decode_frame(encode(frame).decode(), {1: "conversation.list"}) == frame
    assert len(raw) == len(bytes(raw))
    assert json.loads(bytes(raw))["last_message"]["body"] == "🦷"


@given(re=values(RequestId), conversation=IDS, from_rev=st.integers(0, 99), message=instances(Message))
def test_the_short_way_for_the_most_frequent_reply_makes_the_same(
    re: Any, conversation: str, from_rev: int, message: Message
) -> None:
    ok = ChangeOk(
        re=re, conversation=conversation, from_rev=from_rev, rev=from_rev + 1, messages=(message,), duplicate=False
    )
    short = encode_sent_ok(re, conversation, from_rev, from_rev + 1, encode_object(message))
    assert json.loads(short) == json.loads(encode(ok))


def test_a_get_has_a_summary_s_fields() -> None:
    get = GetOk(re=1, users=(), **vars(SUMMARY))
    assert json.loads(encode(get)).items() >= json.loads(bytes(encode_object(SUMMARY))).items()


@pytest.mark.parametrize(
    ("text", "good"), [("a", True), ("~" * 128, True), ("", False), ("~" * 129, False), (" ", False)]
)
def test_is_id(text: str, good: bool) -> None:
    assert is_id(text) is good
