"""Takes places, names, comments and hidden copies out of files without encoding them anew.

One file a format. Each keeps what is named in its list and drops all else, so that what nobody here has heard of goes
too. Nothing after the end of a picture is kept: a second file could hide there. Raises Damaged where the structure
isn't that of the format.
"""

from collections.abc import Callable

from ..types import AVIF, GIF, JPEG, PNG, WEBP, FileType
from . import avif, gif, jpeg, png, webp
from .errors import Damaged

CLEANERS: dict[FileType, Callable[[bytes], bytes]] = {
    JPEG: jpeg.clean,
    PNG: png.clean,
    WEBP: webp.clean,
    GIF: gif.clean,
    AVIF: avif.clean,
}
"""Functions from a picture to the same picture without metadata, by type."""

__all__ = ["CLEANERS", "Damaged"]
