"""Whether a database has what a Prisma schema says, by the rules that Prisma's migrations go by on MySQL.

Prisma's own engine for migrations is no part of its packages, and what of it they have as WebAssembly knows PostgreSQL
and SQLite alone. So its parser reads the schema, and the comparison is ours: columns with their types, whether they may
be NULL, and their defaults; indexes and foreign keys with their names. Prisma does not look at collations, the order of
columns, or ON UPDATE.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

Facts = dict[str, object]
"""What there is to say of a table: "column x", "index y", "key z" -> how it is."""

_COLUMN_TYPES = {"String": "varchar(191)", "Boolean": "tinyint(1)", "Int": "int", "BigInt": "bigint",
          "DateTime": "datetime(3)", "Json": "json", "Bytes": "longblob"}  # fmt: skip
_RULES = {"Cascade": "CASCADE", "Restrict": "RESTRICT", "NoAction": "NO ACTION", "SetNull": "SET NULL"}


def drift(parsed: dict[str, Any], cursor: Any) -> list[str]:
    """What is otherwise: a line for each. `parsed`: of `prisma.parsed`."""
    wanted, there = _wanted(parsed), _there(cursor)
    return [
        f"{table}, {fact}: the schema has {theirs}, the database {ours}"
        for table in sorted(wanted.keys() | there.keys())
        for fact in sorted(wanted[table].keys() | there[table].keys())
        if (theirs := wanted[table].get(fact, "none")) != (ours := there[table].get(fact, "none"))
    ]


def merged(schema: str, fragment: str) -> str:
    """The schema with a fragment taken over, as its comments say."""
    into: str | None = None
    for line in fragment.splitlines():
        if line.startswith("// To the model of the table "):
            into = line.removeprefix("// To the model of the table ").removesuffix(":")
        elif line.startswith("// and to its field "):
            field, native = line.removeprefix("// and to its field ").split(": ")
            schema = re.sub(rf"(model {into} {{[^}}]*?\n  {field} +\S+)( +@db\.\S+)?", rf"\1 {native}", schema)
        elif not line:
            into = None
        elif into is not None:
            schema, count = re.subn(rf"(model {into} {{[^}}]*\n)}}", lambda found: f"{found[1]}{line}\n}}", schema)  # noqa: B023
            assert count == 1, f"there is no model {into}"
        else:
            schema += f"{line}\n"
    return schema


def shown(schema: str) -> str:
    """The schema with nothing hidden from clients: what is hidden is no less a part of the database."""
    return re.sub(r" *@@?ignore\b", "", schema)


def _wanted(parsed: dict[str, Any]) -> defaultdict[str, Facts]:
    found: defaultdict[str, Facts] = defaultdict(dict)
    enums = {enum["name"]: [value["dbName"] or value["name"] for value in enum["values"]] for enum in parsed["enums"]}
    models = {model["name"]: model for model in parsed["models"]}
    tables = {name: model["dbName"] or name for name, model in models.items()}
    columns = {
        name: {field["name"]: field.get("dbName") or field["name"] for field in model["fields"]}
        for name, model in models.items()
    }
    for name, model in models.items():
        facts = found[tables[name]]
        for field in model["fields"]:
            column = columns[name][field["name"]]
            if field["kind"] != "object":
                facts[f"column {column}"] = (_type(field, enums), not field["isRequired"], _default(field))
            elif field.get("relationFromFields"):
                mine = [columns[name][one] for one in field["relationFromFields"]]
                facts[f"key {tables[name]}_{'_'.join(mine)}_fkey"] = (
                    tuple(mine),
                    tables[field["type"]],
                    _RULES[field.get("relationOnDelete") or ("Restrict" if field["isRequired"] else "SetNull")],
                )
    for index in parsed["indexes"]:
        table = tables[index["model"]]
        mine = [columns[index["model"]][one["name"]] for one in index["fields"]]
        suffix = {"id": "", "unique": "key", "normal": "idx"}[index["type"]]
        name = index.get("dbName") or f"{table}_{'_'.join(mine)}_{suffix}"
        found[table]["index PRIMARY" if not suffix else f"index {name}"] = (tuple(mine), suffix != "idx")
    for relation, (a, b) in _implicit(models).items():
        table = f"_{relation}"
        targets = {"A": a, "B": b}
        for column, target in targets.items():
            (id,) = [field for field in models[target]["fields"] if field["isId"]]
            found[table][f"column {column}"] = (_type(id, enums), False, None)
            found[table][f"key {table}_{column}_fkey"] = ((column,), tables[target], "CASCADE")
        found[table][f"index {table}_AB_unique"] = (("A", "B"), True)
        found[table][f"index {table}_B_index"] = (("B",), False)
    return found


def _implicit(models: dict[str, Any]) -> dict[str, list[str]]:
    """Relations with a list on either side, which have a table of their own, and their models in order."""
    sides: defaultdict[str, list[str]] = defaultdict(list)
    for name, model in models.items():
        for field in model["fields"]:
            if field["kind"] == "object" and field["isList"]:
                sides[field["relationName"]].append(name)
    return {relation: sorted(both) for relation, both in sides.items() if len(both) == 2}


def _type(field: dict[str, Any], enums: dict[str, list[str]]) -> str:
    if field["kind"] == "enum":
        return "enum({})".format(",".join(f"'{value}'" for value in enums[field["type"]]))
    if field["nativeType"]:
        name, given = field["nativeType"]
        return str(name).lower() + (f"({','.join(given)})" if given else "")
    return _COLUMN_TYPES[str(field["type"])]


def _default(field: dict[str, Any]) -> str | None:
    default = field.get("default")
    if isinstance(default, dict):  # what only the client makes is nothing to the database
        return "current_timestamp(3)" if default["name"] == "now" else None
    return None if default is None else str(int(default) if isinstance(default, bool) else default).lower()


def _there(cursor: Any) -> defaultdict[str, Facts]:
    found: defaultdict[str, Facts] = defaultdict(dict)
    checked = _json(cursor) if "maria" in _version(cursor).lower() else set()
    cursor.execute(
        "SELECT table_name, column_name, column_type, is_nullable, column_default FROM information_schema.columns "
        "WHERE table_schema = DATABASE()"
    )
    for table, column, type_, null, default in cursor.fetchall():
        type_ = re.sub(r"^((?:big)?int)\(\d+\)", r"\1", _text(type_))
        if (table, column) in checked:
            type_ = "json"
        text = None if default is None or _text(default) == "NULL" else _text(default).strip("'").lower()
        found[table][f"column {column}"] = (type_, null == "YES", text)
    cursor.execute(
        "SELECT k.table_name, k.constraint_name, k.column_name, k.referenced_table_name, r.delete_rule "
        "FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r "
        "ON r.constraint_schema = k.table_schema AND r.constraint_name = k.constraint_name "
        "AND r.table_name = k.table_name WHERE k.table_schema = DATABASE() ORDER BY k.ordinal_position"
    )
    keys: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for table, name, column, target, rule in cursor.fetchall():
        keys[table, name].append(column)
        found[table][f"key {name}"] = (tuple(keys[table, name]), target, rule)
    for table, name, columns, unique in _indexes(cursor):
        if (table, name) not in keys:  # those that the server made for a foreign key are passed over
            found[table][f"index {name}"] = (columns, unique)
    return found


def _json(cursor: Any) -> set[tuple[str, str]]:
    """MariaDB's JSON is LONGTEXT with a check."""
    cursor.execute(
        "SELECT table_name, check_clause FROM information_schema.check_constraints WHERE constraint_schema = DATABASE()"
    )
    return {
        (table, found[1])
        for table, clause in cursor.fetchall()
        if (found := re.search(r"json_valid\(`(.+)`\)", clause))
    }


def _version(cursor: Any) -> str:
    cursor.execute("SELECT VERSION()")
    return str(cursor.fetchall()[0][0])


def _indexes(cursor: Any) -> Iterator[tuple[str, str, tuple[str, ...], bool]]:
    cursor.execute(
        "SELECT table_name, index_name, column_name, non_unique FROM information_schema.statistics "
        "WHERE table_schema = DATABASE() ORDER BY table_name, index_name, seq_in_index"
    )
    found: defaultdict[tuple[str, str, bool], list[str]] = defaultdict(list)
    for table, name, column, repeated in cursor.fetchall():
        found[table, name, not repeated].append(column)
    for (table, name, unique), columns in found.items():
        yield table, name, tuple(columns), unique


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
