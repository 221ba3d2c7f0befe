"""An HTTP proxy that cuts, delays and repeats requests, one connection each; so they also overtake each other."""

import random
from contextlib import suppress

import h11
import trio

BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError, OSError)
DELAY_S = 0.08


class FlakyProxy:
    """Passes requests on to `port` of this machine. `badness`: the share of them that something happens to."""

    def __init__(self, port: int, rng: random.Random, badness: float) -> None:
        self._target = port
        self._rng = rng
        self.badness = badness
        self.done = {"lost before": 0, "lost after": 0, "delayed": 0, "repeated": 0}

    async def serve(self, client: trio.SocketStream) -> None:
        """Serve one connection: one request."""
        with suppress(*BROKEN):
            request = await _whole(client, h11.Connection(h11.SERVER))
            if request is not None:
                await self._pass_on(client, request)
        await trio.aclose_forcefully(client)

    async def _pass_on(self, client: trio.SocketStream, request: bytes) -> None:
        fate = self._rng.choice(list(self.done)) if self._rng.random() < self.badness else None
        if fate is not None:
            self.done[fate] += 1
        if fate == "lost before":
            return
        if fate == "delayed":
            await trio.sleep(self._rng.random() * DELAY_S)
        if fate == "repeated":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ask, request)
                answer = await self._ask(request)
        else:
            answer = await self._ask(request)
        if fate != "lost after":
            await client.send_all(answer)

    async def _ask(self, request: bytes) -> bytes:
        """Make the request on a connection of its own, and return all that comes."""
        answer = b""
        with suppress(*BROKEN):
            async with await trio.open_tcp_stream("127.0.0.1", self._target) as server:
                await server.send_all(request)
                while data := await server.receive_some():
                    answer += data
        return answer


async def _whole(stream: trio.SocketStream, conn: h11.Connection) -> bytes | None:
    """Return one request with its body, which ends its connection."""
    head: h11.Request | None = None
    body = b""
    while True:
        event = conn.next_event()
        if event is h11.NEED_DATA:
            data = await stream.receive_some()
            if not data:
                return None
            conn.receive_data(data)
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            ours = h11.Connection(h11.CLIENT)
            kept = [(name, value) for name, value in head.headers if name not in (b"connection", b"transfer-encoding")]
            if not any(name == b"content-length" for name, _ in kept) and body:
                kept.append((b"content-length", b"%d" % len(body)))
            again = h11.Request(method=head.method, target=head.target, headers=[*kept, (b"connection", b"close")])
            parts = [ours.send(again), ours.send(h11.Data(data=body)) if body else b"", ours.send(h11.EndOfMessage())]
            return b"".join(part or b"" for part in parts)
        else:
            return None
