"""Ports that nobody listens on."""

import random
import socket

FIRST, LAST = 20_000, 32_000
"""Below those that systems give away by themselves (32,768 up on Linux, 49,152 up elsewhere): between our asking for a
port and the listening on it, no connection of another test gets it."""

_rng = random.SystemRandom()


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    while True:
        port = _rng.randrange(FIRST, LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
