"""Making a client, for the length of a block."""

import random
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from protocol.objects import Role
from protocol.requests import Hello

from .client import Client, Dial, Token


def connect(
    url: str,
    *,
    user: str | None = None,
    name: str | None = None,
    role: Role | None = None,
    token: Token | None = None,
    device: str | None = None,
    dial: Dial | None = None,
    ssl_context: ssl.SSLContext | None = None,
    rng: random.Random | None = None,
    polling: bool = True,
) -> AbstractAsyncContextManager[Client]:
    """A client of the server at `url` (http, https, ws or wss), for the length of an `async with`.

    It is entered at once: requests wait for the connection, and `events` tell of it. Sign in by `user` (development
    mode) or `token`, which may be a function that fetches a fresh one. `ssl_context`: for certificates that the system
    doesn't trust. `dial` opens a stream to the server in place of the network. Where the network breaks WebSocket, the
    client polls by HTTP until it doesn't any more, but not without `polling`. At the end of the block what isn't
    acknowledged is forgotten (see `Client.unacknowledged`).

    Raises ValueError for a URL of another kind.
    """
    greeting = Hello(id=0, user=user, name=name, role=role, device=device)
    return _connect(Client(url, greeting, token, dial, ssl_context, rng or random.Random(), polling))


@asynccontextmanager
async def _connect(client: Client) -> AsyncIterator[Client]:
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(client._run)
        try:
            yield client
        except Exception as error:  # kept out of the nursery, which would wrap it into a group
            failure = error
        await client._goodbye()
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
