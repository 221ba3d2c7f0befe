"""The harness of `chatd.testing`: a whole daemon inside the test, and clients that check every frame.

The daemon is the real one, over memory streams and real WebSocket bytes; the store's calls run inline, ids are counted,
and the wall clock follows Trio's, so that under a virtual clock everything repeats and nothing waits.
"""

import itertools
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from chatd.auth.tokens import Tokens
from chatd.client import Client, connect
from chatd.client.line import MAX_FRAME_BYTES, LineEnded
from chatd.client.target import ServerAddress
from chatd.client.websocket import WebSocketLine
from chatd.config import Config
from chatd.core.gate import run_inline
from chatd.daemon import Daemon
from protocol.codes import CloseCode
from protocol.decode import Malformed, decode_frame
from protocol.times import from_rfc3339
from protocol.types import RequestId
from storage.contract import Store
from storage.memory import MemoryStore

Frame = dict[str, Any]
"""A frame as JSON has it."""

TOKEN_SECRET = b"the tests' own, known to everybody"
"""Secret that signs tokens where the daemon is not in development mode."""

START = from_rfc3339("2026-01-01T00:00:00.000Z")
"""The wall clock's time, ms, when a daemon starts."""

WITHIN = 10.0
"""Seconds (of Trio's clock) that `expect` waits: longer than typing, presence and commits take to time out."""

HANDSHAKE = 10.0

SERVER = ServerAddress.of("http://127.0.0.1")


