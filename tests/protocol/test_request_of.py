"""Fields that were read from JSON already: the same requests as from text, and the same refusals."""

from typing import Any

import pytest

from protocol.decode import BadRequest, request_of
from protocol.objects import Limits
from protocol.requests import REQUESTS
from support.requests import LEAST, MOST, complaint, decode, frame

LIMITS = Limits()
MESSAGE = {"id": 1, **LEAST["message.send"]}


@pytest.mark.parametrize("type", REQUESTS)
def test_fields_are_the_request_that_their_json_is(type: str) -> None:
    for fields in (LEAST[type], {"id": "x", **LEAST[type], **MOST.get(type, {}), "unknown": [1]}):
        assert request_of(type, fields, LIMITS) == decode(frame(type, **fields))


@pytest.mark.parametrize(
    "wrong",
    [
        {"conversation": None}, {"conversation": "a b"}, {"conversation": "c\0"}, {"body": "\0"}, {"body": 7},
        {"body": "x" * (LIMITS.max_body_chars + 1)}, {"reply_to": 1.5}, {"reply_to": 2**70}, {"attachments": ["\0"]},
        {"attachments": [7]}, {"attachments": {"a": 1}}, {"body": ["\0"]}, {"client_id": "x" * 65},
    ],
)  # fmt: skip
def test_wrong_fields_are_refused_in_the_same_words(wrong: dict[str, Any]) -> None:
    fields = {**MESSAGE, **wrong}
    with pytest.raises(BadRequest) as refused:
        request_of("message.send", fields, LIMITS)
    assert refused.value.message == complaint(frame("message.send", **fields))
