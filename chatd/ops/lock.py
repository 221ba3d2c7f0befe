"""One owner of a store at a time: locks that the operating system takes away from whoever dies."""

import fcntl
import os
from pathlib import Path

from storage.sqlite.access import objection

LOCK_FILE = "chatd.lock"


class LockHeld(Exception):
    """Somebody else has it: `who` has `what`, for people. `daemon`: a daemon, which keeps it."""

    def __init__(self, what: Path, pid: str, daemon: bool) -> None:
        self.what = what
        self.who = f"process {pid}" if pid.isdecimal() else "another process"
        self.daemon = daemon
        super().__init__(f"{what} is in use by {self.who}")


def not_taken(error: OSError) -> str:
    """Return why a lock could not be made, for people."""
    path = Path(str(error.filename))
    objections = (objection(each) for each in (path.parent, path))
    return next(filter(None, objections), f"{error.filename}: {error.strerror or error}")


class Lock:
    """Holds the data folder, and the database file where that lies elsewhere, until `close` or the end.

    `daemon`: a daemon takes it, not a command that is done in a moment. The folder is made where it is missing,
    readable by its owner alone. Raises LockHeld, or OSError.
    """

    def __init__(self, folder: Path, database: Path | None, *, daemon: bool) -> None:
        self._descriptors: list[int] = []
        try:
            self._take(folder, folder / LOCK_FILE, daemon=daemon)
            if database is not None and database.parent.resolve() != folder.resolve():
                self._take(database, database.with_name(database.name + ".lock"), daemon=daemon)
        except BaseException:
            self.close()
            raise

    def _take(self, what: Path, path: Path, *, daemon: bool) -> None:
        path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._descriptors.append(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid, _, kind = os.pread(descriptor, 64, 0).decode("ascii", "replace").partition(" ")
            raise LockHeld(what, pid, kind.strip() == "daemon") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {'daemon' if daemon else 'command'}\n".encode(), 0)

    def close(self) -> None:
        """Let others have it. The files stay: a file that is removed may be locked twice."""
        while self._descriptors:
            os.close(self._descriptors.pop())
