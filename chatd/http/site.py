"""The daemon as the HTTP application sees it."""

from collections.abc import Callable

import attrs

from chatd.config import Config
from chatd.metrics import Metrics
from chatd.net.origins import Origins


@attrs.frozen(kw_only=True)
class Site:
    """`config`, `origins`: as they are now, for a reload changes them.

    `wait`: takes a request of an address: 0, or the seconds until it may ask again.
    `problem`: why nothing can be acknowledged, or None.

    `notes`: what an operator should see to, though messages are acknowledged.
    """

    config: Callable[[], Config]
    origins: Callable[[], Origins]
    wait: Callable[[tuple[str, int] | None], float]
    problem: Callable[[], str | None]
    notes: Callable[[], list[str]]
    metrics: Metrics
