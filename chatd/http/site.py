"""The daemon as the HTTP application sees it."""

from collections.abc import Callable

import attrs

from chatd.config import Config
from chatd.metrics import Metrics
from chatd.net.origins import Origins


@attrs.frozen(kw_only=True)
class Site:
    """`config`, `origins`: as they are now, for a reload changes them. `problem`: why nothing can be acknowledged.

    `notes`: what an operator should see to, though messages are acknowledged.
    """

    config: Callable[[], Config]
    origins: Callable[[], Origins]
    problem: Callable[[], str | None]
    notes: Callable[[], list[str]]
    metrics: Metrics
