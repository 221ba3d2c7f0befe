"""Blocking sockets to the daemon under attack, from any address of this machine's own network."""

import json
import random
import socket
from collections import deque
from contextlib import suppress
from typing import Any

from chatd.client.raw import CLOSE, FIN, TEXT, UPGRADE, cheap_frame, is_accepted, split

ANSWER_S = 30.0


def somewhere(rng: random.Random) -> str:
    """Return a loopback address that is not the normal client's: attackers have many."""
    return f"127.{rng.randrange(1, 255)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


def dial(port: int, source: str = "127.0.0.1") -> socket.socket:
    """Connect, from this address. Raises OSError."""
    return socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S, source_address=(source, 0))


def upgraded(port: int, source: str = "127.0.0.1") -> socket.socket:
    """A connection that speaks WebSocket. Raises OSError."""
    connected = dial(port, source)
    connected.sendall(UPGRADE)
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = connected.recv(4096)
        if not data:
            raise ConnectionResetError("the handshake was refused")
        answer += data
    if not is_accepted(answer.partition(b"\r\n\r\n")[0]):
        raise ConnectionResetError("the handshake was refused")
    return connected


class Chatter:
    """A signed-in client that waits for each answer. Raises OSError where the connection ends."""

    def __init__(self, port: int, token: str, source: str = "127.0.0.1") -> None:
        self._socket = upgraded(port, source)
        self._rest = b""
        self._frames: deque[tuple[int, bytes]] = deque()
        self._number = 0
        self.ask({"type": "hello", "token": token})

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer, an error too."""
        self._number += 1
        self._socket.sendall(cheap_frame(json.dumps({"id": self._number, **request}).encode()))
        while True:
            first, payload = self._next()
            if first == FIN | CLOSE:
                raise ConnectionResetError(f"closed with {payload[:2].hex()}")
            if first == FIN | TEXT and b'"re":%d' % self._number in payload[:60]:
                found: dict[str, Any] = json.loads(payload)
                return found

    def _next(self) -> tuple[int, bytes]:
        while not self._frames:
            data = self._socket.recv(65_536)
            if not data:
                raise ConnectionResetError("the daemon closed the connection")
            found, self._rest = split(self._rest + data)
            self._frames.extend(found)
        return self._frames.popleft()

    def poke(self, data: bytes) -> None:
        """Send bytes and read what is there, without waiting for either. Raises OSError where it is over."""
        self._socket.setblocking(False)
        try:
            while self._socket.recv(65_536):
                pass
            raise ConnectionResetError("the daemon closed the connection")
        except BlockingIOError:
            pass
        with suppress(BlockingIOError):
            self._socket.send(data)

    def close(self) -> None:
        self._socket.close()
