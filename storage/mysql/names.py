"""The SQL of `storage.sql` and of this package, in the names of the database and in PyMySQL's spelling.

Statements have logical names in double quotes (`tables.py`) and question marks. The session runs with ANSI_QUOTES, so
where nothing is named otherwise only the marks differ.
"""

import re
from collections.abc import Mapping

import attrs

from storage.contract import StoreError

from .tables import BY_NAME

_NAME = re.compile(r"[A-Za-z0-9_$]{1,64}")
_TABLES = re.compile(r'(?:FROM|JOIN|INTO|(?<!KEY )UPDATE) "(\w+)"(?: (?!SET\b|ON\b|AS\b)([a-z]+)\b)?')
_PIECES = re.compile(r"""(?:\b([a-z]+)\.)?"(\w+)"|\?|%""")


@attrs.frozen
class Names:
    """What tables and columns are called where not as in `tables.py`: "Message.content" -> "body"."""

    given: Mapping[str, str] = attrs.Factory(dict)
    _known: dict[str, str] = attrs.field(factory=dict, init=False, repr=False, eq=False)

    @classmethod
    def checked(cls, given: Mapping[str, str]) -> "Names":
        """Raises StoreError for a name that is not one of an app's table or column, or that no table can have."""
        for logical, actual in given.items():
            table, _, column = logical.partition(".")
            known = BY_NAME.get(table)
            columns = {c.name for c in known.columns} if known else set()
            if known is None or known.own or (column and column not in columns):
                raise StoreError(f"mysql.names: there is no {logical}; see docs/mysql.md for what there is")
            if not _NAME.fullmatch(actual):
                raise StoreError(f"mysql.names: {logical}: expected letters, digits, _ and $, at most 64")
        return cls(dict(given))

    def table(self, name: str) -> str:
        return self.given.get(name, name)

    def column(self, table: str, name: str) -> str:
        return self.given.get(f"{table}.{name}", name)

    def sql(self, statement: str) -> str:
        """The statement as PyMySQL takes it. Remembered: what varies is to be small in number."""
        known = self._known.get(statement)
        if known is None:
            if len(self._known) > 2000:
                self._known.clear()
            known = self._known[statement] = self._translated(statement)
        return known

    def _translated(self, statement: str) -> str:
        found = _TABLES.findall(statement)
        aliases = {alias: table for table, alias in found if alias}
        tables = {table for table, _ in found}
        only = tables.pop() if len(tables) == 1 else None

        def piece(match: re.Match[str]) -> str:
            alias, name = match.groups()
            if name is None:
                return "%s" if match[0] == "?" else "%%"
            if alias in aliases:
                return f'{alias}."{self.column(aliases[alias], name)}"'
            if alias is not None:
                return match[0]
            if name in BY_NAME:
                return f'"{self.table(name)}"'
            return f'"{self.column(only, name) if only else name}"'

        return _PIECES.sub(piece, statement)
