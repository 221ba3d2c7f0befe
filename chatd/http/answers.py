"""Answers of the API: JSON, and errors with the status of their code."""

import math
from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from chatd.core.errors import TEMPORARY, Refusal
from chatd.net.problem import problem
from protocol.codes import ErrorCode

JSON: Final = "application/json"
NO_STORE: Final = {"Cache-Control": "no-store"}

STATUS: Final[Mapping[ErrorCode, int]] = {
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.INTERNAL: 500,
}

RETRY_AFTER_S: Final = 1
"""Seconds to wait after a temporary error that names no time of its own."""


class Failed(Exception):
    """An answer that isn't the one that its code has by default, such as 415; raised by endpoints.

    `more`: fields of its JSON beside those that all errors have.
    """

    def __init__(self, status: int, code: ErrorCode, message: str, **more: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.more = more


def json_answer(body: bytes, status: int = 200) -> Response:
    """Return an answer that no cache keeps: it is its asker's alone."""
    return Response(body, status, NO_STORE, JSON)


def refused(refusal: Refusal) -> Response:
    """Return the answer for a refusal; `Retry-After` is in whole seconds, as RFC 9110 has it."""
    temporary = refusal.code in TEMPORARY or bool(refusal.close and refusal.close.temporary)
    headers = dict(NO_STORE)
    if refusal.code in (ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE):
        headers["Retry-After"] = str(max(1, math.ceil(refusal.retry_after or RETRY_AFTER_S)))
    if refusal.code is ErrorCode.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    body = problem(refusal.code, refusal.message, temporary=temporary)
    return Response(body, STATUS[refusal.code], headers, JSON)


def failed(
    status: int, code: ErrorCode, message: str, headers: Mapping[str, str] | None = None, **more: str
) -> Response:
    """Return an error with a status of its own."""
    body = problem(code, message, temporary=code in TEMPORARY, **more)
    named = {"WWW-Authenticate": "Bearer"} if status == STATUS[ErrorCode.UNAUTHORIZED] else {}
    return Response(body, status, {**NO_STORE, **named, **(headers or {})}, JSON)
