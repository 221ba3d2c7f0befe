"""Rows of sign-in tokens inside a transaction."""

import attrs

from storage.records import IssuedToken


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
