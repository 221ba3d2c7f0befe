"""Bounds of requests, route by route, and the whole answers that need no application."""

import json

import h11
import pytest
import trio
from starlette.types import Receive, Scope, Send
from trio.testing import MockClock

from chatd.net.bounds import Bounds
from chatd.net.head import Head
from chatd.net.problem import plain_answer, whole_answer
from support.served import echo, served


def bounds(head: Head) -> Bounds:
    """Uploads may be large and slow, everything else may not."""
    return Bounds(body_bytes=100_000, body_s=600) if head.path == "/up" else Bounds(head_bytes=200, body_bytes=10)


async def test_body_bound_differs_by_route(autojump_clock: MockClock) -> None:
    async with served(echo, bounds=bounds) as client:
        assert (await client.ask("POST", "/up", b"x" * 50_000)).status == 200
        assert (await client.ask("POST", "/other", b"x" * 10)).status == 200
        assert (await client.ask("POST", "/other", b"x" * 11)).status == 413
        assert await client.is_closed()


async def test_head_bound_differs_by_route(autojump_clock: MockClock) -> None:
    async with served(echo, bounds=bounds) as client:
        assert (await client.ask("GET", "/up", X="x" * 300)).status == 200
        answer = await client.ask("GET", "/other", X="x" * 300)
        assert (answer.status, json.loads(answer.body)["code"]) == (431, "bad_request")
        assert await client.is_closed()


@pytest.mark.parametrize(("path", "lasts"), [("/up", 600), ("/other", 60)])
async def test_body_that_keeps_coming_ends_at_the_time_bound(
    path: str, lasts: float, autojump_clock: MockClock
) -> None:
    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    def wide(head: Head) -> Bounds:
        return Bounds(body_bytes=10**9, body_s=bounds(head).body_s)

    async with served(counting, bounds=wide) as client:
        await client.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 900000000\r\n\r\n".encode())
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await client.send(b"x" * 20_000)  # ever so fast
                await trio.sleep(1)
        assert lasts <= trio.current_time() <= lasts + 3


async def test_refused_body_that_waits_for_100_gets_no_100(autojump_clock: MockClock) -> None:
    async with served(echo, bounds=bounds) as client:
        await client.send(b"POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.answer()).status == 413
        assert await client.is_closed()


@pytest.mark.parametrize("bodyless", [False, True])
def test_plain_answer_is_whole_and_ends_the_connection(bodyless: bool) -> None:
    data = plain_answer(
        503, "unavailable", "not now", temporary=True, headers=[(b"retry-after", b"5")], bodyless=bodyless
    )
    conn = h11.Connection(h11.CLIENT)
    conn.send(h11.Request(method="HEAD" if bodyless else "GET", target="/", headers=[("Host", "a")]))
    conn.send(h11.EndOfMessage())
    conn.receive_data(data)
    conn.receive_data(b"")
    response = conn.next_event()
    assert isinstance(response, h11.Response)
    headers = dict(response.headers)
    assert (response.status_code, response.reason) == (503, b"Service Unavailable")
    assert (headers[b"retry-after"], headers[b"connection"]) == (b"5", b"close")
    assert headers[b"x-content-type-options"] == b"nosniff"
    if not bodyless:
        body = conn.next_event()
        assert isinstance(body, h11.Data)
        assert json.loads(bytes(body.data)) == {"code": "unavailable", "message": "not now", "temporary": True}
    assert isinstance(conn.next_event(), h11.EndOfMessage)


async def test_whole_answer_keeps_a_header_that_it_is_given(autojump_clock: MockClock) -> None:
    data = whole_answer(400, b"no", "text/plain", headers=[(b"X-Frame-Options", b"SAMEORIGIN")])
    assert data.lower().count(b"x-frame-options") == 1
