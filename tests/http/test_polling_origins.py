"""Which pages may poll a session with a visitor's cookie, and read the answers."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from trio.testing import MockClock

from chatd import testing
from chatd.config import Config, Server
from storage.changes import PutUser
from storage.memory import MemoryStore
from support.served import Client, calling

SITE = "https://www.clinic.example"
EVIL = "https://evil.example"
HELLO = b'{"first":1,"frames":[{"type":"hello","id":1}]}'


@asynccontextmanager
async def clinic() -> AsyncIterator[tuple[Client, dict[str, str], str]]:
    """A client, the cookie of a user, and a session of theirs that has said hello."""
    config = Config(server=Server(allowed_origins=(SITE,)))
    store = MemoryStore(epoch="e")
    store.commit([PutUser("pat-1", "Ada", "patient", 1)])
    async with (
        testing.daemon(development=False, store=store, config=config) as server,
        calling(server, ("192.0.2.1", 5000)) as client,
    ):
        cookie = {"Cookie": f"chatd_session={server.token('pat-1')}"}
        opened = await client.ask("POST", "/v1/session", b"", Origin=SITE, **cookie)
        id = json.loads(opened.body)["session"]
        said = await client.ask(
            "POST", f"/v1/session/{id}/frames", HELLO, Origin=SITE, Content_Type="application/json", **cookie
        )
        assert (opened.status, said.status) == (201, 202)
        yield client, cookie, id


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/v1/session", {"Origin": SITE}, 201),
        ("POST", "/v1/session", {"Origin": EVIL}, 401),
        ("POST", "/v1/session", {"Origin": "null"}, 401),
        ("POST", "/v1/session", {}, 401),
        ("POST", "/v1/session", {"Origin": SITE, "Content_Type": "text/plain"}, 401),
        ("GET", "/v1/session/{}/events", {"Origin": SITE, "Sec_Fetch_Site": "same-site"}, 200),
        ("GET", "/v1/session/{}/events", {"Sec_Fetch_Site": "same-origin"}, 200),
        ("GET", "/v1/session/{}/events", {"Sec_Fetch_Site": "same-site"}, 401),
        ("GET", "/v1/session/{}/events", {"Origin": EVIL, "Sec_Fetch_Site": "cross-site"}, 401),
        ("GET", "/v1/session/{}/events", {"Accept": "text/event-stream", "Sec_Fetch_Site": "cross-site"}, 401),
        ("POST", "/v1/session/{}/frames", {"Origin": SITE, "Content_Type": "application/json"}, 202),
        ("POST", "/v1/session/{}/frames", {"Origin": EVIL, "Content_Type": "application/json"}, 401),
        ("POST", "/v1/session/{}/frames", {"Content_Type": "application/json"}, 401),
        ("POST", "/v1/session/{}/frames", {"Origin": SITE, "Content_Type": "text/plain"}, 401),
        ("DELETE", "/v1/session/{}", {"Origin": SITE}, 204),
        ("DELETE", "/v1/session/{}", {"Origin": EVIL}, 401),
        ("DELETE", "/v1/session/{}", {}, 401),
    ],
)
async def test_cookie_counts_for_allowed_pages_alone(
    method: str, path: str, headers: dict[str, str], status: int, autojump_clock: MockClock
) -> None:
    async with clinic() as (client, cookie, id):
        body = HELLO if path.endswith("frames") else b"{}" if "Content_Type" in headers else b""
        answer = await client.ask(method, path.format(id), body, **cookie, **headers)
        assert answer.status == status, answer.body
        origin = headers.get("Origin")
        assert answer.headers.get("access-control-allow-origin") == (SITE if origin == SITE else None)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/session", "OPTIONS, POST"),
        ("/v1/session/x", "DELETE, OPTIONS"),
        ("/v1/session/x/events", "GET, HEAD, OPTIONS"),
        ("/v1/session/x/frames", "OPTIONS, POST"),
    ],
)
async def test_preflight_is_answered_for_allowed_pages_alone(
    path: str, methods: str, autojump_clock: MockClock
) -> None:
    async with clinic() as (client, _, _):
        asked = {"Access_Control_Request_Method": "POST"}
        answer = await client.ask("OPTIONS", path, b"", Origin=SITE, **asked)
        assert (answer.status, answer.headers["access-control-allow-methods"]) == (204, methods)
        assert "last-event-id" in answer.headers["access-control-allow-headers"]
        assert answer.headers["access-control-allow-credentials"] == "true"
        refused = await client.ask("OPTIONS", path, b"", Origin=EVIL, **asked)
        assert refused.status == 403
        assert "access-control-allow-origin" not in refused.headers
