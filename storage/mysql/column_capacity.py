"""Capacity of an app's columns, which may hold less than the rules allow."""

import re

import attrs

from storage.changes import Change, CreateGroup, EditMessage, PutUser, Refused, SendMessage, SetTitle

from .layout import ExistingColumn, Layout
from .names import Names
from .rows import Roles
from .tables import TIME, app_tables

_COARSE = re.compile(r"(?:datetime|timestamp)(?:\([0-2]\))?")


def enum_values(type: str) -> list[str]:
    """Return the values of an enum's type as MySQL spells it; none of any other type."""
    if not type.lower().startswith("enum"):
        return []
    return [value.replace("''", "'") for value in re.findall(r"'((?:[^']|'')*)'", type)]


def is_coarse(layout: Layout, names: Names) -> bool:
    """Return True if a column that chatd writes times to knows no milliseconds."""
    for table in app_tables():
        there = layout.columns.get(names.table(table.name), {})
        for column in table.columns:
            has = there.get(names.column(table.name, column.name))
            if has is not None and column.type == TIME and _COARSE.fullmatch(has.type.lower()):
                return True
    return False


@attrs.frozen
class ColumnCapacity:
    """The columns that people's texts go into, and the roles that can be written (empty: any)."""

    name: ExistingColumn
    title: ExistingColumn
    content: ExistingColumn
    roles: frozenset[str]
    known: Roles

    @classmethod
    def of(cls, layout: Layout, names: Names, roles: Roles) -> "ColumnCapacity":
        """Return the capacities of a database that lacks nothing."""

        def has(table: str, column: str) -> ExistingColumn:
            return layout.columns[names.table(table)][names.column(table, column)]

        values = frozenset(enum_values(has("User", "role").type))
        return cls(has("User", "name"), has("Conversation", "title"), has("Message", "content"), values, roles)

    def refusal(self, change: Change) -> Refused | None:
        """Return why the columns can't hold the change; None where they can."""
        match change:
            case PutUser(name=name, role=role):
                if role is not None and self.roles and self.known.theirs(role) not in self.roles:
                    return Refused("bad_request", f"`role`: the app beside this server has none for {role}")
                return _too_long("name", name, self.name)
            case CreateGroup(title=title) | SetTitle(title=title):
                return _too_long("title", title, self.title)
            case SendMessage(body=body) | EditMessage(body=body):
                return _too_long("body", body, self.content)
        return None


def _too_long(what: str, text: str | None, has: ExistingColumn) -> Refused | None:
    """TEXT holds so many bytes, VARCHAR so many characters."""
    if text is None or has.length is None or len(text) * 4 <= has.length:
        return None
    length = len(text.encode()) if has.type.lower().endswith("text") else len(text)
    if length <= has.length:
        return None
    return Refused("bad_request", f"`{what}`: too long for the database beside this server")
