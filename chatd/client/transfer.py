"""One HTTP request with a body that is read as it is sent, and an answer that is read as it comes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import h11
import trio

from .http import HTTP_CHUNK_BYTES

SILENCE_LIMIT_S = 60.0
"""Seconds without a byte, in either direction, after which the connection counts as lost."""

Dial = Callable[[], Awaitable[trio.abc.Stream]]
Read = Callable[[int], Awaitable[bytes]]


class TransferAnswer:
    """The answer to a request. `headers`: by their names in lower case."""

    def __init__(
        self, status: int, headers: Mapping[str, str], stream: trio.abc.Stream, parser: h11.Connection
    ) -> None:
        self.status = status
        self.headers = headers
        self._stream = stream
        self._parser = parser

    async def read(self) -> bytes:
        """Return what came next of the body; none at its end. Raises OSError, trio's errors of streams."""
        event = await _next(self._stream, self._parser)
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def text(self, limit: int = HTTP_CHUNK_BYTES) -> bytes:
        """Return the body, up to so many bytes."""
        found = b""
        while (data := await self.read()) and len(found) < limit:
            found += data
        return found[:limit]


@asynccontextmanager
async def asking(
    dial: Dial, method: str, path: str, headers: Mapping[str, str], *, body: Read | None = None, length: int = 0
) -> AsyncIterator[TransferAnswer]:
    """Send a request on a connection of its own. `body` gives up to so many bytes of the `length` that there are.

    Raises OSError, trio.BrokenResourceError, trio.TooSlowError, h11.RemoteProtocolError where no answer comes.
    """
    with trio.fail_after(SILENCE_LIMIT_S):
        stream = await dial()
    try:
        parser = h11.Connection(h11.CLIENT)
        lines = [*headers.items(), ("Connection", "close")]
        if body is not None:
            lines.append(("Content-Length", str(length)))
        await _send(stream, parser.send(h11.Request(method=method, target=path, headers=lines)))
        try:
            while body is not None and length and (data := await body(min(HTTP_CHUNK_BYTES, length))):
                length -= len(data)
                await _send(stream, parser.send(h11.Data(data)))
            await _send(stream, parser.send(h11.EndOfMessage()))
        except trio.BrokenResourceError:
            pass  # it may have answered before it had everything
        event = await _next(stream, parser)
        while isinstance(event, h11.InformationalResponse):
            event = await _next(stream, parser)
        if not isinstance(event, h11.Response):
            raise trio.BrokenResourceError
        found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in event.headers}
        yield TransferAnswer(event.status_code, found, stream, parser)
    finally:
        await trio.aclose_forcefully(stream)


async def _send(stream: trio.abc.Stream, data: bytes | None) -> None:
    if data:
        with trio.fail_after(SILENCE_LIMIT_S):
            await stream.send_all(data)


async def _next(stream: trio.abc.Stream, parser: h11.Connection) -> object:
    while (event := parser.next_event()) is h11.NEED_DATA:
        with trio.fail_after(SILENCE_LIMIT_S):
            parser.receive_data(bytes(await stream.receive_some(HTTP_CHUNK_BYTES)))
    return event
