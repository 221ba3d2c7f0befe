"""Refusals of files, in words for the person who sent it."""

from protocol.codes import ErrorCode

STATUS = {ErrorCode.BAD_REQUEST: 400, ErrorCode.TOO_LARGE: 413, ErrorCode.UNAVAILABLE: 503}
"""The HTTP status of each code, unless the refusal names another."""


class FileRefused(Exception):
    """A file is refused; nothing of it is kept. `temporary`: the same file may be taken later."""

    def __init__(self, message: str, code: ErrorCode = ErrorCode.BAD_REQUEST, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status or STATUS[code]

    @property
    def temporary(self) -> bool:
        return self.code is ErrorCode.UNAVAILABLE


def unsupported(message: str) -> FileRefused:
    """The refusal of a kind of file (415)."""
    return FileRefused(message, status=415)


def damaged(what: str) -> FileRefused:
    """The refusal of a file that isn't what its first bytes say."""
    return FileRefused(f"this {what} is damaged or incomplete; please send it again, or another copy of it")


def too_large(message: str) -> FileRefused:
    return FileRefused(message, ErrorCode.TOO_LARGE)


def unavailable(message: str) -> FileRefused:
    return FileRefused(message, ErrorCode.UNAVAILABLE)
