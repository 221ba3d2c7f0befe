"""Schema of the database: what it lacks, and the statements that add it, derived from `tables.py`."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from storage.contract import StoreError

from .attachments import FilesTable
from .connection import Connection
from .ids import is_number
from .layout import EMPTY, Layout, read_layout
from .links import OWN_SEATS
from .names import Names
from .seats import PAIR, PAIR_ID, pair_definition
from .seen_tables import seen_tables
from .tables import ATTACHMENT, BYTEWISE, COLLATION, META, SCHEMA, TABLES, Column, Index, Table

ALTER_TIMEOUT_S = 86_400.0
"""Seconds for one statement that alters a table: one of many million rows takes its time."""

ALTER_LOCK_TIMEOUT_S = 10
"""Seconds that such a statement waits for a table that others use; the others wait behind it meanwhile."""

UPGRADE_LOCK = "chatd_upgrade"
"""Named lock that is held while tables are altered."""

MADE_BY_CHATD = "made"
"""Says in `chatd_meta` that chatd makes all tables itself, from the moment it has begun to."""

NOT_ADOPTED = "there are an app's tables: `chatd db adopt` shows what chatd would add to them"


@attrs.frozen
class SchemaStep:
    """Something that is missing. `part` of the table, for people; None: all of it. `sql`: what adds it."""

    table: str
    part: str | None
    sql: str

    @property
    def what(self) -> str:
        return f"table {self.table}" if self.part is None else f"{self.part} of {self.table}"

    @property
    def statement(self) -> str:
        return self.sql if self.part is None else f'ALTER TABLE "{self.table}" {self.sql}'


def missing(layout: Layout, names: Names) -> Iterator[SchemaStep]:
    """The steps from the layout to what chatd needs, in order; none of them takes anything away."""
    for table in TABLES:
        actual = names.table(table.name)
        if actual not in layout.columns:
            yield SchemaStep(actual, None, creation(table, names, layout))
            continue
        yield from _lacks(table, actual, layout, names)


def missing_of_others(layout: Layout, names: Names) -> Iterator[SchemaStep]:
    """Yield the steps for the app's tables of files and of who has read what, without which chatd can do."""
    files = FilesTable.of(layout, names)
    if files is not None:
        yield from _lacks(ATTACHMENT, files.table, layout, files.names(names))
    for seen in seen_tables(layout, names):
        yield from _lacks(seen.table, seen.name, layout, names)


def _lacks(table: Table, actual: str, layout: Layout, names: Names) -> Iterator[SchemaStep]:
    there = layout.columns[actual]
    if names.column(table.name, "id") == PAIR_ID:
        if PAIR_ID not in there:
            yield SchemaStep(actual, f"column {PAIR_ID}", f"ADD COLUMN {pair_definition(names)}")
        if not any(index[0] == PAIR_ID for index in layout.indexes.get(actual, ())):
            yield SchemaStep(actual, f"index on {PAIR_ID}", f"ADD {_index(table, Index(('id',)), names)}")
    for column in table.columns:
        name = names.column(table.name, column.name)
        if name not in there and not column.spare and not column.required:
            null = column.null or column.default is None  # there may be rows already
            definition = _definition(attrs.evolve(_typed(table, column, layout, names), null=null), name)
            yield SchemaStep(actual, f"column {name}", f"ADD COLUMN {definition}")
    for index in table.indexes:
        wanted = tuple(names.column(table.name, column) for column in index.columns)
        if not any(known[: len(wanted)] == wanted for known in layout.indexes.get(actual, ())):
            yield SchemaStep(actual, f"index on {', '.join(wanted)}", f"ADD {_index(table, index, names)}")


@attrs.frozen
class Statement:
    """Statement that adds something. `what`: for people."""

    what: str
    sql: str


def merged(steps: Iterable[SchemaStep]) -> Iterator[Statement]:
    """Merge the steps into as few statements as do it: MySQL may have to write a large table anew for each."""
    parts: dict[str, list[SchemaStep]] = {}
    for step in steps:
        parts.setdefault(step.table, []).append(step)
    for table, some in parts.items():
        if some[0].part is None:
            yield Statement(some[0].what, some[0].statement)
        else:
            what = f"{table}: {', '.join(str(step.part) for step in some)}"
            yield Statement(what, f'ALTER TABLE "{table}" {", ".join(step.sql for step in some)}')


def creation(table: Table, names: Names, layout: Layout = EMPTY) -> str:
    """CREATE TABLE, as Prisma's conventions have it; what refers to a table that is there has the type of its ids."""
    targets = dict(table.references)
    parts = []
    paired = names.column(table.name, "id") == PAIR_ID
    for column in table.columns:
        if paired and column.name == "id":
            parts.append(pair_definition(names))
            continue
        name, other = names.column(table.name, column.name), targets.get(column.name, "")
        there = layout.columns.get(names.table(other), {}).get(names.column(other, "id"))
        if there is not None:
            collation = "" if there.collation is None else f" COLLATE {there.collation}"
            parts.append(f'"{name}" {there.type}{collation} NOT NULL')
        elif not column.spare:
            parts.append(_definition(_typed(table, column, layout, names), name))
    primary = PAIR if paired else table.primary
    parts.append(f"PRIMARY KEY ({_list(table, primary, names)})")
    indexes = [Index(("id",)), *table.indexes] if paired else table.indexes
    parts += [_index(table, index, names) for index in indexes if index.columns != primary]
    actual = names.table(table.name)
    for reference, target in () if actual == OWN_SEATS else table.references:  # chatd's are in nobody's way
        name = names.column(table.name, reference)
        parts.append(
            f'CONSTRAINT "{_short(f"{actual}_{name}_fkey")}" FOREIGN KEY ("{name}") '
            f'REFERENCES "{names.table(target)}" ("{names.column(target, "id")}") ON DELETE RESTRICT ON UPDATE CASCADE'
        )
    return (
        f'CREATE TABLE "{actual}" ({", ".join(parts)}) ENGINE = InnoDB ROW_FORMAT = DYNAMIC '
        f"DEFAULT CHARACTER SET utf8mb4 COLLATE {COLLATION}"
    )


