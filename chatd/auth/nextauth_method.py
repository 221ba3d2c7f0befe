"""Signing in by the session that a site with NextAuth 4 or Auth.js 5 has given: its cookie, or the token in it."""

from collections.abc import Callable

from chatd.core.gate import Gate
from chatd.core.identity import Identity, Offer
from protocol.types import is_id
from storage.records import User

from .authenticate import NotAccepted
from .claims import id_in
from .nextauth import NextAuthCookies, SiteClaims, looks_encrypted
from .site_cookies import SITE_SESSION_REFUSED, BadChunks, site_cookie
from .token_method import refusal_of
from .tokens import BadToken


class NextAuthAuthenticator:
    """Accepts session tokens that `site` opens, of users who are known here. `user`: the claim with their id."""

    method = "nextauth"

    def __init__(self, site: NextAuthCookies, gate: Gate, now: Callable[[], int], *, user: str) -> None:
        self._site = site
        self._gate = gate
        self._now = now
        self._user = user

    async def authenticate(self, offer: Offer) -> Identity | None:
        """Open the token that is said, or that of the cookies. Raises NotAccepted."""
        try:
            found = self._said(offer) if not offer.only_cookies else self._carried(offer)
        except BadToken as error:
            if error.expired:
                raise NotAccepted("the site's session has ended", reason=error.reason, kind="expired") from None
            raise NotAccepted(SITE_SESSION_REFUSED, reason=error.reason) from None
        except BadChunks as error:
            raise NotAccepted(SITE_SESSION_REFUSED, reason=str(error)) from None
        if found is None:
            return None
        user = id_in(found.claims, self._user)
        if user is None or not is_id(user):
            raise NotAccepted(SITE_SESSION_REFUSED, reason="the claim with the user is no id: see auth.nextauth.user")
        return Identity(user=user, method=self.method, expires_at=found.expires_at, authenticated_at=found.issued_at)

    def _said(self, offer: Offer) -> SiteClaims | None:
        token = offer.token if offer.token is not None else offer.carried.bearer
        if token is None or not looks_encrypted(token):
            return None
        return self._site.open(token, self._now())

    def _carried(self, offer: Offer) -> SiteClaims | None:
        """Open the first cookie that is good; a site that moved to another version leaves the old one behind."""
        refusal: BadToken | BadChunks | None = None
        for name in self._site.names:
            try:
                text = site_cookie(offer.carried.cookies, name)
                if text is not None:
                    return self._site.open(text, self._now(), name=name)
            except (BadToken, BadChunks) as error:
                refusal = refusal or error
        if refusal is not None:
            raise refusal
        return None

    async def admit(self, identity: Identity, offer: Offer) -> User:  # noqa: ARG002
        """Look the user up. Raises NotAccepted, Unavailable."""
        store = self._gate.store
        found = await self._gate.read(lambda: store.credentials(identity.user, ""))
        refusal = refusal_of(identity, found)
        if refusal is not None:
            raise NotAccepted(SITE_SESSION_REFUSED, reason=refusal)
        assert found.user is not None
        return found.user
