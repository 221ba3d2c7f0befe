"""The file of a `SqliteStore` and the connections to it: opening, failing, repairing.

After a failure of the disk every connection is closed, the log is copied into the file and synced, before anything more
is acknowledged: the operating system may have dropped the pages that it could not write, so what was written since the
last good sync must not be built upon.
"""

import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from sqlite_utils import Database
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.contract import StoreError, Unavailable
from storage.search import fold

from .access import mend_side_files, require_access, require_folder
from .inspection import inspect, refusal
from .schema import migrate
from .search import prepare

SAFE_VERSION = (3, 51, 3)
"""Below it a WAL database may be corrupted when several connections use it (the WAL-reset bug): one connection then."""

BUSY_TIMEOUT_S = 5.0
"""Seconds to wait for another process that holds the file."""

CACHE_KIB = 32_768
"""KiB of pages that each connection may keep: the busy ends of the indexes of a large file."""

CHECKPOINT_PAGES = 8_000
"""Pages in the log before they are copied into the file (32 MiB): a page that changed often is copied once."""

LOG_LIMIT_BYTES = 2 * CHECKPOINT_PAGES * 4096
"""Bytes that the log keeps once it was copied; one that grew beyond, as while another program read, is cut to that."""

_OUT_OF_SPACE = 13  # SQLITE_FULL
_BUSY = 5  # SQLITE_BUSY
_NOT_WRITTEN = 778  # SQLITE_IOERR_WRITE: a quota, say; nothing was synced, so nothing is in doubt

Connection = Any  # sqlite3.Connection of whichever module sqlite-utils found

# Both are bound as what they are in any case, but only after a search for somebody who would adapt them, which ends in
# an exception: five times as long as to bind a number. A message had four such values, a receipt six.
sqlite3.register_adapter(type(None), lambda nothing: nothing)
sqlite3.register_adapter(bool, int)


