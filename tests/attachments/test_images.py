"""What becomes of a picture: upright, without a place, measured, with a thumbnail."""

import io
from pathlib import Path

import pytest
from PIL import Image, JpegImagePlugin

from chatd.attachments import images
from chatd.attachments.metadata.errors import TooManyPixels
from chatd.attachments.types import AVIF, GIF, HEIC, JPEG, PNG, WEBP, FileType
from support import pictures
from support.pictures import CANARY, SHOWN, corners

LARGE = (1000, 700)


class Processed:
    """A picture after `process`, and what it said."""

    def __init__(self, folder: Path, type: FileType, data: bytes) -> None:
        source, target, small = (folder / name for name in ("source", "target", "small"))
        source.write_bytes(data)
        self.found = images.process(type, source, target, small)
        self.data = target.read_bytes()
        self.thumbnail = small.read_bytes() if small.exists() else None

    @property
    def image(self) -> Image.Image:
        return Image.open(io.BytesIO(self.data))

    @property
    def small(self) -> Image.Image:
        assert self.thumbnail is not None
        return Image.open(io.BytesIO(self.thumbnail))


def tables(jpeg: bytes) -> dict[int, list[int]]:
    """The quantisation tables of a JPEG."""
    with Image.open(io.BytesIO(jpeg)) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        return image.quantization


def sent(type: FileType, orientation: int, size: tuple[int, int] = pictures.SIZE) -> bytes:
    if type is PNG:
        return pictures.png("RGB", orientation, size)
    return {JPEG: pictures.jpeg, WEBP: pictures.webp, AVIF: pictures.avif}[type](orientation, size)


@pytest.mark.parametrize("type", [JPEG, PNG, WEBP], ids=lambda type: type.mime)
@pytest.mark.parametrize("orientation", SHOWN)
def test_picture_in_any_orientation_comes_out_upright_and_without_a_place(
    tmp_path: Path, type: FileType, orientation: int
) -> None:
    done = Processed(tmp_path, type, sent(type, orientation))
    assert CANARY not in done.data
    assert not done.image.getexif()
    assert corners(done.image) == SHOWN[orientation]
    assert done.image.size == ((48, 64) if orientation >= 5 else (64, 48))
    assert (done.found["width"], done.found["height"]) == done.image.size
    assert done.image.info["icc_profile"] == pictures.profile()


def test_picture_upright_is_not_encoded_anew(tmp_path: Path) -> None:
    source = pictures.jpeg(size=LARGE)
    scan = source[source.index(b"\xff\xda") : source.index(b"\xff\xd9", source.rindex(b"\xff\xda"))]
    assert scan in Processed(tmp_path, JPEG, source).data


@pytest.mark.parametrize("quality", [30, 75, 97])
def test_jpeg_turned_keeps_the_tables_of_its_source(tmp_path: Path, quality: int) -> None:
    source = pictures.jpeg(6, quality=quality, subsampling=2)
    done = Processed(tmp_path, JPEG, source)
    assert tables(done.data) == tables(source)


@pytest.mark.parametrize("bad", [b"Exif\0\0MM", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_jpeg_with_exif_that_cannot_be_read_is_left_as_it_lies(tmp_path: Path, bad: bytes) -> None:
    source = pictures.encoded("JPEG")
    done = Processed(tmp_path, JPEG, source[:2] + pictures.segment(0xE1, bad) + source[2:])
    assert corners(done.image) == SHOWN[1]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_avif_turned_by_its_own_boxes_is_measured_and_shrunk_upright(tmp_path: Path, orientation: int) -> None:
    done = Processed(tmp_path, AVIF, pictures.avif(orientation, LARGE))
    assert CANARY not in done.data
    shown = (700, 1000) if orientation >= 5 else (1000, 700)
    assert (done.found["width"], done.found["height"]) == shown
    assert corners(done.small) == SHOWN[orientation]


def test_heic_becomes_an_upright_jpeg_without_a_place(tmp_path: Path) -> None:
    assert CANARY in pictures.HEIC
    done = Processed(tmp_path, HEIC, pictures.HEIC)
    assert done.found == {"type": "image/jpeg", "width": 48, "height": 64, "thumbnail": None}
    assert done.image.format == "JPEG"
    assert CANARY not in done.data
    assert not done.image.getexif()
    assert corners(done.image) in {"rrbb", "bbrr"}


@pytest.mark.parametrize("type", [JPEG, PNG, WEBP, AVIF], ids=lambda type: type.mime)
def test_thumbnail_of_a_large_picture_is_small_upright_and_of_its_colours(tmp_path: Path, type: FileType) -> None:
    done = Processed(tmp_path, type, sent(type, 6, LARGE))
    assert done.found["thumbnail"] == {"type": "image/jpeg"}
    assert done.small.size == (448, 640)
    assert corners(done.small) == SHOWN[6]
    assert done.small.info["icc_profile"] == pictures.profile()
    assert done.thumbnail is not None
    assert CANARY not in done.thumbnail


def test_thumbnail_of_a_transparent_picture_stays_transparent(tmp_path: Path) -> None:
    done = Processed(tmp_path, PNG, pictures.png("RGBA", 1, LARGE))
    assert done.found["thumbnail"] == {"type": "image/webp"}
    pixel = done.small.convert("RGBA").getpixel((600, 400))
    assert isinstance(pixel, tuple)
    assert pixel[3] == 0


def test_thumbnail_of_an_animation_is_its_first_frame(tmp_path: Path) -> None:
    done = Processed(tmp_path, GIF, pictures.gif())
    assert done.thumbnail is not None
    assert getattr(done.small, "n_frames", 1) == 1
    assert corners(done.small) == "rgbw"
    assert getattr(done.image, "n_frames", 1) == 3


def test_thumbnail_of_a_small_picture_is_not_made(tmp_path: Path) -> None:
    assert Processed(tmp_path, JPEG, pictures.jpeg()).thumbnail is None


@pytest.mark.parametrize("mode", ["L", "1", "P", "I;16", "CMYK"])
def test_thumbnail_of_any_mode_shows_the_picture(tmp_path: Path, mode: str) -> None:
    grey = Image.new("L", LARGE, 60)
    grey.paste(200, (0, 0, 500, 700))
    image = grey.point(lambda value: value * 257, "I").convert("I;16") if mode == "I;16" else grey.convert(mode)
    out = io.BytesIO()
    type = JPEG if mode == "CMYK" else PNG
    image.save(out, type.extensions[0].replace("jpg", "jpeg"))
    small = Processed(tmp_path, type, out.getvalue()).small.convert("L")
    light, dark = small.getpixel((100, 200)), small.getpixel((600, 200))
    assert isinstance(light, int | float)
    assert isinstance(dark, int | float)
    assert light - dark > 100 if mode != "1" else light > 128


def test_picture_with_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    with pytest.raises(TooManyPixels):
        Processed(tmp_path, PNG, pictures.png_header(7072, 7072))


def test_picture_with_fewer_pixels_than_announced_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="truncated"):
        Processed(tmp_path, PNG, pictures.png_header(1000, 1000))
