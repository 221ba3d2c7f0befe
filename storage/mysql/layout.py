"""Layout of a database: the columns and indexes that its tables have, as information_schema tells."""

from typing import Any, TypeVar

import attrs

from .connection import Connection

Value = TypeVar("Value")

TEXT_TYPES = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext")
"""Types of columns that hold text, as information_schema names them."""

INTEGER_TYPES = ("tinyint", "smallint", "mediumint", "int", "bigint")
"""Types of columns that hold whole numbers."""


class ByTable(dict[str, Value]):
    """Values by names of tables, compared as the server compares them.

    `folds`: without regard to capitals, as under `lower_case_table_names` 1 and 2, where the server may tell another
    spelling than statements have.
    """

    def __init__(self, *, folds: bool) -> None:
        super().__init__()
        self._folds = folds
        self._spelled: dict[str, str] = {}

    def _key(self, table: str) -> str:
        return self._spelled.get(table.lower(), table) if self._folds else table

    def __setitem__(self, table: str, value: Value) -> None:
        self._spelled.setdefault(table.lower(), table)
        super().__setitem__(self._key(table), value)

    def __getitem__(self, table: str) -> Value:
        return super().__getitem__(self._key(table))

    def __contains__(self, table: object) -> bool:
        return isinstance(table, str) and super().__contains__(self._key(table))

    def get(self, table: str, default: Any = None) -> Any:
        return super().get(self._key(table), default)


def folds_tables(db: Connection) -> bool:
    """Return True if the server compares names of tables without regard to capitals."""
    return db.one("SELECT @@lower_case_table_names") != (0,)


@attrs.frozen
class ExistingColumn:
    """A column that is there. `length`: characters, where it has a limit."""

    type: str
    null: bool
    filled: bool  # has a default, or is counted or computed by the server
    length: int | None
    collation: str | None


@attrs.frozen
class Layout:
    """The tables of a database, by their names there: columns, the columns of each index in order, and foreign keys.

    `references`: table -> column -> the table whose id it is.
    """

    columns: ByTable[dict[str, ExistingColumn]]
    indexes: ByTable[list[tuple[str, ...]]]
    references: ByTable[dict[str, str]]


EMPTY = Layout(ByTable(folds=False), ByTable(folds=False), ByTable(folds=False))


def read_layout(db: Connection) -> Layout:
    """Look at the database of the connection."""
    folds = folds_tables(db)
    columns: ByTable[dict[str, ExistingColumn]] = ByTable(folds=folds)
    for table, column, type_, null, default, extra, length, collation in db.run(
        "SELECT table_name, column_name, column_type, is_nullable, column_default, extra, character_maximum_length, "
        "collation_name FROM information_schema.columns WHERE table_schema = DATABASE() "
        "ORDER BY table_name, ordinal_position"
    ):
        filled = (
            default is not None or null == "YES" or any(w in extra.lower() for w in ("auto_increment", "generated"))
        )
        if table not in columns:
            columns[table] = {}
        columns[table][column] = ExistingColumn(type_, null == "YES", filled, length, collation)
    found: dict[str, dict[str, list[str]]] = {}
    for table, name, column in db.run(
        "SELECT table_name, index_name, column_name FROM information_schema.statistics "
        "WHERE table_schema = DATABASE() AND sub_part IS NULL ORDER BY table_name, index_name, seq_in_index"
    ):
        found.setdefault(table, {}).setdefault(name, []).append(column)
    indexes: ByTable[list[tuple[str, ...]]] = ByTable(folds=folds)
    for table, by_name in found.items():
        indexes[table] = [tuple(index) for index in by_name.values()]
    references: ByTable[dict[str, str]] = ByTable(folds=folds)
    for table, column, target in db.run(
        "SELECT table_name, column_name, referenced_table_name FROM information_schema.key_column_usage "
        "WHERE table_schema = DATABASE() AND referenced_table_name IS NOT NULL"
    ):
        if table not in references:
            references[table] = {}
        references[table][column] = target
    return Layout(columns, indexes, references)
