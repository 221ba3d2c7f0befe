"""Layout of a database: the columns and indexes that its tables have, as information_schema tells."""

import attrs

from .connection import Connection


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
    """The tables of a database, by their names there: columns, and the columns of each index in order."""

    columns: dict[str, dict[str, ExistingColumn]]
    indexes: dict[str, list[tuple[str, ...]]]


EMPTY = Layout({}, {})


def read_layout(db: Connection) -> Layout:
    """Look at the database of the connection."""
    columns: dict[str, dict[str, ExistingColumn]] = {}
    for table, column, type_, null, default, extra, length, collation in db.run(
        "SELECT table_name, column_name, column_type, is_nullable, column_default, extra, character_maximum_length, "
        "collation_name FROM information_schema.columns WHERE table_schema = DATABASE() "
        "ORDER BY table_name, ordinal_position"
    ):
        filled = (
            default is not None or null == "YES" or any(w in extra.lower() for w in ("auto_increment", "generated"))
        )
        columns.setdefault(table, {})[column] = ExistingColumn(type_, null == "YES", filled, length, collation)
    found: dict[str, dict[str, list[str]]] = {}
    for table, name, column in db.run(
        "SELECT table_name, index_name, column_name FROM information_schema.statistics "
        "WHERE table_schema = DATABASE() AND sub_part IS NULL ORDER BY table_name, index_name, seq_in_index"
    ):
        found.setdefault(table, {}).setdefault(name, []).append(column)
    return Layout(columns, {table: [tuple(index) for index in found[table].values()] for table in found})
