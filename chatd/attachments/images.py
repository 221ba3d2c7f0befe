"""The worker process's treatment of one picture: clean, turn upright, measure, shrink. Nothing else imports Pillow."""

import io
import warnings
from pathlib import Path

import pi_heif  # type: ignore[import-untyped]
from PIL import Image, JpegImagePlugin

from .metadata import CLEANERS
from .metadata.errors import TooManyPixels
from .types import AVIF, GIF, HEIC, JPEG, PNG, WEBP, FileType

MAX_PIXELS = 50_000_000
MAX_FILE_BYTES = 100 << 20
THUMBNAIL_EDGE_PX = 640
THUMBNAIL_QUALITY = 80
HEIC_QUALITY = 90
WEBP_QUALITY = 90

_FORMATS = {JPEG: "JPEG", PNG: "PNG", WEBP: "WEBP", GIF: "GIF", AVIF: "AVIF", HEIC: "HEIF"}
"""Pillow's name of each; it is asked for no other, as some of its readers have had bombs of their own."""

_ORIENTATION = 0x0112
_METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition that makes a picture upright, by EXIF's orientation."""

_TRANSPARENT_MODES = {"LA", "PA", "RGBA", "RGBa", "La"}

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
pi_heif.register_heif_opener(thumbnails=False)
pi_heif.options.DECODE_THREADS = 1  # each thread takes address space, which is limited


def process(type: FileType, source: Path, target: Path, thumbnail: Path) -> dict[str, object]:
    """Write the clean picture to `target` and, where it is larger than one, its thumbnail to `thumbnail`.

    Return what is known of them. The header is checked before anything is decoded, and everything is decoded, so that
    a picture cut half way is found.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # corrupt EXIF
        # Pillow warns above the limit and raises above twice as much.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return _process(type, source, target, thumbnail)


def _process(type: FileType, source: Path, target: Path, thumbnail: Path) -> dict[str, object]:
    if source.stat().st_size > MAX_FILE_BYTES:
        raise TooManyPixels
    data = source.read_bytes()
    with _open(type, data) as image:
        turn = _turn(image)
        animated = getattr(image, "n_frames", 1) > 1
    if type is HEIC:
        with _open(type, data) as image:
            data, type = _jpeg_of_heic(image), JPEG
    else:
        data = CLEANERS[type](data)
        if turn and type in {JPEG, PNG, WEBP} and not animated:
            data = _turned(type, data, turn)
            turn = 0
    target.write_bytes(data)
    with _open(type, data) as image:
        image.load()
        # An AVIF stays as it lies: its own boxes say how it is turned, and all that show AVIF obey them.
        upright = image.transpose(_METHODS[turn]) if turn and type is AVIF else image
        small = _thumbnail(upright, image.info.get("icc_profile"), thumbnail, wanted=animated)
        return {"type": type.mime, "width": upright.width, "height": upright.height, "thumbnail": small}


def _open(type: FileType, data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=[_FORMATS[type]])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels from error


def _turn(image: Image.Image) -> int:
    """EXIF's orientation, 2 to 8; 0 if it is upright. XMP's is not asked, as browsers don't either."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        turn = exif.get(_ORIENTATION, 1)
    except Exception:  # EXIF that can't be read turns nothing
        return 0
    return turn if turn in _METHODS else 0


def _turned(type: FileType, data: bytes, turn: int) -> bytes:
    """The picture upright, encoded as its source was."""
    with _open(type, data) as image:
        profile = image.info.get("icc_profile")
        upright = image.transpose(_METHODS[turn])
        out = io.BytesIO()
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            sampling = JpegImagePlugin.get_sampling(image)
            upright.save(
                out,
                "JPEG",
                qtables=image.quantization,
                subsampling=sampling if sampling >= 0 else 0,
                progressive=bool(image.info.get("progressive")),
                optimize=True,
                icc_profile=profile,
                dpi=_turned_dpi(image, turn),
            )
        elif type is PNG:
            upright.save(out, "PNG", icc_profile=profile)
        else:
            lossless = b"VP8L" in data[:64]
            upright.save(out, "WEBP", lossless=lossless, quality=WEBP_QUALITY, icc_profile=profile or b"", exact=True)
    return out.getvalue()


def _turned_dpi(image: Image.Image, turn: int) -> tuple[float, float]:
    across, down = image.info.get("dpi", (0, 0))
    return (down, across) if turn >= 5 else (across, down)


def _jpeg_of_heic(image: Image.Image) -> bytes:
    """A JPEG, as most browsers can't show HEIC. It is decoded upright, as the file's own boxes say."""
    profile = image.info.get("icc_profile")
    out = io.BytesIO()
    _flat(image).save(out, "JPEG", quality=HEIC_QUALITY, icc_profile=profile, optimize=True)
    return out.getvalue()


def _thumbnail(image: Image.Image, profile: bytes | None, target: Path, *, wanted: bool) -> dict[str, object] | None:
    """Write the first frame, shrunk: transparent as WebP, else as JPEG. None where the picture itself is small."""
    if max(image.size) <= THUMBNAIL_EDGE_PX and not wanted:
        return None
    small = _eight_bit(image)
    small.thumbnail((THUMBNAIL_EDGE_PX, THUMBNAIL_EDGE_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
    if (image.mode in {"L", "LA", "I;16", "1"}) != (small.mode in {"L", "LA"}) or image.mode in {"CMYK", "LAB"}:
        profile = None  # of colours that the thumbnail no longer has
    if small.mode in _TRANSPARENT_MODES:
        small.save(target, "WEBP", quality=THUMBNAIL_QUALITY, icc_profile=profile or b"")
        return {"type": WEBP.mime}
    small.save(target, "JPEG", quality=THUMBNAIL_QUALITY, icc_profile=profile, optimize=True)
    return {"type": JPEG.mime}


def _eight_bit(image: Image.Image) -> Image.Image:
    """The picture as L, LA, RGB or RGBA, which can be shrunk and encoded."""
    if image.mode.startswith("I"):
        # 16 bits a pixel: Pillow would cut off what is above 255.
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in {"L", "RGB", "RGBA", "LA"} and "transparency" not in image.info:
        return image.copy()
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode == "1" else "RGB")


def _flat(image: Image.Image) -> Image.Image:
    """The picture without transparency, on white."""
    if image.mode in _TRANSPARENT_MODES:
        ground = Image.new("RGB", image.size, "white")
        ground.paste(image, mask=image.getchannel("A"))
        return ground
    return image if image.mode in {"L", "RGB"} else image.convert("RGB")
