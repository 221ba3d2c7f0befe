"""Requests to other servers, over real sockets: what comes is bounded, and nothing but 200 is an answer."""

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from chatd.net import fetching
from chatd.net.fetching import MAX_FETCHED_BYTES, Fetched, FetchError, fetch, post_form


@asynccontextmanager
async def answering(answer: bytes, *, hang: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives everybody this answer: its address, and the requests that came."""
    came: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += await stream.receive_some()
        head, _, body = request.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += await stream.receive_some()
        came.append(head + b"\r\n\r\n" + body)
        with trio.move_on_after(5):
            try:
                await stream.send_all(answer)
                if hang:
                    await trio.sleep_forever()
                await stream.aclose()
            except trio.BrokenResourceError:
                pass

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}", came
        nursery.cancel_scope.cancel()


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def test_answer_is_fetched_with_its_age() -> None:
    async with answering(answer(b"{}", Cache_Control="public, max-age=19204, must-revalidate")) as (url, came):
        assert await fetch(f"{url}/keys") == Fetched(body=b"{}", max_age=19204)
    assert came[0].startswith(b"GET /keys HTTP/1.1\r\n")
    assert b"cookie" not in came[0].lower()


@pytest.mark.parametrize("said", ["no-cache", "s-maxage=5", "max-age=x", ""])
async def test_answer_that_says_nothing_of_its_age_has_none(said: str) -> None:
    async with answering(answer(b"{}", Cache_Control=said)) as (url, _):
        assert (await fetch(url)).max_age is None


async def test_form_is_posted() -> None:
    async with answering(answer(b"{}")) as (url, came):
        await post_form(url, {"code": "a&b", "x": "y"}, ("chat d", "s:cret"))
    assert came[0].startswith(b"POST / HTTP/1.1\r\n")
    assert b64encode(b"chat+d:s%3Acret") in came[0]
    assert came[0].endswith(b"\r\n\r\ncode=a%26b&x=y")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (answer(b"", "302 Found", Location="http://127.0.0.1:1/"), "status 302"),
        (answer(b"{}", "404 Not Found"), "status 404"),
        (answer(b"{}", "204 No Content"), "status 204"),
        (answer(b"x" * (MAX_FETCHED_BYTES + 1)), "more than 256 KiB"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_FETCHED_BYTES * 4), "more than 256 KiB"),
        (answer(b"\x1f\x8b", Content_Encoding="gzip"), "compressed"),
        (b"SSH-2.0-OpenSSH_9\r\n", "no answer"),
        (b"", "no answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "no answer"),
    ],
)
async def test_anything_else_is_no_answer(text: bytes, reason: str) -> None:
    async with answering(text) as (url, _):
        with pytest.raises(FetchError, match=reason):
            await fetch(url)


async def test_server_that_is_not_there_is_no_answer() -> None:
    with pytest.raises(FetchError, match="no answer"):
        await fetch("http://127.0.0.1:1/keys")


async def test_slow_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "FETCH_TIMEOUT_S", 0.05)
    async with answering(b"HTTP/1.1 200 OK\r\n", hang=True) as (url, _):
        with pytest.raises(FetchError, match="no answer"):
            await fetch(url)