class SqliteFile:
    """One writer and a few readers of the SQLite file at `path`.

    `new`: a file is made where there is none or an empty one, and its folder, readable by its owner alone. `new_epoch`
    names a new file's lineage; `development` marks a new file. `upgrade`: a file of an older version is brought to
    this one's; `upgraded` names what was done to it; `made`: it was new. Raises StoreError where it can't be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        new_epoch: Callable[[], str],
        development: bool = False,
        durability: Literal["full", "normal"] = "full",
        readers: int = 2,
        new: bool = True,
        upgrade: bool = True,
    ) -> None:
        self.path = path
        self.made = False
        self.upgraded: tuple[str, ...] = ()
        self.generation = 0
        self.single = sqlite3.sqlite_version_info < SAFE_VERSION
        self._durability = durability
        self._failed = False  # the connections must be opened anew
        self._refused = False  # the last commit failed, and left the connection sound
        self._closed = False
        self._lock = threading.RLock()  # of the writer, which reads use too where it is the only connection
        self._writer: Connection | None = None
        # A place holds a connection, or None where one is to be opened at next use.
        self._readers: queue.SimpleQueue[Connection | None] = queue.SimpleQueue()
        self._places = 1 if self.single else readers
        for _ in range(self._places):
            self._readers.put(None)
        try:
            require_folder(path.parent)
            mend_side_files(path)
            require_access(path)
            self._make_file(new=new)
            found = inspect(path)
            if why := refusal(found, new=new, upgrade=upgrade):
                raise StoreError(f"{path}: {why}")
            self.made = found.empty
            self.upgraded = () if found.empty else found.pending
            self._writer = self._connect()
            migrate(Database(self._writer, recursive_triggers=False))
            prepare(self._writer)
            self._writer.execute(
                "INSERT OR IGNORE INTO chatd_meta VALUES ('epoch', ?), ('development', ?)",
                [new_epoch(), str(int(development))],
            )
            meta = dict(self._writer.execute("SELECT key, value FROM chatd_meta").fetchall())
        except StoreError:
            self.close()
            raise
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise StoreError(f"{path}: cannot be used as the database: {_why(error)}") from error
        self.epoch: str = meta["epoch"]
        self.development = meta["development"] == "1"

    # -- opening, failing, repairing --

    def _make_file(self, *, new: bool) -> None:
        if not new:
            if not self.path.exists():
                raise StoreError(f"there is no database {self.path}")
            return
        self.path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))

    def _connect(self) -> Connection:
        if self._closed:
            raise Unavailable("the store is closed")
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",  # never makes a file: an empty one would pass for the store
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_TIMEOUT_S,
            cached_statements=512,
        )
        try:
            connection.create_function("fold", 1, fold, deterministic=True)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._durability}")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT_BYTES}")
        except BaseException:
            connection.close()
            raise
        return connection

    def checkpoint(self) -> int:
        size = self._log_bytes()
        if size <= LOG_LIMIT_BYTES:
            return 0
        with self._lock:
            self._require_writer()
            assert self._writer is not None
            try:
                (_, pages, copied) = self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            except sqlite3.Error as error:
                raise Unavailable(_why(error)) from error
        return size if copied < pages else 0

    def _log_bytes(self) -> int:
        try:
            return self.path.with_name(self.path.name + "-wal").stat().st_size
        except OSError:
            return 0

    def repair(self) -> None:
        with self._lock:
            self._require_writer()
            if self._refused:
                self._try_out()

    def _require_writer(self) -> None:
        if self._failed or self._writer is None:
            self._reopen()

    def _try_out(self) -> None:
        """After a commit for which there was no space: write a page. Raises Unavailable."""
        writer = self._writer
        assert writer is not None
        try:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("INSERT INTO chatd_meta VALUES ('probe', '')")
            writer.execute("DELETE FROM chatd_meta WHERE key = 'probe'")
            writer.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._gave_up(writer, error) from error
        self._refused = False

    def _reopen(self) -> None:
        """Close every connection, then open, checkpoint and sync. Raises Unavailable.

        Reads wait meanwhile, so none sees what a failed commit left before `generation` tells of it.
        """
        with self._all_closed():
            try:
                connection = self._connect()
                try:
                    (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                    epoch = connection.execute("SELECT value FROM chatd_meta WHERE key = 'epoch'").fetchone()
                    if busy or epoch != (self.epoch,):
                        raise Unavailable("the database file is held or was replaced by another process")
                except BaseException:
                    connection.close()
                    raise
            except sqlite3.Error as error:
                raise Unavailable(_why(error)) from error
            self._writer = connection
            self._failed = self._refused = False
            self.generation += 1

    @contextmanager
    def _all_closed(self) -> Iterator[None]:
        """Run with every connection closed, once the reads that run have ended; those that come wait."""
        places = [self._readers.get() for _ in range(self._places)]
        try:
            for connection in (*places, self._writer):
                if connection is not None:
                    with suppress(sqlite3.Error):
                        connection.close()
            self._writer = None
            self._forget()
            yield
        finally:
            for _ in places:
                self._readers.put(None)

    def _forget(self) -> None:
        """Drop what was read through the writer: it may no longer hold."""

    def close(self) -> None:
        with self._lock, self._all_closed():
            self._closed = True

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """The writer in a transaction, which is durable when this ends. Raises Unavailable."""
        with self._lock:
            self._require_writer()
            writer = self._writer
            assert writer is not None
            try:
                writer.execute("BEGIN IMMEDIATE")
                yield writer
                writer.execute("COMMIT")
                self._refused = False
            except sqlite3.IntegrityError:
                self._roll_back(writer)  # a rule was broken that apply should have kept: a bug, not the disk
                raise
            except sqlite3.Error as error:
                raise self._gave_up(writer, error) from error
            except BaseException:
                self._roll_back(writer)
                raise

    def _gave_up(self, writer: Connection, error: Exception) -> Unavailable:
        """After a transaction failed: what must come before the next one, and what to raise."""
        clean = self._roll_back(writer)
        self._refused = clean and (_code(error) in (_OUT_OF_SPACE, _BUSY) or _extended(error) == _NOT_WRITTEN)
        self._failed = not self._refused
        return Unavailable(_why(error))

    def _roll_back(self, writer: Connection) -> bool:
        """Return True if the connection is good for another transaction."""
        self._forget()
        try:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
        except sqlite3.Error:
            self._failed = True
            return False
        return True

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection in a transaction of its own: one moment of the store. Raises Unavailable."""
        with self._lock if self.single else _nothing():
            place: Any = None if self.single else self._readers.get()
            try:
                if self.single:
                    self._require_writer()
                    place = self._writer
                elif place is None:
                    place = self._connect()
                    place.execute("PRAGMA query_only = ON")
                place.execute("BEGIN")
                try:
                    yield place
                finally:
                    if place.in_transaction:
                        place.execute("ROLLBACK")
            except sqlite3.Error as error:
                if self.single:
                    self._failed = True
                elif place is not None:
                    place.close()
                    place = None
                raise Unavailable(_why(error)) from error
            finally:
                if not self.single:
                    self._readers.put(place)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _extended(error: BaseException) -> int:
    """SQLite's extended result code."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0)


def _code(error: BaseException) -> int:
    """SQLite's primary result code."""
    return _extended(error) & 0xFF


def _why(error: BaseException) -> str:
    """Return the cause for people, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
