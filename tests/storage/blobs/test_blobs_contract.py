"""The contract of a store of files, held by every one."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from storage.blobs import Blob, BlobError, BlobNotFound, Blobs, FolderBlobs
from storage.blobs.contract import SWEEP_AGE_S


class Clock:
    """Seconds ahead of the real time, which is what files are dated by."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["folder"])
def blobs(tmp_path: Path, clock: Clock) -> Blobs:
    return FolderBlobs(tmp_path / "files", now=clock)


def keep(blobs: Blobs, data: bytes) -> str:
    draft = blobs.create()
    draft.write(data)
    return draft.commit()


def content(blob: Blob) -> bytes:
    with blob:
        return b"".join(iter(lambda: blob.read(3), b""))


def test_draft_committed_is_read_under_its_hash(blobs: Blobs) -> None:
    draft = blobs.create()
    draft.write(b"hello ")
    draft.write(b"world")
    assert draft.offset == 11
    name = draft.commit()
    assert name == hashlib.sha256(b"hello world").hexdigest()
    assert content(blobs.open(name)) == b"hello world"
    with pytest.raises(BlobNotFound):
        blobs.resume(draft.id)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 2, b"he"), (4, None, b"o"), (0, 100, b"hello"), (5, None, b""), (9, None, b""), (3, 1, b"")],
)
def test_blob_range_returns_exactly_those_bytes(blobs: Blobs, start: int, end: int | None, expected: bytes) -> None:
    blob = blobs.open(keep(blobs, b"hello"), start, end)
    assert blob.size == 5
    assert content(blob) == expected


def test_blob_empty_is_kept(blobs: Blobs) -> None:
    assert content(blobs.open(keep(blobs, b""))) == b""


def test_draft_resumed_holds_what_was_written(blobs: Blobs) -> None:
    with blobs.create() as draft:
        draft.write(b"one ")
        draft.sync()
    again = blobs.resume(draft.id)
    assert again.offset == 4
    again.write(b"two")
    assert content(blobs.open(again.commit())) == b"one two"


def test_draft_truncated_drops_the_rest(blobs: Blobs) -> None:
    draft = blobs.create()
    draft.write(b"good bad")
    draft.truncate(5)
    draft.write(b"end")
    assert content(blobs.open(draft.commit())) == b"good end"
    other = blobs.create()
    with pytest.raises(BlobError, match="can't be cut at 1"):
        other.truncate(1)


def test_draft_written_by_another_process_is_committed_as_it_lies(blobs: Blobs) -> None:
    draft = blobs.create()
    draft.write(b"as it came")
    draft.path.write_bytes(b"cleaned")
    assert content(blobs.open(draft.commit())) == b"cleaned"


def test_draft_with_another_hash_than_announced_is_refused_and_kept(blobs: Blobs) -> None:
    draft = blobs.create()
    draft.write(b"x")
    with pytest.raises(BlobError, match="not what was announced") as caught:
        draft.commit("0" * 64)
    assert not caught.value.temporary
    assert draft.commit(hashlib.sha256(b"x").hexdigest())


def test_draft_discarded_is_gone(blobs: Blobs) -> None:
    draft = blobs.create()
    draft.write(b"x")
    draft.discard()
    draft.discard()
    with pytest.raises(BlobNotFound):
        blobs.resume(draft.id)
    with pytest.raises(BlobError, match="closed"):
        draft.write(b"more")


def test_same_content_twice_is_one_blob(blobs: Blobs) -> None:
    assert keep(blobs, b"x") == keep(blobs, b"x")
    assert content(blobs.open(keep(blobs, b"x"))) == b"x"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../lock", "/etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", "a/" * 32, "\0" * 64, "é" * 64],
)
def test_name_that_none_could_have_is_not_found(blobs: Blobs, name: str) -> None:
    with pytest.raises(BlobNotFound):
        blobs.open(name)
    with pytest.raises(BlobNotFound):
        blobs.resume(name)


def test_name_unknown_is_not_found(blobs: Blobs) -> None:
    with pytest.raises(BlobNotFound):
        blobs.open("0" * 64)
    with pytest.raises(BlobNotFound):
        blobs.resume("0" * 32)


def test_sweep_takes_only_what_is_old_and_named_by_no_row(blobs: Blobs, clock: Clock) -> None:
    known, orphan = keep(blobs, b"known"), keep(blobs, b"orphan")
    going, left = blobs.create(), blobs.create()
    for draft in (going, left):
        draft.write(b"12345")
        draft.close()
    clock.ahead = SWEEP_AGE_S - 60
    assert blobs.sweep({going.id}, {known}).freed_bytes == 0
    clock.ahead = SWEEP_AGE_S + 60
    swept = blobs.sweep({going.id}, {known})
    assert (swept.drafts, swept.blobs, swept.freed_bytes) == (1, 1, 11)
    assert content(blobs.open(known)) == b"known"
    assert blobs.resume(going.id).offset == 5
    with pytest.raises(BlobNotFound):
        blobs.resume(left.id)
    with pytest.raises(BlobNotFound):
        blobs.open(orphan)


def test_sweep_leaves_a_blob_that_was_just_committed_again(blobs: Blobs, clock: Clock, tmp_path: Path) -> None:
    name = keep(blobs, b"x")
    [path] = (tmp_path / "files" / "blobs").glob("*/*/*")
    os.utime(path, (0, 0))
    draft = blobs.create()
    draft.write(b"x")
    os.utime(draft.path, (0, 0))  # a draft that took long
    assert draft.commit() == name
    assert blobs.sweep(set(), set()).blobs == 0
    assert content(blobs.open(name)) == b"x"
