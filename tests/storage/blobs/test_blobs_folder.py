"""What the folder promises beyond the contract: crashes, bad disks, permissions."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage.blobs import BlobError, BlobNotFound, FolderBlobs
from storage.blobs.folder import FLUSH_BYTES, DiskCalls


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock")


def age(folder: Path) -> None:
    for path in files(folder):
        os.utime(path, (0, 0))


def full(after: int) -> DiskCalls:
    """A disk with room for so many bytes, which takes at most 4 at a time."""
    left = after

    def write(fd: int, data: memoryview) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, "no room")
        taken = os.write(fd, data[: min(4, left)])
        left -= taken
        return taken

    return DiskCalls(write=write)


def failing(_: int) -> None:
    raise OSError(errno.EIO, "bad")


def test_files_and_folders_are_for_their_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        blobs = FolderBlobs(tmp_path / "files")
        draft = blobs.create()
        draft.write(b"x")
        assert draft.path.stat().st_mode & 0o777 == 0o600
        draft.commit()
        blobs.sweep(set(), set())
    finally:
        os.umask(old)
    for path in [tmp_path / "files", *(tmp_path / "files").rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_short_writes_are_continued(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path, disk=full(1000))
    draft = blobs.create()
    draft.write(b"0123456789")
    assert blobs.open(draft.commit()).read(99) == b"0123456789"


def test_full_disk_is_temporary_and_harms_no_other_file(tmp_path: Path) -> None:
    kept = FolderBlobs(tmp_path).create()
    kept.write(b"kept")
    name = kept.commit()
    blobs = FolderBlobs(tmp_path, disk=full(6))
    draft = blobs.create()
    with pytest.raises(BlobError, match="No space left on device") as caught:
        draft.write(b"0123456789")
    assert caught.value.temporary
    assert draft.offset == 6
    assert blobs.open(name).read(99) == b"kept"
    draft.discard()
    assert [path.name for path in files(tmp_path)] == [name]


def test_failed_fsync_loses_the_draft_instead_of_trusting_it(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path, disk=DiskCalls(fsync=failing))
    draft = blobs.create()
    draft.write(b"x")
    with pytest.raises(BlobError, match="Input/output error") as caught:
        draft.commit()
    assert caught.value.temporary
    with pytest.raises(BlobNotFound):
        blobs.resume(draft.id)
    assert files(tmp_path) == []


def test_long_draft_is_flushed_as_it_grows_and_not_at_its_end_alone(tmp_path: Path) -> None:
    flushed: list[int] = []
    blobs = FolderBlobs(tmp_path, disk=DiskCalls(fsync=lambda fd: flushed.append(os.fstat(fd).st_size)))
    draft = blobs.create()
    for _ in range(5):
        draft.write(bytes(FLUSH_BYTES // 2))
    assert flushed == [FLUSH_BYTES, 2 * FLUSH_BYTES]


def test_failed_fsync_of_a_growing_draft_loses_it(tmp_path: Path) -> None:
    draft = FolderBlobs(tmp_path, disk=DiskCalls(fsync=failing)).create()
    with pytest.raises(BlobError, match="Input/output error"):
        draft.write(bytes(FLUSH_BYTES))
    assert files(tmp_path) == []


def test_failed_rename_leaves_a_draft_for_the_sweep(tmp_path: Path) -> None:
    def replace(_: Path, __: Path) -> None:
        raise OSError(errno.ENOSPC, "no room")

    blobs = FolderBlobs(tmp_path, disk=DiskCalls(replace=replace))
    draft = blobs.create()
    draft.write(b"x")
    with pytest.raises(BlobError):
        draft.commit()
    assert blobs.resume(draft.id).offset == 1
    age(tmp_path)
    assert blobs.sweep(set(), set()).drafts == 1


def test_file_is_on_disk_before_its_name_and_its_name_before_the_return(tmp_path: Path) -> None:
    done: list[str] = []

    def fsync(fd: int) -> None:
        done.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{fd}')).relative_to(tmp_path).parts[0]}")

    def replace(source: Path, target: Path) -> None:
        done.append("rename")
        os.replace(source, target)

    blobs = FolderBlobs(tmp_path, disk=DiskCalls(fsync=fsync, replace=replace))
    draft = blobs.create()
    draft.write(b"x")
    draft.commit()
    at = done.index("rename")
    assert "fsync drafts" in done[:at]
    assert done[at + 1 :] == ["fsync blobs"]


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "files")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (blobs.drafts / ("a" * 32)).symlink_to(secret)
    with pytest.raises(BlobError):
        blobs.resume("a" * 32)
    place = blobs.path_of("b" * 64)
    place.parent.mkdir(parents=True)
    place.symlink_to(secret)
    with pytest.raises(BlobError):
        blobs.open("b" * 64)


def test_folder_that_cannot_be_made_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("in the way")
    with pytest.raises(BlobError, match=r"folder of files .* can't be used"):
        FolderBlobs(tmp_path / "files")


KILLED = """
import os, signal, sys
from pathlib import Path
from storage.blobs import FolderBlobs
from storage.blobs.folder import DiskCalls as Disk

point = sys.argv[2]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def renamed(source, target):
    os.replace(source, target)
    die()
disk = {"write": Disk(), "fsync": Disk(fsync=die), "rename": Disk(replace=die), "renamed": Disk(replace=renamed)}[point]
draft = FolderBlobs(Path(sys.argv[1]), disk=disk).create()
draft.write(b"x" * 100_000)
if point == "write":
    die()
draft.commit()
"""


@pytest.mark.crash
@pytest.mark.parametrize("point", ["write", "fsync", "rename", "renamed"])
def test_kill_at_any_point_leaves_nothing_after_the_next_sweep(tmp_path: Path, point: str) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), point], timeout=30, check=False)
    assert ended.returncode == -9
    assert len(files(tmp_path)) == 1
    blobs = FolderBlobs(tmp_path)
    assert blobs.sweep(set(), set()).freed_bytes == 0, "too young"
    age(tmp_path)
    assert blobs.sweep(set(), set()).freed_bytes == 100_000
    assert files(tmp_path) == []
