"""A store in whose database a site keeps its sessions, in memory."""

from collections.abc import Collection
from typing import Any

from storage.contract import StoreError, Unavailable
from storage.memory import MemoryStore
from storage.site_sessions import SiteSession, SiteTable


class SiteStore(MemoryStore):
    """`tables`: by their names, the sessions by token; `queries`: the tokens of each read; `down`: nothing answers."""

    def __init__(self, **more: Any) -> None:
        super().__init__(epoch="e", **more)
        self.tables: dict[str, dict[str, SiteSession]] = {"Session": {}, "session": {}}
        self.queries: list[list[str]] = []
        self.down = False

    def add(self, table: str, token: str, user: str, expires_at: int) -> None:
        """Keep a session, in place of one with this token."""
        self.tables[table][token] = SiteSession(token=token, user=user, expires_at=expires_at)

    def check_site_table(self, table: SiteTable) -> None:
        if table.table not in self.tables:
            raise StoreError(f"there is no table {table.table} with the site's sessions")

    def site_sessions(self, table: SiteTable, tokens: Collection[str]) -> dict[str, SiteSession]:
        if self.down:
            raise Unavailable("the database does not answer")
        self.queries.append(sorted(tokens))
        rows = self.tables[table.table]
        return {token: rows[token] for token in tokens if token in rows}
