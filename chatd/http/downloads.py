"""Files to whoever may have them, asked each time: whole or in parts, never run as a page of this site."""

from typing import Final

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatd.attachments.files import reported
from chatd.attachments.names import disposition
from chatd.attachments.types import ALL, PDF, Handling
from chatd.core.errors import Refusal, not_found
from chatd.net.problem import problem
from protocol.codes import ErrorCode
from storage.blobs import Blob
from storage.keyed import KeptFile
from storage.records import User

from .answers import JSON
from .operation import Operation, Query
from .ranges import Unsatisfiable, range_of
from .site import Site
from .static import names

FILE_READ_BYTES: Final = 1 << 18
CACHE_S: Final = 3600
SHOWN_INLINE: Final = frozenset(type.mime for type in ALL if type.handling is not Handling.DOWNLOAD)
"""Types that browsers show in a tab of their own; all others are for downloading."""

SANDBOX: Final = (
    "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
)
PDF_POLICY: Final = "base-uri 'none'; form-action 'none'; script-src 'none'; frame-ancestors 'none'"
"""No sandbox: browsers' PDF viewers don't run in one."""

LINK_QUERY: Final = Query(name="link", schema={"type": "string"}, text="Who asks, as `POST .../link` gave it.")


@attrs.frozen
class Served:
    """Blob that is sent, under its type and name."""

    blob: str
    type: str
    name: str


def operations(site: Site) -> list[Operation]:
    """`/v1/attachments/{id}`, whole or small."""
    files = site.files

    async def whole(request: Request) -> Response:
        file = await _found(request)
        return await _answer(request, Served(file.blob, file.type, file.name))

    async def thumbnail(request: Request) -> Response:
        file = await _found(request)
        if file.thumbnail is None or file.thumbnail_type is None:
            raise not_found("thumbnail")
        return await _answer(request, Served(file.thumbnail, file.thumbnail_type, file.name))

    async def _found(request: Request) -> KeptFile:
        user = await _user(request)
        if wait := site.wait_of_user(user.id):
            raise Refusal(ErrorCode.RATE_LIMITED, "too many requests", retry_after=wait)
        return await files.find(request.path_params["id"], user.id)

    async def _user(request: Request) -> User:
        link = request.query_params.get(LINK_QUERY.name)
        if link is None:
            return (await site.callers.of(request)).user
        id = site.links.user_of(request.path_params["id"], link, site.parts.now())
        user = None
        if id is not None:
            named = id
            user = await site.parts.gate.read(lambda: site.parts.store.user(named))
        if user is None or user.disabled_at is not None:
            raise not_found("attachment")
        return user

    async def _answer(request: Request, served: Served) -> Response:
        tag = f'"{served.blob}"'
        headers = _headers(site, served, tag)
        if names(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        blob = await files.open(served.blob)
        size = blob.size
        try:
            part = range_of(request.headers.get("range"), request.headers.get("if-range"), tag, size)
        except Unsatisfiable:
            blob.close()
            return _unsatisfiable(size)
        status, start, end = (200, 0, size) if part is None else (206, part.start, part.end)
        headers["Content-Length"] = str(end - start)
        if part is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
            blob.close()
            blob = await files.open(served.blob, start, end)
        if request.method == "HEAD":
            blob.close()
            return Response(status_code=status, headers=headers)
        return BlobResponse(site, blob, status, headers)

    texts = {
        "/v1/attachments/{id}": (whole, "A file, for those who take part in the conversation that has it."),
        "/v1/attachments/{id}/thumbnail": (thumbnail, "A smaller picture of it, where there is one."),
    }
    return [
        Operation(method="GET", path=path, run=run, public=True, text=text, query=(LINK_QUERY,), answers={200: None})
        for path, (run, text) in texts.items()
    ]


class BlobResponse(Response):
    """A file that is read as it is sent."""

    def __init__(self, site: Site, blob: Blob, status: int, headers: dict[str, str]) -> None:
        super().__init__(status_code=status, headers=headers)
        self._site = site
        self._blob = blob

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it piece by piece, at the reader's pace. A file that can't be read to its end ends the connection."""
        with self._blob:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            with reported():
                while data := await self._site.files.run(lambda: self._blob.read(FILE_READ_BYTES)):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _headers(site: Site, served: Served, tag: str) -> dict[str, str]:
    config = site.config()
    text = served.type.startswith("text/")
    # Elsewhere on the same site means: pages of the app beside chatd may show it.
    neighbours = bool(config.server.app_url or config.server.allowed_origins)
    return {
        "Content-Type": f"{served.type}; charset=utf-8" if text else served.type,
        "Content-Disposition": disposition(served.name, inline=served.type in SHOWN_INLINE),
        "Content-Security-Policy": PDF_POLICY if served.type == PDF.mime else SANDBOX,
        "Cross-Origin-Resource-Policy": "same-site" if neighbours else "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": f"private, max-age={CACHE_S}" if config.files.cache == "hour" else "no-store",
        "Vary": "Authorization, Cookie",
        "ETag": tag,
        "Accept-Ranges": "bytes",
    }


def _unsatisfiable(size: int) -> Response:
    body = problem(ErrorCode.BAD_REQUEST, "this range has no byte of the file")
    headers = {"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    return Response(body, 416, headers, JSON)
