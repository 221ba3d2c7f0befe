"""The rules of sign-in tokens, over rows that a store has loaded: which are known, which are revoked.

Tokens are signed, so a store need not know one to accept it; it knows those that chatd issued, and a time per user
before which no other counts any more.
"""

import attrs

from storage.changes import AddToken, Refused, RevokeToken, RevokeTokens, TokensSaved
from storage.records import IssuedToken

from .rule import Keys, Rule, Rules
from .unit import NO_USER, Answer, Unit

EXPIRED_TOKEN_KEPT_MS = 7 * 24 * 3600 * 1000
"""Milliseconds that a token is still listed after it expired; it is forgotten when a later one is added."""


def add_token(unit: Unit, change: AddToken) -> Answer:
    """Note a token of a known user."""
    rows = unit.tokens
    if change.user not in unit.users:
        return NO_USER, ()
    if change.jti in rows.tokens:
        return Refused("conflict", "there is a token of this id already"), ()
    token = IssuedToken(jti=change.jti, user=change.user, issued_at=change.issued_at, expires_at=change.expires_at)
    rows.put(token)
    rows.forget_before = max(rows.forget_before or 0, change.issued_at - EXPIRED_TOKEN_KEPT_MS)
    return TokensSaved((token,)), ()


def revoke_token(unit: Unit, change: RevokeToken) -> Answer:
    """Revoke one; a second time changes nothing."""
    rows = unit.tokens
    token = rows.tokens.get(change.jti)
    if token is None:
        return Refused("not_found", "no such token", "token"), ()
    if token.revoked_at is None:
        token = attrs.evolve(token, revoked_at=change.at)
        rows.put(token)
    return TokensSaved((token,)), ()


def revoke_tokens(unit: Unit, change: RevokeTokens) -> Answer:
    """Revoke all of a known user."""
    rows = unit.tokens
    if change.user not in unit.users:
        return NO_USER, ()
    revoked = [
        attrs.evolve(token, revoked_at=change.at)
        for token in rows.tokens.values()
        if token.user == change.user and token.revoked_at is None
    ]
    for token in revoked:
        rows.put(token)
    rows.cut_offs[change.user] = max(rows.cut_offs.get(change.user, 0), change.at)
    rows.moved[change.user] = None
    return TokensSaved(tuple(revoked)), ()


def _keys_to_add(keys: Keys, change: AddToken) -> None:
    keys.users.add(change.user)
    keys.tokens.add(change.jti)


def _keys_to_revoke(keys: Keys, change: RevokeToken) -> None:
    keys.tokens.add(change.jti)


def _keys_to_revoke_all(keys: Keys, change: RevokeTokens) -> None:
    keys.users.add(change.user)
    keys.tokens_of.add(change.user)


RULES: Rules = {
    AddToken: Rule(_keys_to_add, add_token),
    RevokeToken: Rule(_keys_to_revoke, revoke_token),
    RevokeTokens: Rule(_keys_to_revoke_all, revoke_tokens),
}
