"""MP4, MOV and M4A: places and texts are blanked in place, so that no offset moves and nothing is encoded anew.

Phones write the place into `udta`, into `meta` or into tracks of timed metadata; editing programs into XMP in `uuid`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .boxes import Box, blank, boxes, read, zero
from .errors import Damaged

_TOP_KEPT = {b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"styp", b"pdin"}
_MOOV_KEPT = {b"mvhd", b"trak", b"mvex", b"iods"}
_TRAK_KEPT = {b"tkhd", b"edts", b"mdia", b"tref", b"tapt"}
_MDIA_KEPT = {b"mdhd", b"hdlr", b"minf", b"elng"}
_MINF_KEPT = {b"vmhd", b"smhd", b"nmhd", b"gmhd", b"hdlr", b"dinf", b"stbl", b"sthd"}
_MOOF_KEPT = {b"mfhd", b"traf"}
_TRAF_KEPT = {b"tfhd", b"tfdt", b"trun", b"sdtp", b"sbgp", b"sgpd", b"subs", b"saiz", b"saio"}

_MEDIA = {b"vide", b"soun"}
"""Handlers of tracks that stay. Tracks of places, faces and texts go, with their samples."""

_TABLE_BYTES_MOST = 64 << 20


def clean(path: Path) -> tuple[int, int] | None:
    """Blank the metadata of the file at `path`. Return width and height of the video as shown, None for sound only."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        top = list(boxes(file, 0, size))
        movies = [box for box in top if box.kind == b"moov"]
        if not top or top[0].kind != b"ftyp" or len(movies) != 1:
            raise Damaged("no header, or no table of contents")
        fragmented = any(box.kind == b"moof" for box in top)
        for box in top:
            if box.kind not in _TOP_KEPT:
                blank(file, box)
            elif box.kind == b"moof":
                for fragment in _keep(file, box, _MOOF_KEPT):
                    if fragment.kind == b"traf":
                        _keep(file, fragment, _TRAF_KEPT)
        return _clean_movie(file, movies[0], [box for box in top if box.kind == b"mdat"], fragmented)


def _clean_movie(file: BinaryIO, movie: Box, data: list[Box], fragmented: bool) -> tuple[int, int] | None:
    shown = None
    tracks = 0
    for track in [box for box in _keep(file, movie, _MOOV_KEPT) if box.kind == b"trak"]:
        inside = _only(_keep(file, track, _TRAK_KEPT), b"tkhd", b"mdia")
        media = _only(_keep(file, inside[b"mdia"], _MDIA_KEPT), b"hdlr", b"minf")
        handler = read(file, media[b"hdlr"].body, media[b"hdlr"].body + 12, 12)[8:12]
        tables = _only(_keep(file, media[b"minf"], _MINF_KEPT), b"stbl")[b"stbl"]
        if handler in _MEDIA:
            tracks += 1
            if handler == b"vide" and shown is None:
                shown = _dimensions(file, inside[b"tkhd"])
        elif fragmented:
            raise Damaged("timed metadata in fragments")
        else:
            for start, end in _samples(file, tables):
                if not any(box.body <= start and end <= box.end for box in data):
                    raise Damaged("a sample outside of the data")
                zero(file, start, end)
            blank(file, track)
    if not tracks:
        raise Damaged("neither pictures nor sound")
    return shown


def _keep(file: BinaryIO, parent: Box, kept: set[bytes]) -> list[Box]:
    """The boxes of a container that stay; the others are blanked."""
    inside = list(boxes(file, parent.body, parent.end))
    for box in inside:
        if box.kind not in kept:
            blank(file, box)
    return [box for box in inside if box.kind in kept]


def _only(found: list[Box], *kinds: bytes) -> dict[bytes, Box]:
    """The boxes of these kinds, of which there must be one each."""
    for kind in kinds:
        if sum(box.kind == kind for box in found) != 1:
            raise Damaged("a table is missing, or there twice")
    return {box.kind: box for box in found}


def _dimensions(file: BinaryIO, header: Box) -> tuple[int, int] | None:
    """Width and height of a track, 16.16 numbers at the end of its header, after the matrix that may turn it."""
    tail = read(file, header.end - 44, header.end, 44)
    matrix = [int.from_bytes(tail[at : at + 4], signed=True) for at in range(0, 36, 4)]
    width, height = int.from_bytes(tail[36:38]), int.from_bytes(tail[40:42])
    turned = matrix[0] == 0 and matrix[1] != 0
    if not width or not height:
        return None
    return (height, width) if turned else (width, height)


def _samples(file: BinaryIO, tables: Box) -> Iterator[tuple[int, int]]:
    """Return the places of a track's samples: the chunks' offsets, and the sizes of the samples in each."""
    inside = {box.kind: box for box in boxes(file, tables.body, tables.end)}
    sizes = _sizes(file, inside)
    per_chunk = _rows(file, inside, b"stsc", 12)
    wide = b"co64" in inside
    offsets = _rows(file, inside, b"co64" if wide else b"stco", 8 if wide else 4)
    run = samples = 0
    at = 0
    for number, row in enumerate(offsets, 1):
        while run < len(per_chunk) and int.from_bytes(per_chunk[run][:4]) <= number:
            samples = int.from_bytes(per_chunk[run][4:8])
            run += 1
        start = end = int.from_bytes(row)
        for _ in range(samples):
            if at >= len(sizes):
                raise Damaged("more samples than sizes")
            end += sizes[at]
            at += 1
        yield start, end


def _sizes(file: BinaryIO, inside: dict[bytes, Box]) -> list[int]:
    box = inside.get(b"stsz")
    if box is None:
        raise Damaged("no sizes of samples")
    header = read(file, box.body, box.body + 12, 12)
    same, count = int.from_bytes(header[4:8]), int.from_bytes(header[8:12])
    if count > _TABLE_BYTES_MOST // 4:
        raise Damaged("a table that is too large")
    if same:
        return [same] * count
    table = read(file, box.body + 12, box.body + 12 + 4 * count, _TABLE_BYTES_MOST)
    return [int.from_bytes(table[at : at + 4]) for at in range(0, len(table), 4)]


def _rows(file: BinaryIO, inside: dict[bytes, Box], kind: bytes, size: int) -> list[bytes]:
    box = inside.get(kind)
    if box is None:
        raise Damaged("a table is missing")
    count = int.from_bytes(read(file, box.body, box.body + 8, 8)[4:8])
    table = read(file, box.body + 8, box.body + 8 + size * count, _TABLE_BYTES_MOST)
    return [table[at : at + size] for at in range(0, len(table), size)]
