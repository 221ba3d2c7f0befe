"""What commands work with: the composition root makes one of these."""

from collections.abc import Callable

import attrs

from protocol.objects import Limits
from storage.contract import Store

from .auth.tokens import Tokens
from .gate import Gate
from .policy import Policy
from .presence import Presence
from .registry import Registry
from .rights import Windows
from .rooms import Rooms


@attrs.frozen
class Services:
    """The daemon's parts. `now`: wall clock, ms since 1970; `new_id`: a fresh id; `heartbeat` in seconds.

    `tokens`: None in development mode, where there are none.
    """

    store: Store
    gate: Gate
    registry: Registry
    presence: Presence
    rooms: Rooms
    policy: Policy
    windows: Windows
    limits: Limits
    now: Callable[[], int]
    new_id: Callable[[], str]
    heartbeat: float
    tokens: Tokens | None
    draining: Callable[[], bool]
    connections_per_user: int

    @property
    def development(self) -> bool:
        """Whether anybody who connects is who they say."""
        return self.tokens is None
