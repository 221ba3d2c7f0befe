"""The way of a file from its last byte to the store: sniffed, scanned, cleaned, measured, committed; or refused."""

import functools
from collections.abc import Callable, Set
from typing import TypeVar

import attrs
import structlog
import trio

from chatd.core.gate import Runner, ThreadRunner
from storage.blobs import BlobError, Blobs, Draft

from .names import safe_name
from .refusal import FileRefused, unavailable
from .scan import Scanner
from .sniff import sniff
from .types import BY_MIME, FileType, Handling
from .worker import Worker

log = structlog.get_logger("chatd.attachments")

T = TypeVar("T")

FILE_THREADS = 4
"""Threads that read and write files at once."""


@attrs.frozen(kw_only=True)
class KeptBlob:
    """A blob: its hash, MIME type and bytes."""

    blob: str
    type: str
    size: int


@attrs.frozen(kw_only=True)
class Accepted:
    """A file that is kept. `name` is safe; `width` and `height` in px, upright, where it has them."""

    name: str
    file: KeptBlob
    width: int | None
    height: int | None
    thumbnail: KeptBlob | None


@attrs.frozen(kw_only=True)
class Acceptor:
    """Takes or refuses files. `downloads`: the download-only types that the settings allow; `scanner` None: no scan.

    `run`: how calls of the disk run.
    """

    blobs: Blobs
    worker: Worker
    scanner: Scanner | None = None
    downloads: Set[FileType] = frozenset()
    run: Runner = attrs.field(factory=lambda: ThreadRunner(FILE_THREADS))

    async def accept(self, draft: Draft, name: str | None) -> Accepted:
        """Take a complete draft under the name that its sender gave it. Raises FileRefused.

        The draft is gone afterwards, whatever comes of it: committed or discarded.
        """
        spare: list[Draft] = [draft]
        try:
            return await self._accept(draft, name, spare)
        except BlobError as error:
            log.error("a file could not be kept", reason=str(error))
            raise unavailable("the file can't be stored right now; please send it again later") from error
        finally:
            with trio.CancelScope(shield=True):
                await self._do(lambda: _discard(spare))

    async def _accept(self, draft: Draft, name: str | None, spare: list[Draft]) -> Accepted:
        type = await self._do(sniff, draft.path, self.downloads)
        if self.scanner is not None:
            await self.scanner.scan(draft.path)
        if type.handling in {Handling.AS_IT_IS, Handling.DOWNLOAD}:
            return Accepted(
                name=safe_name(name, type), file=await self._keep(draft, type), width=None, height=None, thumbnail=None
            )
        for _ in range(2):
            spare.append(await self._do(self.blobs.create))
        clean, small = spare[-2:]
        looked = await self.worker.look(type, draft.path, clean.path, small.path)
        kept_as = BY_MIME[looked.type]
        file = await self._keep(draft if type.handling is Handling.MOVIE else clean, kept_as)
        thumbnail = await self._keep(small, BY_MIME[looked.thumbnail]) if looked.thumbnail else None
        return Accepted(
            name=safe_name(name, kept_as),
            file=file,
            width=looked.width,
            height=looked.height,
            thumbnail=thumbnail,
        )

    async def _keep(self, draft: Draft, type: FileType) -> KeptBlob:
        def commit() -> KeptBlob:
            size = draft.offset
            return KeptBlob(blob=draft.commit(), type=type.mime, size=size)

        return await self._do(commit)

    async def _do(self, work: Callable[..., T], *args: object) -> T:
        return await self.run(functools.partial(work, *args))


def _discard(drafts: list[Draft]) -> None:
    """Remove what is left of them. The sweep takes what can't be removed now."""
    for draft in drafts:
        try:
            draft.discard()
        except BlobError as error:
            log.warning("a draft is left for the sweep", reason=str(error))


__all__ = ["Accepted", "Acceptor", "FileRefused", "KeptBlob"]
