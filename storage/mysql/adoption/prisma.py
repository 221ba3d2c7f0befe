"""Adoption for the app's own migrations: `migration.sql`, and a part of `schema.prisma`.

With both in the app's repository Prisma finds no drift. `chatdTouched` bears `ON UPDATE`, for which Prisma has no word
and at which it doesn't look.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping

import attrs

from storage.mysql.links import OWN_SEATS
from storage.mysql.names import Names
from storage.mysql.schema import SchemaStep, index_name, merged
from storage.mysql.seats import PAIR, PAIR_ID, PAIR_ID_CHARS
from storage.mysql.tables import ATTACHMENT, ID, PARTICIPANT, TABLES, TOUCHED_COLUMN, Column, Index, Table

from .check import THEIRS

_ADOPTION_HEADING = """\
-- What chatd adds to this database. `chatd db adopt --apply` runs it; for Prisma keep it as
-- prisma/migrations/<time>_chatd/migration.sql, and say `npx prisma migrate resolve --applied <time>_chatd`.
"""

_PRISMA_TYPES = {
    "TEXT": "String @db.Text",
    "MEDIUMTEXT": "String @db.MediumText",
    "DATETIME(3)": "DateTime",
    "TIMESTAMP(3)": "DateTime @db.Timestamp(3)",
    "TINYINT(1)": "Boolean",
    "INT": "Int",
    "BIGINT": "BigInt",
    "SMALLINT": "Int @db.SmallInt",
    "MEDIUMINT": "Int @db.MediumInt",
    "SMALLINT UNSIGNED": "Int @db.UnsignedSmallInt",
    "MEDIUMINT UNSIGNED": "Int @db.UnsignedMediumInt",
    "INT UNSIGNED": "Int @db.UnsignedInt",
    "BIGINT UNSIGNED": "BigInt @db.UnsignedBigInt",
    "JSON": "Json",
    "VARCHAR(191)": "String",
}


_NATIVE = {"VARCHAR": "String @db.VarChar", "CHAR": "String @db.Char", "VARBINARY": "Bytes @db.VarBinary"}


def migration(steps: tuple[SchemaStep, ...]) -> str:
    """SQL for any session of MySQL or MariaDB: without ANSI_QUOTES."""
    statements = [statement.sql.replace('"', "`") for statement in merged(steps)]
    if statements:
        # So that chatd knows what was added, whoever ran this; in hexadecimal digits no session reads it otherwise.
        value = f"CONVERT(X'{record(steps).encode().hex()}' USING utf8mb4)"
        statements.append(f"INSERT IGNORE INTO `chatd_meta` (`key`, `value`) VALUES ('adoption', {value})")
    return "".join([_ADOPTION_HEADING, *(f"\n{statement};\n" for statement in statements)])


def record(steps: Iterable[SchemaStep]) -> str:
    """Return what is kept in `chatd_meta` of an adoption."""
    return json.dumps([attrs.astuple(step) for step in steps])


def fragment(steps: tuple[SchemaStep, ...], names: Names, schema: str = "") -> str:
    """Return the part to add to `schema.prisma`. Fields of chatd alone are hidden from the app's client (`@ignore`).

    `schema`: the app's own, whose fields may have other names than their columns; else they are taken for the same.
    """
    return "\n".join(_lines({(step.table, step.part): step.sql for step in steps}, names, _fields_of(schema))) + "\n"


Fields = Mapping[str, Mapping[str, str]]
"""Table -> column -> the field of the app's model, where its schema was read."""


def _fields_of(schema: str) -> Fields:
    found: dict[str, dict[str, str]] = {}
    for model, body in _MODEL.findall(schema):
        table = _TABLE_MAP.search(body)
        found[table[1] if table else model] = {
            (column[1] if (column := _FIELD_MAP.search(rest)) else field): field for field, rest in _FIELD.findall(body)
        }
    return found


_MODEL = re.compile(r"^model (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^\s+(\w+)(\s[^\n]*)", re.MULTILINE)
_TABLE_MAP = re.compile(r'@@map\((?:name: )?"([^"]+)"')
_FIELD_MAP = re.compile(r'(?<!@)@map\((?:name: )?"([^"]+)"')


def _lines(added: Mapping[tuple[str, str | None], str], names: Names, fields: Fields) -> Iterator[str]:
    enums: list[str] = []
    for table in (*TABLES, ATTACHMENT, *_others(added, names)):
        actual = names.table(table.name)
        table = _as_added(table, names, " ".join(sql for (of, _), sql in added.items() if of == actual))
        if (actual, None) in added:
            yield from _model(table, names, enums)
            continue
        columns = [c for c in table.columns if (actual, f"column {names.column(table.name, c.name)}") in added]
        own = {column.name for column in columns}
        theirs = fields.get(actual, {})
        called = {
            c.name: c.name if c.name in own else theirs.get(name, name)
            for c in table.columns
            if (name := names.column(table.name, c.name))
        }
        indexes = [line for line, part in _indexes(table, names, called) if (actual, f"index on {part}") in added]
        content = names.column(table.name, "content")
        wider = added.get((actual, f"longer {content}"))
        backs = ((back, names.table(back.split()[1].removesuffix("[]"))) for back in _back(table))
        made = [back for back, other in backs if (other, None) in added and other != OWN_SEATS]
        if columns or indexes or wider or made:
            yield f"// To the model of the table {actual}:"
            yield from (_field(table, attrs.evolve(c, null=c.null or c.default is None), names, enums) for c in columns)
            yield from made
            yield from indexes
            if wider is not None:
                native = "@db.LongText" if " LONGTEXT " in wider else "@db.Text"
                yield f"// and to its field {called['content']}: {native}"
            yield ""
    yield from enums


