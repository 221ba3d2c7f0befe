"""AVIF: a HEIF file, whose EXIF and XMP are items that `iinf` names and `iloc` places (ISO/IEC 14496-12, 8.11)."""

import io
from collections.abc import Iterator
from typing import BinaryIO

import attrs

from .boxes import Box, blank, boxes, read, zero
from .errors import Damaged

_TOP_KEPT = {b"ftyp", b"meta", b"mdat", b"moov"}
_META_KEPT = {b"hdlr", b"pitm", b"iinf", b"iloc", b"iprp", b"iref", b"idat", b"grpl", b"dinf"}
_TEXT_BOXES = {b"udta", b"meta", b"uuid"}
_ITEMS_BLANKED = {b"Exif", b"mime", b"uri "}
_TABLE_BYTES_MOST = 1 << 20
_FULL_BOX_BYTES = 4


def clean(data: bytes) -> bytes:
    """The same picture with the data of its EXIF, XMP and other texts zeroed in place."""
    file = io.BytesIO(data)
    top = list(boxes(file, 0, len(data)))
    metas = [box for box in top if box.kind == b"meta"]
    if not top or top[0].kind != b"ftyp" or len(metas) != 1:
        raise Damaged("no header")
    for box in top:
        if box.kind not in _TOP_KEPT:
            blank(file, box)
    _clean_meta(file, metas[0], len(data))
    for moov in (box for box in top if box.kind == b"moov"):
        for box in boxes(file, moov.body, moov.end):
            if box.kind not in {b"mvhd", b"trak"}:
                blank(file, box)
                continue
            for inner in boxes(file, box.body, box.end) if box.kind == b"trak" else ():
                if inner.kind in _TEXT_BOXES:
                    blank(file, inner)
    return file.getvalue()


def _clean_meta(file: BinaryIO, meta: Box, size: int) -> None:
    inside: dict[bytes, Box] = {}
    for box in boxes(file, meta.body + _FULL_BOX_BYTES, meta.end):
        if box.kind not in _META_KEPT:
            blank(file, box)
        elif box.kind in inside:
            raise Damaged("a table twice")
        inside[box.kind] = box
    if b"iinf" not in inside or b"iloc" not in inside:
        raise Damaged("no table of items")
    hidden = set(_items(file, inside[b"iinf"]))
    idat = inside.get(b"idat")
    for extent in _extents(file, inside[b"iloc"]):
        if extent.item in hidden:
            base = 0 if extent.method == 0 else idat.body if idat and extent.method == 1 else None
            if base is None or not extent.length:
                raise Damaged("an item that lies nowhere")
            start, end = base + extent.offset, base + extent.offset + extent.length
            if end > size:
                raise Damaged("an item beyond the file")
            zero(file, start, end)


def _items(file: BinaryIO, iinf: Box) -> Iterator[int]:
    """Ids of the items that are texts or EXIF, which become of a kind that readers pass over.

    Entries are `infe` boxes of version 2 or 3. Readers that meet EXIF made of zeros refuse the whole picture.
    """
    version = read(file, iinf.body, iinf.body + 1, 1)[0]
    for box in boxes(file, iinf.body + _FULL_BOX_BYTES + (4 if version else 2), iinf.end):
        entry = _Bytes(read(file, box.body, box.end, _TABLE_BYTES_MOST))
        entry_version = entry.number(1)
        entry.number(3)
        if box.kind != b"infe" or entry_version not in {2, 3}:
            raise Damaged("an item of a kind that nobody knows")
        item = entry.number(2 if entry_version == 2 else 4)
        entry.number(2)
        if entry.number(4).to_bytes(4) in _ITEMS_BLANKED:
            file.seek(box.body + entry.at - 4)
            file.write(b"free")
            yield item


@attrs.frozen
class _Extent:
    """A piece of an item: `method` 0 counts from the start of the file, 1 from that of `idat`."""

    item: int
    method: int
    offset: int
    length: int


def _extents(file: BinaryIO, iloc: Box) -> Iterator[_Extent]:
    table = _Bytes(read(file, iloc.body, iloc.end, _TABLE_BYTES_MOST))
    version = table.number(1)
    table.number(3)
    sizes = table.number(2)
    offset_size, length_size = sizes >> 12, sizes >> 8 & 15
    base_size, index_size = sizes >> 4 & 15, sizes & 15 if version else 0
    if version > 2:
        raise Damaged("a table of items that nobody knows")
    for _ in range(table.number(4 if version == 2 else 2)):
        item = table.number(4 if version == 2 else 2)
        method = table.number(2) & 15 if version else 0
        table.number(2)
        base = table.number(base_size)
        for _ in range(table.number(2)):
            table.number(index_size)
            yield _Extent(item, method, base + table.number(offset_size), table.number(length_size))


class _Bytes:
    """Numbers, read one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def number(self, size: int) -> int:
        start, self.at = self.at, self.at + size
        if self.at > len(self._data):
            raise Damaged("a table without its end")
        return int.from_bytes(self._data[start : self.at])
