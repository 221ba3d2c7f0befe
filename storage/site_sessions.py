"""Sessions of a site's own, which it keeps in a table beside the store's: read, never written."""

from collections.abc import Collection
from typing import Protocol, runtime_checkable

import attrs


@attrs.frozen(kw_only=True)
class SiteTable:
    """A site's table of sessions, and its columns, by their names in the database."""

    table: str
    token: str
    user: str
    expires: str


@attrs.frozen(kw_only=True)
class SiteSession:
    """A row of it. `expires_at`: ms since 1970."""

    token: str = attrs.field(repr=False)
    user: str
    expires_at: int


@runtime_checkable
class SiteSessions(Protocol):
    """Store in whose database a site keeps its sessions, too."""

    def check_site_table(self, table: SiteTable) -> None:
        """Raise StoreError where there is no such table, or it lacks a column."""
        ...

    def site_sessions(self, table: SiteTable, tokens: Collection[str]) -> dict[str, SiteSession]:
        """Return the sessions with these tokens that exist, expired ones too, by one query. Raises Unavailable."""
        ...
