"""Values: made in three ways that come to the same, and frozen for the type checker."""

from collections.abc import Callable
from typing import Any

import pytest

from storage.changes import Changed, SendMessage, make_changed, make_send_message
from storage.records import Conversation, Message, make_conversation, make_message
from storage.value import copy_with

ROOM: dict[str, Any] = {
    "id": "c",
    "kind": "group",
    "pair": None,
    "title": "a",
    "created_at": 1,
    "last_message_at": None,
}
SENT: dict[str, Any] = {"conversation": "c", "client_id": "k", "message": "m", "body": "hi", "reply_to": None, "at": 3}
TEXT: dict[str, Any] = {"seq": 1, "rev": 2, "sender": "ada", "kind": "text", "data": None, "sent_at": 3}
MADE: list[tuple[type[Any], Callable[..., Any], dict[str, Any]]] = [
    (Conversation, make_conversation, {**ROOM, "last_seq": 1, "rev": 2}),
    (Message, make_message, {**TEXT, "conversation": "c", "id": "m", "client_id": "k", "body": "hi", "reply_to": None}),
    (SendMessage, make_send_message, {**SENT, "user": "ada", "attachments": ("f",)}),
    (Changed, make_changed, {"room": None, "from_rev": 1, "rev": 2, "titled": True}),
]


@pytest.mark.parametrize(("cls", "make", "fields"), MADE, ids=[cls.__name__ for cls, _, _ in MADE])
def test_value_maker_makes_what_its_class_makes(
    cls: type[Any], make: Callable[..., Any], fields: dict[str, Any]
) -> None:
    assert make(**fields) == cls(**fields)
    assert hash(make(**fields)) == hash(cls(**fields))
    assert repr(make(**fields)) == repr(cls(**fields))
    with pytest.raises(TypeError, match="no_field"):
        make(**fields, no_field=1)
    first, *_ = fields
    with pytest.raises(TypeError, match=first):
        make(**{name: field for name, field in fields.items() if name != first})


def test_value_copy_has_other_values_in_the_named_fields_alone() -> None:
    room = Conversation(**ROOM, last_seq=1, rev=1, activity=7)
    copy = copy_with(room, title=None, rev=2)
    assert copy == Conversation(**{**ROOM, "title": None}, last_seq=1, rev=2)
    assert copy.activity == 7, "which counts for no comparison"
    assert (room.title, room.rev) == ("a", 1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'titel'"):
        copy_with(room, titel="b")
