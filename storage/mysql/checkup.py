"""Check of a server and a database before a daemon works there: settings, schema, rights. Nothing is changed."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Literal

from storage.contract import StoreError, Unavailable

from .connection import Connection
from .errors import Error, code
from .layout import read_layout
from .names import Names
from .pool import Pool
from .store import MysqlStore
from .tables import TABLES
from .url import Address, parse

NO_RIGHT = frozenset({1142, 1143})

PROBES = {
    "SELECT": 'SELECT 1 FROM "{table}" LIMIT 0',
    "INSERT": 'INSERT INTO "{table}" SELECT * FROM "{table}" WHERE 1 = 0',
    "UPDATE": 'UPDATE "{table}" SET "{key}" = "{key}" WHERE 1 = 0',
    "DELETE": 'DELETE FROM "{table}" WHERE 1 = 0',
}
"""Statements that touch no row. The server looks at rights before it looks for rows."""

DOUBLEWRITE_OFF = ("0", "OFF")
UNSAFE_LOG = "STATEMENT"


Level = Literal["ok", "warning", "wrong"]


def check_up(url: str, *, names: Mapping[str, str], roles: Mapping[str, str]) -> Iterator[tuple[Level, str]]:
    """Yield a line for each thing that was looked at. The password is in none."""
    address = parse(url)
    known = Names.checked(names)
    try:
        with closing(Pool(address, known, readers=0).connect(writer=False)) as db:
            yield from _server(db, address)
            lacking = list(_lacking_rights(db, known))
    except (Unavailable, Error, OSError) as error:
        yield "wrong", f"{address}: {error}"
        return
    if lacking:
        yield "wrong", f"{address}: this user lacks {', '.join(lacking)}: GRANT SELECT, INSERT, UPDATE, DELETE on it"
        return
    try:
        store = MysqlStore(url, new_epoch=lambda: "", names=names, roles=roles, readers=1, new=False)
    except StoreError as error:
        yield "wrong", str(error)
        return
    with closing(store):
        for warning in store.warnings:
            yield "warning", warning
        if store.development:
            yield "warning", f"{address}: made in development mode: its users were never checked"
        yield "ok", f"{address}: its tables are those of this version, and this user has the rights"


def _server(db: Connection, address: Address) -> Iterator[tuple[Level, str]]:
    """Look at what the whole server is set to. The store itself warns of what may lose messages."""
    found = db.one("SELECT @@version, @@innodb_doublewrite, @@log_bin, @@binlog_format, @@read_only")
    assert found is not None
    version, doublewrite, log, log_format, read_only = (str(value) for value in found)
    yield "ok", f"{address}: answers (version {version})"
    if doublewrite.upper() in DOUBLEWRITE_OFF:
        yield "warning", "innodb_doublewrite is off: a power loss may tear pages, unless the file system prevents that"
    if log == "1" and log_format.upper() == UNSAFE_LOG:
        yield "wrong", f"binlog_format is {log_format}: set it to ROW or MIXED"
    if read_only not in ("0", "OFF"):
        yield "wrong", "the server is read-only (read_only): a replica? Name the primary in the address"


def _lacking_rights(db: Connection, names: Names) -> Iterator[str]:
    """Yield rights that this user lacks on tables that are there, like "DELETE on chatd_token"."""
    there = read_layout(db).columns
    for table in TABLES:
        actual = names.table(table.name)
        if actual not in there:
            continue
        for right, statement in PROBES.items():
            if right == "DELETE" and not table.own:
                continue
            try:
                db.run(statement.format(table=table.name, key=table.primary[0]))
            except Error as error:
                if code(error) in NO_RIGHT:  # others, of generated columns say, come after the rights
                    yield f"{right} on {actual}"
