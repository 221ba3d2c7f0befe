"""File names that are safe to show, to save and to send in a header."""

import re
import unicodedata
from urllib.parse import quote

from .types import FileType

NAME_BYTES = 150
"""Bytes of a name in UTF-8, extension included."""

# C0, C1, DEL; what steers the direction or is invisible; surrogates and private use; separators of lines.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\.|$)", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"|?*%]')
_EXTENSION = re.compile(r"\.([A-Za-z0-9]{1,8})$")

# RFC 8187, attr-char: these stand for themselves beside letters and digits.
_ATTR_CHARS = "!#$&+-.^_`|~"


def safe_name(given: str | None, type: FileType) -> str:
    """A name without path, controls or reserved words, whose extension is one of the type's."""
    name = unicodedata.normalize("NFC", (given or "").replace("\\", "/")).rsplit("/", 1)[-1]
    name = "".join(c for c in name if unicodedata.category(c) not in _UNSEEN)
    name = re.sub(r"\s+", " ", _FORBIDDEN.sub("_", name)).strip(" ").rstrip(".")
    stem, extension = name, type.extensions[0]
    if match := _EXTENSION.search(name):
        stem = name[: match.start()]
        if match[1].lower() in type.extensions:
            extension = match[1].lower()
    stem = stem.strip(" .") or type.noun
    if _RESERVED.match(stem):
        stem = f"_{stem}"
    stem = _shortened(stem, NAME_BYTES - len(extension) - 1)
    return f"{stem}.{extension}"


def disposition(name: str, *, inline: bool) -> str:
    """Content-Disposition with both forms of a safe name (RFC 6266): ASCII for the old, UTF-8 for the rest."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9 !#$&+^_`{}~()\[\],;=@\'.-]", "_", plain).strip()
    if not plain or plain.startswith("."):
        plain = f"file{plain}"
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"


def _shortened(text: str, limit: int) -> str:
    """At most so many bytes of UTF-8, never half a character."""
    return text.encode()[:limit].decode("utf-8", "ignore").strip(" .")
