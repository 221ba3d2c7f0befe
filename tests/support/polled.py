"""A client of polled sessions, independent of the product's: one connection a request, whose answer is a value."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import h11
import trio

from chatd.testing import Server

Dial = Callable[[], Awaitable[trio.abc.Stream]]


@attrs.frozen
class Told:
    """An answer. `events`: frames by their numbers; `closed`: what a WebSocket would have been closed with."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> dict[int, Any]:
        return {event["n"]: event["frame"] for event in self.json.get("events", ())}

    @property
    def closed(self) -> int | None:
        code: int | None = self.json["close"] if self.status == 410 else self.json.get("closed", {}).get("code")
        return code


async def ask(
    dial: Dial, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Told:
    """Ask on a connection of its own. Raises trio.BrokenResourceError where that ends before the answer does."""
    stream = await dial()
    async with stream:
        connection, response = await begin(stream, method, target, body, headers)
        data = b"".join([piece async for piece in Pieces(stream, connection)])
    found = {name.decode(): value.decode() for name, value in response.headers}
    return Told(response.status_code, found, data)


async def begin(
    stream: trio.abc.Stream, method: str, target: str, body: bytes | None, headers: Mapping[str, str] | None
) -> tuple[h11.Connection, h11.Response]:
    """Send a request, and return the head of its answer."""
    given = {"Host": "localhost", "Connection": "close", **(headers or {})}
    if body is not None:
        given = {"Content-Type": "application/json", "Content-Length": str(len(body)), **given}
    connection = h11.Connection(h11.CLIENT)
    request = [h11.Request(method=method, target=target, headers=list(given.items()))]
    sent = [*request, *([h11.Data(body)] if body else []), h11.EndOfMessage()]
    await stream.send_all(b"".join(connection.send(event) or b"" for event in sent))
    event = await _next(stream, connection)
    assert isinstance(event, h11.Response), event
    return connection, event


class Pieces:
    """The body of an answer, as it comes."""

    def __init__(self, stream: trio.abc.Stream, connection: h11.Connection) -> None:
        self._stream = stream
        self._connection = connection

    def __aiter__(self) -> "Pieces":
        return self

    async def __anext__(self) -> bytes:
        event = await _next(self._stream, self._connection)
        if isinstance(event, h11.EndOfMessage):
            raise StopAsyncIteration
        assert isinstance(event, h11.Data), event
        return bytes(event.data)


class Stream:
    """What comes as a stream: of each event, comment ("") and `retry` the fields. `refusal`: there is none."""

    def __init__(self, pieces: Pieces, refusal: Told | None) -> None:
        self.refusal = refusal
        self._pieces = pieces
        self._buffer = ""

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> dict[str, str]:
        if self.refusal is not None:
            raise StopAsyncIteration
        while "\n\n" not in self._buffer:
            try:
                self._buffer += (await anext(self._pieces)).decode()
            except StopAsyncIteration:
                assert self._buffer == ""
                raise
        block, _, self._buffer = self._buffer.partition("\n\n")
        return {line.partition(":")[0]: line.partition(":")[2].strip() for line in block.split("\n")}


async def _next(stream: trio.abc.Stream, connection: h11.Connection) -> Any:
    try:
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some()))
    except h11.RemoteProtocolError:
        raise trio.BrokenResourceError from None
    if isinstance(event, h11.ConnectionClosed):
        raise trio.BrokenResourceError
    return event


class Polled:
    """One session, that its client polls; `headers` sign each of its requests in."""

    def __init__(self, dial: Dial, headers: Mapping[str, str]) -> None:
        self.id = ""
        self.said = 0
        self._dial = dial
        self._headers = headers

    async def open(self) -> Told:
        told = await self.ask("POST", "/v1/session")
        if told.status == 201:
            self.id = told.json["session"]
        return told

    async def ask(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Told:
        return await ask(self._dial, method, target, body, {**self._headers, **headers})

    async def poll(self, after: int, **headers: str) -> Told:
        return await self.ask("GET", f"/v1/session/{self.id}/events?after={after}", None, **headers)

    async def frames(self, first: int, *texts: str, **fields: Any) -> Told:
        """Send texts as they are, which need not be JSON."""
        more = "".join(f',"{name}":{json.dumps(value)}' for name, value in fields.items())
        body = f'{{"first":{first},"frames":[{",".join(texts)}]{more}}}'
        return await self.ask("POST", f"/v1/session/{self.id}/frames", body.encode("utf-8", "surrogatepass"))

    async def say(self, *texts: str) -> Told:
        """Send the next frames."""
        told = await self.frames(self.said + 1, *texts)
        if told.status == 202:
            self.said = told.json["acked"]
        return told

    async def end(self) -> Told:
        return await self.ask("DELETE", f"/v1/session/{self.id}")

    @asynccontextmanager
    async def stream(self, after: int, *, last_event_id: int | None = None) -> AsyncIterator[Stream]:
        headers = {**self._headers, "Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        target = f"/v1/session/{self.id}/events?after={after}"
        async with await self._dial() as stream:
            connection, response = await begin(stream, "GET", target, None, headers)
            pieces, refusal = Pieces(stream, connection), None
            if response.status_code != 200:
                refusal = Told(response.status_code, {}, b"".join([piece async for piece in pieces]))
            else:
                assert dict(response.headers)[b"content-type"].startswith(b"text/event-stream")
            yield Stream(pieces, refusal)

    async def streamed(self, after: int) -> list[dict[str, str]]:
        """Return all of a stream, once it has ended by itself."""
        async with self.stream(after) as stream:
            return [event async for event in stream]


def frame(type: str, **fields: Any) -> str:
    return json.dumps({"type": type, **fields})


@asynccontextmanager
async def polled(server: Server, user: str = "pat-1") -> AsyncIterator[Polled]:
    """A session of this user that has said hello, and fetched the `ok`."""
    session = Polled(server.open_local, {"X-Chatd-User": user})
    assert (await session.open()).status == 201
    assert (await session.say(frame("hello", id=1, user=user))).json == {"acked": 1}
    assert (await session.poll(0)).events[1]["re"] == 1
    yield session
