"""The application: which operation a request means, and what is answered where there is none."""

import json
from typing import Any

import pytest
import structlog
from starlette.requests import Request
from starlette.responses import Response
from trio.testing import MockClock

from chatd.core.errors import Refusal
from chatd.http.answers import Failed
from chatd.http.app import Application
from chatd.http.operation import Operation
from chatd.net.bounds import Bounds
from chatd.net.front import serve
from chatd.net.head import Head
from protocol.codes import ErrorCode
from storage.contract import Unavailable
from support.served import GET, Client, Resetting, Upgrades, served
from support.sites import app, site


def showing(method: str, path: str, bounds: Bounds | None = None) -> Operation:
    """An operation that shows its parameters."""

    async def run(request: Request) -> Response:
        return Response(f"{method} {path} {request.path_params}")

    return Operation(method=method, path=path, run=run, public=True, bounds=bounds, text="")


def raising(error: Exception) -> Application:
    async def run(request: Request) -> Response:
        raise error

    return Application(site(), [Operation(method="GET", path="/one", run=run, public=True, text="")])


TABLE = Application(
    site(),
    [
        showing("GET", "/a"),
        showing("PUT", "/a"),
        showing("GET", "/a/{x}"),
        showing("DELETE", "/a/{x}/b/{y}"),
        showing("POST", "/a/{x}", Bounds(body_bytes=7)),
    ],
)


@pytest.mark.parametrize(
    ("method", "target", "status", "shown"),
    [
        ("GET", "/a", 200, "GET /a {}"),
        ("GET", "/a?x=1", 200, "GET /a {}"),
        ("PUT", "/a", 200, "PUT /a {}"),
        ("GET", "/a/b", 200, "GET /a/{x} {'x': 'b'}"),
        ("GET", "/a/b%2Fc%20%25", 200, "GET /a/{x} {'x': 'b/c %'}"),
        ("GET", "/%61/b", 200, "GET /a/{x} {'x': 'b'}"),
        ("DELETE", "/a/1/b/2", 200, "DELETE /a/{x}/b/{y} {'x': '1', 'y': '2'}"),
        ("DELETE", "/a/1/c/2", 404, None),
        ("GET", "/a/", 404, None),
        ("GET", "//a", 404, None),
        ("GET", "/a/..", 200, "GET /a/{x} {'x': '..'}"),
        ("GET", "/b", 404, None),
        ("POST", "/ws", 404, None),
        ("DELETE", "/a/b", 405, {"GET", "HEAD", "POST", "OPTIONS"}),
        ("GET", "/a/1/b/2", 405, {"DELETE", "OPTIONS"}),
        ("OPTIONS", "/a", 204, {"GET", "HEAD", "PUT", "OPTIONS"}),
        ("HEAD", "/a", 200, ""),
    ],
)
async def test_operation_found_by_path_and_method(
    method: str, target: str, status: int, shown: str | set[str] | None, autojump_clock: MockClock
) -> None:
    async with served(TABLE) as client:
        answer = await client.ask(method, target)
        assert answer.status == status
        if isinstance(shown, str):
            assert answer.body.decode() == shown
        elif shown is not None:
            assert set(answer.headers["allow"].split(", ")) == shown


