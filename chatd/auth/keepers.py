"""The keepers of credentials, one for each kind, as the daemon has them."""

from collections.abc import Callable, Mapping

import attrs

from chatd.core.accounts import Accounts
from chatd.core.gate import Gate, Runner

from .invitations import Invitations
from .linked import LinkedIdentities
from .oidc import Provider
from .passwords import Passwords
from .sealing import Sealer
from .second_step import KEY_PURPOSE, SecondSteps
from .sessions import SignInSessions
from .throttle import Throttle
from .tickets import Tickets
from .tokens import Tokens


@attrs.frozen(kw_only=True)
class Keepers:
    """`methods`: names of the ways to sign in that are on; `begun` seals what browsers keep of a sign-in elsewhere."""

    methods: tuple[str, ...]
    passwords: Passwords
    sessions: SignInSessions
    tickets: Tickets
    invitations: Invitations
    throttle: Throttle
    second_steps: SecondSteps
    linked: LinkedIdentities
    begun: Sealer
    providers: Mapping[str, Provider]


def keepers(
    gate: Gate,
    accounts: Accounts,
    *,
    methods: tuple[str, ...],
    now: Callable[[], int],
    new_id: Callable[[], str],
    clock: Callable[[], float],
    hash_on: Runner | None,
    tokens: Tokens,
    providers: Mapping[str, Provider],
) -> Keepers:
    """Return the keepers of a daemon. `clock` in s, `now` in ms; `hash_on`: what runs the hashing of passwords.

    `tokens`: with the daemon's secret, which seals things, too. `providers`: identity services, by name.
    """
    return Keepers(
        methods=methods,
        passwords=Passwords(gate, now, run=hash_on),
        sessions=SignInSessions(gate, accounts, now, new_id),
        tickets=Tickets(gate, accounts, now),
        invitations=Invitations(gate, accounts, now, new_id),
        throttle=Throttle(clock),
        second_steps=SecondSteps(gate, accounts, now, clock, tokens.sealer(KEY_PURPOSE)),
        linked=LinkedIdentities(gate, accounts, now, new_id),
        begun=tokens.sealer("sign-in elsewhere"),
        providers=providers,
    )
