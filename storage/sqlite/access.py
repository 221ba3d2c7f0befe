"""Rights to the files of a SQLite store, looked at before SQLite opens anything.

SQLite gives a log and its index (`-wal`, `-shm`) the mode of the file that it finds: a start on a file that is
read-only would leave such a pair behind, and they would keep the file failing once it has been mended.
"""

import os
import pwd
import stat
from pathlib import Path

from storage.contract import StoreError

SIDE_FILES = ("-wal", "-shm")


def files_of(path: Path) -> list[Path]:
    """Return the files of the store at `path` that are there."""
    every = [path, *(path.with_name(path.name + suffix) for suffix in SIDE_FILES)]
    return [file for file in every if file.exists()]


def require_folder(folder: Path) -> None:
    """Raise StoreError, for people, where this user can't work in the folder. One that isn't there may be made."""
    if why := objection(folder):
        raise StoreError(why)
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: is not a folder, and cannot hold the database")


def require_access(path: Path) -> None:
    """Raise StoreError, for people, where this user can't read and write a file of the store, or its folder."""
    require_folder(path.parent)
    if path.is_dir():
        raise StoreError(f"{path}: is a folder, not a database")
    for each in files_of(path):
        if why := objection(each):
            raise StoreError(why)


def objection(path: Path) -> str | None:
    """Return why this user can't read and write what is at `path`, for people; None where it can, or nothing is."""
    asking = _user(os.geteuid())
    try:
        seen = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # a folder above it that is closed to us
        return f"{path}: the user {asking} may not look there: {error.strerror}"
    folder = stat.S_ISDIR(seen.st_mode)
    if _may(path, os.R_OK | os.W_OK | (os.X_OK if folder else 0)):
        return None
    mode, owner = stat.S_IMODE(seen.st_mode), _user(seen.st_uid)
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        mend = "its file system is mounted read-only"
    elif seen.st_uid != os.geteuid():
        mend = f"run this as {owner}, or: chown {asking} {path}"
    else:
        mend = f"chmod u+rw{'x' if folder else ''} {path}"
    what = "folder" if folder else "file"
    return f"{path}: the user {asking} may not read and write this {what} (mode {mode:04o}, owner {owner}): {mend}"


def mend_side_files(path: Path) -> None:
    """Give `-wal` and `-shm` the mode of the file again, where they are this user's and an earlier start left them."""
    if not path.is_file() or not _may(path, os.R_OK | os.W_OK):
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    for file in files_of(path)[1:]:
        seen = file.stat()
        if seen.st_uid == os.geteuid() and stat.S_IMODE(seen.st_mode) & 0o600 != 0o600:
            file.chmod(mode)


def _may(path: Path, how: int) -> bool:
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
