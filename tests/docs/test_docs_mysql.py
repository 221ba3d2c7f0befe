"""docs/mysql.md lists the tables as they are."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.mysql.adoption.check import THEIRS
from storage.mysql.attachments import SPELLINGS
from storage.mysql.tables import TABLES, Column, Table

TEXT = (Path(__file__).parents[2] / "docs" / "mysql.md").read_text(encoding="utf-8")


def section(table: Table) -> Iterator[str]:
    yield from (f"### `{table.name}`", "", "| column | type | | default | | |", "| --- | --- | --- | --- | --- | --- |")
    for column in table.columns:
        cells = (
            f"**`{column.name}`**" if column.required else f"`{column.name}`",
            f"`{column.type}`",
            "NULL" if may_be_null(table, column) else "NOT NULL",
            f"`{column.default}`" if column.default else "",
            "bytewise" if column.bytewise else "",
            whose(table, column),
        )
        yield f"| {' | '.join(cells)} |"
    unique = {True: "unique ", False: ""}
    indexes = [f"{unique[index.unique]}({', '.join(index.columns)})" for index in table.indexes]
    primary = f"primary ({', '.join(table.primary)})"
    yield from ("", f"Indexes: {', '.join([primary, *indexes])}.", "")


def may_be_null(table: Table, column: Column) -> bool:
    """Where it is added: there may be rows already."""
    return column.null or (column.default is None and not table.own and not column.required)


def whose(table: Table, column: Column) -> str:
    if column.spare:
        return "app, never added"
    return "app" if column.name in THEIRS.get(table.name, ()) else ""


@pytest.mark.parametrize("ours", SPELLINGS)
def test_the_usual_names_of_a_files_columns_are_listed(ours: str) -> None:
    assert f"| `{ours}` | {', '.join(f'`{name}`' for name in SPELLINGS[ours])} | " in TEXT


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_each_column_is_listed(table: Table) -> None:
    assert "\n".join(section(table)) in TEXT
