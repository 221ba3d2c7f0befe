"""SQL, to be read first, that takes chatd's additions out of an app's database again."""

import re
from collections.abc import Iterable, Iterator, Mapping

from storage.mysql.layout import Layout
from storage.mysql.links import OWN_SEATS
from storage.mysql.names import Names
from storage.mysql.schema import SchemaStep, index_name
from storage.mysql.seen_tables import seen_tables
from storage.mysql.tables import ATTACHMENT, Table, app_tables

from .check import THEIRS

_UNDO_HEADING = """\
-- What takes chatd's additions out of this database. Stop chatd, make a backup, and read it first: the numbers,
-- receipts and reactions that chatd knows are gone with it. What the app's own columns hold stays as it is.
"""
_INDEX = re.compile(r'INDEX "([^"]+)"')


def undo(done: Iterable[SchemaStep], layout: Layout, linked: Mapping[tuple[str, str], str], names: Names) -> str:
    """Return the statements, for any session of MySQL or MariaDB. `linked`: (table, column) -> foreign key."""
    steps = list(done)
    made = {step.table for step in steps if step.part is None}
    lines = [_UNDO_HEADING]
    seen = (table.table for table in seen_tables(layout, names))
    for table in (*app_tables(), ATTACHMENT, *seen):
        actual = names.table(table.name)
        if actual not in layout.columns or actual == OWN_SEATS:
            continue
        if actual in made:
            lines.append(f"-- chatd made this table, and people's messages may be in it:\n-- DROP TABLE `{actual}`;\n")
            continue
        parts = list(_parts(table, actual, [step for step in steps if step.table == actual], layout, linked, names))
        if parts:
            lines.append(f"ALTER TABLE `{actual}` {', '.join(parts)};\n")
        if any(step.part is not None and step.part.startswith("longer ") for step in steps if step.table == actual):
            lines.append(f"-- The longer content of {actual} stays: there may be long messages in it.\n")
    lines += [f"DROP TABLE `{name}`;\n" for name in layout.columns if name.startswith("chatd_")]
    return "\n".join(lines)


def _parts(
    table: Table,
    actual: str,
    steps: list[SchemaStep],
    layout: Layout,
    linked: Mapping[tuple[str, str], str],
    names: Names,
) -> Iterator[str]:
    """The parts of ALTER TABLE: indexes first, then columns."""
    there = layout.columns[actual]
    ours = {index_name(table, index, names): index for index in table.indexes}
    added = {match[1] for step in steps if (match := _INDEX.search(step.sql))}
    gone = []
    for name, index in ours.items():
        columns = tuple(names.column(table.name, column) for column in index.columns)
        is_chatds = any(column not in THEIRS.get(table.name, ()) for column in index.columns)
        if columns in layout.indexes.get(actual, ()) and (name in added or (is_chatds and table.name in THEIRS)):
            gone.append(columns)
            yield f"DROP INDEX `{name}`"
    for first in dict.fromkeys(columns[0] for columns in gone):
        others = [index for index in layout.indexes.get(actual, ()) if index[0] == first and index not in gone]
        if (actual, first) in linked and not others:  # a foreign key needs one, and its own gave way to chatd's
            yield f"ADD INDEX `{linked[actual, first]}` (`{first}`)"
    recorded = {part.removeprefix("column ") for step in steps if (part := step.part or "").startswith("column ")}
    for column in table.columns:
        name = names.column(table.name, column.name)
        own = not column.spare and not column.required and column.name not in THEIRS.get(table.name, ())
        if name in there and (name in recorded or (own and table.name in THEIRS)):
            yield f"DROP COLUMN `{name}`"
