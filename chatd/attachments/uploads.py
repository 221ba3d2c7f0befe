"""Uploads that come in piece by piece: their rows and drafts, and who is writing to one. `tus.py` says what may be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import attrs
import trio

from chatd.core.errors import Refusal
from chatd.core.gate import Gate
from protocol.codes import ErrorCode
from storage.blobs import Draft
from storage.changes import PutRow, TakeRow
from storage.keyed import UPLOAD, KeptFile, Upload

from . import tus
from .files import FileService

UPLOAD_LIFETIME_MS = 24 * 3_600_000
"""ms from the beginning of an upload until what there is of it is forgotten."""

OPEN_UPLOADS = 50
"""Unfinished uploads of one user; for one more the one is forgotten that nobody wrote to for the longest time."""

MAX_UPLOADS_REMEMBERED = 10_000
"""Uploads of which it is known when they were last written to; of others, when they began."""

TAKEOVER_S = 60.0
"""Seconds that a question for an upload's offset waits for the request that is writing to it."""


@attrs.define
class UploadWriter:
    """A request that writes to an upload. `body`: cancelled when another one takes its place."""

    body: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    done: trio.Event = attrs.field(factory=trio.Event)


class Uploads:
    """The uploads of one daemon. `now`: ms since 1970."""

    def __init__(self, gate: Gate, files: FileService, now: Callable[[], int]) -> None:
        self.files = files
        self._gate = gate
        self._now = now
        self._writing: dict[str, UploadWriter] = {}
        self._written: dict[str, int] = {}  # -> ms, the latest last

    async def begin(self, user: str, length: int | None, metadata: str) -> Upload:
        """Make an empty upload. Raises Refusal, Unavailable."""
        await self.files.quota.check(user, max(1, length or 0))
        rows = await self._gate.read(
            partial(self._gate.store.rows, UPLOAD, "user", user, after="", limit=4 * OPEN_UPLOADS)
        )
        now = self._now()
        unfinished = [row for row in rows if row.attachment is None and row.expires_at > now]
        if len(unfinished) >= OPEN_UPLOADS:
            await self._forget_idlest(unfinished)
        draft = await self.files.create()
        await self.files.on_disk(draft.close)
        row = Upload(
            id=draft.id,
            user=user,
            length=length,
            metadata=metadata,
            created_at=now,
            expires_at=now + UPLOAD_LIFETIME_MS,
        )
        await self.put(row)
        return row

    async def _forget_idlest(self, rows: list[Upload]) -> None:
        """Make room for one more. Raises Refusal where all of them are being written to, Unavailable."""
        idle = [row for row in rows if not self.is_busy(row.id)]
        if not idle:
            raise Refusal(ErrorCode.UNAVAILABLE, "there are many uploads under way; please wait for one of them")
        idlest = min(idle, key=lambda row: (self._written.get(row.id, row.created_at), row.created_at, row.id))
        with self.writing(idlest.id):  # nobody else may begin to
            await self.forget(idlest)

    async def find(self, id: str, user: str) -> Upload | None:
        """Return the user's upload, the expired included; None for an unknown one and for somebody else's."""
        row = await self._gate.read(partial(self._gate.store.row, UPLOAD, id))
        return row if row is not None and row.user == user else None

    async def put(self, row: Upload) -> None:
        """Keep a row. Raises Unavailable."""
        await self._gate.commit([PutRow(row=row)])

    async def draft(self, row: Upload) -> Draft | None:
        """Return what has come in of an unfinished upload; None where it is lost. Raises Refusal."""
        try:
            return await self.files.on_disk(partial((await self.files.blobs()).resume, row.id))
        except Refusal as refusal:
            if refusal.code is ErrorCode.NOT_FOUND:
                return None
            raise

    async def forget(self, row: Upload) -> None:
        """Remove an upload and what has come in of it; a file that it has become stays."""
        draft = None if row.attachment is not None else await self.draft(row)
        if draft is not None:
            await self.files.discard(draft)
        await self._gate.commit([TakeRow(kind=UPLOAD, key=row.id)])

    async def finish(self, row: Upload, draft: Draft) -> KeptFile:
        """Make a file of a complete upload. Raises refusal.FileRefused, Unavailable; the upload is gone then."""
        names = tus.parse_metadata(row.metadata) or {}
        kept: KeptFile | None = None
        try:
            kept = await self.files.keep(draft, row.user, names.get("filename") or names.get("name"))
        finally:
            if kept is None:
                with trio.move_on_after(TAKEOVER_S, shield=True):
                    await self._gate.commit([TakeRow(kind=UPLOAD, key=row.id)])
        await self.put(attrs.evolve(row, attachment=kept.id, length=kept.size if row.length is None else row.length))
        return kept

    # -- one writer at a time --

    def is_busy(self, id: str) -> bool:
        """Return whether a request is writing to the upload."""
        return id in self._writing

    @contextmanager
    def writing(self, id: str) -> Iterator[UploadWriter]:
        """Be the one who writes to an upload that nobody writes to."""
        mine = self._writing[id] = UploadWriter()
        try:
            yield mine
        finally:
            del self._writing[id]
            self._written.pop(id, None)
            self._written[id] = self._now()
            if len(self._written) > MAX_UPLOADS_REMEMBERED:
                del self._written[next(iter(self._written))]
            mine.done.set()

    async def take_over(self, id: str) -> bool:
        """End the request that is writing; return whether it has ended.

        Asking for an upload's offset means that the connection on which it was written is lost.
        """
        writing = self._writing.get(id)
        if writing is not None:
            writing.body.cancel()
            with trio.move_on_after(TAKEOVER_S):
                await writing.done.wait()
        return not self.is_busy(id)


def state_of(row: Upload, draft: Draft | None) -> tus.TusUpload | None:
    """Return an upload as tus has it; None where what came in of it is lost."""
    if row.attachment is not None:
        assert row.length is not None
        offset = row.length
    elif draft is not None:
        offset = draft.offset
    else:
        return None
    return tus.TusUpload(offset, row.length, row.metadata, row.expires_at / 1000)
