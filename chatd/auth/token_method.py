"""Signing in by a signed token: in `hello`, as a bearer, or in the session cookie."""

from collections.abc import Callable

from chatd.core.gate import Gate
from chatd.core.identity import Identity, Offer
from storage.records import Credentials, User

from .authenticate import Kind, NotAccepted
from .tokens import AHEAD, LEEWAY_S, BadToken, Tokens


class TokenAuthenticator:
    """Accepts tokens that `tokens` verifies, as long as the database lets their user and their id in."""

    method = "token"

    def __init__(self, tokens: Tokens, gate: Gate, now: Callable[[], int]) -> None:
        self._tokens = tokens
        self._gate = gate
        self._now = now

    async def authenticate(self, offer: Offer) -> Identity | None:
        """Verify the token that is offered. Raises NotAccepted."""
        token = offer.best_token
        if token is None:
            return None
        now = self._now()
        try:
            claims = self._tokens.verify(token, now)
        except BadToken as error:
            kind: Kind = "expired" if error.expired else "refused"
            raise NotAccepted(error.told, reason=error.reason, kind=kind) from None
        return Identity(
            user=claims.user,
            method=self.method,
            credential_id=claims.jti,
            expires_at=claims.expires_at,
            authenticated_at=claims.issued_at,
        )

    async def admit(self, identity: Identity, offer: Offer) -> User:  # noqa: ARG002
        """Look the user and the token's id up. Raises NotAccepted, Unavailable.

        A token that was issued in the future counts where this store knows it: the clock was set back since.
        """
        store, jti = self._gate.store, identity.credential_id
        assert jti is not None
        found = await self._gate.read(lambda: store.credentials(identity.user, jti))
        if found.token is None and identity.authenticated_at > self._now() + LEEWAY_S * 1000:
            raise NotAccepted(AHEAD, reason="`iat` is in the future")
        refusal = refusal_of(identity, found)
        if refusal is not None:
            raise NotAccepted(f"the token is not accepted: {refusal}", reason=refusal)
        assert found.user is not None
        return found.user


def refusal_of(identity: Identity, found: Credentials) -> str | None:
    """Return why a token doesn't let its user in, or None if it does."""
    if found.user is None:
        return "no such user"
    if found.user.disabled_at is not None:
        return "the user is disabled"
    if found.token is None:
        # Signed by another holder of the secret. A token's time is in seconds: that of the cut-off is all too late.
        if found.cut_off is not None and identity.authenticated_at // 1000 <= found.cut_off // 1000:
            return "all tokens of the user were revoked"
    elif found.token.user != identity.user:
        return "its id is that of another user's token"
    elif found.token.revoked_at is not None:
        return "revoked"
    return None
