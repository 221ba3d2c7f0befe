"""Files in a folder: `drafts/ID` while they come in, `blobs/ab/cd/HASH` once committed."""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from .contract import SWEEP_AGE_S, BlobError, BlobNotFound, Swept

HASH_READ_BYTES = 1 << 20

FLUSH_BYTES = 512 * 1024
"""Bytes of a draft that are brought to the disk at once: a commit of the database's waits for what is flushed."""

_DRAFT_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_BLOB_NAME = re.compile(r"[0-9a-f]{64}", re.ASCII)

# A full disk, a quota, a failing device, no descriptors left: each may be over later.
_TEMPORARY = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.ENOMEM}


@attrs.frozen
class DiskCalls:
    """The calls that may fail on a bad day, so that a test can make them."""

    write: Callable[[int, memoryview], int] = os.write
    fsync: Callable[[int], None] = os.fsync
    replace: Callable[[Path, Path], None] = os.replace


@contextlib.contextmanager
def _reported(doing: str) -> Iterator[None]:
    """Raise what the system reports as a BlobError for people."""
    try:
        yield
    except FileNotFoundError as error:
        raise BlobNotFound("this file is not kept here (any more)") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise BlobError(f"{doing}: {reason}", temporary=error.errno in _TEMPORARY) from error


