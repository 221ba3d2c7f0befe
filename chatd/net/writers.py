"""The two ends of the transport seam under an outbox: a plain socket, and any other stream (TLS, memory)."""

import socket

import trio

from .tls import TlsStream


class SocketTransport:
    """Writes straight to a non-blocking socket: a third of the cost of going through a task and a stream."""

    busy = False  # what the kernel took has left, as far as we are concerned

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def blocked(self) -> bool:
        return True  # whatever waits, the kernel has refused

    def try_write(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0

    async def writable(self) -> None:
        try:
            await trio.lowlevel.wait_writable(self._socket)
        except trio.ClosedResourceError as error:
            raise OSError("closed") from error


class StreamTransport:
    """Takes one chunk at a time and lets the writer task send it."""

    MAX_CHUNK = 65_536

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream
        self._chunk = b""

    def blocked(self) -> bool:
        return not isinstance(self._stream, TlsStream) or self._stream.would_block()

    @property
    def busy(self) -> bool:
        return bool(self._chunk)

    def try_write(self, data: bytes) -> int:
        if self._chunk:
            return 0
        self._chunk = data[: self.MAX_CHUNK]
        return len(self._chunk)

    async def writable(self) -> None:
        await self._stream.send_all(self._chunk)
        self._chunk = b""
