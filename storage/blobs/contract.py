"""The contract of a store of files. Synchronous: the caller runs it on a thread.

- A **draft** is a file that is still coming in. It survives a restart, is found again by its id, and holds every byte
  that `sync` acknowledged. `offset` is what it holds.
- A **blob** is a draft that was committed: complete, on disk before `commit` returns, never changed, named by the
  SHA-256 of its content. The same content committed twice is one blob.
- Nobody counts references here: rows elsewhere name drafts and blobs, and `sweep` is told which. It takes only what no
  row names and nobody touched for a day, so that a row may be written some time after its file.
- A full or failing disk raises BlobError with `temporary` and harms no other file.
"""

from collections.abc import Container
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import attrs

SWEEP_AGE_S = 24 * 3600
"""Age in seconds below which `sweep` leaves a file alone."""


class BlobError(Exception):
    """A file can't be stored or read; the message is for people. `temporary`: the same may succeed later."""

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.temporary = temporary


class BlobNotFound(BlobError):
    """No draft or blob has that name (which also covers names that none could have)."""


@attrs.frozen
class Swept:
    """Counts of what a sweep removed."""

    drafts: int
    blobs: int
    freed_bytes: int


class Draft(Protocol):
    """A file that is coming in. One holder at a time; use as a context manager to close it, which keeps it."""

    @property
    def id(self) -> str: ...

    @property
    def offset(self) -> int:
        """Bytes held so far."""

    @property
    def path(self) -> Path:
        """The file itself, for another process that reads it or writes it anew."""

    def write(self, data: bytes) -> None:
        """Append all of it. On BlobError `offset` tells how much of it is held."""

    def truncate(self, offset: int) -> None:
        """Drop all beyond `offset`, which is at most the draft's own."""

    def sync(self) -> None:
        """Bring all that was written to disk. On BlobError the draft is lost: begin anew."""

    def commit(self, expected: str | None = None) -> str:
        """Make it a blob and return its hash; the draft is gone. BlobError if `expected` is another hash."""

    def discard(self) -> None:
        """Remove it. Nothing happens if it is gone."""

    def close(self) -> None:
        """Let go of it, keeping what it holds."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Blob(Protocol):
    """A range of a blob, being read. `size` is that of the whole blob, in bytes."""

    @property
    def size(self) -> int: ...

    def read(self, limit: int) -> bytes:
        """At most `limit` bytes; none at the end of the range."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Blobs(Protocol):
    """A store of files."""

    def create(self) -> Draft:
        """A new, empty draft."""

    def resume(self, id: str) -> Draft:
        """The draft of that id, with all that it holds. BlobNotFound where there is none."""

    def open(self, name: str, start: int = 0, end: int | None = None) -> Blob:
        """The bytes of a blob from `start` to before `end` (None: to its end). BlobNotFound where there is none."""

    def sweep(self, known_drafts: Container[str], known_blobs: Container[str]) -> Swept:
        """Remove drafts and blobs that no row names and that nobody touched for a day."""
