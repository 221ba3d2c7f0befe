"""Signing in by a session that a site keeps in a table of this database: NextAuth's, or Better Auth's.

The row is read at each sign-in and each request, and those of live connections again and again (`site_watch.py`): that
somebody has signed out on the site counts here, too.
"""

from collections.abc import Callable
from typing import Any

import attrs

from chatd.core.gate import Gate
from chatd.core.identity import Identity, Offer
from protocol.types import is_id
from storage.records import User
from storage.site_sessions import SiteSession, SiteSessions, SiteTable

from .authenticate import NotAccepted
from .site_cookies import SITE_SESSION_REFUSED, BadChunks, site_cookie
from .tokens import BadToken

MAX_TOKEN_CHARS = 255


@attrs.frozen
class SiteRows:
    """The rows of a site's sessions, as a store reads them."""

    gate: Gate
    store: SiteSessions
    table: SiteTable

    async def of(self, tokens: list[str]) -> dict[str, SiteSession]:
        """Return the rows with these tokens that exist, by one query. Raises Unavailable."""
        return await self.gate.read(lambda: self.store.site_sessions(self.table, tokens))


def plain_token(value: str) -> str:
    """Return a cookie's value as the token of NextAuth's database sessions. Raises BadToken."""
    if not 16 <= len(value) <= MAX_TOKEN_CHARS or not value.isascii() or not value.isprintable():
        raise BadToken("not a session token")
    return value


class SiteSessionAuthenticator:
    """Accepts a cookie whose session the site still has. `names`: of the cookie; `token`: finds the token in it."""

    def __init__(
        self,
        method: str,
        rows: SiteRows,
        now: Callable[[], int],
        *,
        names: tuple[str, ...],
        token: Callable[[str], str],
    ) -> None:
        self.method = method
        self.rows = rows
        self._now = now
        self._names = names
        self._token = token

    async def authenticate(self, offer: Offer) -> Identity | None:
        """Look the session up that a cookie names. Raises NotAccepted, Unavailable."""
        if not offer.only_cookies:
            return None
        refusal: NotAccepted | None = None
        for name in self._names:
            try:
                token = self._in_cookie(offer.carried.cookies, name)
                if token is not None:
                    return await self._found(token)
            except NotAccepted as error:
                refusal = refusal or error
        if refusal is not None:
            raise refusal
        return None

    def _in_cookie(self, cookies: Any, name: str) -> str | None:
        try:
            value = site_cookie(cookies, name)
            return None if value is None else self._token(value)
        except BadToken as error:
            raise NotAccepted(SITE_SESSION_REFUSED, reason=error.reason) from None
        except BadChunks as error:
            raise NotAccepted(SITE_SESSION_REFUSED, reason=str(error)) from None

    async def _found(self, token: str) -> Identity:
        row = (await self.rows.of([token])).get(token)
        if row is None:
            raise NotAccepted("the site's session has ended", reason="the site has no such session")
        if row.expires_at <= self._now():
            raise NotAccepted("the site's session has ended", reason="expired", kind="expired")
        if not is_id(row.user):
            raise NotAccepted(SITE_SESSION_REFUSED, reason="the session's user is no id")
        return Identity(
            user=row.user,
            method=self.method,
            expires_at=row.expires_at,
            authenticated_at=self._now(),
            site_token=token,
        )

    async def admit(self, identity: Identity, offer: Offer) -> User:  # noqa: ARG002
        """Look the user up. Raises NotAccepted, Unavailable."""
        store = self.rows.gate.store
        user = await self.rows.gate.read(lambda: store.user(identity.user))
        if user is None or user.disabled_at is not None:
            raise NotAccepted(SITE_SESSION_REFUSED, reason="no such user, or disabled")
        return user
