"""PNG, third edition: a signature, then chunks of length, type, data and CRC."""

import zlib

from .errors import Damaged

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs"}
_KEPT |= {b"acTL", b"fcTL", b"fdAT", b"cICP", b"mDCV", b"cLLI"}
"""The pixels, their colours and the animation."""


def clean(data: bytes) -> bytes:
    """The same picture without texts, times, EXIF and unknown chunks, cut after its end."""
    if not data.startswith(SIGNATURE):
        raise Damaged("no signature")
    kept, at, first = [SIGNATURE], len(SIGNATURE), True
    while True:
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        end = at + 12 + size
        if end > len(data) or len(kind) < 4:
            raise Damaged("a chunk without its end")
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise Damaged("a chunk with a wrong checksum")
        if first and (kind != b"IHDR" or size != 13):
            raise Damaged("no header")
        if kind in _KEPT:
            kept.append(data[at:end])
        elif not kind[0] & 0x20:
            raise Damaged("a critical chunk that nobody knows")
        if kind == b"IEND":
            return b"".join(kept)
        at, first = end, False
