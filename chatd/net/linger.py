"""Reading on after the last word: closing a socket over unread bytes resets TCP, and the peer may miss that word."""

from typing import Final

import trio

from .unfinished import Turnstile

CHUNK_BYTES: Final = 64 * 1024
"""Bytes read at once."""
LINGER_S: Final = 1.0
"""Seconds of reading on after an HTTP answer that came before the peer had sent everything."""
LINGER_PAUSE_S: Final = 0.05


async def linger(
    stream: trio.abc.ReceiveStream,
    *,
    seconds: float = LINGER_S,
    at_most: float = float("inf"),
    turns: Turnstile | None = None,
) -> None:
    """Read away what a peer still sends until it ends: for so many seconds, of so many bytes.

    `turns`: of strangers, taken after each read. Raises what the stream does.
    """
    taken = 0
    with trio.move_on_after(seconds):
        while taken < at_most and (data := await stream.receive_some(CHUNK_BYTES)):
            taken += len(data)
            if len(data) < CHUNK_BYTES // 4:
                await trio.sleep(LINGER_PAUSE_S)  # crumbs: what follows is read together, beside everybody else
            if turns is not None:
                await turns.wait()
