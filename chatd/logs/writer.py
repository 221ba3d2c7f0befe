"""Lines that leave on a thread, so that nothing waits for a pipe that nobody reads or a terminal that is paused."""

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

MAX_WAITING_BYTES = 1024 * 1024
"""Bytes of lines that wait for a descriptor; beyond it new ones are dropped."""


class LineWriter:
    """Writes lines to a file descriptor, in order; `put` never waits.

    A line that finds no place, or that the descriptor refuses, is dropped. Once a line was written again, `on_dropped`
    is called on the writer's thread with the number of lines dropped since the last call.
    """

    def __init__(self, fd: int, on_dropped: Callable[[int], None] = lambda lines: None) -> None:
        self._fd = fd
        self._on_dropped = on_dropped
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._writing = False
        self._changed = threading.Condition()
        # A daemon thread: one that hangs in a write must not keep the process from ending.
        threading.Thread(target=self._run, name=f"writer of fd {fd}", daemon=True).start()

    def put(self, line: str) -> None:
        """Queue a line, without its line feed, or drop it."""
        data = line.encode(errors="backslashreplace") + b"\n"
        with self._changed:
            if self._size + len(data) > MAX_WAITING_BYTES:
                self._dropped += 1
                return
            self._waiting.append(data)
            self._size += len(data)
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait for what is queued, at most `timeout` seconds: whether all of it has left."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._writing, timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._waiting))
                lines, self._waiting = self._waiting, deque()
                self._writing = True
            written = self._write(b"".join(lines))
            with self._changed:
                self._size -= sum(map(len, lines))
                if not written:
                    self._dropped += len(lines)
                dropped, self._dropped = (self._dropped, 0) if written else (0, self._dropped)
            if dropped:
                self._on_dropped(dropped)

    def _write(self, data: bytes) -> bool:
        while data:
            try:
                # Not through Python's file object: its lock, held by a write that hangs, aborts the interpreter's end.
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:  # another program made the shared description non-blocking
                with suppress(OSError):
                    select.select((), (self._fd,), ())
            except OSError:
                return False
        return True
