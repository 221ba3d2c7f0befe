"""The receiver of a message, for an app whose messages name one: in conversations of two the other person.

A group has no one receiver. Where the column may be NULL it is left so; where it may not, nobody can write to a group,
unless the operator lets the sender stand there.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import attrs

from storage.changes import AddParticipant, Change, CreateGroup, Refused, SendMessage
from storage.records import Message, Participant
from storage.rules.unit import Unit

from .layout import ExistingColumn, Layout
from .names import Names

InGroups = Literal["", "sender"]

_REFUSED = Refused("forbidden", "the app's messages have one receiver each: nobody can write to groups here")


@attrs.frozen
class Receivers:
    """Values that are written as receiver. `required`: the column may not be NULL."""

    required: bool
    in_groups: InGroups = ""

    @classmethod
    def of(cls, layout: Layout, names: Names, in_groups: InGroups) -> "Receivers | None":
        """Return the rule for a database; None where messages name no receiver."""
        has = column_of(layout, names)
        return None if has is None else cls(not has.null, in_groups)

    def receiver(self, unit: Unit, message: Message) -> str | None:
        """Return the id to write. A system message, which the app shows to nobody, goes to who did what it tells."""
        sender = message.sender or str((message.data or {}).get("by"))
        other = _other(unit.participants.get(message.conversation, {}), sender)
        if other is None and (self.required or self.in_groups == "sender"):
            return sender
        return other

    def refusal(self, unit: Unit, change: Change) -> Refused | None:
        """Return why the change can't be written; None where it can."""
        if not self.required or self.in_groups == "sender":
            return None
        if isinstance(change, CreateGroup | AddParticipant):
            return _REFUSED
        if isinstance(change, SendMessage) and change.conversation in unit.participants:
            return None if _other(unit.participants[change.conversation], change.user) else _REFUSED
        return None


def column_of(layout: Layout, names: Names) -> ExistingColumn | None:
    """Return the column that names a message's receiver, if there is one."""
    columns: dict[str, ExistingColumn] = layout.columns.get(names.table("Message"), {})
    return columns.get(names.column("Message", "receiverId"))


def _other(participants: Mapping[str, Participant], sender: str) -> str | None:
    """The one other person: of those present, or, where nobody else is, of all who were."""
    others = [row for row in participants.values() if row.user != sender]
    return _only(row.user for row in others if row.present) or _only(row.user for row in others)


def _only(users: Iterable[str]) -> str | None:
    found = list(users)
    return found[0] if len(found) == 1 else None
