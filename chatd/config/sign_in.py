"""Settings of ways to sign in that an app or a clinic's IT has already.

Tables below `[auth]`: one of each kind, or one for each name, as `[auth.jwt.clerk]`.
"""

from typing import Any, Literal

import attrs

from . import fields
from .fields import number, one_of, path, text, texts

NEXTAUTH_COOKIES = (
    *("__Secure-authjs.session-token", "authjs.session-token"),
    *("__Secure-next-auth.session-token", "next-auth.session-token"),
)


BETTER_AUTH_COOKIES = ("__Secure-better-auth.session_token", "better-auth.session_token")


def _columns(*default: str) -> Any:
    return texts(
        default, fields.session_column,
        f'a list of theirs for {", ".join(fields.SESSION_COLUMNS)}, like "{default[0]}"',
        "what the table calls its columns, where it is otherwise"
    )  # fmt: skip


def _table(default: str, help_: str) -> Any:
    return text(default, r"^[A-Za-z0-9_$]{1,64}\Z", "the name of a table", help_)


@attrs.frozen(kw_only=True)
class NextAuth:
    """Sessions of a site that signs people in with NextAuth 4 or Auth.js 5, where auth.methods has "nextauth"."""

    secrets: tuple[str, ...] = texts(
        (), fields.site_secret, "a list of texts of 1 to 1024 characters",
        "the site's secrets, the newest first; empty: AUTH_SECRET and NEXTAUTH_SECRET of the environment", secret=True
    )  # fmt: skip
    secrets_file: str = path("", "a file", "file of them, a line each, for its owner alone; instead of the list")
    cookies: tuple[str, ...] = texts(
        NEXTAUTH_COOKIES, fields.cookie_name, "a list of names of cookies", "what the site calls its session cookie"
    )  # fmt: skip
    user: str = text(
        "sub", "", 'the path of a claim, like "sub" or "user.id"', "claim that is the user's id here",
        tidy=fields.claim
    )  # fmt: skip
    sessions: Literal["jwt", "database"] = one_of(
        "jwt",
        ("jwt", "database"),
        "where the site keeps sessions: in the cookie, or in a table of this database (MySQL)",
    )
    table: str = _table("Session", "that table, in the database of [storage]")
    columns: tuple[str, ...] = _columns("token=sessionToken", "user=userId", "expires=expires")


@attrs.frozen(kw_only=True)
class BetterAuth:
    """Sessions of a site that signs people in with Better Auth, where auth.methods has "better-auth". On MySQL."""

    secrets: tuple[str, ...] = texts(
        (), fields.site_secret, "a list of texts of 1 to 1024 characters",
        "the site's secrets, the newest first; empty: BETTER_AUTH_SECRET of the environment", secret=True
    )  # fmt: skip
    secrets_file: str = path("", "a file", "file of them, a line each, for its owner alone; instead of the list")
    cookies: tuple[str, ...] = texts(
        BETTER_AUTH_COOKIES, fields.cookie_name, "a list of names of cookies", "what the site calls its session cookie"
    )  # fmt: skip
    table: str = _table("session", "the site's table of sessions, in the database of [storage]")
    columns: tuple[str, ...] = _columns("token=token", "user=userId", "expires=expiresAt")


@attrs.frozen(kw_only=True)
class Jwt:
    """Tokens of somebody else (JWT), where auth.methods has "jwt": a table for each, by a name of your own."""

    issuer: str = text("", r"^([!-~]{1,512})?\Z", "1 to 512 characters", "claim `iss`, to the letter; needed with jwks")
    audience: tuple[str, ...] = texts(
        (), fields.word, "a list of words",
        "claim `aud` has one of these; with jwks this or `authorized_parties` is needed"
    )  # fmt: skip
    authorized_parties: tuple[str, ...] = texts((), fields.word, "a list of words", "claim `azp` is one of these")
    jwks: str = text(
        "", r"^[^\x00-\x1f]*\Z", "an https address or the path of a file", "the public keys: RS256, ES256, EdDSA",
        tidy=fields.keys_place, beside=fields.keys_beside
    )  # fmt: skip
    secret: str = text(
        "", r"^([^\x00]{32,1024})?\Z", "32 to 1024 characters", "the shared secret instead: HS256", secret=True
    )
    secret_file: str = path("", "a file", "file of it, for its owner alone")
    user: str = text(
        "sub", "", 'the path of a claim, like "sub" or "user.id"', "claim that is the user's id here", tidy=fields.claim
    )
    user_prefix: str = text(
        "", r"^[!-~]{0,64}\Z", "at most 64 printable characters", "what the ids of its users begin with here"
    )
    unknown: Literal["refuse", "patient"] = one_of(
        "refuse", ("refuse", "patient"), "users who are not known here: refuse them, or make them patients"
    )
    name: str = text("name", "", "the path of a claim", "claim with the name of a user who is made", tidy=fields.claim)
    role: str = text(
        "", r"^[!-~]{0,200}\Z", 'the path of a claim, like "app_metadata.role", or empty',
        "claim that decides on the role of a user who is known; empty: the role is as it is here"
    )  # fmt: skip
    roles: tuple[str, ...] = texts(
        (), fields.role_of, 'a list like "DENTIST=dentist" of patient, dentist, staff and admin',
        "values of that claim; one that is not named here counts as patient"
    )  # fmt: skip
    require: tuple[str, ...] = texts((), fields.claim, "a list of paths of claims", "claims that must be there, too")
    cookie: str = text(
        "", r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{0,128}\Z", "the name of a cookie, or empty",
        "cookie that has the token, where none is said"
    )  # fmt: skip
    leeway: float = number(30.0, 0, 300, "s that its clock and this one may differ")


@attrs.frozen(kw_only=True)
class Oidc:
    """Identity services (OpenID Connect), where auth.methods has "oidc": a table for each, by a name of your own."""

    issuer: str = text(
        "", r"^((https://|http://(127\.0\.0\.1|localhost)[:/])[!-~]{1,240})?\Z", "an https address",
        "the service's issuer, to the letter"
    )  # fmt: skip
    client_id: str = text("", r"^[!-~]{0,512}\Z", "at most 512 printable characters", "this server's name there")
    client_secret: str = text(
        "", r"^[!-~]{0,1024}\Z", "at most 1024 printable characters", "its secret there", secret=True
    )
    client_secret_file: str = path("", "a file", "file of it, for its owner alone")
    title: str = text(
        "", r"^[^\x00-\x1f]{0,80}\Z", "at most 80 characters", "its name on the page's button; empty: that of the table"
    )
    scopes: tuple[str, ...] = texts(("openid", "profile"), fields.word, "a list of words", "what is asked for there")
    unknown: Literal["refuse", "patient"] = one_of(
        "refuse", ("refuse", "patient"), "people who are linked with nobody here: refuse them, or make them patients"
    )
    name: str = text("name", "", "the name of a claim", "claim with the name of a user who is made", tidy=fields.claim)
    role: str = text(
        "", r"^[!-~]{0,200}\Z", 'the path of a claim, like "realm_access.roles", or empty',
        "claim that decides on the role of a user who is linked; empty: the role is as it is here"
    )  # fmt: skip
    roles: tuple[str, ...] = texts(
        (), fields.role_of, 'a list like "DENTIST=dentist" of patient, dentist, staff and admin',
        "values of that claim; one that is not named here counts as patient"
    )  # fmt: skip