def _typed(table: Table, column: Column, layout: Layout, names: Names) -> Column:
    """Return the column as it holds the app's ids where those are numbers, so that they are compared as such."""
    target = "Message" if column.name == "replyToId" else _HOLDS.get(column.name) if table.name in _LINKED else None
    has = layout.columns.get(names.table(target or ""), {}).get(names.column(target or "", "id"))
    return column if has is None or not is_number(has.type) else attrs.evolve(column, type=has.type, bytewise=False)


_LINKED = ("chatd_changed", "chatd_gone", "chatd_version", "chatd_receipt", "chatd_cut_off")
_HOLDS = {"conversationId": "Conversation", "userId": "User"}
"""Columns of chatd's own tables that hold the app's ids, and the tables that these ids are of."""


def _definition(column: Column, name: str) -> str:
    words = [f'"{name}" {column.type}']
    if column.bytewise:
        words.append(f"CHARACTER SET utf8mb4 COLLATE {BYTEWISE}")
    words.append("NULL" if column.null else "NOT NULL")
    if column.default is not None:
        words.append(f"DEFAULT {column.default}")
    return " ".join(words)


def _index(table: Table, index: Index, names: Names) -> str:
    unique = "UNIQUE " if index.unique else ""
    return f'{unique}INDEX "{index_name(table, index, names)}" ({_list(table, index.columns, names)})'


def index_name(table: Table, index: Index, names: Names) -> str:
    """Return the name that Prisma would give the index, where that is not too long."""
    columns = [names.column(table.name, column) for column in index.columns]
    return _short(f"{names.table(table.name)}_{'_'.join(columns)}_{'key' if index.unique else 'idx'}")


def _list(table: Table, columns: Sequence[str], names: Names) -> str:
    return ", ".join(f'"{names.column(table.name, column)}"' for column in columns)


def _short(name: str) -> str:
    """MySQL's names have at most 64 characters."""
    return name if len(name) <= 64 else f"{name[:50]}_{zlib.crc32(name.encode()):08x}"


def is_empty(layout: Layout) -> bool:
    """Return True if there is no table at all, or only the first of chatd's."""
    return layout.columns.keys() <= {META.name}


def upgrade(
    db: Connection,
    names: Names,
    *,
    epoch: str,
    development: bool,
    settle: Callable[[Connection, Layout, Names], Names] = lambda db, layout, names: names,
) -> list[str]:
    """Make a store in an empty database, or add what one of an earlier version lacks: what was added.

    An app's tables are not touched before they were adopted. Each statement stands for itself (MySQL commits with
    each), and is not repeated where it has been done. `settle` finds the names of an adopted database. Raises
    StoreError.
    """
    if db.one("SELECT GET_LOCK(?, 10)", (UPGRADE_LOCK,)) != (1,):
        raise StoreError("another program is upgrading the database")
    try:
        layout = read_layout(db)
        check_version(db, layout)
        if is_empty(layout):
            layout = _begin(db, layout, names)
        if not meta_of(db, layout).keys() & {"epoch", MADE_BY_CHATD}:
            raise StoreError(NOT_ADOPTED)
        names = db.names = settle(db, layout, names)
        steps = [*missing(layout, names), *missing_of_others(layout, names)]
        _keep_out(db, layout, steps)
        for step in steps:
            db.run(step.statement)
        db.run(
            'INSERT IGNORE INTO "chatd_meta" ("key", "value") VALUES (?, ?), (?, ?), (?, ?)',
            ("epoch", epoch, "development", str(int(development)), "schema", str(SCHEMA)),
        )
        db.run('UPDATE "chatd_meta" SET "value" = ? WHERE "key" = ?', (str(SCHEMA), "schema"))
        db.commit()
        return [step.what for step in steps]
    finally:
        db.run("SELECT RELEASE_LOCK(?)", (UPGRADE_LOCK,))


def _keep_out(db: Connection, layout: Layout, steps: Iterable[SchemaStep]) -> None:
    """Raises StoreError where the tables of an adopted app would be made: those are the app's, by whatever name."""
    if MADE_BY_CHATD in meta_of(db, layout):
        return
    gone = [step.table for step in steps if step.part is None and not step.table.startswith("chatd_")]
    if gone:
        raise StoreError(
            f"it was adopted, and there is no table {', '.join(gone)} in it: if the app calls it otherwise, set "
            "mysql.names as it was at the adoption"
        )


def _begin(db: Connection, layout: Layout, names: Names) -> Layout:
    """Note that chatd makes all tables: whatever finds the rest missing later may add it."""
    if META.name not in layout.columns:
        db.run(creation(META, names))
    db.run('INSERT IGNORE INTO "chatd_meta" ("key", "value") VALUES (?, ?)', (MADE_BY_CHATD, "1"))
    db.commit()
    return read_layout(db)


def meta_of(db: Connection, layout: Layout) -> dict[str, str]:
    """Return chatd's notes in the database; none where chatd hasn't been there."""
    return dict(db.run('SELECT "key", "value" FROM "chatd_meta"')) if META.name in layout.columns else {}


def check_version(db: Connection, layout: Layout) -> None:
    """Raises StoreError where a newer program has been there."""
    if int(meta_of(db, layout).get("schema", SCHEMA)) > SCHEMA:
        raise StoreError("made by a newer version of chatd: start that version, or restore a backup")
