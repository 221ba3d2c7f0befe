"""The HTTP application without a daemon behind it."""

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

from chatd import metrics
from chatd.config import Config, Server, Web
from chatd.http.app import Application, make_app
from chatd.http.site import Site
from chatd.net.origins import Origins


def site(
    *,
    problem: Callable[[], str | None] = lambda: None,
    server: Server | None = None,
    web: Web | None = None,
    **more: Any,
) -> Site:
    """A site with these settings; pages of `server.allowed_origins` are allowed, and of nothing else."""
    config = Config(server=server or Server(), web=web or Web())
    origins = Origins(allowed=config.server.allowed_origins)
    given: dict[str, Any] = {
        "parts": None,  # operations that ask the chat are tested with a daemon
        "callers": None,
        "files": Mock(max_bytes=1_000_000),
        "uploads": None,
        "links": None,
        "polling": None,
        "wait_of_user": lambda user: 0.0,
        "wait": lambda client: 0.0,
        "notes": lambda: [],
        "metrics": metrics.Metrics(),
    } | more
    return Site(config=lambda: config, origins=lambda: origins, problem=problem, **given)


def app(**options: Any) -> Application:
    """The whole application of such a site."""
    return make_app(site(**options))
