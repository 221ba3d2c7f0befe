"""The rules of sign-in tokens, over rows that a store has loaded: which are known, which are revoked.

Tokens are signed, so a store need not know one to accept it; it knows those that chatd issued, and a time per user
before which no other counts any more.
"""

import attrs

from storage.changes import AddToken, Refused, RevokeToken, RevokeTokens, TokensSaved
from storage.records import IssuedToken

KEPT = 7 * 24 * 3600 * 1000
"""Milliseconds that a token is still listed after it expired; it is forgotten when a later one is added."""


@attrs.define
class TokenRows:
    """The tokens' part of a transaction: rows as loaded, then as changed, with notes of what is to be written."""

    tokens: dict[str, IssuedToken] = attrs.Factory(dict)  # by id
    cut_offs: dict[str, int] = attrs.Factory(dict)  # user -> when (ms)
    changed: dict[str, None] = attrs.Factory(dict)
    moved: dict[str, None] = attrs.Factory(dict)  # users whose cut-off moved
    forget_before: int | None = None  # tokens that expired earlier go

    def put(self, token: IssuedToken) -> None:
        self.tokens[token.jti] = token
        self.changed[token.jti] = None


def add_token(rows: TokenRows, change: AddToken) -> TokensSaved | Refused:
    """The user is known to exist."""
    if change.jti in rows.tokens:
        return Refused("conflict", "there is a token of this id already")
    token = IssuedToken(jti=change.jti, user=change.user, issued_at=change.issued_at, expires_at=change.expires_at)
    rows.put(token)
    rows.forget_before = max(rows.forget_before or 0, change.issued_at - KEPT)
    return TokensSaved((token,))


def revoke_token(rows: TokenRows, change: RevokeToken) -> TokensSaved | Refused:
    """One; a second time changes nothing."""
    token = rows.tokens.get(change.jti)
    if token is None:
        return Refused("not_found", "no such token", "token")
    if token.revoked_at is None:
        token = attrs.evolve(token, revoked_at=change.at)
        rows.put(token)
    return TokensSaved((token,))


def revoke_tokens(rows: TokenRows, change: RevokeTokens) -> TokensSaved:
    """All that the user has. The user is known to exist."""
    revoked = [
        attrs.evolve(token, revoked_at=change.at)
        for token in rows.tokens.values()
        if token.user == change.user and token.revoked_at is None
    ]
    for token in revoked:
        rows.put(token)
    rows.cut_offs[change.user] = max(rows.cut_offs.get(change.user, 0), change.at)
    rows.moved[change.user] = None
    return TokensSaved(tuple(revoked))
