"""The bytes of a WebSocket, whatever is served on it: little of a stranger's, more of somebody who is signed in."""

import socket
from typing import Final

import trio

from chatd.core.ratelimit import TokenBucket
from chatd.net.inbound import Inbound
from chatd.net.poller import Poller
from chatd.net.unfinished import Turnstile, Unfinished, UnfinishedBudget

STRANGERS_SPARE_FRAMES: Final = 100
"""Pings, pongs and fragments, which no rate of requests counts, that a stranger may send."""

SPARE_FRAMES_PER_S: Final = 100.0
"""Spare frames a second from peers that are signed in."""

SPARE_FRAME_BURST: Final = 1000


def inbound_of_stranger(
    raw: trio.abc.Stream,
    sock: socket.socket | None,
    replay: bytes,
    *,
    max_message: int,
    unfinished: Unfinished,
    limited: bool,
    turns: Turnstile,
    poller: Poller | None,
) -> Inbound:
    """Return what an engine reads from, until `trust`. `max_message`: bytes; `limited`: whether spare frames are."""
    return Inbound(
        raw,
        sock,
        replay,
        flood=2 * max_message,
        unfinished=unfinished,
        spare=TokenBucket(1, STRANGERS_SPARE_FRAMES, trio.current_time) if limited else None,
        turns=turns,
        poller=poller,
    )


def trust(inbound: Inbound, *, max_message: int, limited: bool, memory: UnfinishedBudget) -> None:
    """Take from somebody who is signed in what the protocol allows."""
    spare = TokenBucket(SPARE_FRAMES_PER_S, SPARE_FRAME_BURST, trio.current_time) if limited else None
    inbound.trust(flood=2 * max_message, spare=spare, memory=memory)
