"""The one chain by which every transport learns who somebody is."""

from collections.abc import Sequence
from typing import Literal, Protocol

from chatd.core.identity import Identity, Offer
from storage.records import User

Kind = Literal["malformed", "refused", "expired", "absent"]


class NotAccepted(Exception):
    """The offer signs nobody in. The message is for the client; `reason` is for the log, and holds no secret.

    `malformed`: the request is wrong, not the credential; `expired`: a fresh one would do; `absent`: there is none.
    """

    def __init__(self, message: str, *, reason: str = "", kind: Kind = "refused") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or message
        self.kind = kind


class Authenticator(Protocol):
    """One way to sign in. `method`: its name, as in the setting `auth.methods`."""

    method: str

    async def authenticate(self, offer: Offer) -> Identity | None:
        """Return who the offer shows; None where it shows nothing of this kind. Raises NotAccepted, Unavailable."""
        ...

    async def admit(self, identity: Identity, offer: Offer) -> User:
        """Return the user's row, where the credential still counts. Raises NotAccepted, Unavailable.

        By now the registry knows that the user arrives, so a revocation meanwhile is noticed.
        """
        ...


class Chain:
    """Authenticators in order; the first to which the offer means something decides.

    Of cookies alone the first that is good decides, as a browser sends stale ones along.
    """

    def __init__(self, authenticators: Sequence[Authenticator], *, nothing: NotAccepted) -> None:
        self._authenticators = authenticators
        self._nothing = nothing

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of the ways to sign in."""
        return tuple(authenticator.method for authenticator in self._authenticators)

    async def authenticate(self, offer: Offer) -> Identity:
        """Return who the offer shows. Raises NotAccepted, Unavailable."""
        refusal: NotAccepted | None = None
        for authenticator in self._authenticators:
            try:
                identity = await authenticator.authenticate(offer)
            except NotAccepted as error:
                if not offer.only_cookies:
                    raise
                refusal = refusal or error
                continue
            if identity is not None:
                return identity
        raise refusal or NotAccepted(self._nothing.message, kind=self._nothing.kind)

    async def admit(self, identity: Identity, offer: Offer) -> User:
        """Check the identity against the database now, and return the user's row. Raises NotAccepted, Unavailable."""
        for authenticator in self._authenticators:
            if authenticator.method == identity.method:
                return await authenticator.admit(identity, offer)
        raise NotAccepted("the token is not accepted", reason=f"{identity.method} is not a way to sign in here")
