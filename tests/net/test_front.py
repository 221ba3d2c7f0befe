"""The first bytes of a connection, over memory streams and virtual time."""

from random import Random

import pytest
import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from trio.testing import MockClock, memory_stream_pair

from chatd.net import proxies
from chatd.net.bounds import MAX_HEAD_BYTES
from chatd.net.front import serve
from chatd.net.head import Head
from chatd.net.unfinished import MemoryShares, Turnstile
from support.served import CHUNKED, GET, UPGRADE, Resetting, Upgrades, echo, hostile, served


async def test_keep_alive_serves_request_after_request(autojump_clock: MockClock) -> None:
    async with served(echo) as client:
        for number in range(5):
            answer = await client.ask("POST", f"/{number}", b"x" * number)
            assert (answer.status, answer.body) == (200, b"/%d " % number + b"x" * number)
            assert "connection" not in answer.headers
            await trio.sleep(14)


async def test_pipelined_requests_are_answered_in_order(autojump_clock: MockClock) -> None:
    async with served(echo) as client:
        await client.send(GET + CHUNKED + GET)
        assert [(await client.answer()).body for _ in range(3)] == [b"/one ", b"/two abcdefg", b"/one "]


async def test_http_1_0_and_connection_close_end_with_the_answer(autojump_clock: MockClock) -> None:
    for request in (b"GET /one HTTP/1.0\r\n\r\n", b"GET /one HTTP/1.1\r\nHost: clinic\r\nConnection: close\r\n\r\n"):
        async with served(echo) as client:
            await client.send(request)
            assert (await client.answer()).body == b"/one "
            assert await client.is_closed()
            assert trio.current_time() < 1


async def test_a_whole_url_as_target(autojump_clock: MockClock) -> None:
    async with served(echo) as client:
        assert (await client.ask("GET", "http://clinic/a%20b?c")).body == b"/a b "
        assert (await client.ask("GET", "http://clinic")).body == b"/ "


@pytest.mark.parametrize("before", [b"", GET, GET + CHUNKED], ids=["first", "second", "third"])
@pytest.mark.parametrize("glued", [b"", b"\x82\x05hello"], ids=["alone", "glued"])
async def test_an_upgrade_is_handed_on_as_it_came(autojump_clock: MockClock, before: bytes, glued: bytes) -> None:
    upgrades = Upgrades()
    async with served(echo, upgrades) as client:
        await client.send(before + UPGRADE + glued)
        for _ in range(before.count(b"Host:")):
            await client.answer()
        await trio.sleep(100)  # the handler has no deadline of ours
        await client.send(b"later")
    [(head, raw)] = upgrades.taken
    assert raw == UPGRADE + glued + b"later"
    assert (head.method, head.raw_path, head.path) == ("GET", "/ws", "/ws")
    assert head.get(b"sec-websocket-version") == b"13"
    assert head.get(b"origin") is None


async def test_an_upgrade_byte_by_byte(autojump_clock: MockClock) -> None:
    upgrades = Upgrades()
    async with served(echo, upgrades) as client:
        for number in range(len(UPGRADE)):
            await client.send(UPGRADE[number : number + 1])
            await trio.sleep(0.01)
        await client.send(b"frame")
    assert [raw for _, raw in upgrades.taken] == [UPGRADE + b"frame"]


async def test_an_upgrade_elsewhere_is_an_ordinary_request(autojump_clock: MockClock) -> None:
    async with served(echo) as client:
        for _ in range(2):
            await client.send(UPGRADE.replace(b"/ws", b"/elsewhere"))
            assert (await client.answer()).body == b"/elsewhere "


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"GET", b"POST"), (b"Upgrade: WebSocket", b"Upgrade: h2c"), (b"keep-alive, Upgrade", b"keep-alive")],
)
async def test_head_that_resembles_an_upgrade_is_plain_http(autojump_clock: MockClock, old: bytes, new: bytes) -> None:
    upgrades = Upgrades()
    async with served(echo, upgrades) as client:
        await client.send(UPGRADE.replace(old, new))
        assert (await client.answer()).body == b"/ws "
    assert not upgrades.taken


