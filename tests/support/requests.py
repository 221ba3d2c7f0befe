"""Requests as JSON, and what the decoder makes of them."""

import contextlib
import json
from typing import Any

import pytest

from protocol.codes import CloseCode
from protocol.decode import BadRequest, Malformed, decode_request
from protocol.objects import Limits
from protocol.requests import Request
from protocol.types import RequestId

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
