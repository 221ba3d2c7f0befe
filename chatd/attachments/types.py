"""Types of files that are accepted. Every other type is refused."""

from enum import Enum

import attrs


class Handling(Enum):
    """The treatment of a file before it is kept."""

    IMAGE = "image"
    """Cleaned, measured and shrunk, in the worker process."""

    MOVIE = "movie"
    """An ISO media file, video or audio: cleaned in place, in the worker process."""

    AS_IT_IS = "as it is"
    """Kept byte for byte; browsers show or play it."""

    DOWNLOAD = "download"
    """Kept byte for byte and never shown; taken only where the settings allow it."""


@attrs.frozen
class FileType:
    """A kind of file. `extensions`: the first is given to a name that has none of them."""

    mime: str
    extensions: tuple[str, ...]
    handling: Handling
    noun: str


JPEG = FileType("image/jpeg", ("jpg", "jpeg", "jpe", "jfif"), Handling.IMAGE, "picture")
PNG = FileType("image/png", ("png",), Handling.IMAGE, "picture")
WEBP = FileType("image/webp", ("webp",), Handling.IMAGE, "picture")
GIF = FileType("image/gif", ("gif",), Handling.IMAGE, "picture")
AVIF = FileType("image/avif", ("avif",), Handling.IMAGE, "picture")
HEIC = FileType("image/heic", ("heic", "heif"), Handling.IMAGE, "picture")
MP4 = FileType("video/mp4", ("mp4", "m4v"), Handling.MOVIE, "video")
MOV = FileType("video/quicktime", ("mov", "qt"), Handling.MOVIE, "video")
M4A = FileType("audio/mp4", ("m4a", "m4b"), Handling.MOVIE, "recording")
OGG = FileType("audio/ogg", ("ogg", "oga", "opus"), Handling.AS_IT_IS, "recording")
WEBM = FileType("audio/webm", ("webm", "weba"), Handling.AS_IT_IS, "recording")
PDF = FileType("application/pdf", ("pdf",), Handling.AS_IT_IS, "document")
TEXT = FileType("text/plain", ("txt", "text", "md", "csv", "log"), Handling.AS_IT_IS, "text")
DICOM = FileType("application/dicom", ("dcm", "dicom"), Handling.DOWNLOAD, "X-ray")
DOCX = FileType(
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document", ("docx",), Handling.DOWNLOAD, "document"
)
ZIP = FileType("application/zip", ("zip",), Handling.DOWNLOAD, "archive")

ALL = (JPEG, PNG, WEBP, GIF, AVIF, HEIC, MP4, MOV, M4A, OGG, WEBM, PDF, TEXT, DICOM, DOCX, ZIP)

BY_MIME = {type.mime: type for type in ALL}

DOWNLOADS = {"dicom": DICOM, "docx": DOCX, "zip": ZIP}
"""Types that a setting allows, under the names it has for them."""
