"""The parts that handlers work with, made once by the composition root."""

from collections.abc import Callable

import attrs

from chatd.auth.authenticate import Chain
from chatd.auth.keepers import Keepers
from chatd.core.accounts import Accounts
from chatd.core.gate import Gate
from chatd.core.presence import PresenceIndex
from chatd.core.registry import Registry
from chatd.core.rooms import Rooms
from chatd.metrics import Metrics
from protocol.objects import Limits
from storage.contract import Store

from .permissions import ReachPolicy, Windows


@attrs.frozen
class Parts:
    """The daemon's parts. `now`: wall clock, ms since 1970; `new_id`: a fresh id; `heartbeat` in seconds.

    `development`: whoever connects is who they say.
    """

    store: Store
    gate: Gate
    registry: Registry
    presence: PresenceIndex
    accounts: Accounts
    rooms: Rooms
    policy: ReachPolicy
    windows: Windows
    limits: Limits
    now: Callable[[], int]
    new_id: Callable[[], str]
    heartbeat: float
    sign_in: Chain
    keepers: Keepers
    development: bool
    draining: Callable[[], bool]
    connections_per_user: int
    metrics: Metrics
