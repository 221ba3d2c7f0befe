"""Watch of the room that is left on the disk."""

import shutil
from pathlib import Path


def problem(folder: Path, least: int) -> str | None:
    """Return why the disk of this folder can't take messages for much longer, or None; `least` in bytes.

    A folder that isn't there says nothing: with a store elsewhere, nothing is kept in it.
    """
    if not least:
        return None
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return None
    return None if free >= least else f"the disk is almost full: {free // 2**20} MiB are free"
