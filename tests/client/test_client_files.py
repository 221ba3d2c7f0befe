"""Files of the client for programs: they come through whole, however often the line is cut."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from chatd.client import Client, RequestFailed, connect
from chatd.client import files as client_files
from protocol.objects import Attachment
from support.files import PDF, Clinic, clinic

DATA = PDF + b"%" * 1_000_000


@attrs.define(eq=False)
class Cut(trio.abc.Stream):
    """A connection that is lost after so many bytes in either direction."""

    stream: trio.abc.Stream
    left: int

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if len(data) > self.left:
            await self.stream.send_all(data[: self.left])
            await self._lose()
        self.left -= len(data)
        await self.stream.send_all(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await self.stream.receive_some(max_bytes))
        if len(data) > self.left:
            await self._lose()
        self.left -= len(data)
        return data

    async def _lose(self) -> None:
        await trio.aclose_forcefully(self.stream)
        raise trio.BrokenResourceError

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


@attrs.define
class Line:
    """The way to a daemon: its connections after the first live for `after` bytes, where that is set."""

    made: Clinic
    after: int | None = None
    dialled: int = 0

    async def dial(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.dialled += 1
        stream = self.made.server.dial()
        return stream if self.after is None or self.dialled == 1 else Cut(stream, self.after)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_files, "PAUSES_S", (0.0,) * 3)


@asynccontextmanager
async def connected(folder: Path, after: int | None = None) -> AsyncIterator[tuple[Client, Line]]:
    """pat-1's client."""
    async with clinic(folder) as made:
        line = Line(made, after)
        async with connect("http://127.0.0.1", token=made.server.token("pat-1"), dial=line.dial) as client:
            await client.open("den-1")
            yield client, line


@pytest.mark.parametrize("after", [None, 300_000])
async def test_file_comes_up_and_down_whole(after: int | None, tmp_path: Path) -> None:
    source, target = tmp_path / "X-ray 1.pdf", tmp_path / "copy.pdf"
    source.write_bytes(DATA)
    seen: list[tuple[int, int]] = []
    async with connected(tmp_path, after) as (client, line):
        id = await client.files.upload(source, progress=lambda done, size: seen.append((done, size)))
        message = await client.send(line.made.conversation, "", attachments=[id])
        (file,) = message.attachments
        assert (file.name, file.size) == ("X-ray 1.pdf", len(DATA))
        await client.files.download(file, target)
    assert target.read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert line.dialled > (10 if after else 3)


async def test_file_that_is_not_taken_is_refused_in_words(tmp_path: Path) -> None:
    page = tmp_path / "page.pdf"
    page.write_text("<!doctype html><script>alert(1)</script>")
    async with connected(tmp_path) as (client, _):
        with pytest.raises(RequestFailed, match="markup") as refused:
            await client.files.upload(page)
        assert not refused.value.temporary
        with pytest.raises(OSError, match="No such file"):
            await client.files.upload(tmp_path / "nothing")


async def test_file_that_does_not_come_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "copy.pdf"
    async with connected(tmp_path) as (client, _):
        missing = Attachment(id="x", name="x", type="x", size=1, url="/v1/attachments/x")
        with pytest.raises(RequestFailed, match="no such attachment"):
            await client.files.download(missing, target)
        for url in ("https://elsewhere.example/x", "//elsewhere.example/x"):
            with pytest.raises(ValueError, match="own server"):
                await client.files.download(Attachment(id="x", name="x", type="x", size=1, url=url), target)
        assert not target.exists()
        target.write_bytes(b"kept")
        with pytest.raises(FileExistsError):
            await client.files.download(missing, target)
        assert target.read_bytes() == b"kept"


async def test_line_that_lets_nothing_through_ends_an_upload(tmp_path: Path) -> None:
    source = tmp_path / "a.pdf"
    source.write_bytes(DATA)
    async with connected(tmp_path) as (client, line):

        def fail(_done: int, _size: int) -> None:
            line.after = 10  # from the first request on that asks how far it is

        with pytest.raises(OSError, match="again and again"):
            await client.files.upload(source, progress=fail)
        assert line.dialled == 1 + 2 + 1 + 3  # the socket, POST and HEAD, PATCH, and three attempts more
