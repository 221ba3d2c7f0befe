"""Files in a terminal's chat: sent, numbered, saved, and how far they are."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from chatd.client import Client, RequestFailed
from chatd.client.files import Progress
from protocol.objects import Attachment
from storage.files import ATTACHMENTS_PATH

from .texts import printable

SEND = re.compile(r"/file +(\S.*)")
SAVE = re.compile(r"/save +([0-9]{1,6})")

MAX_COPIES = 1_000
"""Files of one name in a folder, beyond which none is saved."""

BAR_CHARS = 20
"""Characters of a whole bar."""


def source(text: str) -> Path:
    """Return the file that somebody typed, perhaps in quotes as a terminal pastes it."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return Path(text).expanduser()


def target(name: str, folder: Path) -> Path:
    """Return where to save a file: in the folder, under its name, in place of none. Raises OSError."""
    plain = re.sub(r"[^\w .()+-]", "_", name).strip(" .") or "file"
    stem, suffix = Path(plain).stem[:100], Path(plain).suffix[:20]
    for copy in range(1, MAX_COPIES + 1):
        found = folder / (f"{stem}{suffix}" if copy == 1 else f"{stem} ({copy}){suffix}")
        if not found.exists():
            return found
    raise OSError(f"there are {MAX_COPIES} files of this name here")


def size_of(size: int) -> str:
    """Return a number of bytes for people."""
    if size < 1_000_000:
        return f"{max(1, round(size / 1000))} kB"
    return f"{size / 1_000_000:.1f} MB"


def bar(name: str, line: Callable[[str], None]) -> Progress:
    """Return what draws how far a file is, on one line, at each new per cent."""
    drawn = -1

    def progress(done: int, size: int) -> None:
        nonlocal drawn
        percent = 100 * done // size if size else 100
        if percent != drawn:
            drawn = percent
            full = BAR_CHARS * percent // 100
            line(f"-- {name} [{'#' * full}{'.' * (BAR_CHARS - full)}] {percent} %")

    return progress


def draw(text: str) -> None:
    """Write a line over the one before; only a terminal has such a line."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r\x1b[K{text}")
        sys.stdout.flush()


class Transfers:
    """The files of one chat. `note` writes a line for people; `line` draws over the last one."""

    def __init__(self, client: Client, note: Callable[[str], None], line: Callable[[str], None]) -> None:
        self._client = client
        self._note = note
        self._line = line
        self._files: list[Attachment] = []

    def shown(self, file: Attachment) -> str:
        """Return a file as its message shows it: with the number by which it is saved, or its address elsewhere."""
        name = printable(file.name, " ")
        if not file.url.startswith(ATTACHMENTS_PATH):
            return f"<{name}: {printable(file.url, ' ')}>"
        if file not in self._files:
            self._files.append(file)
        return f"<[{self._files.index(file) + 1}] {name}, {size_of(file.size)}>"

    async def upload(self, file: Path) -> str | None:
        """Upload a file: its id; None where it isn't taken, which is said."""
        name = printable(file.name, " ")
        try:
            return await self._client.files.upload(file, progress=bar(name, self._line))
        except (RequestFailed, OSError) as error:
            self._note(f"not sent: {name} ({_reason(error)})")
            return None
        finally:
            self._line("")

    async def save(self, number: int) -> None:
        """Save a file that was shown, in this folder."""
        if not 0 < number <= len(self._files):
            self._note(f"there is no file [{number}]")
            return
        file = self._files[number - 1]
        name = printable(file.name, " ")
        try:
            path = target(file.name, Path.cwd())
            await self._client.files.download(file, path, progress=bar(name, self._line))
        except (RequestFailed, OSError, ValueError) as error:
            self._note(f"not saved: {name} ({_reason(error)})")
        else:
            self._note(f"saved: {printable(path.name, ' ')}")
        finally:
            self._line("")


def _reason(error: Exception) -> str:
    if isinstance(error, RequestFailed):
        return printable(error.message, " ")
    return printable(getattr(error, "strerror", None) or str(error), " ")
