"""The ways to sign in that a daemon has."""

from collections.abc import Callable, Sequence

from chatd.core.accounts import Accounts
from chatd.core.gate import Gate
from chatd.core.identity import Identity, Offer
from storage.records import User

from .authenticate import Authenticator, Chain, NotAccepted
from .development import DevelopmentAuthenticator
from .keepers import Keepers
from .sessions import SessionAuthenticator
from .tickets import TicketAuthenticator
from .token_method import TokenAuthenticator
from .tokens import Tokens


def development_chain(gate: Gate, accounts: Accounts, now: Callable[[], int]) -> Chain:
    """Return the one way of development mode."""
    nothing = NotAccepted("`user`: in development mode hello names the user", kind="malformed")
    return Chain([DevelopmentAuthenticator(gate, accounts, now)], nothing=nothing)


def production_chain(
    gate: Gate, keepers: Keepers, tokens: Tokens, now: Callable[[], int], others: Sequence[Authenticator] = ()
) -> Chain:
    """Return the ways that need a credential; each knows its own by how it begins.

    `others`: those that an app or a clinic's IT has already.
    """
    authenticators: list[Authenticator] = [NameRefusal(), SessionAuthenticator(keepers.sessions, gate)]
    if "ticket" in keepers.methods:
        authenticators.append(TicketAuthenticator(keepers.tickets, gate, now))
    authenticators += others
    if "token" in keepers.methods:
        authenticators.append(TokenAuthenticator(tokens, gate, now))
    nothing = NotAccepted("a token is needed: as `token`, or in the handshake's headers", kind="absent")
    return Chain(authenticators, nothing=nothing)


class NameRefusal:
    """Refuses an offer that names a user: that is for development mode."""

    method = "name"

    async def authenticate(self, offer: Offer) -> Identity | None:
        """Raise NotAccepted where a user is named."""
        if offer.user is not None:
            raise NotAccepted("`user`: signing in by name alone is for development mode; a token is needed")
        return None

    async def admit(self, identity: Identity, offer: Offer) -> User:  # noqa: ARG002
        """Raise NotAccepted: nobody is identified by a name."""
        raise NotAccepted("the token is not accepted", reason="a name is no credential")
