"""The same hostile input on every transport: it is refused or ends its own session, and nobody else notices."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd import testing
from chatd.client.raw import UPGRADE, frame, upgrade
from chatd.config import Config, Limits, Timeouts
from chatd.config.settings import SocketIo
from chatd.testing import Server
from storage.changes import PutUser
from storage.memory import MemoryStore
from support.engineio import Wire
from support.polled import Polled

Hurl = Callable[[list[bytes]], Awaitable[None]]
"""Sends messages with these fields, all at once."""

ENGINE_UPGRADE = upgrade("/socket.io/?EIO=4&transport=websocket")
REFUSING_STATUSES = (400, 410, 413)
NAMES = {b"conversation": b"conversationId", b"client_id": b"clientId", b"body": b"content", b"reply_to": b"replyToId"}


def native(fields: bytes) -> bytes:
    return b'{"type":"message.send","id":2,' + fields + b"}"


def socketio(fields: bytes) -> bytes:
    for ours, theirs in NAMES.items():
        fields = fields.replace(b'"%s":' % ours, b'"%s":' % theirs)
    return b'420["send_message",{' + fields + b"}]"


@asynccontextmanager
async def over_websocket(server: Server) -> AsyncIterator[Hurl]:
    async with await server.open() as stream:
        await stream.send_all(UPGRADE + frame(b'{"type":"hello","id":1,"token":"%s"}' % server.token("eve").encode()))
        await wait_all_tasks_blocked()

        async def hurl(many: list[bytes]) -> None:
            await stream.send_all(b"".join(frame(native(fields)) for fields in many))

        yield hurl


@asynccontextmanager
async def over_polling(server: Server, *, streamed: bool = False) -> AsyncIterator[Hurl]:
    """A polled session; `streamed`: what it is told comes as a stream."""
    session = Polled(server.open_local, {"Authorization": f"Bearer {server.token('eve')}"})
    assert (await session.open()).status == 201
    await session.say('{"type":"hello","id":1}')
    await session.poll(0)

    async def hurl(many: list[bytes]) -> None:
        body = b'{"first":2,"frames":[' + b",".join(map(native, many)) + b"]}"
        told = await session.ask("POST", f"/v1/session/{session.id}/frames", body)
        assert told.status in (202, *REFUSING_STATUSES)

    async with trio.open_nursery() as nursery:
        if streamed:
            nursery.start_soon(session.streamed, 1)
            await wait_all_tasks_blocked()
        yield hurl
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def over_engineio_websocket(server: Server) -> AsyncIterator[Hurl]:
    async with await server.open() as stream:
        await stream.send_all(ENGINE_UPGRADE + frame(b'40{"token":"%s"}' % server.token("eve").encode()))
        await wait_all_tasks_blocked()

        async def hurl(many: list[bytes]) -> None:
            await stream.send_all(b"".join(frame(socketio(fields)) for fields in many))

        yield hurl


@asynccontextmanager
async def over_engineio_polling(server: Server) -> AsyncIterator[Hurl]:
    wire = Wire(server.dial)
    sid = await wire.begin()
    assert (await wire.post(sid, b'40{"token":"%s"}' % server.token("eve").encode())).status == 200
    await wire.get(sid)

    async def hurl(many: list[bytes]) -> None:
        response = await wire.post(sid, b"\x1e".join(map(socketio, many)))
        assert response.status in (200, *REFUSING_STATUSES)

    yield hurl


Way = Callable[[Server], AbstractAsyncContextManager[Hurl]]
WAYS: dict[str, Way] = {
    "websocket": over_websocket,
    "polling": over_polling,
    "stream": partial(over_polling, streamed=True),
    "engineio websocket": over_engineio_websocket,
    "engineio polling": over_engineio_polling,
}


@asynccontextmanager
async def unharmed(way: Way, expected: int, **limits: Any) -> AsyncIterator[tuple[Hurl, bytes]]:
    """Have Eve sign in, who shares a conversation with Bo: in the end he has so many messages, and nothing is left."""
    store = MemoryStore(epoch="e")
    store.commit([PutUser("bo", "Bo", "dentist", 1), PutUser("eve", "Eve", "patient", 1)])
    config = Config(limits=Limits(**limits), socketio=SocketIo(recovery=0), timeouts=Timeouts(write=2, close=1))
    async with testing.daemon(development=False, store=store, config=config) as server:
        bo = await server.connect(token=server.token("bo"))
        opened = await bo.ask("conversation.open", with_="eve")
        async with way(server) as hurl:
            yield hurl, b'"conversation":"%s","client_id":"e-1",' % opened["conversation"].encode()
            with trio.fail_after(5):
                await bo.ask("ping")
            await wait_all_tasks_blocked()
        await trio.sleep(120)
        page = await bo.ask("message.history", conversation=opened["conversation"])
        assert len(page["messages"]) == expected
        assert len(server.daemon.sessions) == 1, "Bo's alone"
        assert server.daemon.shares.strangers.held == 0


@pytest.mark.parametrize("more", ["", ',"unknown":{"a":[1]}', ',"__proto__":{"a":1}'])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_message_with_unknown_fields_arrives(autojump_clock: MockClock, way: Way, more: str) -> None:
    async with unharmed(way, 1) as (hurl, fields):
        await hurl([fields + b'"body":"It hurts"' + more.encode()])


TRAPS = {
    "unfinished": b'"body":"x',
    "NaN": b'"body":NaN',
    "infinite": b'"body":1e400',
    "an array": b'"body":["x"]',
    "an object": b'"body":{"a":1}',
    "a boolean": b'"body":true',
    "half a pair, escaped": b'"body":"\\ud800"',
    "half a pair": b'"body":"\xed\xa0\x80"',
    "no UTF-8": b'"body":"\xff\xfe"',
    "NUL": b'"body":"\\u0000"',
    "too long": b'"body":"' + b"x" * 10_001 + b'"',
    "too large": b'"body":"' + b"x" * 600_000 + b'"',
    "deep": b'"body":' + b"[" * 1_000 + b"]" * 1_000,
    "deep, without an end": b'"body":' + b"[" * 100_000,
    "a huge number": b'"body":"x","reply_to":' + b"9" * 5_000,
    "too large a number": b'"body":"x","reply_to":9223372036854775808',
    "a fraction": b'"body":"x","reply_to":1.5',
    "files as an object": b'"body":"x","attachments":{"a":1}',
    "files in arrays": b'"body":"x","attachments":[[[]]]',
    "another conversation": b'"body":"x","conversation":{"a":1}',
}


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_trap_is_refused_or_ends_its_own_session(autojump_clock: MockClock, way: Way, trap: bytes) -> None:
    async with unharmed(way, 0) as (hurl, fields):
        await hurl([fields + trap])


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_flood_over_the_rate_is_nobody_elses(autojump_clock: MockClock, way: Way) -> None:
    rates = {"requests_per_second": 5.0, "request_burst": 5}
    async with unharmed(way, 1, **rates) as (hurl, fields):
        with trio.move_on_after(30):  # what is over the rate waits, or is refused
            await hurl([fields + b'"body":"again"'] * 400)