class Refused(Exception):
    """The request got an `error`. `retry_after` in seconds."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(f"{frame['code']}: {frame['message']}")
        self.code: str = frame["code"]
        self.message: str = frame["message"]
        self.temporary: bool = frame.get("temporary", False)
        self.retry_after: float | None = frame.get("retry_after")


class Disconnected(Exception):
    """The connection is over. `code`: of the close frame, 1006 without one."""

    def __init__(self, code: int, reason: str | None) -> None:
        super().__init__(f"{code} {reason or ''}".rstrip())
        self.code = code
        self.reason = reason


class TestClient:
    """One connection to the daemon. A frame that breaks the protocol fails the test, whatever it waits for.

    Fields whose names are keywords of Python take an underscore: `ask("conversation.open", with_="den-1")`.
    """

    __test__ = False  # not a class of tests, whatever its name looks like to pytest

    def __init__(self, stream: trio.abc.Stream, headers: Mapping[str, str] | None = None) -> None:
        self._headers = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        self.received: list[Frame] = []
        """All frames, in the order they came."""
        self.user: Frame | None = None
        """The signed-in user, from `hello`'s ok."""
        self.epoch: str | None = None
        self._stream = stream
        self._line: WebSocketLine | None = None
        self._ids = itertools.count(1)
        self._asked: dict[RequestId, str] = {}  # id -> type, of the requests that wait
        self._replies: dict[RequestId, Frame] = {}
        self._events: list[Frame] = []  # not expected yet
        self._news = trio.Event()
        self._ended: Disconnected | None = None
        self._broken: str | None = None

    # -- asking --

    async def hello(
        self,
        user: str | None = None,
        *,
        name: str | None = None,
        role: str | None = None,
        token: str | None = None,
        revs: Mapping[str, int] | None = None,
        epoch: str | None = None,
        **fields: Any,
    ) -> Frame:
        """Sign in: by `user` in development mode, else by `token`, or with what the connection came with.

        Returns the `ok`. `epoch` is the server's own unless given.

        Raises Refused or Disconnected.
        """
        given = {"user": user, "name": name, "role": role, "token": token, "revs": revs, **fields}
        given["epoch"] = epoch or (revs and self.epoch)
        ok = await self.ask("hello", **{key: value for key, value in given.items() if value is not None})
        self.user, self.epoch = ok["user"], ok["epoch"]
        return ok

    async def ask(self, type: str, **fields: Any) -> Frame:
        """Send a request and wait for its `ok`. Raises Refused or Disconnected."""
        return await self.reply(await self.send(type, **fields))

    async def send(self, type: str, **fields: Any) -> int:
        """Send a request without waiting; returns its id, for `reply`. Raises Disconnected."""
        id = next(self._ids)
        self._asked[id] = type
        await self.send_text(_json({"type": type, "id": id, **_plain(fields)}))
        return id

    async def reply(self, id: int) -> Frame:
        """Wait for the `ok` of an earlier `send`. Raises Refused or Disconnected."""
        while id not in self._replies:
            await self._wait()
        frame = self._replies.pop(id)
        if frame["type"] == "error":
            raise Refused(frame)
        return frame

    async def tell(self, type: str, **fields: Any) -> None:
        """Send a request without an id: no `ok` will come, an `error` is an event. Raises Disconnected."""
        await self.send_text(_json({"type": type, **_plain(fields)}))

    async def send_text(self, text: str) -> None:
        """Send a text frame as it is. Raises Disconnected."""
        assert self._line is not None
        try:
            await self._line.send(text)
        except LineEnded as ended:
            raise _disconnected(ended) from None

    # -- hearing --

    async def expect(self, type: str, *, within: float = WITHIN, **fields: Any) -> Frame:
        """Take the first event of this type, not taken before, that has (at least) these fields, or wait for one.

        Nested objects are compared the same way, lists item by item. Raises AssertionError after `within` seconds of
        Trio's clock, with all that came instead.
        """
        wanted = {"type": type, **_plain(fields)}
        with trio.move_on_after(within):
            while True:
                for event in self._events:
                    if _has(event, wanted):
                        self._events.remove(event)
                        return event
                try:
                    await self._wait()
                except Disconnected as ended:
                    raise self._missing(wanted, f"the connection ended ({ended}), after") from None
        raise self._missing(wanted, f"nothing like it came in {within:g} s, but")

    async def barrier(self) -> list[Frame]:
        """Let everything under way happen without any time passing; take and return the events that came."""
        # The first wait lets requests of others arrive, the round trip proves that all before it is here.
        await wait_all_tasks_blocked()
        await self.ask("ping")
        taken, self._events = self._events, []
        return taken

    async def closed(self) -> Disconnected:
        """Wait until the connection is over, and say how it ended."""
        try:
            while True:
                await self._wait()
        except Disconnected as ended:
            return ended

    # -- leaving --

    async def aclose(self) -> None:
        """Say goodbye as a client should."""
        assert self._line is not None
        await self._line.goodbye()

    async def abort(self) -> None:
        """Vanish without a word, as when a cable is pulled."""
        await trio.aclose_forcefully(self._stream)

    # -- the inside --

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Shake hands, then read until the end."""
        async with trio.open_nursery() as nursery:
            with trio.fail_after(HANDSHAKE):
                self._line = await WebSocketLine.over(self._stream, SERVER, nursery, self._headers)
            task_status.started()
            try:
                while True:
                    try:
                        self._take(await self._line.receive())
                    except Malformed as error:
                        self._blame(error, "")
            except LineEnded as ended:
                self._ended = _disconnected(ended)
            finally:
                self._wake()
            await self._stream.aclose()

    def _take(self, text: str) -> None:
        try:
            assert len(text.encode()) <= MAX_FRAME_BYTES, "a frame over 1 MiB"
            decode_frame(text, self._asked)
            frame: Frame = msgspec.json.decode(text)
            self.received.append(frame)
            id = frame.get("re")
            if id is not None:
                assert id in self._asked, "an answer to no request"
                del self._asked[id]
                self._replies[id] = frame
            else:
                self._events.append(frame)
        except (AssertionError, Malformed) as error:
            self._blame(error, text)
        self._wake()

    def _blame(self, error: Exception, text: str) -> None:
        self._broken = self._broken or f"the server broke the protocol: {error}: {text[:500]!r}"
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def _wait(self) -> None:
        """Wait for something new. Raises Disconnected when nothing can come any more."""
        self.check()
        if self._ended is not None:
            raise self._ended
        await self._news.wait()
        self.check()

    def check(self) -> None:
        """Raise AssertionError if the server broke the protocol."""
        if self._broken is not None:
            raise AssertionError(self._broken)

    def _missing(self, wanted: Frame, why: str) -> AssertionError:
        who = self.user["id"] if self.user else "a client"
        came = "".join(f"\n  {_json(event)}" for event in self._events) or " nothing at all"
        return AssertionError(f"{who} expected {_json(wanted)}: {why}{came}")


class Server:
    """A daemon that runs in the test. `now`: its wall clock, ms since 1970; `clients`: all that ever connected."""

    def __init__(self, daemon: Daemon, now: Callable[[], int], nursery: trio.Nursery) -> None:
        self.daemon = daemon
        self.store = daemon.store
        self.now = now
        self.clients: list[TestClient] = []
        self._nursery = nursery

    async def connect(
        self, user: str | None = None, *, headers: Mapping[str, str] | None = None, **hello: Any
    ) -> TestClient:
        """A new WebSocket connection; with `user` or other fields it has said `hello` already, with these.

        `headers` go with its handshake.
        """
        client = TestClient(self.dial(), headers)
        self.clients.append(client)
        await self._nursery.start(client.run)
        if user is not None or hello:
            await client.hello(user, **hello)
        return client

    def token(self, user: str, *, lifetime: int = 3600) -> str:
        """A token that lets a known user in for so many seconds, where the daemon is not in development mode."""
        tokens = self.daemon.tokens
        assert tokens is not None
        return tokens.issue(user, self.daemon.parts.new_id(), self.now(), lifetime)[0]

    def client(self, user: str | None = None, **options: Any) -> AbstractAsyncContextManager[Client]:
        """A `chatd.client.connect` to this daemon, with these options."""
        given: dict[str, Any] = {"dial": self.open, "rng": random.Random(0), **options}
        return connect("http://127.0.0.1", user=user, **given)

    async def open(self) -> trio.abc.Stream:
        """Open a stream to the daemon: the `dial` of `chatd.client.connect`."""
        await trio.lowlevel.checkpoint()
        return self.dial()

    async def open_local(self) -> trio.abc.Stream:
        """Open a stream to the daemon that comes from this machine, for requests of development mode."""
        await trio.lowlevel.checkpoint()
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self.daemon.server.serve_stream, theirs, None, ("127.0.0.1", 5000))
        return ours

    def dial(self, pair: Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]] = memory_stream_pair) -> trio.abc.Stream:
        """The client's end of a new connection, for raw bytes; `pair` makes both ends."""
        ours, theirs = pair()
        self._nursery.start_soon(self.daemon.server.serve_stream, theirs)
        return ours


