"""The way of a file into the store."""

import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from chatd.attachments import types
from chatd.attachments.accept import Acceptor
from chatd.attachments.refusal import FileRefused
from chatd.attachments.scan import Scanner
from chatd.attachments.worker import Worker
from chatd.ops.program import command
from storage.blobs import Draft, FolderBlobs
from storage.blobs.folder import DiskCalls
from support import pictures
from support.clamd import EICAR, Clamd


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    found = Worker(command("attachment-worker"))
    yield found
    await found.aclose()


def drafted(blobs: FolderBlobs, data: bytes) -> Draft:
    draft = blobs.create()
    draft.write(data)
    return draft


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


async def test_accept_picture_keeps_it_clean_with_a_thumbnail(tmp_path: Path, worker: Worker) -> None:
    blobs = FolderBlobs(tmp_path)
    draft = drafted(blobs, pictures.jpeg(6, (1000, 700)))
    done = await Acceptor(blobs=blobs, worker=worker).accept(draft, "IMG 1.JPG")
    assert (done.name, done.file.type, done.width, done.height) == ("IMG 1.jpg", "image/jpeg", 700, 1000)
    assert done.thumbnail is not None
    assert left(tmp_path) == {done.file.blob, done.thumbnail.blob}
    with blobs.open(done.file.blob) as blob:
        data = blob.read(1 << 20)
    assert pictures.CANARY not in data
    assert len(data) == done.file.size


async def test_accept_heic_keeps_a_jpeg_under_a_jpeg_s_name(tmp_path: Path, worker: Worker) -> None:
    blobs = FolderBlobs(tmp_path)
    done = await Acceptor(blobs=blobs, worker=worker).accept(drafted(blobs, pictures.HEIC), "IMG_2.HEIC")
    assert (done.name, done.file.type) == ("IMG_2.jpg", "image/jpeg")
    assert left(tmp_path) == {done.file.blob}


async def test_accept_movie_keeps_it_without_its_place(tmp_path: Path, worker: Worker) -> None:
    blobs = FolderBlobs(tmp_path)
    done = await Acceptor(blobs=blobs, worker=worker).accept(drafted(blobs, pictures.movie()), "a.mov")
    assert (done.file.type, done.width, done.height) == ("video/quicktime", 1920, 1080)
    with blobs.open(done.file.blob) as blob:
        assert pictures.CANARY not in blob.read(1 << 20)
    assert left(tmp_path) == {done.file.blob}


async def test_accept_document_needs_no_worker(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    acceptor = Acceptor(blobs=blobs, worker=Worker(["/nowhere"]), downloads={types.ZIP})
    for data, mime in ((pictures.pdf(), "application/pdf"), (b"hello", "text/plain"), (b"PK\3\4x", "application/zip")):
        done = await acceptor.accept(drafted(blobs, data), None)
        assert (done.file.type, done.file.size, done.thumbnail) == (mime, len(data), None)


async def test_accept_refused_file_leaves_nothing(tmp_path: Path, worker: Worker) -> None:
    blobs = FolderBlobs(tmp_path)
    acceptor = Acceptor(blobs=blobs, worker=worker)
    for data in (b"<html>", b"", pictures.jpeg()[:200], pictures.png_header(9000, 9000)):
        with pytest.raises(FileRefused):
            await acceptor.accept(drafted(blobs, data), "a.jpg")
    assert left(tmp_path) == set()


async def test_accept_virus_is_refused_before_it_is_decoded(tmp_path: Path, nursery: trio.Nursery) -> None:
    blobs = FolderBlobs(tmp_path / "files")
    clamd = Clamd(tmp_path / "clamd.sock")
    nursery.start_soon(trio.serve_listeners, clamd.handle, [await clamd.listen()])
    acceptor = Acceptor(blobs=blobs, worker=Worker(["/nowhere"]), scanner=Scanner(str(clamd.path)))
    for data in (EICAR, pictures.jpeg() + EICAR):
        with pytest.raises(FileRefused, match="virus"):
            await acceptor.accept(drafted(blobs, data), "a.jpg")
    assert left(tmp_path / "files") == set()


async def test_accept_on_a_full_disk_is_unavailable_and_leaves_nothing(tmp_path: Path) -> None:
    def replace(_: Path, __: Path) -> None:
        raise OSError(errno.ENOSPC, "no room")

    blobs = FolderBlobs(tmp_path, disk=DiskCalls(replace=replace))
    with pytest.raises(FileRefused, match="can't be stored right now") as caught:
        await Acceptor(blobs=blobs, worker=Worker(["/nowhere"])).accept(drafted(blobs, b"hello"), "a.txt")
    assert (caught.value.status, caught.value.temporary) == (503, True)
    assert left(tmp_path) == set()


async def test_accept_cancelled_leaves_nothing(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    silent = Worker(["/bin/sleep", "600"])
    with trio.move_on_after(0.5):
        await Acceptor(blobs=blobs, worker=silent).accept(drafted(blobs, pictures.jpeg()), "a.jpg")
    assert left(tmp_path) == set()
    assert silent.pid is None


async def test_accept_the_same_content_twice_at_once_keeps_it_once(tmp_path: Path, worker: Worker) -> None:
    blobs = FolderBlobs(tmp_path)
    acceptor = Acceptor(blobs=blobs, worker=worker)
    found = []

    async def send() -> None:
        found.append((await acceptor.accept(drafted(blobs, pictures.jpeg()), "a.jpg")).file.blob)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(send)
    assert len(set(found)) == 1
    assert left(tmp_path) == set(found)
