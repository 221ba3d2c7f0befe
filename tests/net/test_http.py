"""The ASGI bridge, over memory streams and virtual time."""

import json

import pytest
import structlog
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send
from trio.testing import MockClock, lockstep_stream_pair

from chatd.net.bounds import Bounds
from support.served import GET, echo, served
from support.sites import app

START: Message = {"type": "http.response.start", "status": 200, "headers": []}


async def ignore(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without a look at the body."""
    await send(START)
    await send({"type": "http.response.body", "body": b"whatever"})


async def test_the_body_comes_in_whatever_pieces(autojump_clock: MockClock) -> None:
    async with served(echo) as client:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        for byte in head + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: t\r\n\r\n":
            await client.send(bytes([byte]))
            await trio.sleep(0.02)
        assert (await client.answer()).body == b"/ abcde"
        assert (await client.ask("PUT", "/", b"x" * 65536)).body == b"/ " + b"x" * 65536


async def test_streamed_answers_are_chunked_and_sized_ones_are_not(autojump_clock: MockClock) -> None:
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for number in range(3):
            await trio.sleep(100)
            await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
        await send({"type": "http.response.body"})

    async with served(stream) as client:
        for _ in range(2):
            answer = await client.ask("GET", "/")
            assert (answer.headers["transfer-encoding"], answer.body) == ("chunked", b"012")
    async with served(app()) as client:
        answer = await client.ask("GET", "/healthz")
        assert answer.headers["content-length"] == str(len(answer.body))


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_body(autojump_clock: MockClock, status: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "status": status})
        await send({"type": "http.response.body", "body": b"not to be sent"})

    async with served(app) as client:
        for _ in range(2):
            answer = await client.ask("GET", "/")
            assert (answer.status, answer.body) == (status, b"")


async def test_head_is_get_without_the_body(autojump_clock: MockClock) -> None:
    async with served(app()) as client:
        get, head = await client.ask("GET", "/"), await client.ask("HEAD", "/")
        assert head.body == b""
        assert head.headers["content-length"] == get.headers["content-length"]
        assert (await client.ask("HEAD", "/nowhere")).status == 404
        assert (await client.ask("GET", "/healthz")).status == 200


async def test_head_does_not_run_an_endless_stream(autojump_clock: MockClock) -> None:
    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        while True:
            await send({"type": "http.response.body", "body": b"tick", "more_body": True})

    async with served(endless) as client:
        answer = await client.ask("HEAD", "/")
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await client.is_closed()


async def test_a_declared_body_that_is_too_large_never_reaches_the_application(autojump_clock: MockClock) -> None:
    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    async with served(never, bounds=lambda head: Bounds(body_bytes=100)) as client:
        answer = await client.ask("POST", "/", b"x" * 101, Expect="100-continue")
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert json.loads(answer.body)["code"] == "too_large"
        assert await client.is_closed()


@pytest.mark.parametrize("framework", [False, True], ids=["plain", "starlette"])
async def test_a_chunked_body_that_grows_too_large_is_413(autojump_clock: MockClock, framework: bool) -> None:
    async def endpoint(request: Request) -> Response:
        return Response(await request.body())

    app = Starlette(routes=[Route("/", endpoint, methods=["POST"])]) if framework else echo
    with structlog.testing.capture_logs() as logs:
        async with served(app, bounds=lambda head: Bounds(body_bytes=100)) as client:
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(4):
                await client.send(b"20\r\n" + b"x" * 32 + b"\r\n")
                await trio.sleep(0.1)
            assert (await client.answer()).status == 413
            assert await client.is_closed()
    assert not [entry for entry in logs if entry["log_level"] != "debug"]


async def test_a_malformed_body_is_400(autojump_clock: MockClock) -> None:
    async with served(echo) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
        assert (await client.answer()).status == 400
        assert await client.is_closed()


async def test_expect_is_answered_when_the_application_reads(autojump_clock: MockClock) -> None:
    async with served(echo) as client:
        for _ in range(2):
            await client.send(b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
            assert (await client.answer()).status == 100
            await client.send(b"abc")
            assert (await client.answer()).body == b"/e abc"


async def test_expect_without_a_reader_ends_the_connection(autojump_clock: MockClock) -> None:
    async with served(ignore) as client:
        await client.send(b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await client.is_closed()


async def test_an_unread_body_is_read_away(autojump_clock: MockClock) -> None:
    async with served(ignore) as client:
        for _ in range(3):
            assert (await client.ask("POST", "/", b"x" * 60_000)).body == b"whatever"
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfew")
        assert (await client.answer()).body == b"whatever"
        assert await client.is_closed()  # for the rest did not come


async def test_an_unread_body_is_not_read_without_limit(autojump_clock: MockClock) -> None:
    async with served(ignore, bounds=lambda head: Bounds(body_bytes=100)) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2\r\nxx\r\n" * 51)
        assert (await client.answer()).body == b"whatever"
        await client.send(b"0\r\n\r\n" + GET)
        assert await client.is_closed()


@pytest.mark.parametrize("interval", [1, 1000], ids=["trickling", "silent"])
async def test_a_body_that_does_not_come_is_given_up(autojump_clock: MockClock, interval: float) -> None:
    async with served(echo) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n")
        async with trio.open_nursery() as nursery:

            async def trickle() -> None:
                while True:
                    await client.send(b"x")
                    await trio.sleep(interval)

            nursery.start_soon(trickle)
            assert await client.is_closed()
            nursery.cancel_scope.cancel()
        assert 10 <= trio.current_time() < 12


async def test_a_reader_that_stalls_is_given_up(autojump_clock: MockClock) -> None:
    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": bytes(1_000_000)})

    async with served(large, pair=lockstep_stream_pair, write_timeout=10) as client:
        await client.send(GET)
        for _ in range(3):
            await trio.sleep(9)  # slow, but never ten seconds without taking any
            taken = 0
            while taken < 64 * 1024:
                taken += len(await client.stream.receive_some(64 * 1024 - taken))
        assert trio.current_time() == pytest.approx(27)
        await trio.sleep(10.5)
        with pytest.raises(trio.BrokenResourceError):
            await client.send(GET)


class Ticks:
    """An answer without end."""

    def __init__(self) -> None:
        self.count = 0

    def __aiter__(self) -> "Ticks":
        return self

    async def __anext__(self) -> bytes:
        await trio.sleep(1)
        self.count += 1
        return b"tick"


async def test_a_client_that_leaves_in_mid_answer_ends_it(autojump_clock: MockClock) -> None:
    ticks = Ticks()

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(ticks)

    with structlog.testing.capture_logs() as logs:
        async with served(Starlette(routes=[Route("/one", endpoint)])) as client:
            await client.send(GET)
            await trio.sleep(5.5)
    assert ticks.count == 6
    assert not [entry for entry in logs if entry["log_level"] != "debug"]


async def test_waiting_for_the_peer_to_leave_keeps_what_it_pipelines(autojump_clock: MockClock) -> None:
    async def poll(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
        with trio.move_on_after(10):
            assert (await receive())["type"] == "http.disconnect"
            left.append(trio.current_time())
        await ignore(scope, receive, send)

    left: list[float] = []
    async with served(poll) as client:
        await client.send(GET)
        await trio.sleep(1)
        await client.send(GET)
        assert [(await client.answer()).body for _ in range(2)] == [b"whatever", b"whatever"]
        assert trio.current_time() == pytest.approx(20)
        await client.send(GET)
        await trio.sleep(3)
        assert not left
    assert left == [pytest.approx(23)]


async def test_receive_says_disconnect_once_answered(autojump_clock: MockClock) -> None:
    last: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def listen() -> None:
            while (message := await receive())["type"] != "http.disconnect":
                pass
            last.append(message)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.sleep(1)
            await ignore(scope, receive, send)

    async with served(app) as client:
        for _ in range(2):
            assert (await client.ask("GET", "/")).body == b"whatever"
    assert last == [{"type": "http.disconnect"}] * 2


async def test_an_error_before_the_answer_is_500_and_its_text_is_not_logged(autojump_clock: MockClock) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)  # nothing is sent before the first body message
        raise ValueError(f"cannot digest {(await receive())['body']!r}")

    with structlog.testing.capture_logs() as logs:
        async with served(broken) as client:
            answer = await client.ask("POST", "/p?q=secret", b"it hurts")
            assert answer.status == 500
            assert json.loads(answer.body) == {
                "code": "internal", "message": "something went wrong here", "temporary": True,
            }  # fmt: skip
            assert await client.is_closed()
            assert trio.current_time() == 0
    [entry] = logs
    assert (entry["log_level"], entry["error"], entry["path"]) == ("error", "ValueError", "/p")
    assert "hurts" not in str(entry)
    assert "secret" not in str(entry)


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"5")]], ids=["chunked", "sized"])
async def test_an_error_in_mid_answer_cuts_the_connection(
    autojump_clock: MockClock, headers: list[tuple[bytes, bytes]]
) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "headers": headers})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        raise ValueError

    with structlog.testing.capture_logs() as logs:
        async with served(broken) as client:
            await client.send(GET)
            data = b"".join([part async for part in client.stream])
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert not data.endswith(b"0\r\n\r\n")
    assert b" 500 " not in data
    assert len(logs) == 1


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [START],
        [{"type": "http.response.body", "body": b"too early"}],
        [{**START, "headers": [(b"x", b"a\r\nb: c")]}, {"type": "http.response.body"}],
        [{**START, "status": 99}, {"type": "http.response.body"}],
    ],
    ids=["nothing", "start", "no start", "header", "status"],
)
async def test_nonsense_of_the_application_is_500(autojump_clock: MockClock, messages: list[Message]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    with structlog.testing.capture_logs() as logs:
        async with served(app) as client:
            assert (await client.ask("GET", "/")).status == 500
            assert await client.is_closed()
    assert len(logs) == 1


async def test_a_write_that_the_application_cancels_tears_the_connection(autojump_clock: MockClock) -> None:
    async def hasty(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        with trio.move_on_after(1):
            await send({"type": "http.response.body", "body": bytes(200_000), "more_body": True})
        await send({"type": "http.response.body", "body": b"the rest"})

    async with served(hasty, pair=lockstep_stream_pair) as client:
        await client.send(GET)
        await trio.sleep(2)
        data = b"".join([part async for part in client.stream])
    assert b"the rest" not in data


async def test_chunks_of_one_byte_are_a_body(autojump_clock: MockClock) -> None:
    async with served(echo) as client:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.send(head + b"1\r\nx\r\n" * 60_000 + b"0\r\n\r\n")
        assert (await client.answer()).body == b"/ " + b"x" * 60_000


async def test_chunk_extensions_without_end_are_400(autojump_clock: MockClock) -> None:
    async with served(echo) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(16):
            await client.send(b"1;" + b"e" * 10_000 + b"\r\nx\r\n")
        assert (await client.answer()).status == 400
        assert await client.is_closed()
