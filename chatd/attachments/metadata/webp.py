"""WebP (RFC 9649): a RIFF file of chunks, each padded to an even length."""

from collections.abc import Iterator, Set

from .errors import Damaged

_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
_KEPT_IN_FRAME = {b"VP8 ", b"VP8L", b"ALPH"}
_HAS_EXIF_OR_XMP = 0x08 | 0x04
_FRAME_HEADER_BYTES = 16


def clean(data: bytes) -> bytes:
    """The same picture without EXIF, XMP and unknown chunks, those inside frames too, cut after its end."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise Damaged("no header")
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise Damaged("the file is cut off")
    chunks = []
    for kind, payload in _chunks(data[12:end], _KEPT):
        if kind == b"VP8X":
            if len(payload) < 10:
                raise Damaged("a short header")
            payload = bytes((payload[0] & ~_HAS_EXIF_OR_XMP,)) + payload[1:]
        elif kind == b"ANMF":
            inside = _chunks(payload[_FRAME_HEADER_BYTES:], _KEPT_IN_FRAME)
            payload = payload[:_FRAME_HEADER_BYTES] + b"".join(_chunk(*one) for one in inside)
        chunks.append(_chunk(kind, payload))
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _chunks(data: bytes, kept: Set[bytes]) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            raise Damaged("a chunk without its end")
        if kind in kept:
            yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return kind + len(payload).to_bytes(4, "little") + payload + b"\0" * (len(payload) % 2)
