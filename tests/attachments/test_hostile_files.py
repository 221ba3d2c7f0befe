"""A table of hostile files and what becomes of each: nothing that runs is kept, and of refused ones nothing at all."""

from pathlib import Path

import attrs
import pytest
import trio

from chatd.attachments.accept import Accepted, Acceptor
from chatd.attachments.refusal import FileRefused
from chatd.attachments.worker import Worker
from chatd.ops.program import command
from storage.blobs import FolderBlobs
from support.hostile_files import HTML, PHP, TABLE, ZIP, Hostile


@attrs.frozen
class Seen:
    """What became of a file: `result`, all that was left on disk by it, and the worker's process afterwards."""

    result: Accepted | FileRefused
    left: dict[str, bytes]
    worker: int | None


async def send(folder: Path, worker: Worker, hostile: Hostile) -> Seen:
    blobs = FolderBlobs(folder)
    draft = blobs.create()
    draft.write(hostile.data)
    try:
        result: Accepted | FileRefused = await Acceptor(blobs=blobs, worker=worker).accept(draft, hostile.name)
    except FileRefused as refused:
        result = refused
    return Seen(result, left_in(folder), worker.pid)


def left_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Seen]:
    """The whole table, sent to one worker, as starting one for each file would take a minute."""
    folder = tmp_path_factory.mktemp("hostile")

    async def main() -> list[Seen]:
        worker = Worker(command("attachment-worker"))
        try:
            return [await send(folder / str(n), worker, hostile) for n, hostile in enumerate(TABLE)]
        finally:
            await worker.aclose()

    return trio.run(main)


def test_table_has_eighty_files_and_one_worker_lived_through_all(outcomes: list[Seen]) -> None:
    assert len(TABLE) >= 80
    assert len({seen.worker for seen in outcomes if seen.worker is not None}) == 1


@pytest.mark.parametrize("n", range(len(TABLE)), ids=lambda n: f"{n}-{TABLE[n].name[:20]!a}")
def test_hostile_file_has_its_outcome(n: int, outcomes: list[Seen]) -> None:
    hostile, seen = TABLE[n], outcomes[n]
    match seen.result:
        case FileRefused() as refused:
            assert refused.status == hostile.outcome, refused.message
            assert not refused.temporary
            assert seen.left == {}, "a refused file leaves nothing"
        case Accepted() as accepted:
            assert accepted.file.type == hostile.outcome
            kept = {accepted.file.blob} | ({accepted.thumbnail.blob} if accepted.thumbnail else set())
            assert set(seen.left) == kept
            assert len(seen.left[accepted.file.blob]) == accepted.file.size
            if accepted.file.type not in {"text/plain", "application/pdf"}:
                for code in (HTML, PHP, ZIP):
                    assert code not in seen.left[accepted.file.blob]
            assert "/" not in accepted.name
            assert "\0" not in accepted.name
            assert len(accepted.name.encode()) <= 150
