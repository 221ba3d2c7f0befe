"""JPEG (ITU T.81, annex B): segments, then scans, in whose data only stuffed zeros and restarts follow 0xFF."""

import re

from .errors import Damaged

_SOI, _EOI, _SOS, _DQT, _DHT, _DAC, _DRI = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xCC, 0xDD
_APP0, _APP2, _APP14 = 0xE0, 0xE2, 0xEE
_FRAMES = {0xC0, 0xC1, 0xC2}
"""Baseline, extended and progressive: what browsers show."""

_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)


def clean(data: bytes) -> bytes:
    """The same picture, scan data untouched, with nothing but its tables, frames, scans and colour profile."""
    if data[:2] != b"\xff\xd8":
        raise Damaged("no start of image")
    kept = [b"\xff\xd8"]
    at, scans = 2, 0
    while True:
        marker, at = _marker(data, at)
        if marker == _EOI:
            break
        segment, at = _segment(data, at)
        if marker == _SOS:
            found = _MARKER.search(data, at)
            if found is None:
                raise Damaged("no end of image")
            kept += [b"\xff\xda", segment, data[at : found.start()]]
            at, scans = found.start(), scans + 1
        elif shown := _kept(marker, segment):
            kept += [b"\xff", bytes((marker,)), shown]
    if not scans:
        raise Damaged("no scan")
    return b"".join([*kept, b"\xff\xd9"])


def _marker(data: bytes, at: int) -> tuple[int, int]:
    found = _MARKER.match(data, at)
    if found is None:
        raise Damaged("no marker where one must be")
    return data[found.end() - 1], found.end()


def _segment(data: bytes, at: int) -> tuple[bytes, int]:
    """The segment that begins with its length, and where it ends."""
    size = int.from_bytes(data[at : at + 2])
    if size < 2 or at + size > len(data):
        raise Damaged("a segment without its end")
    return data[at : at + size], at + size


def _kept(marker: int, segment: bytes) -> bytes | None:
    """Return the part of a segment that is kept (its length included), or None."""
    if marker in {_DQT, _DHT, _DRI} or marker in _FRAMES:
        return segment
    if 0xC0 <= marker <= 0xCF:
        raise Damaged("a coding that browsers don't show")
    payload = segment[2:]
    if marker == _APP0 and payload.startswith(b"JFIF\0") and len(payload) >= 14:
        # Version and density stay; the thumbnail, which may show what was cropped away, goes.
        return b"\x00\x10" + payload[:12] + b"\0\0"
    if marker == _APP2 and payload.startswith(b"ICC_PROFILE\0"):
        return segment
    if marker == _APP14 and payload.startswith(b"Adobe") and len(payload) >= 12:
        return b"\x00\x0e" + payload[:12]  # says how the colours are transformed
    return None
