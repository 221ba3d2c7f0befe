"""tus 1.0 over HTTP: what is acknowledged is kept, a cut costs nothing, and the end is an attachment."""

import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from chatd.attachments.sweep import Sweep
from chatd.attachments.uploads import OPEN_UPLOADS
from chatd.config import Limits
from chatd.config import Server as ServerSettings
from support.files import PDF, SITE, Clinic, clinic, fields
from support.served import Answer, calling

DATA = PDF + b"%" * 300_000
STREAM = "application/offset+octet-stream"


@attrs.frozen
class Tus:
    """A client that speaks tus as a user, header by header."""

    clinic: Clinic
    user: str = "pat-1"

    async def ask(self, method: str, target: str, data: bytes = b"", /, **headers: str) -> Answer:
        headers.setdefault("Tus_Resumable", "1.0.0")
        answer = await self.clinic.ask(self.user, method, target, data, **headers)
        if method != "OPTIONS":
            assert answer.headers["tus-resumable"] == "1.0.0"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.status != 429
        return answer

    async def begin(self, length: int = len(DATA), name: str = "report.pdf", **headers: str) -> str:
        named = "filename " + base64.b64encode(name.encode()).decode()
        answer = await self.ask("POST", "/v1/uploads", Upload_Length=str(length), Upload_Metadata=named, **headers)
        assert answer.status == 201
        return "/v1/uploads/" + answer.headers["location"].rpartition("/")[2]

    async def patch(self, url: str, offset: int, data: bytes, **headers: str) -> Answer:
        return await self.ask("PATCH", url, data, Upload_Offset=str(offset), **{"Content_Type": STREAM, **headers})

    async def offset(self, url: str) -> int:
        return int((await self.ask("HEAD", url)).headers["upload-offset"])

    async def cut(self, url: str, offset: int, data: bytes, announced: int, **headers: str) -> None:
        """Send a body that ends before it is whole, as when a line is lost."""
        token = self.clinic.server.token(self.user)
        given = {"Upload-Offset": str(offset), "Content-Type": STREAM, "Tus-Resumable": "1.0.0", **headers}
        head = f"PATCH {url} HTTP/1.1\r\nHost: clinic\r\nAuthorization: Bearer {token}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in given.items())
        async with calling(self.clinic.server, ("192.0.2.1", 5000)) as client:
            await client.send(f"{head}Content-Length: {announced}\r\n\r\n".encode() + data)
            await trio.sleep(1)


@asynccontextmanager
async def tus(folder: Path, **settings: Any) -> AsyncIterator[Tus]:
    async with clinic(folder, **settings) as made:
        yield Tus(made)


