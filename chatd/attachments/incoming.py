"""A body on its way into a draft: gathered, so that few calls of the disk write it, and never whole in memory."""

import os
from collections.abc import Callable

from chatd.core.gate import Runner
from storage.blobs import BlobError, Draft

GATHERED_BYTES = 1 << 18
"""Bytes of a body that are held in memory before they are written."""


class BodyTooLarge(Exception):
    """The body has more bytes than may be; those that may be were written."""


class Incoming:
    """Appends to a draft, up to `most` bytes. `free_bytes`: left free on the disk, so that messages go on being kept.

    Its calls raise BlobError where the disk can't take it.
    """

    def __init__(
        self,
        draft: Draft,
        run: Runner,
        *,
        most: int,
        free_bytes: int = 0,
        heard: Callable[[bytes], object] = lambda data: None,
    ) -> None:
        self.draft = draft
        self.received = 0
        self._run = run
        self._most = most
        self._free_bytes = free_bytes
        self._heard = heard
        self._gathered = bytearray()

    async def write(self, data: bytes) -> None:
        """Take a part of the body. Raises BodyTooLarge for one that goes on beyond what may be."""
        fits = data[: self._most - self.received]
        self.received += len(fits)
        self._gathered += fits
        if len(self._gathered) >= GATHERED_BYTES:
            await self.flush()
        if len(fits) < len(data):
            raise BodyTooLarge

    async def flush(self) -> None:
        """Hand what was gathered to the disk."""
        data, self._gathered = bytes(self._gathered), bytearray()
        if data:
            self._heard(data)
            await self._run(lambda: self._write(data))

    async def sync(self) -> None:
        """Bring all of it to the disk: from then on it outlives a loss of power."""
        await self.flush()
        await self._run(self.draft.sync)

    def _write(self, data: bytes) -> None:
        if self._free_bytes:
            disk = os.statvfs(self.draft.path)
            if disk.f_bavail * disk.f_frsize < self._free_bytes + len(data):
                raise BlobError("the disk is almost full", temporary=True)
        self.draft.write(data)