def _as_added(table: Table, names: Names, sql: str) -> Table:
    """Return the table as it is in this database: what holds ids of the app's has their type. `sql`: what adds it."""
    if table is PARTICIPANT and names.column(table.name, "id") == PAIR_ID:
        id = Column(PAIR_ID, f"VARCHAR({PAIR_ID_CHARS})", null=True, bytewise=True)
        columns = (id, *(column for column in table.columns if column.name != "id"))
        table = attrs.evolve(table, columns=columns, indexes=(Index((PAIR_ID,)), *table.indexes))
        if names.table(table.name) == OWN_SEATS:
            indexes = tuple(index for index in table.indexes if index.columns != PAIR)
            table = attrs.evolve(table, name=OWN_SEATS, own=True, primary=PAIR, references=(), indexes=indexes)
    return attrs.evolve(
        table, columns=tuple(_typed(column, names.column(table.name, column.name), sql) for column in table.columns)
    )


def _typed(column: Column, name: str, sql: str) -> Column:
    found = re.search(rf'"{re.escape(name)}" (?:(\w*int)(?:\(\d+\))?( unsigned)?|((?:var)?char\(\d+\)))', sql, re.I)
    if found is None or column.type != ID:
        return column
    return attrs.evolve(column, type=(found[3] or found[1] + (found[2] or "")).upper())


def _others(added: Mapping[tuple[str, str | None], str], names: Names) -> Iterator[Table]:
    """Tables of the app's that chatd has no name for (`seen_tables`), by what is added to them."""
    known = {names.table(table.name) for table in (*TABLES, ATTACHMENT)}
    indexed: dict[str, list[str]] = {}
    for table, part in added:
        if table not in known and part is not None:
            indexed.setdefault(table, []).extend(
                [part.removeprefix("index on ")] if part.startswith("index on ") else []
            )
    for table, columns in indexed.items():
        yield Table(table, (TOUCHED_COLUMN,), indexes=tuple(Index((column,)) for column in columns))


def _model(table: Table, names: Names, enums: list[str]) -> Iterator[str]:
    actual = names.table(table.name)
    model = _camel(table.name) if table.own else table.name
    yield f"model {model} {{"
    columns = [column for column in table.columns if not column.spare]
    for column in columns:
        yield _field(table, column, names, enums, alone=table.primary == (column.name,))
    for name, target in table.references:
        yield f"  {name.removesuffix('Id')} {target} @relation(fields: [{name}], references: [id])"
    yield from _back(table)
    if len(table.primary) > 1:
        yield f"  @@id([{', '.join(table.primary)}])"
    yield from (line for line, _ in _indexes(table, names))
    if actual != model:
        yield f'  @@map("{actual}")'
    if table.own:
        yield "  @@ignore"
    yield "}"
    yield ""


def _back(table: Table) -> Iterator[str]:
    """The other sides of relations."""
    for other in TABLES:
        if any(target == table.name for _, target in other.references):
            yield f"  {other.name[0].lower()}{other.name[1:]}s {other.name}[]"


def _field(table: Table, column: Column, names: Names, enums: list[str], *, alone: bool = False) -> str:
    actual = names.column(table.name, column.name)
    type_, _, native = _type(table, column, enums).partition(" ")
    words = [column.name, type_ + ("?" if column.null else "")]
    if alone:
        words.append("@id")
    if column.default is not None:
        words.append(f"@default({_default(column, type_)})")
    if actual != column.name:
        words.append(f'@map("{actual}")')
    if native:
        words.append(native)
    if not table.own and column.name not in THEIRS.get(table.name, ()):
        words.append("@ignore")
    return "  " + " ".join(words)


def _type(table: Table, column: Column, enums: list[str]) -> str:
    if column.type.startswith("ENUM"):
        name = f"{table.name}{column.name.capitalize()}"
        enums += [f"enum {name} {{", *(f"  {value}" for value in re.findall(r"'(\w+)'", column.type)), "}", ""]
        return name
    if column.type in _PRISMA_TYPES:
        return _PRISMA_TYPES[column.type]
    kind, length = column.type.rstrip(")").split("(")
    return f"{_NATIVE[kind]}({length})"


def _default(column: Column, type_: str) -> str:
    default = column.default or ""
    if default.startswith("CURRENT_TIMESTAMP"):
        return "now()"
    if type_ == "Boolean":
        return "true" if default == "1" else "false"
    return default.replace("'", '"') if type_ == "String" else default.strip("'")


def _indexes(table: Table, names: Names, called: Mapping[str, str] | None = None) -> Iterable[tuple[str, str]]:
    """Lines, and the columns as a step names them. `called`: fields that have other names than chatd's columns."""
    for index in table.indexes:
        actual = [names.column(table.name, column) for column in index.columns]
        kind = "unique" if index.unique else "index"
        fields = ", ".join((called or {}).get(column, column) for column in index.columns)
        line = f'  @@{kind}([{fields}], map: "{index_name(table, index, names)}")'
        yield line, ", ".join(actual)


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
