"""Listening sockets, and the loop that accepts."""

import errno
import socket
from collections.abc import Callable

import structlog
import trio

from chatd.logs.counted import LimitedLine

from .problem import plain_answer

log = structlog.get_logger("chatd.listen")

BACKLOG_CONNECTIONS = 1024
SEND_BUFFER_BYTES = 262_144
"""Bytes that the kernel keeps for one slow reader; more would only hide that it is slow."""

ACCEPT_PAUSE_S = 0.1
"""Seconds without accepting, when there are no descriptors left."""
COMPLAINT_EVERY_S = 60.0
"""Seconds between two lines about that: it is tried ten times a second."""

RETRY_AFTER_S = 5
CONNECTIONS_PER_TURN = 8


class TooMany(Exception):
    """No more connections can be taken now."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on every address of `host`, all on one port. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, proto, _, address in dict.fromkeys(found):
            if sockets and port == 0:  # the port that the first address got
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            sock = socket.socket(family, kind, proto)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            sock.listen(BACKLOG_CONNECTIONS)
            sock.setblocking(False)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


async def accept_from(
    listener: socket.socket,
    accepted: Callable[[socket.socket, tuple[str, int]], None],
    complaint: LimitedLine | None = None,
) -> None:
    """Hand each new connection on, until cancelled; `accepted` raises TooMany where it can't take one.

    `complaint`: of several listeners together, about descriptors that ran out.
    """
    complaint = complaint or LimitedLine(COMPLAINT_EVERY_S, trio.current_time)
    taken = 0  # in this turn
    while True:
        try:
            sock, address = listener.accept()
        except BlockingIOError:
            await trio.lowlevel.wait_readable(listener)
            taken = 0
            continue
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                complaint.say(log.error, "cannot accept", reason=error.strerror)
                await trio.sleep(ACCEPT_PAUSE_S)
                continue
        else:
            _hand_on(sock, address, accepted)
        # A few connections a turn: a flood of them leaves every other task its share of the loop, and with only one a
        # turn whoever comes behind the flood would wait for as many turns.
        taken += 1
        if taken == CONNECTIONS_PER_TURN:
            taken = 0
            await trio.lowlevel.checkpoint()


def _hand_on(
    sock: socket.socket, address: tuple[str, int], accepted: Callable[[socket.socket, tuple[str, int]], None]
) -> None:
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        accepted(sock, (address[0], address[1]))
    except TooMany:
        _turn_away(sock)
    except OSError:  # that one peer is gone already
        sock.close()


def _turn_away(sock: socket.socket) -> None:
    try:
        retry = [(b"retry-after", b"%d" % RETRY_AFTER_S)]
        sock.send(plain_answer(503, "unavailable", "too many connections", temporary=True, headers=retry))
    except OSError:
        pass
    finally:
        sock.close()
