"""Expressions in the place of a column, where the app says the same in other columns, too.

An app may mark what is deleted, disabled or read by a flag or a time of its own. In reads those count like chatd's
column; what chatd writes there stays its own, so that the app can take its word back.
"""

from collections.abc import Mapping

from .column_capacity import enum_values
from .layout import ExistingColumn, Layout
from .names import Names
from .tables import BY_NAME, FLAG, ID, TIME, Column

FLAGS_SET = {
    ("User", "disabledAt"): ("isBlocked", "isDeleted"),
    ("ConversationParticipant", "leftAt"): (),
    ("Message", "deletedAt"): ("isDeleted",),
}
"""Column -> flags that mean the same where they are set."""

FLAGS_UNSET = {("User", "disabledAt"): ("isActive",), ("ConversationParticipant", "leftAt"): ("isActive",)}
"""Column -> flags that mean the same where they are not set."""

TIMES = {
    ("User", "disabledAt"): ("deletedAt", "bannedAt"),
    ("ConversationParticipant", "leftAt"): ("deletedAt",),
}
"""Column -> times that mean the same."""

_WHEN = {
    "User": ("updatedAt", "createdAt"),
    "ConversationParticipant": ("updatedAt", "joinedAt"),
    "Message": ("updatedAt", "createdAt"),
}
"""Columns with a time for what only a flag says, the likeliest first."""

_SPARE_TYPES = {
    FLAG: ("tinyint",),
    TIME: ("datetime", "timestamp"),
    ID: ("char", "varchar"),
    "JSON": ("json", "longtext"),
}

_LONG_AGO = "CAST('1970-01-02 00:00:00' AS DATETIME(3))"


def expressions(layout: Layout, names: Names) -> Mapping[tuple[str, str], str]:
    """Return (logical table, column) -> SQL, with `{}` where an alias and a dot may stand."""
    found = {}
    for key in FLAGS_SET:
        parts = _gone(layout, names, *key)
        if parts:
            found[key] = f"COALESCE({', '.join([_own(names, *key), *parts])})"
    status = _status(layout, names)
    if status is not None:
        found["Message", "status"] = status
    parts = [_own(names, "User", name) for name in ("firstName", "lastName") if name in present(layout, names, "User")]
    if parts:
        given = _own(names, "User", "name")
        found["User", "name"] = f"COALESCE(NULLIF({given}, ''), NULLIF(TRIM(CONCAT_WS(' ', {', '.join(parts)})), ''))"
    return found


def present(layout: Layout, names: Names, table: str) -> frozenset[str]:
    """Return the spare columns that an app's table has, by their logical names, of a type that fits."""
    there = layout.columns.get(names.table(table), {})
    return frozenset(
        column.name
        for column in BY_NAME[table].columns
        if column.spare and (has := there.get(names.column(table, column.name))) is not None and fits(column, has)
    )


def fits(column: Column, has: ExistingColumn) -> bool:
    """Return True if a column that is there can be what its name says: one that doesn't is left alone."""
    if column.type.startswith("VARCHAR") and column.type != ID:
        return has.type.lower().startswith(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"))
    return has.type.lower().startswith(_SPARE_TYPES.get(column.type, ("",)))


def _gone(layout: Layout, names: Names, table: str, column: str) -> list[str]:
    there, marks = layout.columns.get(names.table(table), {}), present(layout, names, table)
    when = [f'{{}}"{names.column(table, time)}"' for time in _WHEN[table] if names.column(table, time) in there]
    at = f"COALESCE({', '.join([*when, _LONG_AGO])})"
    key = table, column
    times = [name for name in TIMES.get(key, ()) if name in marks]
    parts = [f'{{}}"{names.column(table, name)}"' for name in times]
    for flags, condition in (FLAGS_SET, "{}"), (FLAGS_UNSET, "NOT {}"):
        for flag in flags.get(key, ()):
            if flag in marks:
                marked = condition.replace("{}", f'{{}}"{names.column(table, flag)}"')
                parts.append(f"CASE WHEN {marked} THEN {at} END")
    return parts


def _status(layout: Layout, names: Names) -> str | None:
    """A message's status: READ where another column of the app's says so; in capitals, whatever the app's are in."""
    there = layout.columns.get(names.table("Message"), {})
    own, has = _own(names, "Message", "status"), there.get(names.column("Message", "status"))
    if has is not None and any(value != value.upper() for value in enum_values(has.type)):
        own = f"UPPER({own})"
    present_ones, marks = present(layout, names, "Message"), []
    if "isRead" in present_ones:
        marks.append(_own(names, "Message", "isRead"))
    if "readAt" in present_ones:
        marks.append(f"{_own(names, 'Message', 'readAt')} IS NOT NULL")
    if marks:
        return f"CASE WHEN {' OR '.join(marks)} THEN 'READ' ELSE {own} END"
    return own if own.startswith("UPPER") else None


def _own(names: Names, table: str, column: str) -> str:
    return f'{{}}"{names.column(table, column)}"'
