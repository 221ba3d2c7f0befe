"""Files over HTTP: uploaded, sent with a message, served to those who take part, and to nobody else."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from chatd.config import Limits
from chatd.config import Server as ServerSettings
from storage.changes import SetDisabled
from support import pictures
from support.files import BOUNDARY, FORM, PDF, SITE, clinic, fields, form


async def test_upload_is_answered_with_the_attachment_and_sent_with_a_message(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with clinic(tmp_path) as c:
        den = await c.server.connect(token=c.server.token("den-1"))
        file = await c.uploaded(name="../Réport.PDF")
        id = file["id"]
        assert file == {
            "id": id,
            "name": "Réport.pdf",
            "type": "application/pdf",
            "size": len(PDF),
            "url": f"/v1/attachments/{id}",
            "width": None,
            "height": None,
            "thumbnail_url": None,
        }
        message = await c.sent("pat-1", id)
        assert (message["body"], message["attachments"]) == ("", [file])
        event = await den.expect("change")
        assert event["messages"][0]["attachments"] == [file]
        history = await c.ask("den-1", "GET", f"/v1/conversations/{c.conversation}/messages")
        assert fields(history)["messages"][0]["attachments"] == [file]
        got = await c.ask("den-1", "GET", file["url"])
        assert (got.status, got.body) == (200, PDF)


async def test_picture_loses_its_place_and_gets_a_thumbnail(tmp_path: Path) -> None:
    async with clinic(tmp_path) as c:
        file = await c.uploaded(data=pictures.jpeg(6, (1000, 700)), name="IMG.JPG")
        assert (file["name"], file["width"], file["height"]) == ("IMG.jpg", 700, 1000)
        whole = await c.ask("pat-1", "GET", file["url"])
        small = await c.ask("pat-1", "GET", file["thumbnail_url"])
        assert (whole.headers["content-type"], small.headers["content-type"]) == ("image/jpeg", "image/jpeg")
        assert len(small.body) < len(whole.body) == file["size"]
        assert pictures.CANARY not in whole.body + small.body


async def test_file_is_for_its_uploader_then_for_participants_alone(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with clinic(tmp_path) as c:
        file = await c.uploaded()

        async def who(target: str) -> list[int]:
            return [await c.status(user, target) for user in ("pat-1", "den-1", "pat-2", "staff", None)]

        assert await who(file["url"]) == [200, 404, 404, 404, 401]
        message = await c.sent("pat-1", file["id"])
        assert await who(file["url"]) == [200, 200, 404, 404, 401]
        foreign = await c.ask("pat-2", "GET", file["url"])
        unknown = await c.ask("pat-2", "GET", "/v1/attachments/nothing")
        assert foreign.body == unknown.body
        await c.request("den-1", "conversation.leave")
        assert await who(file["url"]) == [200, 404, 404, 404, 401]
        await c.request("den-1", "conversation.open", with_="pat-1")
        assert await who(file["url"]) == [200, 200, 404, 404, 401]
        await c.request("pat-1", "message.delete", seq=message["seq"])
        assert await who(file["url"]) == [404, 404, 404, 404, 401]


@pytest.mark.parametrize("which", ["unknown", "foreign", "used", "late", "too many"])
async def test_attachment_that_may_not_be_sent_is_refused(
    which: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with clinic(tmp_path, limits=Limits(max_attachments=2)) as c:
        ids = [(await c.uploaded("den-1" if which == "foreign" else "pat-1"))["id"]]
        if which == "unknown":
            ids = ["unknown"]
        elif which == "used":
            await c.sent("pat-1", *ids, client_id="before")
        elif which == "late":
            autojump_clock.jump(24 * 3600)
        elif which == "too many":
            ids *= 3
        answer = await c.request("pat-1", "message.send", client_id="k", body="x", attachments=ids)
        assert (answer.status, fields(answer)["code"]) == (
            (400, "bad_request") if which == "too many" else (404, "not_found")
        )


async def test_hello_tells_the_limits_of_files(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with clinic(tmp_path, limits=Limits(max_attachment_bytes=77, max_attachments=3)) as c:
        limits = (await (await c.server.connect()).hello(token=c.server.token("pat-1")))["limits"]
        assert (limits["max_attachment_bytes"], limits["max_attachments"]) == (77, 3)


LARGE = b"%PDF-1.7\n" + b"x" * 5_000
BROKEN: dict[str, tuple[bytes, int]] = {
    "a byte too many": (form(LARGE + b"x"), 413),
    "another field": (form(PDF, field="picture"), 400),
    "two files": (form(PDF, before=form(PDF, end=b"")), 400),
    "no end": (form(PDF, end=b""), 400),
    "no form": (b"hello", 400),
    "nothing": (b"", 400),
    "an empty file": (form(b""), 400),
    "a web page": (form(b"<!doctype html><script>alert(1)</script>"), 415),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_upload_that_is_refused_leaves_nothing(what: str, tmp_path: Path, autojump_clock: MockClock) -> None:
    body, status = BROKEN[what]
    async with clinic(tmp_path, limits=Limits(max_attachment_bytes=len(LARGE))) as c:
        answer = await c.ask("pat-1", "POST", "/v1/attachments", body, Content_Type=FORM)
        assert (answer.status, fields(answer)["temporary"]) == (status, False)
        assert c.left() == 0
        assert (await c.upload("pat-1", LARGE)).status == 201


async def test_upload_with_other_fields_takes_the_file(tmp_path: Path, autojump_clock: MockClock) -> None:
    before = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="note"\r\n\r\nfile\r\n'.encode()
    async with clinic(tmp_path) as c:
        answer = await c.upload("pat-1", PDF, before=before)
        assert fields(answer)["size"] == len(PDF)


async def test_upload_by_a_cookie_needs_an_allowed_page(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with clinic(tmp_path) as c:
        cookie = f"chatd_session={c.server.token('pat-1')}"
        given = {"Cookie": cookie, "Content_Type": FORM}
        for origin, status in ((SITE, 201), ("https://evil.example", 401), (None, 401)):
            headers = given if origin is None else {**given, "Origin": origin}
            answer = await c.ask(None, "POST", "/v1/attachments", form(PDF), **headers)
            assert answer.status == status, origin


# -- links --


async def test_link_needs_no_header_and_asks_again_who_takes_part(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with clinic(tmp_path, server=ServerSettings(public_url="https://chat.example")) as c:
        file = await c.uploaded()
        await c.sent("pat-1", file["id"])
        made = fields(await c.ask("den-1", "POST", file["url"] + "/link"))
        site, _, target = made["url"].partition("/v1/")
        assert site == "https://chat.example"
        assert (await c.ask(None, "GET", f"/v1/{target}")).body == PDF
        other = await c.uploaded()
        await c.sent("pat-1", other["id"], client_id="k2")
        link = target.partition("?")[2]
        for wrong in (
            f"{other['url']}?{link}",
            f"{file['url']}?{link}x",
            f"{file['url']}?{link[:-1]}",
            file["url"] + "?link=",
        ):
            assert await c.status(None, wrong) == 404, wrong
        await c.request("den-1", "conversation.leave")
        assert await c.status(None, f"/v1/{target}") == 404
        assert (await c.ask("den-1", "POST", file["url"] + "/link")).status == 404


async def test_link_is_good_for_five_minutes_and_for_nobody_disabled(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with clinic(tmp_path) as c:
        file = await c.uploaded()
        made = fields(await c.ask("pat-1", "POST", file["url"] + "/link"))
        assert made["url"].startswith(file["url"] + "?link=")
        await trio.sleep(299)
        assert await c.status(None, made["url"]) == 200
        c.server.store.commit([SetDisabled("pat-1", True, 2)])
        assert await c.status(None, made["url"]) == 404
        c.server.store.commit([SetDisabled("pat-1", False, 3)])
        await trio.sleep(2)
        assert await c.status(None, made["url"]) == 404


# -- how it is served --


async def test_file_is_served_so_that_it_can_run_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with clinic(tmp_path) as c:
        pdf = await c.ask("pat-1", "GET", (await c.uploaded(name="Ärzte; 1?.pdf"))["url"])
        text = await c.ask("pat-1", "GET", (await c.uploaded(data=b"hello", name="a.html"))["url"])
        for got in (pdf, text):
            assert got.headers["x-content-type-options"] == "nosniff"
            assert got.headers["cross-origin-resource-policy"] == "same-site"
            assert got.headers["cache-control"] == "private, max-age=3600"
            assert "frame-ancestors 'none'" in got.headers["content-security-policy"]
        assert "sandbox" in text.headers["content-security-policy"]
        assert "sandbox" not in pdf.headers["content-security-policy"]
        assert text.headers["content-type"] == "text/plain; charset=utf-8"
        assert text.headers["content-disposition"] == "inline; filename=\"a.txt\"; filename*=UTF-8''a.txt"
        assert pdf.headers["content-disposition"] == (
            "inline; filename=\"Arzte; 1_.pdf\"; filename*=UTF-8''%C3%84rzte%3B%201_.pdf"
        )


@pytest.mark.parametrize(
    ("asked", "status", "part", "said"),
    [
        ("bytes=0-1", 206, slice(0, 2), "bytes 0-1/{n}"),
        ("bytes=5-", 206, slice(5, None), "bytes 5-{last}/{n}"),
        ("bytes=-3", 206, slice(-3, None), "bytes {n3}-{last}/{n}"),
        ("bytes=10-99999999", 206, slice(10, None), "bytes 10-{last}/{n}"),
        ("bytes=99999999-", 416, None, "bytes */{n}"),
        ("bytes=-0", 416, None, "bytes */{n}"),
        ("bytes=0-1,4-5", 200, slice(None), None),
        ("bytes=5-2", 200, slice(None), None),
        ("lines=1-2", 200, slice(None), None),
    ],
)
async def test_range_is_answered_with_exactly_that_part(
    asked: str, status: int, part: slice | None, said: str | None, tmp_path: Path, autojump_clock: MockClock
) -> None:
    n = len(PDF)
    async with clinic(tmp_path) as c:
        url = (await c.uploaded())["url"]
        got = await c.ask("pat-1", "GET", url, Range=asked)
        assert got.status == status
        assert got.headers["accept-ranges"] == "bytes"
        assert got.headers.get("content-range") == (said and said.format(n=n, last=n - 1, n3=n - 3))
        if part is not None:
            assert got.body == PDF[part]
            head = await c.ask("pat-1", "HEAD", url, Range=asked)
            assert (head.status, head.body) == (status, b"")
            assert {**head.headers, "date": ""} == {**got.headers, "date": ""}


async def test_range_counts_only_for_the_file_that_it_was_meant_for(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with clinic(tmp_path) as c:
        url = (await c.uploaded())["url"]
        tag = (await c.ask("pat-1", "HEAD", url)).headers["etag"]
        for condition, status in ((tag, 206), ('"other"', 200), (f"W/{tag}", 200)):
            answer = await c.ask("pat-1", "GET", url, Range="bytes=0-1", If_Range=condition)
            assert answer.status == status, condition
        again = await c.ask("pat-1", "GET", url, If_None_Match=tag)
        assert (again.status, again.body) == (304, b"")


async def test_file_that_the_disk_lost_is_not_found(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with clinic(tmp_path) as c:
        file = await c.uploaded()
        for path in (tmp_path / "files" / "blobs").rglob("*"):
            if path.is_file():
                path.unlink()
        assert await c.status("pat-1", file["url"]) == 404


async def test_bytes_of_a_day_are_bounded_for_each_user(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with clinic(tmp_path, limits=Limits(user_attachment_bytes_per_day=3 * len(PDF))) as c:
        assert [(await c.upload("pat-1", PDF)).status for _ in range(4)] == [201, 201, 201, 429]
        over = await c.upload("pat-1", PDF)
        assert (fields(over)["code"], int(over.headers["retry-after"])) == ("rate_limited", 24 * 3600)
        assert (await c.upload("den-1", PDF)).status == 201
        autojump_clock.jump(24 * 3600)
        assert (await c.upload("pat-1", PDF)).status == 201
