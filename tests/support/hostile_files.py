"""Files that somebody sends to do harm, or that phones and lines have broken, with what becomes of each.

An outcome is the type that it is kept as, or the status of its refusal.
"""

import struct
import zlib

import attrs

from . import pictures
from .pictures import box, chunk, segment

HTML = b"<!DOCTYPE html><script>alert(document.cookie)</script>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
ZIP = b"PK\3\4" + bytes(26) + b"evil.class" + b"PK\5\6" + bytes(18)
PHP = b"<?php system($_GET['x']); ?>"


@attrs.frozen
class Hostile:
    """`name` and `data` as sent; `outcome`: MIME type kept as, or status."""

    name: str
    data: bytes
    outcome: str | int


def _jpeg_header(width: int, height: int) -> bytes:
    """A JPEG whose frame announces so many pixels."""
    data = pictures.encoded("JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def _gif_header(width: int, height: int) -> bytes:
    data = pictures.gif()
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


def _webp_header(width: int, height: int) -> bytes:
    """An extended WebP with such a canvas."""
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas + pictures.encoded("WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _avif_header(width: int, height: int) -> bytes:
    data = pictures.avif()
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


def _png_with(kind: bytes, payload: bytes) -> bytes:
    data = pictures.encoded("PNG")
    return data[:33] + chunk(kind, payload) + data[33:]


def _jpeg_with(marker: int, payload: bytes) -> bytes:
    data = pictures.encoded("JPEG")
    return data[:2] + segment(marker, payload) + data[2:]


def _cut(data: bytes, part: float = 0.5) -> bytes:
    return data[: int(len(data) * part)]


def _deep_boxes() -> bytes:
    data = b""
    for _ in range(1000):
        data = box(b"moov", data)
    return box(b"ftyp", b"isom", bytes(4)) + data


_JPEG, _PNG, _GIF = pictures.encoded("JPEG"), pictures.encoded("PNG"), pictures.gif()

DRESSED: list[tuple[str, bytes, str | int]] = [
    ("page.jpg", HTML, 415),
    ("page.txt", HTML, 415),
    ("page.pdf", HTML, 415),
    ("image.svg", SVG, 415),
    ("image.png", SVG, 415),
    ("image.svg", b"<?xml version='1.0'?>" + SVG, 415),
    ("shell.jpg", PHP, 415),
    ("shell.php", _JPEG, "image/jpeg"),
    ("page.html", _PNG, "image/png"),
    ("run.exe", _GIF, "image/gif"),
    ("setup.png", b"MZ" + bytes(200), 415),
    ("lib.png", b"\x7fELF" + bytes(200), 415),
    ("stars.png", b"SIMPLE  =                    T" + b" " * 3000 + bytes(10), 415),
    ("print.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415),
    ("layers.png", b"8BPS\0\1" + bytes(200), 415),
    ("scan.jpg", pictures.encoded("TIFF"), 415),
    ("old.png", pictures.encoded("BMP"), 415),
    ("icon.png", pictures.encoded("ICO"), 415),
    ("film.jpg", pictures.encoded("PPM"), 415),
    ("archive.jpg", ZIP, 415),
    ("letter.pdf", ZIP, 415),
    ("xray.jpg", bytes(128) + b"DICM" + bytes(100), 415),
    ("flash.gif", b"FWS\x09" + bytes(200), 415),
    ("letter.txt", b"{\\rtf1 hello}", 415),
    ("script.js", b"alert(1)", "text/plain"),
    ("run.bat", b"@echo off\r\nformat c:", "text/plain"),
    ("film.mp4", pictures.movie(b"M4A ", b"soun"), "audio/mp4"),
    ("sound.m4a", pictures.movie(b"isom"), "video/mp4"),
]
"""One kind of file under the name of another."""

POLYGLOTS: list[tuple[str, bytes, str | int]] = [
    ("gifar.gif", _GIF + ZIP, "image/gif"),
    ("jpegzip.jpg", _JPEG + ZIP, "image/jpeg"),
    ("pnghtml.png", _PNG + HTML, "image/png"),
    ("webphtml.webp", pictures.webp() + HTML, "image/webp"),
    ("avifzip.avif", pictures.avif() + ZIP, 400),
    ("mp4html.mp4", pictures.movie(tail=HTML), 400),
    ("comment.jpg", _jpeg_with(0xFE, HTML), "image/jpeg"),
    ("comment.jpg", _jpeg_with(0xFE, PHP), "image/jpeg"),
    ("icc.jpg", _jpeg_with(0xE2, HTML), "image/jpeg"),
    ("text.png", _png_with(b"tEXt", b"Comment\0" + HTML), "image/png"),
    ("unknown.png", _png_with(b"evIl", PHP), "image/png"),
    ("critical.png", _png_with(b"EVIL", PHP), 400),
    ("endless.gif", _GIF[:-13], 400),
    ("gif.js", b"GIF89a/*" + bytes(20) + b"*/=alert(1)//;", 400),
    ("bmp.js", b"BM/*" + bytes(20) + b"*/=alert(1)", 415),
    ("pdf.html", b"%PDF-1.7\n" + HTML, "application/pdf"),
    ("html.pdf", HTML + pictures.pdf(), 415),
    ("zip.pdf", ZIP + pictures.pdf(), 415),
    ("text.pdf", b"for your eyes only\n" + pictures.pdf(), 415),
    ("space.pdf", b"\xef\xbb\xbf\r\n" + pictures.pdf(), 415),
    ("far.txt", b"x" * 1023 + b"\n%PDF-1.7\n" + b"y" * 9000, 415),
    ("farther.txt", b"x" * 1025 + b"\n%PDF-1.7\n", "text/plain"),
    ("ftyphtml.mp4", box(b"ftyp", b"isom", bytes(4)) + HTML, 400),
    ("magic.jpg", b"\xff\xd8\xff" + HTML, 400),
    ("magic.png", b"\x89PNG\r\n\x1a\n" + HTML, 400),
    ("magic.gif", b"GIF89a" + HTML, 400),
    ("magic.webp", b"RIFF\x40\0\0\0WEBP" + HTML + bytes(20), 415),
]
"""Two kinds of files in one."""

_ZEROS = zlib.compress(bytes(80_000_000))

BOMBS: list[tuple[str, bytes, str | int]] = [
    ("bomb.png", pictures.png_header(50_000, 50_000), 413),
    ("bomb.png", pictures.png_header(2**31 - 1, 2**31 - 1), 413),
    ("bomb.png", pictures.png_header(7072, 7072), 413),
    ("bomb.png", pictures.png_header(7000, 7000), 400),
    ("bomb.jpg", _jpeg_header(65_500, 65_500), 413),
    ("bomb.gif", _gif_header(65_535, 65_535), 413),
    ("bomb.webp", _webp_header(16_384, 16_384), 413),
    ("bomb.avif", _avif_header(60_000, 60_000), 400),
    ("empty.png", pictures.png_header(0, 0), 400),
    ("text.png", _png_with(b"zTXt", b"c\0\0" + _ZEROS), 400),
    ("profile.png", _png_with(b"iCCP", b"c\0\0" + _ZEROS), 400),
    ("boxes.mp4", _deep_boxes(), 400),
    ("boxes.mp4", box(b"ftyp", b"isom", bytes(4)) + box(b"free") * 150_000, 400),
]
"""Small files that become large."""

BROKEN: list[tuple[str, bytes, str | int]] = [
    ("empty.jpg", b"", 400),
    ("one.jpg", b"\xff", 415),
    ("head.jpg", b"\xff\xd8\xff", 400),
    ("cut.jpg", _cut(_JPEG), 400),
    ("cut.jpg", _JPEG[:-2], 400),
    ("cut.png", _cut(_PNG), 400),
    ("cut.gif", _cut(_GIF), 400),
    ("cut.webp", _cut(pictures.webp()), 400),
    ("cut.avif", _cut(pictures.avif()), 400),
    ("cut.heic", _cut(pictures.HEIC), 400),
    ("cut.mov", _cut(pictures.movie()), 400),
    ("noise.jpg", b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20, 400),
    ("noise.bin", bytes(range(256)) * 20, 415),
    ("crc.png", _PNG.replace(_PNG[-20:-16], b"\0\0\0\0"), 400),
    ("grey.jpg", _JPEG[: _JPEG.index(b"\xff\xda") + 14] + b"\xff\xd9", "image/jpeg"),
    ("half.txt", "é".encode()[:1], 415),
]
"""Cut off, or noise."""

NAMED: list[tuple[str, bytes, str | int]] = [
    ("", _JPEG, "image/jpeg"),
    ("../../../etc/passwd", _JPEG, "image/jpeg"),
    ("..\\..\\windows\\win.ini", _JPEG, "image/jpeg"),
    ("/absolute.jpg", _JPEG, "image/jpeg"),
    ("nul\0byte.jpg", _JPEG, "image/jpeg"),
    ("a" * 300 + ".jpg", _JPEG, "image/jpeg"),
    ("é" * 300, _JPEG, "image/jpeg"),
    ("header\r\nX: y.jpg", _JPEG, "image/jpeg"),
    ('quote".jpg', _JPEG, "image/jpeg"),
    ("CON", _JPEG, "image/jpeg"),
    (".htaccess", _JPEG, "image/jpeg"),
    ("photo\u202egpj.exe", _JPEG, "image/jpeg"),
    ("web.config", b"hello", "text/plain"),
]
"""A good file under a bad name."""

_ROWS = [*DRESSED, *POLYGLOTS, *BOMBS, *BROKEN, *NAMED]
TABLE = [Hostile(*row) for row in _ROWS]
