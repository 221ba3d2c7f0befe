"""Settings of one table that depend on each other. Each check returns what is wrong, None where nothing is."""

from collections.abc import Iterable

from .sign_in import Jwt, Oidc


def wrong_jwt(jwt: Jwt) -> str | None:
    """Check a table of tokens: one place of keys, and what tells its tokens from those for others."""
    places = [key for key in ("jwks", "secret", "secret_file") if getattr(jwt, key)]
    if len(places) != 1:
        return f"{' and '.join(places) or 'no keys'}: one of jwks, secret and secret_file is needed"
    if jwt.jwks and not jwt.issuer:
        return "issuer: needed with jwks"
    if jwt.jwks and not (jwt.audience or jwt.authorized_parties):
        return "audience: needed with jwks, or authorized_parties; else tokens for other services count here"
    if bool(jwt.role) != bool(jwt.roles):
        return "role and roles: the one needs the other"
    return None


def alike_jwt(jwt: Jwt, others: Iterable[Jwt]) -> str | None:
    """Check that tokens of different issuers can't be taken for each other's, nor their users."""
    for other in others:
        if not jwt.issuer and not other.issuer:
            return "issuer: needed, as another table has none either"
        if jwt.issuer != other.issuer and jwt.user_prefix == other.user_prefix:
            return "user_prefix: the same as that of another issuer, whose users would be the same people"
    return None


def wrong_oidc(oidc: Oidc, public_url: str) -> str | None:
    """Check a table of an identity service."""
    for key in ("issuer", "client_id"):
        if not getattr(oidc, key):
            return f"{key}: needed"
    if not (oidc.client_secret or oidc.client_secret_file):
        return "client_secret_file: needed, or client_secret"
    if "openid" not in oidc.scopes:
        return 'scopes: "openid" must be among them'
    if bool(oidc.role) != bool(oidc.roles):
        return "role and roles: the one needs the other"
    if not public_url:
        return "[server] public_url: needed, as the service sends people back to it"
    return None
