"""Places and texts go, pixels stay."""

import contextlib
import io
from collections.abc import Callable

import pytest
from PIL import Image

from chatd.attachments.metadata import CLEANERS, Damaged
from chatd.attachments.types import AVIF, GIF, JPEG, PNG, WEBP, FileType
from support import pictures
from support.pictures import CANARY

SOURCES: dict[FileType, Callable[[], bytes]] = {
    JPEG: pictures.jpeg,
    PNG: pictures.png,
    WEBP: pictures.webp,
    GIF: pictures.gif,
    AVIF: pictures.avif,
}


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def frames(data: bytes) -> list[bytes]:
    found = []
    with opened(data) as image:
        for n in range(getattr(image, "n_frames", 1)):
            image.seek(n)
            found.append(image.convert("RGBA").tobytes())
    return found


@pytest.mark.parametrize("type", SOURCES, ids=lambda type: type.mime)
def test_clean_removes_places_and_texts_and_keeps_every_pixel(type: FileType) -> None:
    source = SOURCES[type]()
    assert CANARY in source
    clean = CLEANERS[type](source)
    assert CANARY not in clean
    assert frames(clean) == frames(source)
    with opened(clean) as image:
        image.load()
        assert not image.getexif()
        assert not image.info.get("xmp")
        if type is not GIF:
            assert image.info["icc_profile"] == pictures.profile()
    assert CLEANERS[type](clean) == clean, "a clean file stays as it is"


@pytest.mark.parametrize("type", SOURCES, ids=lambda type: type.mime)
def test_clean_cut_anywhere_is_damaged(type: FileType) -> None:
    whole = CLEANERS[type](SOURCES[type]())
    for length in {0, 1, 5, 11, 30, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
        with pytest.raises(Damaged):
            CLEANERS[type](whole[:length])


@pytest.mark.parametrize("type", SOURCES, ids=lambda type: type.mime)
def test_clean_of_a_file_with_any_byte_changed_returns_or_is_damaged(type: FileType) -> None:
    whole = SOURCES[type]()
    for at in range(min(len(whole), 1500)):
        changed = bytearray(whole)
        changed[at] ^= 0xFF
        with contextlib.suppress(Damaged):
            CLEANERS[type](bytes(changed))


def test_jpeg_scan_data_is_not_encoded_anew() -> None:
    for options in ({}, {"progressive": True}, {"restart_marker_rows": 1}):
        source = pictures.jpeg(size=(200, 160), **options)
        clean = CLEANERS[JPEG](source)
        tables = source[
            source.index(b"\xff\xdb") : source.index(b"\xff\xc0" if not options.get("progressive") else b"\xff\xc2")
        ]
        assert tables in clean
        scan = source[source.index(b"\xff\xda") : source.index(b"\xff\xd9", source.rindex(b"\xff\xda"))]
        assert scan in clean


def test_jpeg_in_four_colours_keeps_how_they_are_transformed() -> None:
    source = pictures.encoded("JPEG", mode="CMYK")
    clean = CLEANERS[JPEG](source)
    assert b"Adobe" in clean
    assert frames(clean) == frames(source)


def test_jpeg_thumbnail_in_its_first_segment_goes() -> None:
    source = pictures.encoded("JPEG")
    jfif = pictures.segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\1\1" + b"RGB")
    with_thumbnail = source[:2] + jfif + source[2:]
    assert b"RGB" not in CLEANERS[JPEG](with_thumbnail)


@pytest.mark.parametrize("kind", [0xC3, 0xC9, 0xF7])
def test_jpeg_of_a_coding_that_browsers_do_not_show_is_never_passed_on(kind: int) -> None:
    source = pictures.encoded("JPEG")
    frame = source.index(b"\xff\xc0")
    changed = source[: frame + 1] + bytes((kind,)) + source[frame + 2 :]
    with contextlib.suppress(Damaged):
        assert bytes((0xFF, kind)) not in CLEANERS[JPEG](changed)


def test_png_animation_is_kept() -> None:
    out = io.BytesIO()
    images = [pictures.picture().rotate(90 * n) for n in range(3)]
    images[0].save(out, "PNG", save_all=True, append_images=images[1:])
    clean = CLEANERS[PNG](out.getvalue())
    assert frames(clean) == frames(out.getvalue())
    assert len(frames(clean)) == 3


def test_webp_header_no_longer_announces_what_went() -> None:
    source = pictures.webp()
    at = source.index(b"VP8X") + 8
    clean = CLEANERS[WEBP](source)
    assert (source[at], clean[at]) == (0x20 | 0x08 | 0x04, 0x20), "colour profile, EXIF and XMP; colour profile"


def test_webp_animation_is_kept() -> None:
    out = io.BytesIO()
    images = [pictures.picture().rotate(90 * n) for n in range(3)]
    images[0].save(out, "WEBP", save_all=True, append_images=images[1:], exif=pictures.exif())
    clean = CLEANERS[WEBP](out.getvalue())
    assert CANARY not in clean
    assert len(frames(clean)) == 3
    assert frames(clean) == frames(out.getvalue())
