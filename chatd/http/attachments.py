"""Files from whoever is signed in: uploaded in one go, then sent with a message; and links to them."""

from functools import partial
from typing import Final
from urllib.parse import quote

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from chatd.attachments.incoming import BodyTooLarge, Incoming
from chatd.attachments.refusal import FileRefused
from chatd.core import view
from chatd.core.errors import Refusal
from chatd.net.bounds import Bounds
from chatd.transports.request import HttpCaller
from protocol.codes import ErrorCode
from protocol.times import to_rfc3339
from storage.files import ATTACHMENTS_PATH, attachment_of

from .answers import RETRY_AFTER_S, Failed, failed, json_answer
from .bodies import media_type
from .downloads import LINK_QUERY
from .openapi import reference
from .operation import Operation
from .site import Site

FIELD: Final = "file"
UPLOAD_S: Final = 3600.0
"""Seconds for a body with a file to be complete."""

AROUND_BYTES: Final = 65_536
"""Bytes of a multipart body beside the file: boundaries, headers, other fields."""

UPLOAD: Final = {
    "type": "object",
    "properties": {FIELD: {"type": "string", "contentMediaType": "application/octet-stream"}},
    "required": [FIELD],
}
LINK_SCHEMA: Final = {
    "type": "object",
    "properties": {"url": {"type": "string"}, "expires_at": {"type": "string"}},
    "required": ["url", "expires_at"],
}


def operations(site: Site) -> list[Operation]:
    """`POST /v1/attachments` and `POST /v1/attachments/{id}/link`."""
    files, parts = site.files, site.parts

    async def upload(request: Request, caller: HttpCaller) -> Response:
        boundary = _boundary(request)
        user = caller.user_id
        await files.quota.check(user, 1)
        draft, name = await files.receive(user, partial(_receive, request, boundary))
        try:
            file = await files.keep(draft, user, name)
        except FileRefused as error:
            return refused_file(error)
        return json_answer(msgspec.json.encode(view.attachment(attachment_of(file))), 201)

    async def link(request: Request, caller: HttpCaller) -> Response:
        id = request.path_params["id"]
        file = await files.find(id, caller.user_id)
        said, until = site.links.make(file.id, caller.user_id, parts.now())
        url = f"{site.config().server.public_url}{ATTACHMENTS_PATH}{quote(file.id, safe='')}?{LINK_QUERY.name}={said}"
        return json_answer(msgspec.json.encode({"url": url, "expires_at": to_rfc3339(until)}))

    return [
        Operation(
            method="POST",
            path="/v1/attachments",
            run=upload,
            bounds=Bounds(body_bytes=files.max_bytes + AROUND_BYTES, body_s=UPLOAD_S),
            text="Uploads a file, which one message of the caller may have within a day.",
            body=UPLOAD,
            body_type="multipart/form-data",
            answers={201: reference("Attachment")},
        ),
        Operation(
            method="POST",
            path="/v1/attachments/{id}/link",
            run=link,
            text="An address of a file that needs no header, for the caller alone, for 5 min.",
            answers={200: LINK_SCHEMA},
        ),
    ]


def refused_file(error: FileRefused) -> Response:
    """Return the answer for a file that isn't taken."""
    headers = {"Retry-After": str(RETRY_AFTER_S)} if error.temporary else None
    return failed(error.status, error.code, error.message, headers)


def _boundary(request: Request) -> str:
    """Return what separates the parts of a multipart body. Raises Failed, Refusal."""
    # Imported where it is needed: most processes of this program take no file.
    import multipart

    given = request.headers.get("content-type", "")
    if media_type(request.state.head) != "multipart/form-data":
        raise Failed(415, ErrorCode.BAD_REQUEST, "the body must be a form with a file: multipart/form-data")
    boundary: str = multipart.parse_options_header(given)[1].get("boundary", "")
    if not 0 < len(boundary) <= 200 or not boundary.isprintable():
        raise _bad("the Content-Type has no boundary")
    return boundary


async def _receive(request: Request, boundary: str, incoming: Incoming) -> str:
    """Write the file of a multipart body as it comes, and return its name. Raises Refusal, ClientDisconnect."""
    import multipart

    parser = multipart.PushMultipartParser(boundary, strict=True, max_segment_count=16)
    name: str | None = None
    taking, more = False, True
    try:
        while more:
            data, more = await next_part(request)
            for event in parser.parse(data) if data else ():
                if isinstance(event, multipart.MultipartSegment):
                    taking = event.name == FIELD
                    if taking and name is not None:
                        raise _bad(f"one file at a time: there are two fields {FIELD!r}")
                    if taking:
                        name = event.filename or ""
                elif event and taking:
                    await incoming.write(bytes(event))
        parser.close()
        await incoming.flush()
    except multipart.MultipartError as error:
        raise _bad("the body is not a proper form") from error
    except BodyTooLarge:
        raise Refusal(ErrorCode.TOO_LARGE, "this file is too large") from None
    if name is None:
        raise _bad(f"the form has no field {FIELD!r}")
    return name


async def next_part(request: Request) -> tuple[bytes, bool]:
    """Return what came next of a body, and whether more follows. Raises ClientDisconnect."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message["body"], message["more_body"]


def _bad(message: str) -> Refusal:
    return Refusal(ErrorCode.BAD_REQUEST, message)
