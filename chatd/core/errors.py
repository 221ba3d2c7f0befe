"""Refusals: raised anywhere below dispatch, made into an `error` frame in one place."""

from protocol.codes import CloseCode, ErrorCode
from protocol.frames import Error
from protocol.types import RequestId

TEMPORARY = {ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL, ErrorCode.RATE_LIMITED}


class Refusal(Exception):
    """A request that can't be done. `close`: the connection ends after the answer. `retry_after` in seconds."""

    def __init__(
        self, code: ErrorCode, message: str, *, close: CloseCode | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.close = close
        self.retry_after = retry_after

    def frame(self, re: RequestId | None) -> Error:
        """The answer to the request with this id."""
        temporary = self.code in TEMPORARY or bool(self.close and self.close.temporary)
        return Error(re=re, code=self.code, message=self.message, temporary=temporary, retry_after=self.retry_after)


class Closing(Exception):
    """The connection is to be closed with this code."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def not_found(what: str = "conversation") -> Refusal:
    """The one answer for what doesn't exist and for what is none of the caller's business."""
    return Refusal(ErrorCode.NOT_FOUND, f"no such {what}")


def internal() -> Refusal:
    """A bug of ours; it is in the log."""
    return Refusal(ErrorCode.INTERNAL, "something went wrong; try again")


def unavailable() -> Refusal:
    """The store can't answer now. The reason is the operator's business: it is in the log and at /readyz."""
    return Refusal(ErrorCode.UNAVAILABLE, "the server can't save or read messages at the moment; try again")
