"""Pages of other sites: the allowed ones read answers, all others learn nothing."""

import pytest
from trio.testing import MockClock

from chatd.config import Server
from support.served import served
from support.sites import app

SITE = "https://www.clinic.example"
EVIL = "https://evil.example"
APP = app(server=Server(allowed_origins=(SITE,)))


async def test_allowed_origin_reads_answers_and_errors(autojump_clock: MockClock) -> None:
    async with served(APP) as client:
        for target, status in (("/healthz", 200), ("/nowhere", 404)):
            answer = await client.ask("GET", target, Origin=SITE)
            assert answer.status == status
            assert answer.headers["access-control-allow-origin"] == SITE
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert "retry-after" in answer.headers["access-control-expose-headers"]
            assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", [EVIL, "null", "https://www.clinic.example.evil.example", SITE + "/", SITE.upper()])
async def test_other_origin_reads_nothing(origin: str, autojump_clock: MockClock) -> None:
    async with served(APP) as client:
        answer = await client.ask("GET", "/healthz", Origin=origin)
        assert answer.status == 200
        assert not [name for name in answer.headers if name.startswith("access-control")]
        answer = await client.ask("OPTIONS", "/v1/tickets", Origin=origin, Access_Control_Request_Method="POST")
        assert answer.status == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_preflight_names_methods_and_headers_of_the_path(autojump_clock: MockClock) -> None:
    async with served(APP) as client:
        answer = await client.ask("OPTIONS", "/v1/uploads/x", Origin=SITE, Access_Control_Request_Method="PATCH")
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == SITE
        assert answer.headers["access-control-allow-methods"] == "DELETE, HEAD, OPTIONS, PATCH, POST"
        allowed = answer.headers["access-control-allow-headers"].split(", ")
        assert {"authorization", "content-type", "upload-offset", "tus-resumable"} <= set(allowed)
        assert answer.headers["access-control-max-age"] == "600"


async def test_preflight_of_an_unknown_path_is_404(autojump_clock: MockClock) -> None:
    async with served(APP) as client:
        answer = await client.ask("OPTIONS", "/nowhere", Origin=SITE, Access_Control_Request_Method="GET")
        assert answer.status == 404


async def test_two_origins_are_none(autojump_clock: MockClock) -> None:
    async with served(APP) as client:
        await client.send(f"GET /healthz HTTP/1.1\r\nHost: a\r\nOrigin: {SITE}\r\nOrigin: {EVIL}\r\n\r\n".encode())
        assert "access-control-allow-origin" not in (await client.answer()).headers
