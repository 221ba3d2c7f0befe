"""A clamd that does what a test says, and remembers what it was sent."""

from collections.abc import Callable
from pathlib import Path

import attrs
import trio

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


def honest(data: bytes) -> bytes:
    return b"stream: Eicar-Signature FOUND\0" if EICAR in data else b"stream: OK\0"


@attrs.define
class Clamd:
    """`answer`: from what was sent to the reply. `most`: bytes (StreamMaxLength) after which it says so and closes."""

    path: Path
    answer: Callable[[bytes], bytes] = honest
    most: int = 1 << 30
    silent: bool = False
    seen: list[bytes] = attrs.field(factory=list)

    async def listen(self) -> trio.SocketListener:
        """A Unix socket at `path`, to be served with `handle`."""
        sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
        await sock.bind(str(self.path))
        sock.listen()
        return trio.SocketListener(sock)

    async def handle(self, stream: trio.SocketStream) -> None:
        buffer = bytearray()

        async def take(size: int) -> bytes:
            while len(buffer) < size:
                part = await stream.receive_some()
                if not part:
                    raise trio.BrokenResourceError
                buffer.extend(part)
            taken = bytes(buffer[:size])
            del buffer[:size]
            return taken

        try:
            if await take(6) == b"zPING\0":
                await stream.send_all(b"PONG\0")
                return
            assert await take(4) == b"EAM\0"
            data = bytearray()
            while size := int.from_bytes(await take(4)):
                data += await take(size)
                if len(data) > self.most:
                    await stream.send_all(b"INSTREAM size limit exceeded. ERROR\0")
                    return
            self.seen.append(bytes(data))
            if self.silent:
                await trio.sleep_forever()
            await stream.send_all(self.answer(bytes(data)))
        except trio.BrokenResourceError:
            pass
        finally:
            await stream.aclose()
