"""Lines leave in the background: a reader that doesn't read costs lines, never time."""

import os
import threading
from collections.abc import Iterator

import pytest

from chatd.logs.writer import MAX_WAITING_BYTES, LineWriter

TIMEOUT_S = 20.0


class Pipe:
    """A pipe whose reader reads when it is told to."""

    def __init__(self) -> None:
        self.reader, self.fd = os.pipe()

    def read_until(self, end: bytes) -> bytes:
        data = b""
        while not data.endswith(end):
            data += os.read(self.reader, 65_536)
        return data


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    os.close(pipe.reader)


def test_line_writer_writes_lines_in_order(pipe: Pipe) -> None:
    writer = LineWriter(pipe.fd)
    for n in range(1_000):
        writer.put(f"line {n}")
    assert pipe.read_until(b"line 999\n").decode().splitlines() == [f"line {n}" for n in range(1_000)]
    assert writer.flush(TIMEOUT_S)


def test_line_writer_reader_stands_still_drops_and_counts_lines(pipe: Pipe) -> None:
    told: list[int] = []
    counted = threading.Event()

    def on_dropped(lines: int) -> None:
        told.append(lines)
        counted.set()

    writer = LineWriter(pipe.fd, on_dropped)
    line = "x" * 999
    lines = 3 * MAX_WAITING_BYTES // 1_000
    for _ in range(lines):
        writer.put(line)  # would hang here
    assert not writer.flush(0.01)
    writer_is_free = threading.Thread(target=lambda: writer.put("last"))
    writer_is_free.start()
    writer_is_free.join(TIMEOUT_S)
    assert not writer_is_free.is_alive()
    read = 0
    while not counted.is_set():
        read += os.read(pipe.reader, 65_536).count(b"\n")
        if not writer.flush(0.0):
            continue
        assert counted.wait(TIMEOUT_S)
    os.set_blocking(pipe.reader, False)
    try:
        while data := os.read(pipe.reader, 65_536):
            read += data.count(b"\n")
    except BlockingIOError:
        pass
    assert read + told[0] == lines + 1
    assert told[0] > lines // 2


def test_line_writer_reader_is_gone_counts_lines_and_goes_on() -> None:
    reader, fd = os.pipe()
    os.close(reader)
    writer = LineWriter(fd)
    writer.put("nobody hears this")
    assert writer.flush(TIMEOUT_S)
    writer.put("nor this")
    assert writer.flush(TIMEOUT_S)
    assert writer._dropped == 2
