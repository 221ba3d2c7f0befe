"""An HTTP proxy that lets its clients down: cuts, delays, duplicates and reorders requests, and breaks WebSocket.

Whatever it does may happen on real networks; nothing of it may change what is delivered.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Literal

import attrs
import h11
import trio
from trio.testing import memory_stream_pair

Dial = Callable[[], Awaitable[trio.abc.Stream]]

WebSockets = Literal["pass", "refuse", "hang up", "swallow"]
"""What becomes of handshakes; "swallow": it is answered, and no frame gets through."""

Fate = Literal["pass", "cut before", "cut after", "delay", "twice", "again later"]
"""What becomes of a request: "before" and "after" the server had it; "again later": once more, out of order."""

FATES: tuple[Fate, ...] = ("cut before", "cut after", "delay", "twice", "again later")
LATE_S = 8.0
GONE = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


@attrs.define
class BadProxy:
    """Stands before the server that `dial` reaches. `trouble`: the share of requests that have a fate of their own.

    `met`: how many had which.
    """

    dial: Dial
    nursery: trio.Nursery
    rng: Random
    trouble: float = 0.0
    websockets: WebSockets = "pass"
    met: Counter[str] = attrs.Factory(Counter)

    async def open(self) -> trio.abc.Stream:
        """Open a connection through the proxy."""
        await trio.lowlevel.checkpoint()
        ours, theirs = memory_stream_pair()
        self.nursery.start_soon(self.serve, theirs)
        return ours

    async def serve(self, client: trio.abc.Stream) -> None:
        """Serve a client's connection, which has one request."""
        async with client:
            try:
                await self._serve(client)
            except GONE:
                return

    async def _serve(self, client: trio.abc.Stream) -> None:
        connection, head, raw = h11.Connection(h11.SERVER), None, b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                data = bytes(await client.receive_some())
                raw += data
                connection.receive_data(data)
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.ConnectionClosed):
                return
        assert head is not None
        headers = {name.lower(): value.lower() for name, value in head.headers}
        if headers.get(b"upgrade") == b"websocket":
            await self._websocket(client, raw)
            return
        # The server ends its answer with the connection: so it is known where it ends.
        kept = [(name, value) for name, value in head.headers if name.lower() != b"connection"]
        lines = [b"%s: %s\r\n" % header for header in [*kept, (b"Connection", b"close")]]
        body = raw.partition(b"\r\n\r\n")[2]
        request = b"%s %s HTTP/1.1\r\n%s\r\n%s" % (head.method, head.target, b"".join(lines), body)
        await self._pass_on(client, request)

    async def _pass_on(self, client: trio.abc.Stream, request: bytes) -> None:
        fate: Fate = self.rng.choice(FATES) if self.rng.random() < self.trouble else "pass"
        self.met[fate] += 1
        if fate == "cut before":
            return
        if fate == "delay":
            await trio.sleep(self.rng.uniform(0, LATE_S))
        if fate == "again later":
            self.nursery.start_soon(self._again, request, self.rng.uniform(0, LATE_S))
        if fate == "twice":
            self.nursery.start_soon(self._again, request, 0)
        answer = await self._answer(client, request)
        if fate != "cut after":
            await client.send_all(answer)

    async def _again(self, request: bytes, wait: float) -> None:
        await trio.sleep(wait)
        ours, theirs = memory_stream_pair()
        async with ours, theirs:
            await self._answer(theirs, request)

    async def _answer(self, client: trio.abc.Stream, request: bytes) -> bytes:
        """Return the server's whole answer, b"" where it doesn't come or the client leaves."""
        answer = b""
        try:
            async with await self.dial() as server, trio.open_nursery() as nursery:

                async def leaves() -> None:
                    try:
                        while await client.receive_some():
                            pass
                    except GONE:
                        pass
                    nursery.cancel_scope.cancel()

                nursery.start_soon(leaves)
                await server.send_all(request)
                async for data in server:
                    answer += data
                nursery.cancel_scope.cancel()
        except* GONE:
            pass
        return answer

    async def _websocket(self, client: trio.abc.Stream, raw: bytes) -> None:
        if self.websockets == "refuse":
            await client.send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        if self.websockets in ("refuse", "hang up"):
            return
        async with await self.dial() as server:
            await server.send_all(raw)
            if self.websockets == "swallow":
                head = b""
                while b"\r\n\r\n" not in head:
                    head += bytes(await server.receive_some())
                await client.send_all(head.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
                while await client.receive_some():
                    pass
                return
            async with trio.open_nursery() as nursery:

                async def copy(source: trio.abc.Stream, to: trio.abc.Stream) -> None:
                    try:
                        async for data in source:
                            await to.send_all(data)
                    except GONE:
                        pass
                    nursery.cancel_scope.cancel()

                nursery.start_soon(copy, client, server)
                nursery.start_soon(copy, server, client)
