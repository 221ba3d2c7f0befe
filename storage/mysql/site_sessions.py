"""Reads of a site's table of sessions, which chatd neither makes nor changes."""

from collections.abc import Collection

from storage.contract import StoreError
from storage.site_sessions import SiteSession, SiteTable

from .connection import Connection
from .errors import Error, code

_NO_TABLE, _NO_COLUMN = 1146, 1054


def read(db: Connection, table: SiteTable, tokens: Collection[str]) -> dict[str, SiteSession]:
    """Return the sessions with these tokens, to the letter: the column's collation may take others for the same."""
    wanted = set(tokens)
    if not wanted:
        return {}
    return {
        token: SiteSession(token=token, user=user, expires_at=int(expires))
        for token, user, expires in db.run_many(_select(table), "?", len(wanted), sorted(wanted))
        if token in wanted and user is not None and expires is not None
    }


def check(db: Connection, table: SiteTable) -> None:
    """Raise StoreError where the table can't be read like this."""
    try:
        db.run_many(_select(table), "?", 1, [""])
    except Error as error:
        if code(error) == _NO_TABLE:
            raise StoreError(f"there is no table {table.table} with the site's sessions") from None
        if code(error) == _NO_COLUMN:
            columns = ", ".join((table.token, table.user, table.expires))
            raise StoreError(f"the table {table.table} lacks one of the columns {columns}") from None
        raise


def _select(table: SiteTable) -> str:
    # Times are in UTC: so Prisma, Drizzle and Kysely write them, and such is the session's zone here.
    return (
        f'SELECT "{table.token}", CAST("{table.user}" AS CHAR), '
        f'CAST(UNIX_TIMESTAMP("{table.expires}") * 1000 AS SIGNED) '
        f'FROM "{table.table}" WHERE "{table.token}" IN ({{}})'
    )
