"""A TCP proxy in front of a MySQL server that loses a connection around a COMMIT."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Literal

import pytest

COMMIT = b"\x03COMMIT"  # COM_QUERY

Cut = Literal["before", "after", "at once"]
"""Before the server gets it, after the server has carried it out, or as soon as it was passed on."""


CLIENT_SSL = 0x0800


def _offers_encryption(port: int) -> bool:
    """By the capabilities in the greeting: behind its version, a number, eight bytes of a challenge, and a zero."""
    with socket.create_connection(("127.0.0.1", port)) as sock, sock.makefile("rb") as stream:
        length = int.from_bytes(stream.read(4)[:3], "little")
        _, _, rest = stream.read(length)[1:].partition(b"\0")
        return bool(int.from_bytes(rest[13:15], "little") & CLIENT_SSL)


class Cutter:
    """Listens at `port`. `arm` makes the next COMMIT end its connection; `cuts` counts those that did."""

    def __init__(self, server: int) -> None:
        if _offers_encryption(server):
            pytest.skip("needs a MySQL server without TLS: a COMMIT can't be seen in it")
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self._armed: Cut | None = None
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def arm(self, cut: Cut) -> None:
        self._armed = cut

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for sock in self._open:
                _end(sock)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server))
            with self._lock:
                self._open += [client, server]
            answered, muted = threading.Event(), threading.Event()
            for work in (self._to_server, self._to_client):
                thread = threading.Thread(target=work, args=(client, server, answered, muted))
                self._threads.append(thread)
                thread.start()

    def _to_server(
        self, client: socket.socket, server: socket.socket, answered: threading.Event, muted: threading.Event
    ) -> None:
        for data in _received(client):
            cut, self._armed = (self._armed, None) if data.endswith(COMMIT) else (None, self._armed)
            if cut is not None:
                self.cuts += 1
                answered.clear()
                if cut == "after":
                    # The client hears of the loss when the server has committed: before that, it would end the
                    # session there, and with it the commit.
                    muted.set()
                if cut != "before":
                    with contextlib.suppress(OSError):
                        server.sendall(data)
                if cut == "after":
                    assert answered.wait(10)
                break
            with contextlib.suppress(OSError):
                server.sendall(data)
        _end(client)
        _end(server)

    def _to_client(
        self, client: socket.socket, server: socket.socket, answered: threading.Event, muted: threading.Event
    ) -> None:
        for data in _received(server):
            answered.set()
            if muted.is_set():
                continue
            with contextlib.suppress(OSError):
                client.sendall(data)
        _end(client)


def _received(sock: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            data = sock.recv(65536)
        except OSError:
            return
        if not data:
            return
        yield data


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
