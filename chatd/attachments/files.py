"""Files that people attach, as the rest of the daemon sees them: taken in, found by who may have them, read."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Set
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
import trio

from chatd.core.errors import Refusal, not_found
from chatd.core.gate import Gate, Runner, ThreadRunner
from protocol.codes import ErrorCode
from storage.blobs import Blob, BlobError, BlobNotFound, Blobs, Draft, FolderBlobs
from storage.changes import PutRow
from storage.contract import Unavailable
from storage.keyed import KeptFile

from .accept import FILE_THREADS, Acceptor
from .incoming import Incoming
from .quota import Quota
from .scan import Scanner
from .types import FileType
from .worker import Worker

log = structlog.get_logger("chatd.attachments")

WAITS_MS = 24 * 3_600_000
"""ms that a file waits for its message."""

UPLOADS_AT_ONCE = 4
"""Uploads of one user at once. Others wait for their turn, which their senders notice as a slow line."""

CLEANUP_S = 10.0
"""Seconds to tidy up after an upload that failed; the sweep takes what is left."""

T = TypeVar("T")


class FileService:
    """The files of one daemon.

    `folder`: where they are kept, made when the first one comes. `max_bytes`: of a file; `day_bytes`: of what a user
    uploads in a day; `free_bytes`: left free on the disk. `now`: ms since 1970. `run`: how calls of the disk run.
    """

    def __init__(
        self,
        gate: Gate,
        *,
        folder: Path,
        worker: Worker,
        scanner: Scanner | None,
        downloads: Set[FileType],
        max_bytes: int,
        day_bytes: int,
        free_bytes: int,
        now: Callable[[], int],
        new_id: Callable[[], str],
        run: Runner | None = None,
    ) -> None:
        self.max_bytes = max_bytes
        self.worker = worker
        self.quota = Quota(gate, day_bytes, now)
        self.run = run or ThreadRunner(FILE_THREADS)
        self._gate = gate
        self._folder = folder
        self._scanner = scanner
        self._downloads = downloads
        self._free_bytes = free_bytes
        self._now = now
        self._new_id = new_id
        self._blobs: Blobs | None = None
        self._turns: dict[str, trio.CapacityLimiter] = {}

    @property
    def used(self) -> bool:
        """True if there ever was a file."""
        return self._folder.exists()

    async def blobs(self) -> Blobs:
        """Return the store of files. Raises Refusal (`unavailable`) where its folder can't be used."""
        if self._blobs is None:
            self._blobs = await self.on_disk(lambda: FolderBlobs(self._folder))
        return self._blobs

    async def on_disk(self, work: Callable[[], T]) -> T:
        """Do something with the disk. Raises Refusal: `unavailable`, or `not_found` for what isn't there."""
        with reported():
            return await self.run(work)

    @asynccontextmanager
    async def turn(self, user: str) -> AsyncIterator[None]:
        """Wait until the user has few enough uploads under way."""
        turns = self._turns.setdefault(user, trio.CapacityLimiter(UPLOADS_AT_ONCE))
        try:
            async with turns:
                yield
        finally:
            if not turns.borrowed_tokens and not turns.statistics().tasks_waiting:
                self._turns.pop(user, None)

    def incoming(self, draft: Draft, *, most: int, heard: Callable[[bytes], object] = lambda data: None) -> Incoming:
        """Return what appends a body to a draft."""
        return Incoming(draft, self.run, most=most, free_bytes=self._free_bytes, heard=heard)

    async def create(self) -> Draft:
        """Make an empty draft. Raises Refusal."""
        return await self.on_disk((await self.blobs()).create)

    async def receive(self, user: str, take: Callable[[Incoming], Awaitable[T]]) -> tuple[Draft, T]:
        """Let `take` write a body into a new draft; return the draft and what it returned.

        Where that fails nothing of it is left. Either way what came in is counted. Raises Refusal, Unavailable.
        """
        async with self.turn(user):
            draft = await self.create()
            incoming = self.incoming(draft, most=self.max_bytes)
            complete = False
            try:
                with reported():
                    found = await take(incoming)
                complete = True
            finally:
                if not complete:
                    with trio.move_on_after(CLEANUP_S, shield=True), suppress(Unavailable):
                        await self.discard(draft)
                        await self.quota.charge(user, incoming.received)
            await self.quota.charge(user, incoming.received)
            return draft, found

    async def discard(self, draft: Draft) -> None:
        """Remove a draft, also while this is cancelled; the sweep takes what can't be removed now."""
        with trio.CancelScope(shield=True), suppress(Refusal):
            await self.on_disk(draft.discard)

    async def keep(self, draft: Draft, user: str, name: str | None) -> KeptFile:
        """Take a complete draft: from now on the user may send it with a message. Raises FileRefused, Unavailable.

        The draft is gone afterwards, whatever comes of it.
        """
        acceptor = Acceptor(
            blobs=await self.blobs(),
            worker=self.worker,
            scanner=self._scanner,
            downloads=self._downloads,
            run=self.run,
        )
        done = await acceptor.accept(draft, name)
        now = self._now()
        file = KeptFile(
            id=self._new_id(),
            user=user,
            name=done.name,
            type=done.file.type,
            size=done.file.size,
            width=done.width,
            height=done.height,
            blob=done.file.blob,
            thumbnail=done.thumbnail.blob if done.thumbnail else None,
            thumbnail_type=done.thumbnail.type if done.thumbnail else None,
            created_at=now,
            expires_at=now + WAITS_MS,
        )
        await self._gate.commit([PutRow(row=file)])
        log.info("file kept", file=file.id, type=file.type, bytes=file.size)
        return file

    async def find(self, id: str, user: str) -> KeptFile:
        """Return a file that the user may have now. Raises Refusal (`not_found`), Unavailable."""
        file = await self._gate.read(partial(self._gate.store.file, id, user, self._now()))
        if file is None:
            raise not_found("attachment")
        return file

    async def open(self, blob: str, start: int = 0, end: int | None = None) -> Blob:
        """Return a range of what is kept under a hash. Raises Refusal."""
        return await self.on_disk(partial((await self.blobs()).open, blob, start, end))


@contextmanager
def reported() -> Iterator[None]:
    """Raise what a disk reports as a Refusal: the reason is the operator's business, and is in the log."""
    try:
        yield
    except BlobNotFound:
        raise not_found("attachment") from None
    except BlobError as error:
        log.error("files can't be stored or read", reason=str(error))
        raise Refusal(
            ErrorCode.UNAVAILABLE, "files can't be stored or read right now; please try again later"
        ) from None
