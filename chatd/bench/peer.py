"""WebSocket connections for a load: many in one task, with as little work for each message as Python allows.

A load shares its machine with the server that it measures: what it costs itself, the server lacks. So one task waits
for all sockets at once, and reads, takes in and writes without waiting.
"""

import selectors
import socket
import ssl
from abc import abstractmethod
from urllib.parse import urlsplit

import attrs
import trio

from chatd.client import raw

SET_UP_TIMEOUT_S = 20.0
"""Seconds for a server to answer while a run is being set up."""

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_AGAIN = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class PeerLost(Exception):
    """The load cannot go on; the message says why, in one line."""


class Peer(raw.FrameReader):
    """One connection. A subclass says what its texts mean; it calls `push` and must not wait."""

    def __init__(self) -> None:
        super().__init__()
        self._socket: socket.socket | None = None
        self._wires: Wires | None = None
        self._out: list[bytes] = []
        self._watched = _READ

    @abstractmethod
    def lost(self, reason: str) -> None:
        """The connection is over, not by us."""

    def push(self, data: bytes) -> None:
        """Send a frame with what else is sent in this turn."""
        self._out.append(data)

    def flush(self) -> None:
        """Write what was pushed, as far as the kernel takes it; the rest follows by itself."""
        if not self._out or self._socket is None or self._wires is None:
            return
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        try:
            sent = self._socket.send(data)
        except _AGAIN:
            sent = 0
        except OSError as error:
            self._end(str(error))
            return
        if sent < len(data):
            self._out.append(data[sent:])
        watched = _READ | _WRITE if self._out else _READ
        if watched != self._watched:
            self._watched = watched
            self._wires.watch(self, self._socket, watched)

    def close(self) -> None:
        """Leave, without ceremony."""
        if self._socket is not None and self._wires is not None:
            self._wires.forget(self._socket)
            self._socket.close()
            self._socket = None

    def attach(self, connected: socket.socket, rest: bytes, wires: "Wires") -> None:
        """Begin on a socket whose handshake is done; `rest` was read behind it."""
        connected.setblocking(False)
        self._socket, self._wires = connected, wires
        wires.watch(self, connected, _READ)
        self.feed(rest)
        self.flush()

    def ready(self, events: int) -> None:
        """The socket can be read or written."""
        connected = self._socket
        if events & _READ and connected is not None:
            try:
                data = connected.recv(raw.READ_BYTES)
                while isinstance(connected, ssl.SSLSocket) and connected.pending():
                    data += connected.recv(raw.READ_BYTES)
            except _AGAIN:
                return
            except OSError as error:
                self._end(str(error))
                return
            if not data:
                self._end("the server closed the connection")
                return
            self.feed(data)
        self.flush()

    def other(self, first: int, payload: bytes) -> bool:
        if first == raw.FIN | raw.PING:
            self.push(raw.cheap_frame(payload, raw.FIN | raw.PONG))
        elif first == raw.FIN | raw.CLOSE:
            self._end(f"the server closed the connection: {raw.ended_by(payload)}")
            return False
        elif first != raw.FIN | raw.PONG:
            self.broken("a frame that is no text")
            return False
        return True

    def broken(self, reason: str) -> None:
        self._end(f"the server sent {reason}")

    def _end(self, reason: str) -> None:
        self.close()
        self.lost(reason)


class Wires:
    """All connections of a load; `run` serves them until it is cancelled."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def watch(self, peer: Peer, connected: socket.socket, events: int) -> None:
        """Wait for these events from now on."""
        if connected.fileno() in self._selector.get_map():
            self._selector.modify(connected, events, peer)
        else:
            self._selector.register(connected, events, peer)

    def forget(self, connected: socket.socket) -> None:
        """Wait no longer."""
        self._selector.unregister(connected)

    async def run(self) -> None:
        """Read and write as sockets allow."""
        # One set of sockets inside another: Trio waits once for all of them.
        while True:
            await trio.lowlevel.wait_readable(self._selector.fileno())
            for key, events in self._selector.select(0):
                key.data.ready(events)

    def close(self) -> None:
        """Close every connection."""
        for key in list(self._selector.get_map().values()):
            key.data.close()
        self._selector.close()


@attrs.frozen
class SocketAddress:
    """The address of a server. `trust`: how its certificate is checked, None without TLS."""

    host: str
    port: int
    trust: ssl.SSLContext | None = None

    @classmethod
    def of(cls, url: str, *, ca: str | None = None) -> "SocketAddress":
        """The address in a URL; `ca`: a file with the certificates to trust. Raises PeerLost for what is none."""
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme, parts.hostname, parts.port
        except ValueError:
            scheme, host, port = "", None, None
        if scheme not in ("http", "https", "ws", "wss") or not host:
            raise PeerLost(f"{url!r} is no URL of a server: expected one like http://127.0.0.1:3001")
        if scheme in ("http", "ws"):
            return cls(host, port or 80)
        try:
            return cls(host, port or 443, ssl.create_default_context(cafile=ca))
        except (OSError, ssl.SSLError) as error:
            raise PeerLost(f"{ca}: not a file of certificates ({error})") from None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def connect(address: SocketAddress, path: str, peer: Peer, wires: Wires) -> None:
    """Connect a peer. Raises PeerLost."""
    connected, rest = await trio.to_thread.run_sync(_shake_hands, address, path, abandon_on_cancel=True)
    peer.attach(connected, rest, wires)


def _shake_hands(address: SocketAddress, path: str) -> tuple[socket.socket, bytes]:
    """A connection that speaks WebSocket, and what came behind the answer."""
    try:
        connected = socket.create_connection((address.host, address.port), timeout=SET_UP_TIMEOUT_S)
    except OSError as error:
        raise PeerLost(f"cannot connect to {address}: {error.strerror or error}") from None
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address.trust is not None:
            connected = address.trust.wrap_socket(connected, server_hostname=address.host)
        connected.sendall(raw.upgrade(path, host=str(address)))
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = connected.recv(raw.READ_BYTES)
            if not data or len(answer) > raw.READ_BYTES:
                raise PeerLost(f"{address} doesn't speak WebSocket")
            answer += data
        head, _, rest = answer.partition(b"\r\n\r\n")
        status = raw.status_of(head)
        if not status.startswith("101 "):
            raise PeerLost(f"{address} answered {status}")
        if not raw.is_accepted(head):
            raise PeerLost(f"{address} doesn't speak WebSocket")
    except OSError as error:
        connected.close()
        raise PeerLost(f"{address}: {error.strerror or error}") from None
    except PeerLost:
        connected.close()
        raise
    return connected, rest
