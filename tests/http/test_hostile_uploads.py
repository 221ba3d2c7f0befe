"""Hostile files over HTTP: each has its outcome, nothing of it runs, and nothing of a refused one is left."""

import errno
import io
import os
from pathlib import Path

import trio
from PIL import Image

from chatd.config import Limits
from storage.blobs.folder import DiskCalls, FolderBlobs
from support import pictures
from support.files import FORM, PDF, Clinic, clinic, fields, form
from support.hostile_files import TABLE
from support.pictures import SHOWN as UPRIGHT
from support.pictures import corners
from support.served import Answer

SHOWN = {"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif", "video/mp4", "video/quicktime"}
SHOWN |= {"audio/mp4", "audio/ogg", "audio/webm", "application/pdf", "text/plain; charset=utf-8"}


async def served_safely(c: Clinic, answer: Answer) -> None:
    got = await c.ask("pat-1", "GET", fields(answer)["url"])
    assert got.headers["content-type"] in SHOWN
    assert got.headers["x-content-type-options"] == "nosniff"
    policy = got.headers["content-security-policy"]
    assert "sandbox" in policy or got.headers["content-type"] == "application/pdf"
    assert "\r" not in got.headers["content-disposition"]


async def test_hostile_files_have_their_outcomes_and_nothing_of_the_refused_is_left(tmp_path: Path) -> None:
    async with clinic(tmp_path) as c:
        for n, hostile in enumerate(TABLE):
            if any(ord(letter) < 32 for letter in hostile.name):
                continue  # no header can say it
            before = c.left()
            answer = await c.upload("pat-1", hostile.data, hostile.name.replace('"', "%22").replace("\\", "/"))
            if isinstance(hostile.outcome, int):
                assert answer.status == hostile.outcome, (n, hostile.name, answer.body)
                assert c.left() == before, (n, hostile.name)
            else:
                assert answer.status == 201, (n, hostile.name, answer.body)
                assert fields(answer)["type"] == hostile.outcome
                await served_safely(c, answer)


async def test_photos_in_all_eight_orientations_come_out_upright_without_a_place(tmp_path: Path) -> None:
    async with clinic(tmp_path) as c:
        for orientation in range(1, 9):
            file = await c.uploaded(data=pictures.jpeg(orientation, (1000, 700)), name=f"{orientation}.jpg")
            assert (file["width"], file["height"]) == ((700, 1000) if orientation >= 5 else (1000, 700))
            for url in (file["url"], file["thumbnail_url"]):
                data = (await c.ask("pat-1", "GET", url)).body
                assert pictures.CANARY not in data
                with Image.open(io.BytesIO(data)) as image:
                    assert not image.getexif()
                    assert corners(image) == UPRIGHT[orientation]


async def test_same_file_sent_twice_at_once_is_in_one_message(tmp_path: Path) -> None:
    async with clinic(tmp_path) as c:
        file = await c.uploaded()
        statuses: list[int] = []

        async def send(client_id: str) -> None:
            answer = await c.request("pat-1", "message.send", client_id=client_id, body="x", attachments=[file["id"]])
            statuses.append(answer.status)

        async with trio.open_nursery() as nursery:
            for n in range(4):
                nursery.start_soon(send, f"k{n}")
        assert sorted(statuses) == [200, 404, 404, 404]


async def test_full_disk_refuses_the_file_and_harms_nothing_else(tmp_path: Path) -> None:
    async with clinic(tmp_path) as c:
        full = False

        def write(fd: int, data: memoryview) -> int:
            if full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return os.write(fd, data)

        c.server.daemon.files._blobs = FolderBlobs(tmp_path / "files", disk=DiskCalls(write=write))
        kept = await c.uploaded()
        full = True
        refused = await c.upload("pat-1", PDF + b"%")
        assert (refused.status, fields(refused)["code"], fields(refused)["temporary"]) == (503, "unavailable", True)
        assert "retry-after" in refused.headers
        assert c.left() == 1
        assert (await c.sent("pat-1", kept["id"]))["attachments"] == [kept]
        assert (await c.ask("den-1", "GET", kept["url"])).body == PDF
        full = False
        assert (await c.upload("pat-1", PDF + b"%")).status == 201


async def test_disk_that_is_almost_full_is_left_to_messages(tmp_path: Path) -> None:
    async with clinic(tmp_path, limits=Limits(free_disk_bytes=2**49)) as c:
        answer = await c.ask("pat-1", "POST", "/v1/attachments", form(PDF), Content_Type=FORM)
        assert (answer.status, c.left()) == (503, 0)
        assert (await c.request("pat-1", "message.send", client_id="k", body="x")).status == 200


async def test_pictures_are_refused_where_nothing_decodes_them(tmp_path: Path) -> None:
    async with clinic(tmp_path) as c:
        c.server.daemon.files.worker._command = ["false"]
        refused = await c.upload("pat-1", pictures.jpeg(1), "a.jpg")
        assert refused.status in (400, 503)
        assert c.left() == 0
        assert (await c.upload("pat-1", PDF)).status == 201
