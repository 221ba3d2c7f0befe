"""A store on an app's tables, told in the ids and times that the contract's tests use.

The tests say "ada", "c1" and 7 ms. Where users are counted they become numbers in the same order; where the database
names new rows itself, what it named is told as what was asked for; where it knows whole seconds alone, each millisecond
of a test is one.
"""

import inspect
from collections.abc import Collection, Mapping
from typing import Any

import attrs

from storage.changes import Change, CreateGroup, OpenDirect, Outcome, PutUser
from storage.mysql.store import MysqlStore

FIRST_NUMBER = 1_000_000_000
"""All numbers that stand for names have as many digits: so they sort as texts as they do as numbers."""

NAME_CHARS = 5
"""Characters by which numbers sort as the names do; of longer names the rest only tells them apart."""

_DIGITS = "-0123456789abcdefghijklmnopqrstuvwxyz"
_BASE = len(_DIGITS) + 1
_REST = 14  # 38 ** 5 * 14 + FIRST_NUMBER < 2 ** 31

_ID_FIELDS = frozenset({"user", "other", "conversation", "message", "members"})
_TIME_FIELDS = frozenset(
    {"at", "since", "before", "sent_at", "edited_at", "deleted_at", "created_at", "changed_at", "expires_at", "seen_at",
     "joined_at", "left_at", "delivered_at", "read_at", "last_message_at", "disabled_at", "last_seen_at", "issued_at",
     "revoked_at", "cut_off", "last_used"}
)  # fmt: skip
_ID_ARGUMENTS = frozenset({"user", "conversation", "ids", "but", "after", "before", "revs"})
_TIME_ARGUMENTS = frozenset({"at"})


def number_of(name: str) -> int:
    """Return a number of 31 bits for a name; numbers are in the order of names."""
    found = 0
    for place in range(NAME_CHARS):
        digit = _DIGITS.find(name[place]) + 1 if place < len(name) else 0
        found = found * _BASE + digit
    rest = sum((place + 1) * ord(char) for place, char in enumerate(name[NAME_CHARS:]))
    return FIRST_NUMBER + found * _REST + rest % _REST


@attrs.define
class ShapedIds:
    """What stands for what. `numbered`: users are numbers. `scale`: ms of the store for one of the tests."""

    numbered: bool = False
    scale: int = 1
    made: set[str] = attrs.Factory(set)  # conversations, as tests call them
    _theirs: dict[str, str] = attrs.Factory(dict)  # a test's id -> the database's
    _ours: dict[str, str] = attrs.Factory(dict)

    def note(self, ours: str, theirs: str) -> None:
        """Note that the database has another id for a row."""
        assert self._ours.setdefault(theirs, ours) == ours, (ours, self._ours[theirs])
        self._theirs[ours] = theirs

    def id(self, ours: str) -> str:
        """Return the database's id for a test's; one that is nobody's yet is a user's."""
        if ours not in self._theirs and self.numbered:
            number = number_of(ours)
            while str(number) in self._ours:  # another's, whose name begins like it
                number += 1
            self.note(ours, str(number))
        return self._theirs.get(ours, ours)

    def inward(self, value: Any) -> Any:
        """Return a value of a test's as the store takes it: every text in it is an id."""
        if isinstance(value, str):
            return self.id(value)
        if isinstance(value, Mapping):
            return {self.inward(key): found for key, found in value.items()}
        if isinstance(value, tuple):  # where to go on, as a page had it: its names are known by now
            return tuple(self._theirs.get(one, one) if isinstance(one, str) else one for one in value)
        return [self.id(one) for one in value] if isinstance(value, Collection) else value

    def change(self, change: Any) -> Any:
        """Return a change, or a row in it, as the store takes it."""
        found: dict[str, Any] = {}
        for field in attrs.fields(type(change)):
            value = getattr(change, field.name)
            if value is None or isinstance(value, bool):
                continue
            if attrs.has(type(value)) and field.name in ("row", "old", "new"):
                found[field.alias] = self.change(value)
            elif field.name in _ID_FIELDS:
                found[field.alias] = type(value)(map(self.id, value)) if isinstance(value, tuple) else self.id(value)
            elif field.name in _TIME_FIELDS and isinstance(value, int):
                found[field.alias] = value * self.scale
            elif field.name == "value" and getattr(change, "field", None) == "user":
                found[field.alias] = self.id(value)
        return attrs.evolve(change, **found)

    def outward(self, value: Any) -> Any:
        """Return what the store answered as the tests know it."""
        if isinstance(value, str):
            return self._known(value)
        if isinstance(value, Mapping):
            return {self.outward(key): self.outward(found) for key, found in value.items()}
        if isinstance(value, tuple | list | frozenset | set):
            return type(value)(map(self.outward, value))
        return self._record(value) if attrs.has(type(value)) else value

    def _record(self, record: Any) -> Any:
        found: dict[str, Any] = {}
        for field in attrs.fields(type(record)):
            value = getattr(record, field.name)
            if field.name in _TIME_FIELDS and isinstance(value, int) and value % self.scale == 0:
                found[field.alias] = value // self.scale
            elif field.name not in ("body", "text", "client_id", "kind"):
                found[field.alias] = self.outward(value)
        return attrs.evolve(record, **found)

    def _known(self, text: str) -> str:
        return " ".join(self._ours.get(part, part) for part in text.split(" "))  # of a pair, or in words for people