class FolderBlobs:
    """A store of files in one folder, made where it is missing. Several processes may share it."""

    def __init__(self, folder: Path, *, disk: DiskCalls | None = None, now: Callable[[], float] = time.time) -> None:
        self.disk = disk or DiskCalls()
        self._folder = folder
        self._now = now
        with _reported(f"the folder of files {folder} can't be used"):
            for part in (folder, self.drafts, self.blobs):
                part.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def drafts(self) -> Path:
        return self._folder / "drafts"

    @property
    def blobs(self) -> Path:
        return self._folder / "blobs"

    def create(self) -> "FolderDraft":
        id = secrets.token_hex(16)
        with _reported("the file can't be stored"):
            fd = os.open(self.drafts / id, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        return FolderDraft(self, id, fd)

    def resume(self, id: str) -> "FolderDraft":
        if not _DRAFT_ID.fullmatch(id):
            raise BlobNotFound("this upload is not known here (any more)")
        with _reported("the file can't be read"):
            fd = os.open(self.drafts / id, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        return FolderDraft(self, id, fd)

    def open(self, name: str, start: int = 0, end: int | None = None) -> "FolderBlob":
        path = self.path_of(name)
        with _reported("the file can't be read"):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        size = os.fstat(fd).st_size
        return FolderBlob(fd, size, start, size if end is None else min(end, size))

    def sweep(self, known_drafts: Container[str], known_blobs: Container[str]) -> Swept:
        before = self._now() - SWEEP_AGE_S
        drafts = blobs = freed = 0
        with _reported("the folder of files can't be swept"):
            for path in self.drafts.iterdir():
                if (size := self._remove(path, before, known_drafts)) is not None:
                    drafts, freed = drafts + 1, freed + size
            for path in self.blobs.glob("*/*/*"):
                if (size := self._remove(path, before, known_blobs)) is not None:
                    blobs, freed = blobs + 1, freed + size
        return Swept(drafts, blobs, freed)

    def path_of(self, name: str) -> Path:
        """The place of a blob. BlobNotFound for a name that none could have, so that no path can be built of it."""
        if not _BLOB_NAME.fullmatch(name):
            raise BlobNotFound("this file is not kept here (any more)")
        return self.blobs / name[:2] / name[2:4] / name

    def _remove(self, path: Path, before: float, known: Container[str]) -> int | None:
        """Remove a file last touched before that time that is not known; return its size. None if it stays or is gone.

        Only of old files it is asked whether they are known.
        """
        with contextlib.suppress(FileNotFoundError):
            if path.stat(follow_symlinks=False).st_mtime >= before or path.name in known:
                return None
        # Committing the same content again touches the blob under this lock: it isn't taken from under its new row.
        with self.locked():
            try:
                found = path.stat(follow_symlinks=False)
                if found.st_mtime >= before:
                    return None
                path.unlink()
            except FileNotFoundError:
                return None
        return found.st_size

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against other threads and processes, for the moment of one rename or removal."""
        fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def sync_folder(self, folder: Path) -> None:
        """Bring a folder's entries to disk."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.disk.fsync(fd)
        finally:
            os.close(fd)


class _Open:
    """A descriptor that is closed once."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    @property
    def fd(self) -> int:
        if self._fd is None:
            raise BlobError("this file is closed")
        return self._fd

    def close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FolderDraft(_Open):
    """A file in `drafts/`."""

    def __init__(self, store: FolderBlobs, id: str, fd: int) -> None:
        super().__init__(fd)
        self._store = store
        self._id = id
        self._unflushed = 0  # bytes

    @property
    def id(self) -> str:
        return self._id

    @property
    def path(self) -> Path:
        return self._store.drafts / self._id

    @property
    def offset(self) -> int:
        return os.fstat(self.fd).st_size

    def write(self, data: bytes) -> None:
        with _reported("the file can't be stored"):
            os.lseek(self.fd, 0, os.SEEK_END)
            rest = memoryview(data)
            while rest:
                rest = rest[self._store.disk.write(self.fd, rest) :]
        self._unflushed += len(data)
        if self._unflushed >= FLUSH_BYTES:
            self._flush()

    def truncate(self, offset: int) -> None:
        if not 0 <= offset <= self.offset:
            raise BlobError(f"the file can't be cut at {offset}: it has {self.offset} bytes")
        with _reported("the file can't be cut"):
            os.truncate(self.fd, offset)

    def sync(self) -> None:
        self._flush(self._store.drafts)

    def _flush(self, folder: Path | None = None) -> None:
        """Bring the content to the disk, and then the folder's entries. Raises BlobError, and the draft is gone."""
        try:
            with _reported("the file can't be stored"):
                self._store.disk.fsync(self.fd)
                self._unflushed = 0
                if folder is not None:
                    self._store.sync_folder(folder)
        except BlobError:
            # After a failed fsync the kernel may report the next one as done without the lost pages.
            self.discard()
            raise

    def commit(self, expected: str | None = None) -> str:
        name = self._hash()
        if expected is not None and expected != name:
            raise BlobError("the file's content is not what was announced")
        self.sync()
        target = self._store.path_of(name)
        with _reported("the file can't be stored"):
            for folder in (target.parent.parent, target.parent):
                if not folder.exists():
                    folder.mkdir(mode=0o700, exist_ok=True)
                    self._store.sync_folder(folder.parent)
            with self._store.locked():
                os.utime(self.fd)  # young again for `sweep`, also where this content is kept already
                self._store.disk.replace(self.path, target)
            self._store.sync_folder(target.parent)
        self.close()
        return name

    def discard(self) -> None:
        self.close()
        with _reported("the file can't be removed"):
            self.path.unlink(missing_ok=True)

    def _hash(self) -> str:
        digest = hashlib.sha256()
        with _reported("the file can't be read"):
            os.lseek(self.fd, 0, os.SEEK_SET)
            while data := os.read(self.fd, HASH_READ_BYTES):
                digest.update(data)
        return digest.hexdigest()


class FolderBlob(_Open):
    """A range of a file in `blobs/`."""

    def __init__(self, fd: int, size: int, start: int, end: int) -> None:
        super().__init__(fd)
        self._size = size
        self._at = start
        self._end = end

    @property
    def size(self) -> int:
        return self._size

    def read(self, limit: int) -> bytes:
        wanted = max(0, min(limit, self._end - self._at))
        with _reported("the file can't be read"):
            data = os.pread(self.fd, wanted, self._at)
        self._at += len(data)
        return data
