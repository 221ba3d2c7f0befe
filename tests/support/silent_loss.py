"""A TCP proxy whose connections are lost on the client's side alone: the server hears nothing of it."""

from contextlib import suppress

import trio

BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class SilentLoss:
    """Passes connections on to `port` of this machine. What a lost client doesn't get any more is read and dropped."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._clients: set[trio.SocketStream] = set()

    async def lose(self) -> None:
        """Lose all connections that are there now."""
        lost, self._clients = self._clients, set()
        for client in lost:
            await trio.aclose_forcefully(client)

    async def serve(self, client: trio.SocketStream) -> None:
        """Serve a connection until the server ends it."""
        self._clients.add(client)
        async with await trio.open_tcp_stream("127.0.0.1", self._target) as server, trio.open_nursery() as nursery:
            nursery.start_soon(_copy, client, server)
            await _copy(server, client)
            nursery.cancel_scope.cancel()
        self._clients.discard(client)
        await trio.aclose_forcefully(client)


async def _copy(source: trio.SocketStream, to: trio.SocketStream) -> None:
    with suppress(*BROKEN):
        async for data in source:
            with suppress(*BROKEN):
                await to.send_all(data)
