"""The virus scan: a file passes on an exact OK, and on nothing else."""

from pathlib import Path

import pytest
import trio

from chatd.attachments.refusal import FileRefused
from chatd.attachments.scan import SCAN_CHUNK_BYTES, Scanner
from support.clamd import EICAR, Clamd


def written(folder: Path, data: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(data)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path, b"x" * (3 * SCAN_CHUNK_BYTES + 7))


@pytest.fixture
async def clamd(tmp_path: Path, nursery: trio.Nursery) -> Clamd:
    found = Clamd(tmp_path / "clamd.sock")
    nursery.start_soon(trio.serve_listeners, found.handle, [await found.listen()])
    return found


async def test_scan_clean_file_passes_whole(clamd: Clamd, file: Path) -> None:
    await Scanner(str(clamd.path)).scan(file)
    assert clamd.seen == [b"x" * (3 * SCAN_CHUNK_BYTES + 7)]


async def test_scan_virus_is_refused(clamd: Clamd, tmp_path: Path) -> None:
    file = written(tmp_path, b"hello " + EICAR)
    with pytest.raises(FileRefused, match="virus scanner refused") as caught:
        await Scanner(str(clamd.path)).scan(file)
    assert caught.value.status == 400
    assert not caught.value.temporary


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"stream: OK",
        b"stream: OK\0more",
        b"stream: ok\0",
        b"OK\0",
        b" stream: OK\0",
        b"stream: OK\n\0",
        b"stream: Can't allocate memory ERROR\0",
        b"stream: Heuristics.Limits.Exceeded FOUND",
        b"UNKNOWN COMMAND\0",
        b"\xff" * 5000,
    ],
)
async def test_scan_any_other_answer_takes_no_file(clamd: Clamd, file: Path, reply: bytes) -> None:
    clamd.answer = lambda _: reply
    with pytest.raises(FileRefused) as caught:
        await Scanner(str(clamd.path)).scan(file)
    assert caught.value.temporary


async def test_scan_over_the_limits_of_clamd_takes_no_file(clamd: Clamd, tmp_path: Path) -> None:
    clamd.most = 1000
    file = written(tmp_path, b"x" * 5_000_000)
    with pytest.raises(FileRefused) as caught:
        await Scanner(str(clamd.path)).scan(file)
    assert caught.value.temporary


async def test_scan_without_an_answer_in_time_takes_no_file(clamd: Clamd, file: Path) -> None:
    clamd.silent = True
    with pytest.raises(FileRefused, match="does not answer") as caught:
        await Scanner(str(clamd.path), timeout_s=0.3).scan(file)
    assert caught.value.status == 503


@pytest.mark.parametrize("address", ["/nowhere/clamd.sock", "127.0.0.1:1", "[::1]:1"])
async def test_scan_without_clamd_takes_no_file(file: Path, address: str) -> None:
    with pytest.raises(FileRefused, match="does not answer"):
        await Scanner(address).scan(file)
    assert not await Scanner(address).ping()


async def test_scan_over_tcp_passes_a_clean_file(clamd: Clamd, file: Path, nursery: trio.Nursery) -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, clamd.handle, [listener])
    address = f"127.0.0.1:{listener.socket.getsockname()[1]}"
    await Scanner(address).scan(file)
    assert await Scanner(address).ping()
