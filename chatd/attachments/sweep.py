"""The sweep: files that no message has, and that nobody may send any more, go from the disk."""

from collections.abc import Callable

import structlog

from chatd.core.gate import Gate
from storage.changes import ForgetRows
from storage.contract import Store
from storage.keyed import KEPT_FILE, UPLOAD, UPLOADED

from .files import FileService

log = structlog.get_logger("chatd.attachments")

SWEEP_EVERY_S = 6 * 3600.0


class Sweep:
    """Forgets uploads that have expired, then removes what no row names and nobody touched for a day."""

    def __init__(self, gate: Gate, files: FileService, now: Callable[[], int]) -> None:
        self._gate = gate
        self._files = files
        self._now = now

    async def __call__(self) -> None:
        """Do it once. Raises Unavailable, Refusal."""
        now = self._now()
        await self._gate.commit([ForgetRows(kind=kind, before=now) for kind in (KEPT_FILE, UPLOAD, UPLOADED)])
        if not self._files.used:
            return
        blobs, store = await self._files.blobs(), self._gate.store
        swept = await self._files.on_disk(lambda: blobs.sweep(Drafts(store), NamedContents(store)))
        if swept.drafts or swept.blobs:
            log.info("files swept", drafts=swept.drafts, files=swept.blobs, bytes=swept.freed_bytes)


class Drafts:
    """Drafts that an upload names."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __contains__(self, id: object) -> bool:
        return self._store.row(UPLOAD, str(id)) is not None


class NamedContents:
    """Contents that a file or a thumbnail has: asked of the store one by one, as there may be a million of them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __contains__(self, hash: object) -> bool:
        return any(self._store.rows(KEPT_FILE, field, str(hash), after="", limit=1) for field in ("blob", "thumbnail"))
