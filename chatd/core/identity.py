"""Identities, and what is offered to prove them; the same for every transport."""

import attrs

from protocol.objects import Role


@attrs.frozen(kw_only=True)
class Profile:
    """The name and the role that somebody else's word gives a user; None: it says nothing of that."""

    name: str | None = None
    role: Role | None = None


@attrs.frozen(kw_only=True)
class Identity:
    """A user as an authenticator found them. Times in ms since 1970.

    `method`: the authenticator's name; `credential_id`: what can be revoked by itself, None where nothing can;
    `secret_hash`: the key of the credential's row, where it has one; `expires_at`: None where it holds until it is
    revoked.
    """

    user: str
    method: str
    credential_id: str | None = None
    secret_hash: str | None = None
    expires_at: int | None = None
    authenticated_at: int
    site_token: str | None = attrs.field(default=None, repr=False)
    """Key of the row in which a site keeps the session."""
    issuer: str | None = None
    """Signer of the token, by the settings' name for them; None: chatd itself."""
    profile: Profile | None = None


@attrs.frozen(kw_only=True)
class Carried:
    """The credentials in a request's headers: the token of `Authorization: Bearer`, and the session cookie.

    `cookies`: names and values of the others, in the order sent; a site's own session may be among them.
    """

    bearer: str | None = attrs.field(default=None, repr=False)
    cookie: str | None = attrs.field(default=None, repr=False)
    cookies: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)


NOTHING = Carried()


@attrs.frozen(kw_only=True)
class Offer:
    """Everything that is shown to sign in. `token`: said in `hello`; `carried`: in the request's headers.

    `user`, `name`, `role` are for development mode.
    """

    token: str | None = attrs.field(default=None, repr=False)
    carried: Carried = NOTHING
    user: str | None = None
    name: str | None = None
    role: Role | None = None

    @property
    def best_token(self) -> str | None:
        """The token that counts where several are shown: the one said, the bearer's, the cookie's."""
        if self.token is not None:
            return self.token
        return self.carried.bearer or self.carried.cookie

    @property
    def only_cookies(self) -> bool:
        """Return True if nothing is shown but cookies, which a browser sends along, stale ones too."""
        return self.token is None and self.user is None and self.carried.bearer is None
