"""Rules: each kind of change has one."""

import typing

from storage.apply import KEYED, RULES
from storage.changes import Change


def test_rules_of_every_change_are_there() -> None:
    assert RULES.keys() | KEYED == set(typing.get_args(Change))
    assert not RULES.keys() & KEYED
