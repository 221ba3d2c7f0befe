"""Check that files can be taken: the folder, what decodes pictures, and the virus scanner with its limits."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import trio

from chatd.attachments.scan import Scanner
from chatd.config import Config

from .finding import CheckFinding

CLAMD_FILES = tuple(map(Path, ("/etc/clamav/clamd.conf", "/etc/clamd.d/scan.conf", "/etc/clamd.conf")))
"""Places of clamd's settings on Debian, Fedora and elsewhere."""

PING_S = 5.0

MIB = 1 << 20
CLAMD_LIMITS = {"StreamMaxLength": 100 * MIB, "MaxFileSize": 100 * MIB, "MaxScanSize": 400 * MIB}
"""Bytes of clamd's own limits where its settings don't name them (clamd.conf(5))."""

_CLAMD_LINE = re.compile(r"^\s*(\w+)\s+(\S+)", re.MULTILINE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


def files(settings: Config) -> Iterator[CheckFinding]:
    """Look at what every file needs."""
    yield from _folder(settings.files_path())
    yield from _decoders()
    if settings.files.clamd:
        yield from _scanner(settings)


def _folder(path: Path) -> Iterator[CheckFinding]:
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    if there == path and not path.is_dir():
        yield CheckFinding("wrong", "files", f"{path}: is not a folder")
    elif not os.access(there, os.W_OK | os.X_OK):
        yield CheckFinding("wrong", "files", f"{there}: can't be written, so no file will be taken")
    else:
        yield CheckFinding("ok", "files", str(path))


def _decoders() -> Iterator[CheckFinding]:
    try:
        import pi_heif  # type: ignore[import-untyped]  # noqa: F401
        import PIL.Image  # noqa: F401
    except ImportError as error:
        yield CheckFinding("wrong", "files", f"no picture will be taken: {error}")


def _scanner(settings: Config) -> Iterator[CheckFinding]:
    address = settings.files.clamd
    if not trio.run(Scanner(address, timeout_s=PING_S).ping):
        yield CheckFinding("wrong", "clamd", f"{address}: does not answer, so no file will be taken")
        return
    found = next((file for file in CLAMD_FILES if os.access(file, os.R_OK)), None)
    most = settings.limits.max_attachment_bytes
    if found is None:
        names = ", ".join(CLAMD_LIMITS)
        yield CheckFinding("warning", "clamd", f"{address}: answers; see that its {names} are {most} bytes or more")
        return
    given = dict(_CLAMD_LINE.findall(found.read_text(errors="replace")))
    low = [name for name, usual in CLAMD_LIMITS.items() if 0 < _bytes(given.get(name), usual) < most]
    if any(name != "StreamMaxLength" for name in low) and given.get("AlertExceedsMax", "no").lower() != "yes":
        what = " and ".join(name for name in low if name != "StreamMaxLength")
        text = f"{found}: {what} below limits.max_attachment_bytes ({most}): it lets larger files pass without a look"
        yield CheckFinding("wrong", "clamd", f"{text}; raise it, or set AlertExceedsMax yes")
    elif low:
        text = f"{found}: {' and '.join(low)} below limits.max_attachment_bytes ({most}): larger files are refused"
        yield CheckFinding("warning", "clamd", text)
    else:
        yield CheckFinding("ok", "clamd", f"{address}: answers, and looks at files of any size that is taken")


def _bytes(text: str | None, usual: int) -> int:
    """A size as clamd has it, like `25M`; 0 means no limit."""
    found = re.fullmatch(r"([0-9]+)([KMkm]?)", text or "")
    return int(found[1]) * _UNITS[found[2].upper()] if found else usual
