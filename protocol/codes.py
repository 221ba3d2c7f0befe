"""The two vocabularies of failure: codes of `error` replies (the connection lives) and close codes (it does not)."""

from enum import IntEnum, StrEnum


class ErrorCode(StrEnum):
    """The `code` of an `error` reply."""

    BAD_REQUEST = "bad_request"  # breaks the schema or a limit on text
    UNAUTHORIZED = "unauthorized"  # no hello yet, or a refused one
    FORBIDDEN = "forbidden"  # seen but not allowed
    NOT_FOUND = "not_found"  # unknown, or none of the caller's business: the same to the letter
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"  # files
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class CloseCode(IntEnum):
    """WebSocket close codes (RFC 6455, section 7.4); the range tells a client whether to come back by itself."""

    DONE = 1000
    GOING_AWAY = 1001
    BROKEN = 1002
    BINARY = 1003
    NOT_UTF8 = 1007
    TOO_LARGE = 1009
    INTERNAL = 1011
    TOO_SLOW = 4008
    NO_HELLO = 4010
    TOKEN_EXPIRED = 4011
    SILENT = 4012
    OVERLOADED = 4013
    TOO_MANY = 4029
    NOT_AN_OBJECT = 4500
    REFUSED = 4501
    REVOKED = 4503

    @property
    def temporary(self) -> bool:
        """Return True if the client should come back by itself."""
        return self in (CloseCode.GOING_AWAY, CloseCode.INTERNAL) or 4000 <= self <= 4499


def may_come_back(code: int | None) -> bool:
    """Return True if a client closed with `code` (None: no close frame was seen) should connect again by itself."""
    if code is None or code in (1001, 1005, 1006, 1011, 1012, 1013):
        return True
    return 4000 <= code <= 4499