class ShapedStore:
    """A store by its contract, in a test's ids and times. What isn't of the contract is the store's own."""

    def __init__(self, store: MysqlStore, ids: ShapedIds) -> None:
        self.store = store
        self.ids = ids

    def commit(self, changes: "list[Change]") -> list[Outcome]:
        """As `CommitStore.commit`. Where the app alone makes users, it makes those of the batch first."""
        given = [self._given(change) for change in changes]
        if self.ids.numbered:
            self._make_users(changes)
        found = self.store.commit(given)
        for change, outcome in zip(changes, found, strict=True):
            self._note(change, outcome)
        return [self.ids.outward(outcome) for outcome in found]

    def _given(self, change: Change) -> Any:
        """Return the change as the store takes it: to open a conversation that is there a caller makes an id, too."""
        given = self.ids.change(change)
        if isinstance(change, OpenDirect) and change.conversation in self.ids.made:
            return attrs.evolve(given, conversation=f"again-{change.conversation}")
        return given

    def _note(self, change: Any, outcome: Any) -> None:
        """Learn what the database named: rows that were just made."""
        if isinstance(change, OpenDirect | CreateGroup) and getattr(outcome, "created", False):
            self.ids.made.add(change.conversation)
            self.ids.note(change.conversation, outcome.room.id)
        elif hasattr(change, "message") and type(outcome).__name__ == "Changed":
            own = [m for m in outcome.messages if m.rev > outcome.from_rev]
            if own:
                self.ids.note(change.message, own[0].id)

    def _make_users(self, changes: "list[Change]") -> None:
        db = self.store._require_writer()
        for change in changes:
            if isinstance(change, PutUser):
                id = self.ids.id(change.user)
                db.run(
                    'INSERT IGNORE INTO "User" ("id", "name", "role", "updatedAt") VALUES (?, ?, ?, NOW(3))',
                    (id, change.name or change.user, (change.role or "patient").upper()),
                )
        db.commit()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.store, name)
        if not callable(found) or name.startswith("_") or not hasattr(MysqlStore, name):
            return found
        names = list(inspect.signature(found).parameters)

        def call(*args: Any, **kwargs: Any) -> Any:
            given = {**dict(zip(names, args, strict=False)), **kwargs}
            for key, value in given.items():
                if key in _ID_ARGUMENTS and value is not None:
                    given[key] = self.ids.inward(value)
                elif key in _TIME_ARGUMENTS and isinstance(value, int):
                    given[key] = value * self.ids.scale
                elif key == "value" and given.get("field") == "user":
                    given[key] = self.ids.id(value)
            return self.ids.outward(found(**given))

        return call
