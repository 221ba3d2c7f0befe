"""Socket.IO's polling over HTTP, and the client's own file for pages that load it from here."""

from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response

from chatd.auth.offered import shown
from chatd.net.bounds import Bounds
from chatd.net.head import Head
from chatd.transports.engineio.answers import answer, refusal
from chatd.transports.engineio.settings import forbidden
from protocol.codes import ErrorCode

from .answers import failed
from .cookies import cookie_counts
from .operation import Operation
from .site import Site

log = structlog.get_logger("chatd.socketio")

HTTP_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""GET and POST are the transport; the others are refused in its own words."""

BODY_S: Final = 60.0
CLIENT_FILE: Final = "socket.io.js"
NO_FILE: Final = "this build has no Socket.IO client: load socket.io-client from your own bundle"


def operations(site: Site) -> Iterable[Operation]:
    """Return the operations: every method at each path, with and without its last slash."""
    engine = site.engine
    if engine is None:
        return []

    async def run(request: Request) -> Response:
        head: Head = request.state.head
        scheme = request.scope["scheme"]
        refused = site.origins().refusal(head, scheme)
        if refused is not None:
            site.metrics.drop("origin")
            log.warning("request refused", reason=refused)
            return refusal(forbidden())
        cookies = cookie_counts(head, scheme, site.origins())
        return await answer(engine, request, shown(head, cookies=cookies))

    def is_metered(head: Head) -> bool:
        return not engine.knows(head)

    paths = [path + slash for path in site.config().socketio.paths for slash in ("", "/")]
    found = [
        Operation(
            method=method,
            path=path,
            run=run,
            text="Socket.IO's polling",
            public=True,
            bounds=Bounds(body_bytes=engine.settings.max_payload, body_s=BODY_S),
            hidden=True,
            label="socketio",
            is_metered=is_metered,
        )
        for path in dict.fromkeys(paths)
        for method in HTTP_METHODS
    ]
    script = [
        Operation(
            method="GET",
            path=f"{path}/{CLIENT_FILE}",
            run=_client,
            text="The Socket.IO client",
            public=True,
            hidden=True,
            label="socketio client",
        )
        for path in dict.fromkeys(site.config().socketio.paths)
    ]
    return [*found, *script]


def client_file() -> Traversable:
    """Return where a build has the client."""
    return files("chatd").joinpath("http", "page", CLIENT_FILE)


async def _client(request: Request) -> Response:
    """Return the client's file, where the build has it."""
    file = client_file()
    if not file.is_file():
        return failed(404, ErrorCode.NOT_FOUND, NO_FILE)
    return Response(file.read_bytes(), media_type="text/javascript", headers={"Cache-Control": "public, max-age=3600"})
