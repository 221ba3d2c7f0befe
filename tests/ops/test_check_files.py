"""`chatd check` on what files need."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from chatd.config import Config, Limits, Storage
from chatd.config.settings import Files
from chatd.ops import check_files
from chatd.ops.finding import CheckFinding
from support.clamd import Clamd


@asynccontextmanager
async def clamd(path: Path) -> AsyncIterator[None]:
    there = Clamd(path)
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, there.handle, [await there.listen()])
        yield
        nursery.cancel_scope.cancel()


async def found(config: Config) -> list[CheckFinding]:
    return await trio.to_thread.run_sync(lambda: list(check_files.files(config)))


async def test_folder_that_cannot_be_one_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, level in (("file", "wrong"), ("new/folder", "ok")):
        (finding,) = await found(Config(storage=Storage(files=str(tmp_path / name))))
        assert (finding.level, finding.what) == (level, "files")


@pytest.mark.parametrize(
    ("text", "level", "part"),
    [
        ("", "ok", "of any size"),
        ("StreamMaxLength 10M\n", "warning", "StreamMaxLength below"),
        ("MaxFileSize 10M\n", "wrong", "MaxFileSize below"),
        ("MaxScanSize 100K\nAlertExceedsMax yes\n", "warning", "MaxScanSize below"),
        ("#MaxFileSize 1M\nMaxFileSize 0\n", "ok", "of any size"),
        (None, "warning", "see that its"),
    ],
)
async def test_clamd_is_asked_and_its_limits_are_compared(
    text: str | None, level: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "clamd.conf"
    if text is not None:
        settings.write_text(text)
    monkeypatch.setattr(check_files, "CLAMD_FILES", (settings,))
    config = Config(
        storage=Storage(files=str(tmp_path)),
        files=Files(clamd=str(tmp_path / "clamd")),
        limits=Limits(max_attachment_bytes=25 << 20),
    )
    assert (await found(config))[-1].level == "wrong"
    async with clamd(tmp_path / "clamd"):
        last = (await found(config))[-1]
    assert (last.level, last.what) == (level, "clamd")
    assert part in last.text
