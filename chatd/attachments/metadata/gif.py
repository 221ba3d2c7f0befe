"""GIF89a: a screen, then extensions and images, each of sub-blocks of at most 255 bytes."""

from .errors import Damaged

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL, _APPLICATION = 0xF9, 0xFF
_APPLICATIONS = {b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012"}
"""The loop count, under both its names, and the colour profile."""


def clean(data: bytes) -> bytes:
    """The same picture without comments, texts and other programs' data, cut after its end."""
    if data[:6] not in {b"GIF87a", b"GIF89a"} or len(data) < 13:
        raise Damaged("no header")
    at = 13 + _table_bytes(data[10])
    kept, images = [data[:at]], 0
    while True:
        kind = _byte(data, at)
        if kind == _TRAILER:
            break
        if kind == _IMAGE:
            start = at + 10 + _table_bytes(_byte(data, at + 9)) + 1  # descriptor, colours, code size
            end, images = _skip(data, start), images + 1
            kept.append(data[at:end])
        elif kind == _EXTENSION:
            end = _skip(data, at + 2)
            label = _byte(data, at + 1)
            if label == _GRAPHIC_CONTROL or (label == _APPLICATION and data[at + 3 : at + 14] in _APPLICATIONS):
                kept.append(data[at:end])
        else:
            raise Damaged("a block that nobody knows")
        at = end
    if not images:
        raise Damaged("no image")
    return b"".join([*kept, b"\x3b"])


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip(data: bytes, at: int) -> int:
    """The end of the sub-blocks that begin here."""
    while size := _byte(data, at):
        at += 1 + size
    return at + 1


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise Damaged("the file is cut off")
    return data[at]
