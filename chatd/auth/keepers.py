"""The keepers of credentials, one for each kind, as the daemon has them."""

from collections.abc import Callable

import attrs

from chatd.core.accounts import Accounts
from chatd.core.gate import Gate, Runner

from .invitations import Invitations
from .passwords import Passwords
from .sessions import Sessions
from .throttle import Throttle
from .tickets import Tickets


@attrs.frozen(kw_only=True)
class Keepers:
    """`methods`: names of the ways to sign in that are on."""

    methods: tuple[str, ...]
    passwords: Passwords
    sessions: Sessions
    tickets: Tickets
    invitations: Invitations
    throttle: Throttle


def keepers(
    gate: Gate,
    accounts: Accounts,
    *,
    methods: tuple[str, ...],
    now: Callable[[], int],
    new_id: Callable[[], str],
    clock: Callable[[], float],
    hash_on: Runner | None,
) -> Keepers:
    """Return the keepers of a daemon. `clock` in s, `now` in ms; `hash_on`: what runs the hashing of passwords."""
    return Keepers(
        methods=methods,
        passwords=Passwords(gate, now, run=hash_on),
        sessions=Sessions(gate, accounts, now, new_id),
        tickets=Tickets(gate, accounts, now),
        invitations=Invitations(gate, accounts, now, new_id),
        throttle=Throttle(clock),
    )