async def test_errors_of_the_websocket_handler_pass_through(autojump_clock: MockClock) -> None:
    async def broken(head: Head, raw: bytes, stream: trio.abc.Stream) -> None:
        raise trio.BrokenResourceError("of some channel inside")

    ours, theirs = memory_stream_pair()
    await ours.send_all(UPGRADE)
    with pytest.raises(trio.BrokenResourceError):
        await serve(theirs, echo, broken, accepting=lambda: True)


async def test_a_slow_head_is_cut_at_its_deadline(autojump_clock: MockClock) -> None:
    async with served(echo, head_timeout=5) as client:
        for byte in GET[:6]:
            await client.send(bytes([byte]))
            await trio.sleep(0.9)
        assert await client.is_closed()
        with pytest.raises(trio.BrokenResourceError):
            await client.send(GET[6:])
        assert trio.current_time() < 6


async def test_a_silent_connection_is_cut(autojump_clock: MockClock) -> None:
    async with served(echo) as client:
        assert await client.is_closed()
        assert trio.current_time() == pytest.approx(5)


async def test_an_idle_connection_is_closed_silently_and_a_slow_second_head_too(autojump_clock: MockClock) -> None:
    async with served(echo, keep_alive=15) as client:
        await client.ask("GET", "/")
        assert await client.is_closed()
        assert trio.current_time() == pytest.approx(15)
    async with served(echo, keep_alive=15) as client:
        start = trio.current_time()
        await client.ask("GET", "/")
        await trio.sleep(14)
        await client.send(b"GET")
        assert await client.is_closed()
        assert trio.current_time() - start == pytest.approx(14 + 5)


@pytest.mark.parametrize("ending", [b"", b"\r\n\r\n"], ids=["endless", "complete"])
@pytest.mark.parametrize("before", [b"", GET], ids=["first", "second"])
async def test_an_oversize_head_is_431(autojump_clock: MockClock, before: bytes, ending: bytes) -> None:
    async with served(echo) as client:
        await client.send(before + GET[:-2] + b"X: " + b"x" * MAX_HEAD_BYTES + ending)
        if before:
            assert (await client.answer()).status == 200
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (431, "close")
        assert b'"bad_request"' in answer.body
        assert await client.is_closed()


async def test_a_head_of_just_the_limit_is_served(autojump_clock: MockClock) -> None:
    async with served(echo) as client:
        await client.send(GET[:-2] + b"X: " + b"x" * (MAX_HEAD_BYTES - len(GET) - 5) + b"\r\n\r\n")
        assert (await client.answer()).status == 200


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01",  # a TLS hello
        b"GET / HTTP/1.1\r\n\r\n",  # no Host
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\x00: b\r\n\r\n",
    ],
)
async def test_garbage_is_400(autojump_clock: MockClock, garbage: bytes) -> None:
    async with served(echo) as client:
        await client.send(garbage)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert await client.is_closed()


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9", b"HTTP/3.1"])
async def test_other_version_is_505(autojump_clock: MockClock, version: bytes) -> None:
    async with served(echo) as client:
        await client.send(GET.replace(b"HTTP/1.1", version))
        assert (await client.answer()).status == 505
        assert await client.is_closed()


async def test_empty_lines_before_a_request_are_ignored(autojump_clock: MockClock) -> None:
    async with served(echo) as client:
        for before in (b"\r\n", b"\n\r\n\r\n"):
            await client.send(before)
            await client.send(GET + b"\r\n" + GET)
            assert [(await client.answer()).body for _ in range(2)] == [b"/one "] * 2


async def test_empty_lines_extend_no_deadline(autojump_clock: MockClock) -> None:
    async with served(echo) as client:
        with pytest.raises(trio.BrokenResourceError):
            for _ in range(100):
                await client.send(b"\r\n")
                await trio.sleep(1)
        assert trio.current_time() < 10


