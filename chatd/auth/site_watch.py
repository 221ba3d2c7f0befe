"""Rows of sites' sessions that are connected, read again and again: a sign-out on the site ends the connection."""

from collections.abc import Callable, Mapping

import attrs

from chatd.core.registry import Registry
from chatd.core.session import Session
from protocol.codes import CloseCode
from storage.site_sessions import SiteSession

from .site_session import SiteRows

SITE_WATCH_EVERY_S = 30.0


class SiteWatch:
    """Reads the rows of live connections, all of one way to sign in by one query. `rows`: by the way's name."""

    def __init__(self, registry: Registry, rows: Mapping[str, SiteRows], now: Callable[[], int]) -> None:
        self._registry = registry
        self._rows = rows
        self._now = now

    async def __call__(self) -> None:
        """Do it once. Raises Unavailable; nobody is cut off because a database doesn't answer."""
        for method, rows in self._rows.items():
            tokens = {token for session in self._registry if (token := _token_of(session, method)) is not None}
            if not tokens:
                continue
            found = await rows.of(sorted(tokens))
            for session in list(self._registry):
                token = _token_of(session, method)
                if token in tokens:
                    self._settle(session, found.get(token))

    def _settle(self, session: Session, row: SiteSession | None) -> None:
        """Cut the connection off whose row is gone or another's; one that the site has prolonged goes on."""
        identity = session.identity
        assert identity is not None
        if row is None or row.user != identity.user or row.expires_at <= self._now():
            session.stop(CloseCode.REVOKED, "the site's session was ended")
        elif row.expires_at != identity.expires_at:
            session.identity = attrs.evolve(identity, expires_at=row.expires_at)


def _token_of(session: Session, method: str) -> str | None:
    """Return what finds the row of a session that this way has signed in."""
    identity = session.identity
    return identity.site_token if identity is not None and identity.method == method else None
