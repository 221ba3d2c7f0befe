"""Rules: each kind of change has one."""

import typing

import pytest

from storage.apply import KEYED, RULES
from storage.changes import Change
from storage.records import Conversation, copy_with


def test_rules_of_every_change_are_there() -> None:
    assert RULES.keys() | KEYED == set(typing.get_args(Change))
    assert not RULES.keys() & KEYED


def test_copy_with_an_unknown_field_is_refused() -> None:
    room = Conversation(
        id="c", kind="group", pair=None, title="a", created_at=1, last_message_at=None, last_seq=1, rev=1
    )
    assert copy_with(room, title="b", rev=2) == Conversation(
        id="c", kind="group", pair=None, title="b", created_at=1, last_message_at=None, last_seq=1, rev=2
    )
    with pytest.raises(TypeError, match="Conversation has no titel"):
        copy_with(room, titel="b")
