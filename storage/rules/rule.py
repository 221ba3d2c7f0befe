"""Rule of a kind of change: which rows it looks at, and how it moves them."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs

from .unit import Answer, Unit

C = TypeVar("C")


@attrs.define
class Keys:
    """Keys of the rows that the changes of a batch look at: a store loads them at once."""

    users: set[str] = attrs.Factory(set)
    conversations: set[str] = attrs.Factory(set)
    pairs: set[str] = attrs.Factory(set)
    created: set[tuple[str, str]] = attrs.Factory(set)  # (creator, client_id)
    sent: set[tuple[str, str]] = attrs.Factory(set)  # (sender, client_id)
    messages: set[tuple[str, int]] = attrs.Factory(set)  # (conversation, seq)
    files: set[str] = attrs.Factory(set)  # uploaded, that are to be sent
    tokens: set[str] = attrs.Factory(set)
    tokens_of: set[str] = attrs.Factory(set)  # users all of whose tokens are looked at
    parting: set[str] = attrs.Factory(set)  # conversations that somebody leaves in this very batch
    joining: set[str] = attrs.Factory(set)  # groups that somebody is to enter


@attrs.frozen
class Rule(Generic[C]):
    """`keys` notes the rows to load for a change; `apply` answers it, and moves the rows that were loaded."""

    keys: Callable[[Keys, C], None]
    apply: Callable[[Unit, C], Answer]


Rules = dict[type, Rule[Any]]


def of_conversation(keys: Keys, change: Any) -> None:
    """Note the conversation that a change is in."""
    keys.conversations.add(change.conversation)


def of_user(keys: Keys, change: Any) -> None:
    """Note the user that a change is about."""
    keys.users.add(change.user)
