"""The chat page and its assets, as the build left them in `page/`; they are read once, when the daemon starts.

Assets have a hash of their content in their names and are kept for ever; what has not is asked for again each time.
Where there is a file with `.br` or `.gz` beside it, that is sent to those who take it.
"""

import mimetypes
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

import attrs
from starlette.requests import Request
from starlette.responses import Response

from . import unbuilt
from .csp import page_headers
from .operation import Operation
from .site import Site

PAGE_FOLDER: Final = Path(__file__).parent / "page"
ENCODINGS: Final = (("br", ".br"), ("gzip", ".gz"))
"""The best first."""

IMMUTABLE: Final = "public, max-age=31536000, immutable"
TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
}
"""Media types that the system's table may have otherwise."""


@attrs.frozen
class File:
    """One file of the page. `bodies`: by content coding, "" for none."""

    path: str
    media_type: str
    bodies: Mapping[str, bytes]

    @property
    def is_page(self) -> bool:
        """Return True if it is a document, with a policy of its own."""
        return self.path.endswith(".html")


def files(folder: Path) -> Iterator[File]:
    """Read what is in the folder, each file with its compressed forms. Nothing, where there is no folder."""
    suffixes = tuple(suffix for _, suffix in ENCODINGS)
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in suffixes:
            continue
        bodies = {"": path.read_bytes()}
        for coding, suffix in ENCODINGS:
            beside = path.with_name(path.name + suffix)
            if beside.exists():
                bodies[coding] = beside.read_bytes()
        media_type = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        yield File("/" + path.relative_to(folder).as_posix(), media_type, bodies)


def operations(site: Site, folder: Path = PAGE_FOLDER) -> list[Operation]:
    """An operation for each file, and `/` for the page."""
    found = {file.path: file for file in files(folder)}
    page = found.pop("/index.html", None)
    return [
        _serving("/", page, site, "The chat page.") if page else unbuilt.operation(),
        *(_serving(path, file, site, "A part of the chat page.") for path, file in found.items()),
    ]


def _serving(path: str, file: File, site: Site, text: str) -> Operation:
    cache = IMMUTABLE if path.startswith("/assets/") else "no-cache"
    tags = {coding: f'"{sha256(body).hexdigest()[:32]}"' for coding, body in file.bodies.items()}
    compressed = len(file.bodies) > 1

    async def run(request: Request) -> Response:
        coding = chosen(request.headers.get("accept-encoding", ""), file.bodies)
        headers = {"Cache-Control": cache, "ETag": tags[coding], "Cross-Origin-Resource-Policy": "same-origin"}
        if compressed:
            headers["Vary"] = "Accept-Encoding"
        if file.is_page:
            headers |= page_headers(site.config(), request.url.scheme)
        if names(request.headers.get("if-none-match", ""), tags[coding]):
            return Response(status_code=304, headers=headers)
        if coding:
            headers["Content-Encoding"] = coding
        return Response(file.bodies[coding], headers=headers, media_type=file.media_type)

    label = "/assets" if path.startswith("/assets/") else None  # their names change with each build
    return Operation(method="GET", path=path, run=run, public=True, hidden=path != "/", text=text, label=label)


def chosen(accepted: str, bodies: Mapping[str, bytes]) -> str:
    """Return the best coding that the client takes (RFC 9110, 12.5.3) and that there is, "" for none."""
    takes: dict[str, bool] = {}
    for item in accepted.lower().split(","):
        name, _, weight = item.partition(";")
        takes[name.strip()] = weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    for coding, _ in ENCODINGS:
        if coding in bodies and takes.get(coding, takes.get("*", False)):
            return coding
    return ""


def names(condition: str, tag: str) -> bool:
    """Return whether an `If-None-Match` names the tag (RFC 9110, 13.1.2)."""
    return condition.strip() == "*" or tag in (item.strip().removeprefix("W/") for item in condition.split(","))
