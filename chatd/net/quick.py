"""A socket's stream that asks the kernel at once, where Trio's gives all other tasks a turn first."""

import socket

import trio


class QuickStream(trio.abc.HalfCloseableStream):
    """A stream over a non-blocking socket. `plain`: Trio's own over the same socket.

    `send_now` gives no other task a turn: its caller has to see to that.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.plain = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._sock = sock

    def send_now(self, data: bytes) -> int:
        """Send what goes without waiting, and return how many bytes. Raises trio.BrokenResourceError."""
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise trio.BrokenResourceError from error

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for some bytes; Trio's stream asks the kernel before it waits, mostly in vain."""
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                return self._sock.recv(max_bytes or 65_536)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                raise trio.BrokenResourceError from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.plain.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.plain.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self.plain.send_eof()

    async def aclose(self) -> None:
        await self.plain.aclose()
