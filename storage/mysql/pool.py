"""A few connections: one that writes, some that read; opened when they are needed, and again when they were lost."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from storage.contract import Unavailable, Unreachable

from .connection import Connection
from .errors import Error, Fault, is_fault, is_lost, is_unreachable, why
from .names import Names
from .url import Address

FIRST_PAUSE_S, MAX_PAUSE_S = 0.1, 5.0
"""Seconds after a failed attempt to connect in which none is made; they double with each, up to the longest."""


class Pool:
    """Connections to one database. `readers`: how many read at once; a read waits for its turn.

    `names`: those of connections that are opened from now on.
    """

    def __init__(
        self, address: Address, names: Names, *, readers: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = address
        self.names = names
        self._clock = clock
        self._closed = False
        self._lock = threading.Lock()  # of the pause
        self._pause = 0.0
        self._pause_ends = 0.0
        self._reason = ""
        self._raised: type[Unavailable] = Unavailable
        # A place holds a connection, or None where one is to be opened at next use.
        self._places: queue.SimpleQueue[Connection | None] = queue.SimpleQueue()
        self._readers = readers
        for _ in range(readers):
            self._places.put(None)

    def connect(self, *, writer: bool, timeout_s: float | None = None) -> Connection:
        """A new connection. Raises Unavailable, for a while without trying where the last attempt failed."""
        if self._closed:
            raise Unavailable("the store is closed")
        with self._lock:
            if self._clock() < self._pause_ends:
                raise self._raised(self._reason)
        try:
            connection = Connection(
                self._address, self.names, writer=writer, timeout_s=timeout_s or self._address.socket_timeout
            )
        except (Error, OSError, RuntimeError) as error:  # RuntimeError: a way to sign in that needs another package
            with self._lock:
                self._pause = min(MAX_PAUSE_S, max(FIRST_PAUSE_S, 2 * self._pause))
                self._pause_ends = self._clock() + self._pause
                self._reason = why(error)
                self._raised = Unreachable if is_unreachable(error) else Unavailable
            raise self._raised(self._reason) from None
        with self._lock:
            self._pause = 0.0
        return connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reads of one moment: everything that was committed before. Raises Unavailable.

        A connection that was lost while nobody used it is replaced.
        """
        place = self._taken()
        try:
            if place is not None:
                try:
                    place.begin_moment()
                except (Error, OSError):
                    place.close()
                    place = None
            if place is None:
                place = self.connect(writer=False)
                place.begin_moment()
            yield place
            place.end_moment()
        except (Error, OSError) as error:
            if place is not None:
                place.close()
                place = None
            raise told(error) from None
        except BaseException:
            if place is not None:
                place.close()
                place = None
            raise
        finally:
            self._places.put(place)

    def _taken(self) -> Connection | None:
        try:
            return self._places.get(timeout=self._address.pool_timeout)
        except queue.Empty:
            raise Unavailable("too many reads at once") from None

    def close(self) -> None:
        """Wait for the reads that run, and give every reader back."""
        self._closed = True
        for _ in range(self._readers):
            place = self._places.get()
            if place is not None:
                place.close()
        for _ in range(self._readers):
            self._places.put(None)


def told(error: BaseException) -> Exception:
    """Return the exception to raise for a driver's error, whose text may hold what people wrote."""
    if is_fault(error) and not is_lost(error):
        return Fault(f"MySQL error {error.args[0]}")
    return Unavailable(why(error))
