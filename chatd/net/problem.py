"""Errors over HTTP: their JSON, and whole answers for where no application is asked."""

import json
import time
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from http.client import responses
from typing import Final

Headers = list[tuple[bytes, bytes]]

SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


def problem(code: str, message: str, *, temporary: bool = False, **more: int | str) -> bytes:
    """Return the JSON body of an error; `temporary` says that the same request may succeed later."""
    fields = {"code": code, "message": message, "temporary": temporary, **more}
    return json.dumps(fields, separators=(",", ":")).encode()


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()


def completed(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Add the headers that every answer has to `headers`; what is given stays."""
    given = list(headers)
    names = {name.lower() for name, _ in given}
    always = ((b"date", _date(int(time.time()))), *SECURITY_HEADERS)
    return given + [header for header in always if header[0] not in names]


def reason(status: int) -> bytes:
    """Return the reason phrase of a status, b"" for an unknown one."""
    return responses.get(status, "").encode()


def whole_answer(
    status: int, body: bytes, media_type: str, *, headers: Iterable[tuple[bytes, bytes]] = (), bodyless: bool = False
) -> bytes:
    """Return a whole HTTP/1.1 answer that ends its connection; `bodyless` for the answer to HEAD."""
    lines = completed(
        [
            (b"content-type", media_type.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *headers,
        ]
    )
    head = b"".join(b"%s: %s\r\n" % line for line in lines)
    return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, reason(status), head, b"" if bodyless else body)


def plain_answer(
    status: int,
    code: str,
    message: str,
    *,
    temporary: bool = False,
    headers: Iterable[tuple[bytes, bytes]] = (),
    bodyless: bool = False,
) -> bytes:
    """Return an error as a whole HTTP/1.1 answer that ends its connection."""
    body = problem(code, message, temporary=temporary)
    return whole_answer(status, body, "application/json", headers=headers, bodyless=bodyless)