@asynccontextmanager
async def daemon(
    *,
    store: Store | None = None,
    development: bool = True,
    config: Config | None = None,
    seed: int = 0,
    **parts: Any,
) -> AsyncIterator[Server]:
    """Run a daemon inside the calling task's Trio, until the end of the block.

    `store`: an empty `MemoryStore` unless given, and not closed here, so that another daemon may go on with it.
    `parts` go to `Daemon` in place of the deterministic ones. Raises AssertionError where a client saw the protocol
    broken.
    """
    began = trio.current_time()
    ids = itertools.count(1)

    def now() -> int:
        return START + round((trio.current_time() - began) * 1000)

    deterministic: dict[str, Any] = {
        "write": run_inline,
        "read": run_inline,
        "now": now,
        "new_id": lambda: f"id-{next(ids):06d}",
        "rng": random.Random(seed),
        "tokens": None if development else Tokens(TOKEN_SECRET),
    }
    if store is None:
        store = MemoryStore(epoch="epoch-1", development=development)
    made = Daemon(config or Config(), store, development=development, **(deterministic | parts))
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(made.run, [])
        server = Server(made, made.parts.now, nursery)
        try:
            yield server
        except Exception as error:  # kept out of the nursery, which would wrap it into a group
            failure = error
            nursery.cancel_scope.cancel()  # whatever state the daemon is in
        # Clients first: a daemon that has connections waits for their goodbye, and a virtual clock may stand still.
        for client in server.clients:
            await client.abort()
        made.stop()
        # The rest has a bound of its own: the grace of the configuration.
    for client in server.clients:
        client.check()
    if failure is not None:
        raise failure


def _plain(fields: Mapping[str, Any]) -> Frame:
    """The fields under their wire names: `from_` stands for `from`."""
    return {key.removesuffix("_"): value for key, value in fields.items()}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _has(actual: Any, wanted: Any) -> bool:
    """Return True if all of `wanted` is in `actual`."""
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(
            key in actual and _has(actual[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return (
            isinstance(actual, Sequence)
            and len(actual) == len(wanted)
            and all(_has(*both) for both in zip(actual, wanted, strict=True))
        )
    return bool(actual == wanted)


def _disconnected(ended: LineEnded) -> Disconnected:
    return Disconnected(CloseCode.DONE if ended.code is None else ended.code, ended.reason)
