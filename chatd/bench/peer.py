"""WebSocket connections for a load: many in one task, with as little work for each message as Python allows.

A load shares its machine with the server that it measures: what it costs itself, the server lacks. So one task waits
for all sockets at once, and reads, takes in and writes without waiting.
"""

import base64
import selectors
import socket
import ssl
from abc import ABC, abstractmethod
from urllib.parse import urlsplit

import attrs
import trio

from chatd.transports.websocket.handshake import answer_to
from protocol.codes import CloseCode

SET_UP_TIMEOUT_S = 20.0
"""Seconds for a server to answer while a run is being set up."""

READ_BYTES = 65_536
"""Bytes read at once."""

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_AGAIN = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A  # FIN and the opcode (RFC 6455, section 5.2)
_MASK = bytes(4)
"""Masking is a client's duty (section 5.3); under this key a text is its own mask, which costs nothing."""


class Lost(Exception):
    """The load cannot go on; the message says why, in one line."""


def frame(payload: bytes, first: int = _TEXT) -> bytes:
    """A frame from a client: text, unless `first` says otherwise."""
    size = len(payload)
    if size < 126:
        return bytes((first, 0x80 | size)) + _MASK + payload
    if size < 65_536:
        return bytes((first, 0xFE, size >> 8, size & 0xFF)) + _MASK + payload
    return bytes((first, 0xFF)) + size.to_bytes(8, "big") + _MASK + payload


class Peer(ABC):
    """One connection. A subclass says what its texts mean; it calls `push` and must not wait."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._wires: Wires | None = None
        self._rest = b""  # a frame that is not complete yet
        self._out: list[bytes] = []
        self._watched = _READ

    @abstractmethod
    def receive(self, payload: bytes) -> None:
        """A text has come."""

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
        self._take(rest)
        self.flush()

    def ready(self, events: int) -> None:
        """The socket can be read or written."""
        connected = self._socket
        if events & _READ and connected is not None:
            try:
                data = connected.recv(READ_BYTES)
                while isinstance(connected, ssl.SSLSocket) and connected.pending():
                    data += connected.recv(READ_BYTES)
            except _AGAIN:
                return
            except OSError as error:
                self._end(str(error))
                return
            if not data:
                self._end("the server closed the connection")
                return
            self._take(data)
        self.flush()

    def _take(self, data: bytes) -> None:
        """Take in the frames that are complete; a server's are not masked."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : start], "big")
            if start + size > end:
                break
            kind = data[at]
            at = start + size
            if kind == _TEXT:
                self.receive(data[start:at])
            elif kind == _PING:
                self.push(frame(data[start:at], _PONG))
            elif kind == _CLOSE:
                self._end(_farewell(data[start:at]))
                return
            elif kind != _PONG:
                self._end("the server sent a frame that is no text")
                return
        self._rest = data[at:]

    def _end(self, reason: str) -> None:
        self.close()
        self.lost(reason)


def _farewell(payload: bytes) -> str:
    code = int.from_bytes(payload[:2], "big")
    reason = payload[2:].decode(errors="replace")
    return f"the server closed the connection: {code or CloseCode.DONE} {reason}".rstrip()


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
class Address:
    """The address of a server. `trust`: how its certificate is checked, None without TLS."""

    host: str
    port: int
    trust: ssl.SSLContext | None = None

    @classmethod
    def of(cls, url: str, *, ca: str | None = None) -> "Address":
        """The address in a URL; `ca`: a file with the certificates to trust. Raises Lost for what is none."""
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme, parts.hostname, parts.port
        except ValueError:
            scheme, host, port = "", None, None
        if scheme not in ("http", "https", "ws", "wss") or not host:
            raise Lost(f"{url!r} is no URL of a server: expected one like http://127.0.0.1:3001")
        if scheme in ("http", "ws"):
            return cls(host, port or 80)
        try:
            return cls(host, port or 443, ssl.create_default_context(cafile=ca))
        except (OSError, ssl.SSLError) as error:
            raise Lost(f"{ca}: not a file of certificates ({error})") from None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def connect(address: Address, path: str, peer: Peer, wires: Wires) -> None:
    """Connect a peer. Raises Lost."""
    connected, rest = await trio.to_thread.run_sync(_shake_hands, address, path, abandon_on_cancel=True)
    peer.attach(connected, rest, wires)


def _shake_hands(address: Address, path: str) -> tuple[socket.socket, bytes]:
    """A connection that speaks WebSocket, and what came behind the answer."""
    key = base64.b64encode(b"not for secrecy.")  # 16 bytes: it tells caches apart (section 10.3)
    try:
        connected = socket.create_connection((address.host, address.port), timeout=SET_UP_TIMEOUT_S)
    except OSError as error:
        raise Lost(f"cannot connect to {address}: {error.strerror or error}") from None
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address.trust is not None:
            connected = address.trust.wrap_socket(connected, server_hostname=address.host)
        connected.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key.decode()}\r\n\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = connected.recv(READ_BYTES)
            if not data or len(answer) > READ_BYTES:
                raise Lost(f"{address} doesn't speak WebSocket")
            answer += data
        head, _, rest = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            status = head.partition(b" ")[2].partition(b"\r\n")[0]
            raise Lost(f"{address} answered {status.decode(errors='replace')}")
        if answer_to(key).encode() not in head:
            raise Lost(f"{address} doesn't speak WebSocket")
    except OSError as error:
        connected.close()
        raise Lost(f"{address}: {error.strerror or error}") from None
    except Lost:
        connected.close()
        raise
    return connected, rest