async def test_upload_in_pieces_becomes_an_attachment_that_is_sent(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with tus(tmp_path) as t:
        url = await t.begin()
        first = await t.patch(url, 0, DATA[:100_000])
        assert (first.status, first.headers["upload-offset"]) == (204, "100000")
        assert "attachment-id" not in first.headers
        assert await t.offset(url) == 100_000
        last = await t.patch(url, 100_000, DATA[100_000:])
        id = last.headers["attachment-id"]
        head = await t.ask("HEAD", url)
        assert (head.status, head.headers["attachment-id"]) == (200, id)
        assert (head.headers["upload-offset"], head.headers["upload-length"]) == (str(len(DATA)), str(len(DATA)))
        again = await t.patch(url, len(DATA), b"")
        assert (again.status, again.headers["attachment-id"]) == (204, id)
        message = await t.clinic.sent("pat-1", id)
        assert message["attachments"][0]["name"] == "report.pdf"
        assert (await t.clinic.ask("den-1", "GET", f"/v1/attachments/{id}")).body == DATA


async def test_creation_with_the_file_needs_one_request(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with tus(tmp_path) as t:
        answer = await t.ask("POST", "/v1/uploads", PDF, Upload_Length=str(len(PDF)), Content_Type=STREAM)
        assert (answer.status, answer.headers["upload-offset"]) == (201, str(len(PDF)))
        got = await t.clinic.ask("pat-1", "GET", "/v1/attachments/" + answer.headers["attachment-id"])
        assert got.body == PDF


async def test_location_is_the_public_address_where_there_is_one(tmp_path: Path, autojump_clock: MockClock) -> None:
    for server, start in (
        (ServerSettings(public_url="https://chat.example"), "https://chat.example/v1/uploads/"),
        (ServerSettings(), "http://"),
    ):
        async with tus(tmp_path, server=server) as t:
            answer = await t.ask("POST", "/v1/uploads", Upload_Length="5")
            assert answer.headers["location"].startswith(start)


async def test_upload_bytes_before_a_cut_are_kept(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with tus(tmp_path) as t:
        url = await t.begin()
        await t.cut(url, 0, DATA[:123_456], len(DATA))
        assert await t.offset(url) == 123_456
        done = await t.patch(url, 123_456, DATA[123_456:])
        got = await t.clinic.ask("pat-1", "GET", "/v1/attachments/" + done.headers["attachment-id"])
        assert got.body == DATA


async def test_question_for_the_offset_ends_the_request_that_is_stuck(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with tus(tmp_path) as t, trio.open_nursery() as nursery:
        url = await t.begin()
        token = t.clinic.server.token("pat-1")
        head = (
            f"PATCH {url} HTTP/1.1\r\nHost: clinic\r\nAuthorization: Bearer {token}\r\nUpload-Offset: 0\r\n"
            f"Content-Type: {STREAM}\r\nTus-Resumable: 1.0.0\r\nContent-Length: {len(DATA)}\r\n\r\n"
        ).encode()
        async with calling(t.clinic.server, ("192.0.2.1", 5000)) as stuck:
            await stuck.send(head + DATA[:70_000])
            await trio.sleep(1)
            busy = await t.patch(url, 0, DATA)
            assert (busy.status, fields(busy)["temporary"]) == (423, True)
            assert (await t.ask("DELETE", url)).status == 423
            assert await t.offset(url) == 70_000
        assert (await t.patch(url, 70_000, DATA[70_000:])).status == 204
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_piece_with_another_checksum_is_dropped(
    algorithm: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    def checksum(data: bytes) -> str:
        return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"

    async with tus(tmp_path) as t:
        url = await t.begin()
        wrong = await t.patch(url, 0, DATA[:5_000], Upload_Checksum=checksum(b"other"))
        assert (wrong.status, await t.offset(url)) == (460, 0)
        right = await t.patch(url, 0, DATA[:5_000], Upload_Checksum=checksum(DATA[:5_000]))
        assert (right.status, await t.offset(url)) == (204, 5_000)
        await t.cut(url, 5_000, DATA[5_000:9_000], 10_000, **{"Upload-Checksum": checksum(DATA[5_000:15_000])})
        assert await t.offset(url) == 5_000
        assert (await t.patch(url, 5_000, DATA[5_000:], Upload_Checksum="md5 AAAA")).status == 400


async def test_requests_that_are_not_as_tus_has_them_are_refused(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with tus(tmp_path, limits=Limits(max_attachment_bytes=len(DATA))) as t:
        url = await t.begin()
        assert (await t.ask("POST", "/v1/uploads", Upload_Length=str(len(DATA) + 1))).status == 413
        assert (await t.ask("POST", "/v1/uploads")).status == 400
        other = await t.ask("PATCH", url, Tus_Resumable="0.2.2")
        assert (other.status, other.headers["tus-version"]) == (412, "1.0.0")
        assert (await t.patch(url, 0, b"x", Content_Type="text/plain")).status == 415
        assert (await t.patch(url, 7, b"x")).status == 409
        assert (await t.patch("/v1/uploads/" + "0" * 32, 0, b"x")).status == 404
        assert (await t.patch(url, 0, DATA + b"x")).status == 400
        assert await t.offset(url) == 0
        options = await t.ask("OPTIONS", "/v1/uploads")
        assert (options.status, options.headers["tus-max-size"]) == (204, str(len(DATA)))


async def test_upload_of_unknown_length_is_told_it_at_the_end(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with tus(tmp_path) as t:
        created = await t.ask("POST", "/v1/uploads", Upload_Defer_Length="1")
        url = "/v1/uploads/" + created.headers["location"].rpartition("/")[2]
        assert (await t.patch(url, 0, PDF[:20])).status == 204
        assert (await t.ask("HEAD", url)).headers["upload-defer-length"] == "1"
        done = await t.patch(url, 20, PDF[20:], Upload_Length=str(len(PDF)))
        assert "attachment-id" in done.headers


async def test_upload_is_nobody_elses(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with tus(tmp_path) as t:
        url = await t.begin()
        foreign = Tus(t.clinic, "den-1")
        assert (await foreign.ask("HEAD", url)).status == 404
        assert (await foreign.patch(url, 0, DATA)).status == 404
        assert (await foreign.ask("DELETE", url)).status == 404
        assert (await t.ask("DELETE", url)).status == 204
        assert (await t.ask("HEAD", url)).status == 404
        assert t.clinic.left() == 0


async def test_methods_may_be_overridden_by_a_header(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with tus(tmp_path) as t:
        url = await t.begin(len(PDF))
        headers = {"X_HTTP_Method_Override": "PATCH", "Upload_Offset": "0", "Content_Type": STREAM}
        assert (await t.ask("POST", url, PDF[:10], **headers)).status == 204
        asked = await t.ask("POST", url, X_HTTP_Method_Override="HEAD")
        assert asked.headers["upload-offset"] == "10"
        assert (await t.ask("POST", url)).status == 405
        assert (await t.ask("POST", url, X_HTTP_Method_Override="DELETE")).status == 204


async def test_refused_file_ends_its_upload(tmp_path: Path, autojump_clock: MockClock) -> None:
    page = b"<!doctype html><script>alert(1)</script>"
    async with tus(tmp_path) as t:
        url = await t.begin(len(page))
        refused = await t.patch(url, 0, page)
        assert refused.status == 415
        assert "markup" in fields(refused)["message"]
        assert (await t.ask("HEAD", url)).status == 404
        assert t.clinic.left() == 0


async def test_upload_expires_and_the_sweep_takes_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with tus(tmp_path) as t:
        url = await t.begin()
        await t.patch(url, 0, DATA[:10])
        daemon = t.clinic.server.daemon
        for path in (tmp_path / "files" / "drafts").iterdir():
            os.utime(path, (1, 1))
        sweep = Sweep(daemon.gate, daemon.files, daemon.parts.now)
        await sweep()
        assert await t.offset(url) == 10  # a row names it, old as it is
        autojump_clock.jump(24 * 3600 - 60)
        await trio.sleep(61)  # less than there is between two sweeps of the daemon's own
        assert (await t.ask("HEAD", url)).status == 410
        assert (await t.patch(url, 10, b"x")).status == 410
        await sweep()
        assert (await t.ask("HEAD", url)).status == 404
        assert t.clinic.left() == 0


async def test_flood_of_requests_waits_for_its_turn(tmp_path: Path, autojump_clock: MockClock) -> None:
    limits = Limits(user_requests_per_second=1, user_request_burst=1)
    async with tus(tmp_path, limits=limits) as t:
        url = await t.begin()
        began = trio.current_time()
        for _ in range(5):
            assert await t.offset(url) == 0
        assert trio.current_time() - began >= 4


async def test_day_s_limit_is_too_large_instead_of_too_often(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with tus(tmp_path, limits=Limits(user_attachment_bytes_per_day=len(PDF))) as t:
        url = await t.begin(len(PDF))
        assert (await t.patch(url, 0, PDF)).status == 204
        refused = await t.ask("POST", "/v1/uploads", Upload_Length="1")
        assert (refused.status, fields(refused)["code"]) == (413, "too_large")


async def test_page_of_an_allowed_origin_may_read_what_tus_says(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with tus(tmp_path) as t:
        answer = await t.ask("POST", "/v1/uploads", Upload_Length="5", Origin=SITE)
        exposed = answer.headers["access-control-expose-headers"].lower().replace(" ", "").split(",")
        assert {"location", "upload-offset", "upload-length", "tus-version", "attachment-id"} <= set(exposed)


async def test_one_upload_too_many_takes_the_place_of_the_idlest(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with tus(tmp_path) as t:
        urls = []
        for _ in range(OPEN_UPLOADS):
            urls.append(await t.begin())
            await trio.sleep(1)
        assert (await t.patch(urls[0], 0, DATA[:1000])).status == 204, "the oldest is not the idlest"
        other = Tus(t.clinic, "pat-2")
        theirs = await other.begin()
        newest = await t.begin()
        assert (await t.patch(urls[1], 0, DATA[:1000])).status == 404
        assert (await t.ask("HEAD", urls[1])).status == 404
        for url, offset in ((urls[0], 1000), (urls[2], 0), (newest, 0)):
            assert await t.offset(url) == offset
        assert await other.offset(theirs) == 0
        last = await t.patch(newest, 0, DATA)
        assert last.headers["attachment-id"]


def left_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]


async def test_empty_file_is_refused_in_words(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with tus(tmp_path) as t:
        answer = await t.ask("POST", "/v1/uploads", Upload_Length="0")
        assert (answer.status, json.loads(answer.body)["message"]) == (400, "this file is empty")
        answer = await t.ask("POST", "/v1/uploads", Upload_Defer_Length="1")
        url = "/v1/uploads/" + answer.headers["location"].rpartition("/")[2]
        answer = await t.patch(url, 0, b"", Upload_Length="0")
        assert (answer.status, json.loads(answer.body)["message"]) == (400, "this file is empty")
        assert (await t.ask("HEAD", url)).status == 404
    assert left_in(tmp_path) == []