async def test_upgrade_behind_empty_lines_is_handed_on_without_them(autojump_clock: MockClock) -> None:
    upgrades = Upgrades()
    async with served(echo, upgrades) as client:
        await client.send(b"\r\n" + UPGRADE)
    [(_, raw)] = upgrades.taken
    assert raw == UPGRADE


async def test_shutdown_refuses_upgrades_and_ends_keep_alive(autojump_clock: MockClock) -> None:
    running = True
    async with served(echo, accepting=lambda: running) as client:
        assert "connection" not in (await client.ask("GET", "/")).headers
        running = False
        answer = await client.ask("GET", "/last")
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await client.is_closed()
    async with served(echo, accepting=lambda: False) as client:
        await client.send(UPGRADE)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert answer.body == b'{"code":"unavailable","message":"the server is shutting down","temporary":true}'
        assert await client.is_closed()


async def drip(scope: Scope, receive: Receive, send: Send) -> None:
    """Stream an answer while waiting for the peer to leave."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"drop", "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("app", [echo, drip])
async def test_a_reset_in_the_middle_of_everything(autojump_clock: MockClock, app: ASGIApp) -> None:
    script = GET + CHUNKED + b"garbage"
    before = trio.lowlevel.current_statistics().tasks_living
    for length in range(len(script) + 1):
        for size, writes in ((length or 1, 99), (7, 99), (length or 1, length % 9)):
            await serve(Resetting(script[:length], size, writes), app, Upgrades(), accepting=lambda: True)
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_leaving_at_any_byte_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    script = GET + CHUNKED + UPGRADE
    before = trio.lowlevel.current_statistics().tasks_living
    for length in range(len(script) + 1):
        async with served(drip) as client:
            await client.send(script[:length])
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_hostile_bytes_end_quietly(autojump_clock: MockClock) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    for seed in range(300):
        data = hostile(Random(seed))
        ours, theirs = memory_stream_pair()
        await ours.send_all(data)
        if seed % 2:
            await ours.aclose()  # the others stay, and are cut by a deadline
        upgrades: list[bytes] = []

        async def on_websocket(head: Head, raw: bytes, stream: trio.abc.Stream, taken: list[bytes] = upgrades) -> None:
            taken.append(raw)

        try:
            with trio.fail_after(120):
                await serve(theirs, echo, on_websocket, accepting=lambda: True)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r} after {data!r}") from error
        assert trio.lowlevel.current_statistics().tasks_living == before, f"seed {seed} left a task"
        assert all(data.endswith(raw) for raw in upgrades), f"seed {seed}: not as it came"


async def test_the_scope_says_what_was_asked_and_by_whom(autojump_clock: MockClock) -> None:
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await echo(scope, receive, send)

    async with served(app, client=lambda head: proxies.PeerClient(("192.0.2.1", 5), "https")) as client:
        await client.ask("GET", "/%C3%A9%2F?a=%20", X_A="b")
    [scope] = seen
    assert (scope["type"], scope["scheme"], scope["client"]) == ("http", "https", ("192.0.2.1", 5))
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/é/", b"/%C3%A9%2F", b"a=%20")
    assert (b"x-a", b"b") in scope["headers"]


async def test_request_that_is_not_signed_in_waits_for_a_turn_of_the_loop(autojump_clock: MockClock) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        status = 401 if headers.get(b"authorization") == b"Bearer wrong" else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body"})

    class Counting(Turnstile):
        def __init__(self) -> None:
            super().__init__()
            self.taken = 0

        async def wait(self) -> None:
            self.taken += 1
            await super().wait()

    turns = Counting()
    async with served(app, shares=MemoryShares(turns=turns)) as client:
        for credential, waited in (
            (None, 1),
            (None, 1),
            ("Bearer right", 1),  # what it is good for is known only afterwards
            ("Bearer right", 0),
            ("Bearer wrong", 0),
            ("Bearer wrong", 1),
            (None, 1),
        ):
            before = turns.taken
            headers = {"Authorization": credential} if credential else {}
            await client.ask("GET", "/", b"", **headers)
            assert turns.taken - before == waited, credential
