"""A virus scan by clamd (clamd(8), INSTREAM). Fails closed: a file passes on an exact OK and on nothing else."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import attrs
import structlog
import trio

from .refusal import FileRefused, unavailable

log = structlog.get_logger("chatd.attachments")

SCAN_TIMEOUT_S = 30.0
SCAN_CHUNK_BYTES = 1 << 16
REPLY_BYTES = 4096


@attrs.frozen
class Scanner:
    """`address`: the path of a Unix socket, or `host:port`. One connection a file."""

    address: str
    timeout_s: float = SCAN_TIMEOUT_S

    async def scan(self, path: Path) -> None:
        """Return if the file is clean; raises Refused otherwise."""
        try:
            with trio.fail_after(self.timeout_s):
                reply = await self._ask(path)
        except (OSError, trio.TooSlowError, trio.BrokenResourceError) as error:
            log.error("clamd does not answer, so no file is taken", reason=error.__class__.__name__)
            raise _no_answer() from error
        if reply == b"stream: OK\0":
            return
        if reply.startswith(b"stream: ") and reply.endswith(b" FOUND\0"):
            log.warning("clamd refused a file", signature=_printable(reply[8:-7]))
            raise FileRefused("the virus scanner refused this file")
        # Over StreamMaxLength, a full disk of its own, or half an answer.
        log.error("clamd did not scan a file", reply=_printable(reply))
        raise _no_answer()

    async def ping(self) -> bool:
        """Return True if it answers."""
        try:
            with trio.fail_after(self.timeout_s):
                async with await self._connect() as stream:
                    await stream.send_all(b"zPING\0")
                    return await _reply(stream) == b"PONG\0"
        except (OSError, trio.TooSlowError, trio.BrokenResourceError):
            return False

    async def _ask(self, path: Path) -> bytes:
        async with await self._connect() as stream:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_send, stream, path)
                # It may answer before it has all, and then reads no further: listen while sending.
                reply = await _reply(stream)
                nursery.cancel_scope.cancel()
            return reply

    async def _connect(self) -> trio.SocketStream:
        if "/" in self.address:
            return await trio.open_unix_socket(self.address)
        host, _, port = self.address.rpartition(":")
        return await trio.open_tcp_stream(host.strip("[]"), int(port))


async def _send(stream: trio.SocketStream, path: Path) -> None:
    chunks = _chunks(await trio.to_thread.run_sync(path.open, "rb"))
    try:
        await stream.send_all(b"zINSTREAM\0")
        while data := await trio.to_thread.run_sync(next, chunks, b""):
            await stream.send_all(len(data).to_bytes(4) + data)
        await stream.send_all(bytes(4))
    except trio.BrokenResourceError:
        pass  # it closed early: what it said, if anything, is the answer


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        yield from iter(lambda: file.read(SCAN_CHUNK_BYTES), b"")


async def _reply(stream: trio.SocketStream) -> bytes:
    """All up to the NUL that ends it, or to the end of the stream."""
    data = b""
    while not data.endswith(b"\0") and len(data) < REPLY_BYTES:
        part = await stream.receive_some(REPLY_BYTES)
        if not part:
            break
        data += part
    return data


def _printable(reply: bytes) -> str:
    return "".join(c if c.isprintable() else "?" for c in reply[:200].decode("ascii", "replace"))


def _no_answer() -> FileRefused:
    return unavailable("the virus scanner does not answer, so no file can be taken; please try again later")
