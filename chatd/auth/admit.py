"""Whether a token lets its user in now: what it says, and what the store knows of it."""

from storage.records import Credentials, User

from .tokens import BadToken, Claims


def admit(claims: Claims, found: Credentials) -> User:
    """Whom the token signs in. Raises BadToken."""
    if found.user is None:
        raise BadToken("no such user")
    if found.user.disabled_at is not None:
        raise BadToken("the user is disabled")
    if found.token is None:
        # Signed by another holder of the secret. A token's time is in seconds: that of the cut-off is all too late.
        if found.cut_off is not None and claims.issued_at // 1000 <= found.cut_off // 1000:
            raise BadToken("all tokens of the user were revoked")
    elif found.token.user != claims.user:
        raise BadToken("its id is that of another user's token")
    elif found.token.revoked_at is not None:
        raise BadToken("revoked")
    return found.user
