"""Type of a file, by its content alone: the sender's word and the name are never looked at."""

import codecs
import re
from collections.abc import Set
from pathlib import Path
from typing import BinaryIO

import filetype  # type: ignore[import-untyped]

from . import types
from .refusal import FileRefused, damaged, unsupported
from .types import FileType, Handling

HEAD_BYTES = 8192
TEXT_READ_BYTES = 1 << 18

PDF_READ_BYTES = 1024
"""Bytes in which viewers look for the mark of a PDF: what is before it they pass over."""

_SIMPLE = {
    "image/jpeg": types.JPEG,
    "image/png": types.PNG,
    "image/webp": types.WEBP,
    "image/gif": types.GIF,
    "application/pdf": types.PDF,
    "application/zip": types.ZIP,
}

# ISO/IEC 23008-12 (HEIF), AV1 Image File Format, and the registry of brands at mp4ra.org.
_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_STRUCTURAL = {b"mif1", b"mif2", b"msf1", b"miaf"}
"""Say that it is a picture, not of which codec: a compatible brand does."""
_M4A = {b"M4A ", b"M4B "}
_MP4 = {b"isom", b"mp41", b"mp42", b"mp71", b"avc1", b"dash", b"M4V ", b"M4VH", b"M4VP", b"MSNV", b"mp4v"}
_MP4 |= {b"iso%d" % n for n in range(2, 10)}

_OGG_AUDIO = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   ")
_WEBM_VIDEO = re.compile(rb"\x86.V_", re.DOTALL)  # CodecID, its length, and a video codec's name

# The WHATWG's table (mimesniff, 7.1), and what else a browser would take for a document with scripts in it.
_MARKUP = re.compile(
    r"\s*<(!--|\?xml|\?php|%|(!doctype|html|head|body|script|style|iframe|svg|math|table|div|img|font|title|link|meta"
    r"|object|embed|form|base|br|a|b|h1|p)[\s>/:])",
    re.IGNORECASE,
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


def sniff(path: Path, downloads: Set[FileType] = frozenset()) -> FileType:
    """The type of a file, if it is one that is taken. `downloads`: the download-only types allowed here."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if not head:
            raise FileRefused("this file is empty")
        found = _by_magic(head) or _text(head, file)
    if found.handling is Handling.DOWNLOAD and found not in downloads:
        raise unsupported(f"files of this kind (.{found.extensions[0]}) are not taken here")
    return found


def _by_magic(head: bytes) -> FileType | None:
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    if head[128:132] == b"DICM":
        return types.DICOM
    if head.startswith(b"OggS"):
        if not any(mark in head[:128] for mark in _OGG_AUDIO):
            raise unsupported("of Ogg files only recordings (Opus, Vorbis, FLAC, Speex) are taken")
        return types.OGG
    mime = filetype.guess_mime(head)
    if mime == "video/webm":
        if _WEBM_VIDEO.search(head):
            raise unsupported("of WebM files only recordings are taken; a video can be sent as MP4 or MOV")
        return types.WEBM
    found = _SIMPLE.get(mime or "")
    if found is types.ZIP and b"word/" in head:
        return types.DOCX
    if found is None and mime is not None:
        raise _not_taken()
    return found


def _iso_media(head: bytes) -> FileType:
    size = int.from_bytes(head[:4])
    if not 16 <= size <= len(head) or size % 4:
        raise damaged("file")
    major, compatible = head[8:12], {head[at : at + 4] for at in range(16, size, 4)}
    brands = {major} | compatible if major in _STRUCTURAL else {major}
    if brands & _AVIF:
        return types.AVIF
    if brands & _HEIC:
        return types.HEIC
    if major == b"qt  ":
        return types.MOV
    if major in _M4A:
        return types.M4A
    if major in _MP4:
        return types.MP4
    raise _not_taken()


def _text(head: bytes, file: BinaryIO) -> FileType:
    """Plain UTF-8 text, all of it, without anything that a browser might run."""
    if b"%PDF-" in head[: PDF_READ_BYTES + 5]:
        raise unsupported("this PDF begins with something else: save it anew as a PDF, and send that")
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    try:
        start = decode(head)
        if _MARKUP.match(start):
            raise unsupported("web pages, SVG and other markup are not taken; a picture or a PDF of it is")
        text = start
        while not _CONTROLS.search(text):
            data = file.read(TEXT_READ_BYTES)
            text = decode(data, final=not data)
            if not data:
                return types.TEXT
    except UnicodeDecodeError:
        pass
    raise _not_taken()


def _not_taken() -> FileRefused:
    return unsupported(
        "files of this kind are not taken: pictures (JPEG, PNG, WebP, GIF, AVIF, HEIC), PDF, videos (MP4, MOV), "
        "recordings (M4A, Ogg, WebM) and plain text are"
    )
