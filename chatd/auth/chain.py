"""The ways to sign in that a daemon has."""

from collections.abc import Callable

from chatd.core.accounts import Accounts
from chatd.core.gate import Gate

from .authenticate import Authenticator, Chain, NotAccepted
from .development import DevelopmentAuthenticator
from .token_method import TokenAuthenticator
from .tokens import Tokens


def development_chain(gate: Gate, accounts: Accounts, now: Callable[[], int]) -> Chain:
    """Return the one way of development mode."""
    nothing = NotAccepted("`user`: in development mode hello names the user", kind="malformed")
    return Chain([DevelopmentAuthenticator(gate, accounts, now)], nothing=nothing)


def production_chain(gate: Gate, tokens: Tokens, now: Callable[[], int]) -> Chain:
    """Return the ways that need a credential."""
    authenticators: list[Authenticator] = [TokenAuthenticator(tokens, gate, now)]
    nothing = NotAccepted("a token is needed: as `token`, or in the handshake's headers")
    return Chain(authenticators, nothing=nothing)
