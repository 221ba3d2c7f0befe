"""Types by content."""

import struct
from pathlib import Path

import pytest

from chatd.attachments import types
from chatd.attachments.refusal import FileRefused
from chatd.attachments.sniff import HEAD_BYTES, sniff
from chatd.attachments.types import FileType
from support import pictures


def brands(major: bytes, *compatible: bytes) -> bytes:
    return pictures.box(b"ftyp", major, bytes(4), *compatible) + pictures.box(b"mdat", b"x")


GOOD: list[tuple[str, bytes, FileType]] = [
    ("jpeg", pictures.jpeg(), types.JPEG),
    ("png", pictures.png(), types.PNG),
    ("webp", pictures.webp(), types.WEBP),
    ("gif", pictures.gif(), types.GIF),
    ("avif", pictures.avif(), types.AVIF),
    ("heic", pictures.HEIC, types.HEIC),
    ("heix", brands(b"heix", b"mif1"), types.HEIC),
    ("hevc", brands(b"hevc", b"msf1"), types.HEIC),
    ("mif1 of heic", brands(b"mif1", b"miaf", b"heic"), types.HEIC),
    ("mif1 of avif", brands(b"mif1", b"avif", b"miaf"), types.AVIF),
    ("avis", brands(b"avis", b"avif"), types.AVIF),
    ("mp4", brands(b"isom", b"iso2", b"avc1", b"mp41"), types.MP4),
    ("mp4 of iOS", brands(b"mp42", b"isom"), types.MP4),
    ("m4v", brands(b"M4V ", b"mp42"), types.MP4),
    ("mov", brands(b"qt  ", b"qt  "), types.MOV),
    ("m4a", brands(b"M4A ", b"isom"), types.M4A),
    ("opus", pictures.ogg(), types.OGG),
    ("vorbis", pictures.ogg(b"\x01vorbis"), types.OGG),
    ("webm", pictures.webm(), types.WEBM),
    ("pdf", pictures.pdf(), types.PDF),
    ("text", "Grüße, 今日は\r\n\ttab".encode(), types.TEXT),
    ("text with a mark", b"\xef\xbb\xbfhello", types.TEXT),
    ("text with a smaller-than", b"<3 thank you", types.TEXT),
    ("text with an address", b"<abc@example.com> wrote:", types.TEXT),
    ("long text, a character across the end of the head", b"x" * (HEAD_BYTES - 1) + "é".encode() * 300_000, types.TEXT),
]


def of(tmp_path: Path, data: bytes, downloads: frozenset[FileType] = frozenset()) -> FileType:
    path = tmp_path / "file"
    path.write_bytes(data)
    return sniff(path, downloads)


@pytest.mark.parametrize(("data", "expected"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD])
def test_sniff_known_content_returns_its_type(tmp_path: Path, data: bytes, expected: FileType) -> None:
    assert of(tmp_path, data) is expected


BAD: list[tuple[str, bytes]] = [
    ("html", b"<!DOCTYPE html><script>alert(1)</script>"),
    ("html after space", b"\n\n  <HTML>"),
    ("script", b"<script src=x>"),
    ("comment", b"<!-- x --><html>"),
    ("svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
    ("xml", b"<?xml version='1.0'?><svg/>"),
    ("marked html", b"\xef\xbb\xbf<html>"),
    ("php", b"<?php system($_GET['x']);"),
    ("html in UTF-16", "\ufeff<html>".encode("utf-16-le")),
    ("latin-1", "Grüße".encode("latin-1")),
    ("text with a NUL", b"hello\0world"),
    ("text with controls at its end", b"x" * 400_000 + b"\x01"),
    ("text cut in a character", "é".encode()[:1]),
    ("text broken far in", b"x" * 400_000 + b"\xff"),
    ("elf", b"\x7fELF\x02\x01\x01" + bytes(100)),
    ("exe", b"MZ" + bytes(100)),
    ("class", b"\xca\xfe\xba\xbe" + bytes(100)),
    ("ps", b"%!PS-Adobe-3.0\n"),
    ("psd", b"8BPS\0\x01" + bytes(100)),
    ("fits", b"SIMPLE  =                    T" + b"\0" * 100),
    ("tiff", b"II*\0" + bytes(100)),
    ("bmp", b"BM" + bytes(100)),
    ("ico", b"\0\0\1\0\1\0" + bytes(100)),
    ("jpeg 2000", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100)),
    ("3gp", brands(b"3gp4", b"3gp4")),
    ("mif1 of an unknown codec", brands(b"mif1", b"vvic")),
    ("ftyp too long", struct.pack(">I", 2**31) + b"ftypisom" + bytes(100)),
    ("ftyp too short", struct.pack(">I", 8) + b"ftypisom" + bytes(100)),
    ("ogg video", pictures.ogg(b"\x80theora")),
    ("webm video", pictures.webm(b"V_VP9")),
    ("pdf after junk", b"junk\0" + pictures.pdf()),
    ("rar", b"Rar!\x1a\x07\0" + bytes(100)),
    ("gzip", b"\x1f\x8b\x08" + bytes(100)),
    ("sqlite", b"SQLite format 3\0" + bytes(100)),
    ("swf", b"CWS\x09" + bytes(100)),
    ("wasm", b"\0asm\1\0\0\0"),
    ("mp3", b"ID3\x03" + bytes(100)),
]


@pytest.mark.parametrize("data", [row[1] for row in BAD], ids=[row[0] for row in BAD])
def test_sniff_other_content_is_refused_in_words(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(FileRefused) as caught:
        of(tmp_path, data)
    assert caught.value.status in {400, 415}
    assert not caught.value.temporary


def test_sniff_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="empty"):
        of(tmp_path, b"")


@pytest.mark.parametrize(
    ("data", "type"),
    [
        (bytes(128) + b"DICM" + bytes(100), types.DICOM),
        (b"PK\3\4" + bytes(26) + b"hello.txt", types.ZIP),
        (b"PK\3\4" + bytes(26) + b"[Content_Types].xml" + bytes(100) + b"word/document.xml", types.DOCX),
    ],
    ids=lambda value: value.mime if isinstance(value, FileType) else "",
)
def test_sniff_download_only_type_is_taken_where_it_is_allowed(tmp_path: Path, data: bytes, type: FileType) -> None:
    assert of(tmp_path, data, frozenset({type})) is type
    with pytest.raises(FileRefused, match="not taken here") as caught:
        of(tmp_path, data, frozenset(types.DOWNLOADS.values()) - {type})
    assert caught.value.status == 415
