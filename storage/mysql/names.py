"""The SQL of `storage.sql` and of this package, in the names of the database and in PyMySQL's spelling.

Statements have logical names in double quotes (`tables.py`) and question marks. The session runs with ANSI_QUOTES, so
where nothing is named otherwise only the marks differ.
"""

import re
from collections.abc import Mapping

import attrs

from storage.contract import StoreError

from .tables import ATTACHMENT, BY_NAME
from .values import LITERALS

SHOWN_ALIAS = "shown"
"""An alias for what is read in a column's place, in statements that write."""

_SQL_NAME = re.compile(r"[A-Za-z0-9_$]{1,64}")
_TABLES = re.compile(r'(?:FROM|JOIN|INTO|(?<!KEY )UPDATE) "(\w+)"(?: (?!SET\b|ON\b|AS\b)([a-z]+)\b)?')
_DERIVED = re.compile(r"\) ([a-z]+)\b")  # (SELECT ...) x
_OUTPUT = re.compile(r'\bAS "(\w+)"')
_PIECES = re.compile(r"""(?:\b([a-z]+)\.)?"(\w+)"|\?|%""")


@attrs.frozen
class Names:
    """Names in the database of tables and columns that differ from `tables.py`: "Message.content" -> "body".

    `constants`: logical table -> column of the app's that chatd knows nothing of -> the SQL that is written there.
    `reads`: (logical table, column) -> the SQL that is read in its place, with `{}` for an alias.
    `numbers`: (table, column), by their names in the database, of ids that are numbers there.
    """

    given: Mapping[str, str] = attrs.Factory(dict)
    constants: Mapping[str, Mapping[str, str]] = attrs.Factory(dict)
    reads: Mapping[tuple[str, str], str] = attrs.Factory(dict)
    numbers: frozenset[tuple[str, str]] = frozenset()
    _known: dict[str, str] = attrs.field(factory=dict, init=False, repr=False, eq=False)

    @classmethod
    def checked(cls, given: Mapping[str, str], constants: Mapping[str, str] | None = None) -> "Names":
        """Raises StoreError for a name that is not one of an app's table or column, or that no table can have.

        `constants`: "Message.type" -> the text that is written there.
        """
        for logical, actual in given.items():
            table, _, column = logical.partition(".")
            known = BY_NAME.get(table)
            columns = {c.name for c in known.columns} if known else set()
            if known is None or known.own or (column and column not in columns):
                raise StoreError(f"mysql.names: there is no {logical}; see docs/mysql.md for what there is")
            if not _SQL_NAME.fullmatch(actual):
                raise StoreError(f"mysql.names: {logical}: expected letters, digits, _ and $, at most 64")
        written: dict[str, dict[str, str]] = {}
        for where, value in (constants or {}).items():
            table, _, column = where.partition(".")
            known = BY_NAME.get(table)
            if known is None or known.own or not _SQL_NAME.fullmatch(column):
                raise StoreError(f"mysql.constants: {where}: expected a column like Message.type")
            written.setdefault(table, {})[column] = LITERALS[str](value).replace("%", "%%")
        return cls(dict(given), written)

    def with_given(self, more: Mapping[str, str]) -> "Names":
        """Return these names and more."""
        return attrs.evolve(self, given={**self.given, **more}) if more else self

    def of(self, table: str) -> list[str]:
        """Return the logical names of the table's columns."""
        return [column.name for column in BY_NAME[table].columns]

    def table(self, name: str) -> str:
        return self.given.get(name, name)

    def column(self, table: str, name: str) -> str:
        return self.given.get(f"{table}.{name}", name)

    def is_number(self, where: str) -> bool:
        """Return True if a column, like "Message.senderId", holds ids that are numbers in the database."""
        table, _, column = where.partition(".")
        return (self.table(table), self.column(table, column)) in self.numbers

    def sql(self, statement: str) -> str:
        """Return the statement as PyMySQL takes it; remembered, so few may vary.

        Raises ValueError for a name that is no table or column: a statement with it would run on other rows than meant.
        """
        known = self._known.get(statement)
        if known is None:
            if len(self._known) > 2000:
                self._known.clear()
            known = self._known[statement] = self._translated(statement)
        return known

    def _translated(self, statement: str) -> str:
        tables, aliases = set(), dict.fromkeys(_DERIVED.findall(statement), "")
        for table, alias in _TABLES.findall(statement):
            tables.add(table)
            if alias:
                aliases[alias] = table
        only = next(iter(tables)) if len(tables) == 1 else None
        outputs = set(_OUTPUT.findall(statement))
        is_select = statement.lstrip("\0(").startswith("SELECT ")  # a part may be marked off
        is_definition = statement.startswith(("CREATE ", "ALTER "))  # made by `schema`, in the database's names

        def piece(match: re.Match[str]) -> str:
            alias, name = match.groups()
            if name is None:
                return "%s" if match[0] == "?" else "%%"
            if alias == SHOWN_ALIAS:
                if only is None:
                    raise ValueError(f'"{name}" may be of several tables of the statement: {statement}')
                own = f'{{}}"{self._column_of(only, name, statement)}"'
                return self.reads.get((only, name), own).replace("{}", "")
            if alias is not None:
                if alias not in aliases:
                    raise ValueError(f'{alias}."{name}" is of no table of the statement: {statement}')
                is_read = is_select or statement.startswith(" IS ", match.end())
                if is_read and (aliases[alias], name) in self.reads:
                    return self.reads[aliases[alias], name].replace("{}", f"{alias}.")
                return f'{alias}."{self._column_of(aliases[alias], name, statement)}"'
            if name in tables or (is_definition and name in BY_NAME):
                return f'"{self.table(name)}"'
            if name in outputs or is_definition or not tables:
                return match[0]
            if only is None:
                raise ValueError(f'"{name}" may be of several tables of the statement: {statement}')
            if is_select and (only, name) in self.reads:
                return self.reads[only, name].replace("{}", "")
            return f'"{self._column_of(only, name, statement)}"'

        return _PIECES.sub(piece, statement)

    def _column_of(self, table: str, name: str, statement: str) -> str:
        """The column in the database. Raises ValueError for a name that the table doesn't have.

        Of tables that are not in `tables.py`, and of the app's table of files, columns have the database's names.
        """
        known = BY_NAME.get(table)
        if known is None or known is ATTACHMENT:
            return name
        if name not in {column.name for column in known.columns}:
            if name in self.constants.get(table, ()):
                return name
            raise ValueError(f"{table} has no {name}: {statement}")
        return self.column(table, name)
