"""The end of a WebSocket, whatever is served on it."""

from contextlib import suppress
from typing import Any, Final

import trio
import trio_websocket
from wsproto.utilities import ProtocolError

from chatd.core.outbox import Outbox
from chatd.net.linger import linger
from chatd.net.unfinished import Turnstile

PEERS_DOING: Final = (
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio_websocket.ConnectionClosed,
    trio_websocket.HandshakeError,
    ProtocolError,
)
"""Exceptions of trio-websocket and of the stream that a peer can cause."""

LINGER_BYTES: Final = 4 * 1024 * 1024
"""Bytes that a peer may still send after our close frame, so that it reads the frame instead of a reset."""


async def finish(raw: trio.abc.Stream, outbox: Outbox, *, clean: bool, seconds: float, turns: Turnstile | None) -> None:
    """Let what is queued leave and, unless both close frames were seen (`clean`), read on until the peer ends.

    `seconds`: the most it takes; `turns`: of strangers, taken after each read.
    """
    # The exception that leaves a nursery holds the whole connection until the collector comes by.
    with trio.move_on_after(seconds), suppress(*PEERS_DOING):
        await outbox.drained()
        if clean:
            return
        if isinstance(raw, trio.abc.HalfCloseableStream):
            await raw.send_eof()
        await linger(raw, seconds=seconds, at_most=LINGER_BYTES, turns=turns)


def log_failure(log: Any, group: BaseExceptionGroup[Exception]) -> None:
    """Log what is a bug of ours; that the peer went away or broke the protocol, in the middle of closing say, isn't."""
    ours = group.split(PEERS_DOING)[1]
    if ours is not None:
        log.error("connection failed", exc_info=ours)
