"""The chat page: its files, their compressed forms and caching, and the policy that it runs under."""

import gzip
from pathlib import Path

import pytest
from trio.testing import MockClock

from chatd.config import Server, Web
from chatd.http import branding, static
from chatd.http.app import Application
from support.served import Answer, Client, served
from support.sites import app, site

SCRIPT = b"console.log('hello')"
ZIPPED = gzip.compress(SCRIPT, mtime=0)
PAGE = b"<!doctype html><title>Chat</title>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a build leaves."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_bytes(PAGE)
    (tmp_path / "sw.js").write_bytes(b"self")
    (tmp_path / "assets" / "app-1a2b.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "app-1a2b.js.gz").write_bytes(ZIPPED)
    (tmp_path / "assets" / "app-1a2b.js.br").write_bytes(b"brotli's bytes")
    (tmp_path / "assets" / "app-1a2b.css").write_bytes(b"body{}")
    return tmp_path


def built(folder: Path, web: Web | None = None, server: Server | None = None) -> Application:
    made = site(web=web, server=server)
    return Application(made, [*static.operations(made, folder), *branding.operations(made)])


async def get(client: Client, target: str, **headers: str) -> Answer:
    return await client.ask("GET", target, b"", **headers)


async def test_page_is_asked_for_again_and_runs_under_a_strict_policy(folder: Path, autojump_clock: MockClock) -> None:
    web, server = Web(media_origins=("https://cdn.example",)), Server(public_url="https://chat.example")
    async with served(built(folder, web, server)) as client:
        answer = await get(client, "/")
        assert (answer.status, answer.body) == (200, PAGE)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["img-src"] == policy["media-src"] == "'self' blob: https://cdn.example"
        assert policy["connect-src"] == "'self' wss://chat.example"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert "strict-transport-security" not in answer.headers
        again = await get(client, "/", If_None_Match=answer.headers["etag"])
        assert (again.status, again.body) == (304, b"")
        assert (await get(client, "/", If_None_Match='"another"')).status == 200
        assert (await get(client, "/index.html")).status == 404  # one address for one page


@pytest.mark.parametrize(
    ("accepted", "coding", "body"),
    [
        ("gzip, deflate, br", "br", b"brotli's bytes"),
        ("gzip", "gzip", ZIPPED),
        ("br;q=0, gzip;q=0.5", "gzip", ZIPPED),
        ("*", "br", b"brotli's bytes"),
        ("*, br;q=0", "gzip", ZIPPED),
        ("BR", "br", b"brotli's bytes"),
        ("identity", None, SCRIPT),
        ("brr, gz", None, SCRIPT),
        ("", None, SCRIPT),
    ],
)
async def test_asset_comes_as_the_client_takes_it(
    folder: Path, accepted: str, coding: str | None, body: bytes, autojump_clock: MockClock
) -> None:
    async with served(built(folder)) as client:
        answer = await get(client, "/assets/app-1a2b.js", Accept_Encoding=accepted)
        assert answer.status == 200
        assert answer.headers.get("content-encoding") == coding
        assert answer.body == body
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_codings_have_tags_of_their_own(folder: Path, autojump_clock: MockClock) -> None:
    async with served(built(folder)) as client:
        tags = {
            (await get(client, "/assets/app-1a2b.js", Accept_Encoding=c)).headers["etag"] for c in ("br", "gzip", "")
        }
        assert len(tags) == 3
        for tag in tags:
            assert (await get(client, "/assets/app-1a2b.css", If_None_Match=tag)).status == 200


async def test_file_without_a_hash_in_its_name_is_asked_for_again(folder: Path, autojump_clock: MockClock) -> None:
    async with served(built(folder)) as client:
        assert (await get(client, "/sw.js")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "target",
    [
        "/assets/app-9z.js",
        "/assets/",
        "/assets",
        "/assets/app-1a2b.js.br",
        "/assets/../index.html",
        "/assets/%2e%2e/index.html",
        "/..%2f..%2fetc/passwd",
        "/conversations/c1",
    ],
)
async def test_missing_asset_is_404_and_never_the_page(folder: Path, target: str, autojump_clock: MockClock) -> None:
    async with served(built(folder)) as client:
        answer = await get(client, target)
        assert answer.status == 404
        assert answer.headers["content-type"] == "application/json"
        assert PAGE not in answer.body


async def test_page_that_is_not_built_says_what_to_do(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with served(built(tmp_path / "nowhere")) as client:
        answer = await get(client, "/")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "unsafe" not in answer.headers["content-security-policy"]
    page = answer.body.decode()
    for expected in ("make page", "/ws", "/healthz", "/readyz"):
        assert expected in page
    assert "<script" not in page


async def test_theme_is_the_file_of_the_setting_or_empty(tmp_path: Path, autojump_clock: MockClock) -> None:
    css = tmp_path / "clinic.css"
    css.write_text(":root{--chatd-accent:teal}")
    for theme, body in ((str(css), css.read_bytes()), ("", b""), (str(tmp_path / "nowhere.css"), b"")):
        async with served(app(web=Web(theme=theme))) as client:
            answer = await get(client, "/theme.css")
            assert (answer.status, answer.body) == (200, body)
            assert answer.headers["content-type"] == "text/css; charset=utf-8"


async def test_logo_runs_no_script_and_nothing_else_is_served(tmp_path: Path, autojump_clock: MockClock) -> None:
    (tmp_path / "logo.svg").write_text("<svg/>")
    (tmp_path / "secret").write_text("s3cret")
    (tmp_path / "large.png").write_bytes(bytes(branding.MAX_FILE_BYTES + 1))
    async with served(app(web=Web(logo=str(tmp_path / "logo.svg")))) as client:
        answer = await get(client, "/logo")
        assert (answer.body, answer.headers["content-type"]) == (b"<svg/>", "image/svg+xml")
        assert "sandbox" in answer.headers["content-security-policy"]
    for logo in ("", str(tmp_path / "secret"), str(tmp_path / "nowhere.png"), str(tmp_path / "large.png")):
        async with served(app(web=Web(logo=logo))) as client:
            assert (await get(client, "/logo")).status == 404
