"""The daemon as the HTTP application sees it."""

from collections.abc import Callable

import attrs

from chatd.attachments.files import FileService
from chatd.attachments.links import Links
from chatd.attachments.uploads import Uploads
from chatd.commands.parts import Parts
from chatd.config import Config
from chatd.metrics import Metrics
from chatd.net.origins import Origins
from chatd.transports.engineio.engine import EngineServer
from chatd.transports.polling.table import PollingSessions

from .callers import Callers


@attrs.frozen(kw_only=True)
class Site:
    """`config`, `origins`: as they are now, for a reload changes them.

    `wait`, `wait_of_user`: take a request of an address, a user: 0, or the seconds until they may ask again.
    `problem`: why nothing can be acknowledged, or None.

    `links`: to files, that need no sign-in.

    `notes`: what an operator should see to, though messages are acknowledged.
    """

    parts: Parts
    callers: Callers
    files: FileService
    uploads: Uploads
    links: Links
    wait_of_user: Callable[[str], float]
    config: Callable[[], Config]
    origins: Callable[[], Origins]
    wait: Callable[[tuple[str, int] | None], float]
    problem: Callable[[], str | None]
    notes: Callable[[], list[str]]
    polling: PollingSessions
    metrics: Metrics
    engine: EngineServer | None = None
    """Engine of Socket.IO, where it is served."""
