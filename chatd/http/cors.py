"""Cross-origin requests (the Fetch standard, 3.2): pages of allowed origins may read answers, credentials included."""

from collections.abc import Collection
from typing import Final

from starlette.responses import Response
from starlette.types import Message, Send

from chatd.attachments import tus
from chatd.net.head import Head

ALLOWED_HEADERS: Final = (
    "authorization, content-type, x-chatd-user, if-match, if-none-match, range, last-event-id, "
    "if-range, tus-resumable, upload-length, upload-defer-length, upload-metadata, upload-offset, upload-checksum, "
    "x-http-method-override"
)
EXPOSED_HEADERS: Final = (
    "retry-after, etag, content-range, content-disposition, accept-ranges, attachment-id, "
    + tus.EXPOSED_HEADERS.lower()
)
PREFLIGHT_MAX_AGE_S: Final = 600


def readable_by(origin: bytes, send: Send) -> Send:
    """Return a `send` that lets pages of this (allowed) origin read the answer."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_grant(origin)]
        await send(message)

    return sending


def _grant(origin: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", EXPOSED_HEADERS.encode()),
        (b"vary", b"Origin"),
    ]


def is_preflight(head: Head) -> bool:
    """Return whether this is a browser's question for what a page may ask."""
    return head.method == "OPTIONS" and head.get(b"access-control-request-method") is not None


def preflight(methods: Collection[str]) -> Response:
    """Return the answer to a preflight from an allowed origin, for a path that has these methods."""
    headers = {
        "Access-Control-Allow-Methods": ", ".join(sorted(methods)),
        "Access-Control-Allow-Headers": ALLOWED_HEADERS,
        "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE_S),
    }
    return Response(status_code=204, headers=headers)