@pytest.mark.parametrize("target", ["/ws", "/ws?x=1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_address_of_websocket_without_an_upgrade_is_426_with_a_hint(
    method: str, target: str, autojump_clock: MockClock
) -> None:
    async with served(TABLE) as client:
        answer = await client.ask(method, target)
    assert (answer.status, answer.headers["upgrade"]) == (426, "websocket")
    assert method == "HEAD" or "a proxy in front has to pass `Upgrade`" in json.loads(answer.body)["message"]


def test_operation_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice: GET /a"):
        Application(site(), [showing("GET", "/a"), showing("GET", "/a")])


def test_bounds_are_those_of_the_operation() -> None:
    def body_bytes(method: str, path: str) -> int:
        return TABLE.bounds(Head(method, path, path, [])).body_bytes

    assert body_bytes("POST", "/a/x") == 7
    assert {body_bytes("GET", "/a/x"), body_bytes("POST", "/a"), body_bytes("POST", "/nowhere")} == {65_536}


@pytest.mark.parametrize(
    ("error", "status", "code", "temporary", "headers"),
    [
        (Refusal(ErrorCode.BAD_REQUEST, "x"), 400, "bad_request", False, {}),
        (Refusal(ErrorCode.UNAUTHORIZED, "x"), 401, "unauthorized", False, {"www-authenticate": "Bearer"}),
        (Refusal(ErrorCode.FORBIDDEN, "x"), 403, "forbidden", False, {}),
        (Refusal(ErrorCode.NOT_FOUND, "x"), 404, "not_found", False, {}),
        (Refusal(ErrorCode.CONFLICT, "x"), 409, "conflict", False, {}),
        (Refusal(ErrorCode.TOO_LARGE, "x"), 413, "too_large", False, {}),
        (Refusal(ErrorCode.RATE_LIMITED, "x", retry_after=1.2), 429, "rate_limited", True, {"retry-after": "2"}),
        (Refusal(ErrorCode.UNAVAILABLE, "x"), 503, "unavailable", True, {"retry-after": "1"}),
        (Refusal(ErrorCode.INTERNAL, "x"), 500, "internal", True, {}),
        (Failed(415, ErrorCode.BAD_REQUEST, "x"), 415, "bad_request", False, {}),
        (Unavailable("a secret of the store"), 503, "unavailable", True, {"retry-after": "1"}),
    ],
)
async def test_error_has_the_status_of_its_code(
    error: Exception, status: int, code: str, temporary: bool, headers: dict[str, str], autojump_clock: MockClock
) -> None:
    async with served(raising(error)) as client:
        answer = await client.ask("GET", "/one")
        body = json.loads(answer.body)
        assert (answer.status, body["code"], body["temporary"]) == (status, code, temporary)
        assert headers.items() <= answer.headers.items()
        assert "secret" not in body["message"]
        assert answer.headers["cache-control"] == "no-store"
        assert (await client.ask("GET", "/nowhere")).status == 404  # the connection lives


async def test_bug_in_an_operation_is_500_and_logged_once_without_its_text(autojump_clock: MockClock) -> None:
    with structlog.testing.capture_logs() as logs:
        async with served(raising(KeyError("what a patient wrote"))) as client:
            answer = await client.ask("GET", "/one")
            assert (answer.status, json.loads(answer.body)["code"]) == (500, "internal")
            assert await client.is_closed()
    assert [entry["error"] for entry in logs] == ["KeyError"]
    assert "patient" not in str(logs)


async def test_reset_under_every_route_is_survived(autojump_clock: MockClock) -> None:
    for target in (b"/", b"/healthz", b"/v1/me", b"/nowhere", b"/theme.css"):
        for writes in range(3):
            stream = Resetting(GET.replace(b"/one", target) * 2, 11, writes)
            await serve(stream, app(), Upgrades(), accepting=lambda: True)


async def answered(client: Client, method: str, target: str) -> tuple[int, Any, dict[str, str]]:
    """A JSON answer with all that every answer has."""
    answer = await client.ask(method, target)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "GMT" in answer.headers["date"]
    assert "server" not in answer.headers
    assert answer.headers["content-type"] == "application/json"
    return answer.status, json.loads(answer.body), answer.headers


async def test_health_checks_say_why_nothing_can_be_acknowledged(autojump_clock: MockClock) -> None:
    reason: str | None = None
    async with served(app(problem=lambda: reason)) as client:
        status, body, headers = await answered(client, "GET", "/healthz")
        assert (status, body, headers["cache-control"]) == (200, {"status": "ok"}, "no-store")
        status, body, headers = await answered(client, "GET", "/readyz")
        assert (status, body, headers["cache-control"]) == (200, {"status": "ready"}, "no-store")
        reason = "the disk is full"
        status, body, headers = await answered(client, "GET", "/readyz")
        assert (status, body) == (503, {"status": "unavailable", "reason": "the disk is full"})
        assert (await answered(client, "GET", "/healthz"))[0] == 200


async def test_unknown_path_is_not_found_and_another_method_not_allowed(autojump_clock: MockClock) -> None:
    async with served(app()) as client:
        for target in ("/nowhere", "/healthz/", "/v1/", "/v1/nothing", "/v2/", "//", "/..%2f"):
            status, body, _ = await answered(client, "GET", target)
            assert (status, body["code"], body["temporary"]) == (404, "not_found", False)
        for method, target in (("POST", "/"), ("DELETE", "/healthz"), ("PUT", "/readyz")):
            status, body, headers = await answered(client, method, target)
            assert (status, body["code"], body["temporary"]) == (405, "bad_request", False)
            assert set(headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
