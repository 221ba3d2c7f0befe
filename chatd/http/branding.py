"""A clinic's own colours and logo, from the files that `[web]` names."""

from typing import Final

import structlog
import trio
from starlette.requests import Request
from starlette.responses import Response

from chatd.core.errors import Refusal
from protocol.codes import ErrorCode

from .operation import Operation
from .site import Site

log = structlog.get_logger("chatd.http")

MAX_FILE_BYTES: Final = 1_048_576
PICTURES: Final = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
}
SANDBOXED: Final = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
"""An SVG may hold scripts; opened by itself, it runs none."""


def operations(site: Site) -> list[Operation]:
    """`/theme.css`, empty where there is none, and `/logo`."""

    async def theme(request: Request) -> Response:
        path = site.config().web.theme
        body = await _read("web.theme", path) if path else b""
        return Response(body or b"", headers={"Cache-Control": "no-cache"}, media_type="text/css; charset=utf-8")

    async def logo(request: Request) -> Response:
        path = site.config().web.logo
        media_type = PICTURES.get(trio.Path(path).suffix.lower())
        body = await _read("web.logo", path) if media_type else None
        if body is None:
            raise Refusal(ErrorCode.NOT_FOUND, "there is no logo")
        return Response(body, headers={"Cache-Control": "no-cache", **SANDBOXED}, media_type=media_type)

    return [
        Operation(method="GET", path="/theme.css", run=theme, public=True, hidden=True, text="Colours of the page."),
        Operation(method="GET", path="/logo", run=logo, public=True, hidden=True, text="Logo of the page."),
    ]


async def _read(setting: str, name: str) -> bytes | None:
    """Return the file that a setting names; None, with a line in the log, where that can't be."""
    try:
        async with await (await trio.Path(name).expanduser()).open("rb") as file:
            body: bytes = await file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        log.warning("file of a setting cannot be read", setting=setting, reason=error.strerror)
        return None
    if len(body) > MAX_FILE_BYTES:
        log.warning("file of a setting is too large", setting=setting, max_bytes=MAX_FILE_BYTES)
        return None
    return body
