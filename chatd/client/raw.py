"""A raw WebSocket client (RFC 6455), for tests and loads: it sends what it is told to, right or wrong.

It judges by itself what a server sends: it shares no code with the server, nor with what `connect` makes.
"""

from abc import ABC, abstractmethod
from collections import deque
from contextlib import suppress

import trio

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
"""Opcodes (section 5.2)."""

FIN = 0x80
"""The bit of a frame that is the last of its message; before an opcode it makes the first byte of a whole message."""

MASK = b"\x01\x02\x03\x04"

MAX_MESSAGE_BYTES = 1024 * 1024
"""Bytes that a message from the server may have."""

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The answer to `KEY`: the example of section 1.3. The key is not for secrecy, so one does for all handshakes."""

NO_CODE, ABNORMAL = 1005, 1006
"""Stand for the code of a close frame without one, and of an end without a close frame (section 7.4.1)."""

READ_BYTES = 65_536

_TEXT_FRAME = FIN | TEXT
_ZEROS = bytes(4)


class BrokenFrame(Exception):
    """The server sent what no server may."""


class HandshakeRefused(Exception):
    """The server's answer is not that of one that speaks WebSocket. `status`: of HTTP, as in `404 Not Found`."""

    def __init__(self, status: str) -> None:
        super().__init__(f"the handshake was answered with {status!r}")
        self.status = status


class Ended(Exception):
    """The connection is over. `code`: of the close frame, 1006 without one."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason


def upgrade(path: str = "/ws", *lines: str, host: str = "localhost") -> bytes:
    """The request of a handshake (section 4.1). `lines`: more of its head, as in `Origin: https://clinic.example`."""
    head = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
    head += [f"Sec-WebSocket-Key: {KEY.decode()}", "Sec-WebSocket-Version: 13"]
    return "\r\n".join([*head, *lines, "\r\n"]).encode()


UPGRADE = upgrade()


def status_of(head: bytes) -> str:
    """The status in the head of an answer, with its words."""
    return head.partition(b"\r\n")[0].partition(b" ")[2].decode(errors="replace")


def is_accepted(head: bytes) -> bool:
    """Return True if this is the head of an answer that accepts `upgrade` (section 4.1)."""
    first, *lines = head.split(b"\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    return (
        first.startswith(b"HTTP/1.1 101 ")
        and fields.get(b"upgrade", b"").lower() == b"websocket"
        and b"upgrade" in fields.get(b"connection", b"").lower().replace(b",", b" ").split()
        and fields.get(b"sec-websocket-accept") == ACCEPT
    )


def cheap_frame(payload: bytes, first: int = FIN | TEXT) -> bytes:
    """A frame from a client, masked at no cost: under a key of zeros a payload is its own mask (section 5.3)."""
    size = len(payload)
    if size < 126:
        return bytes((first, 0x80 | size)) + _ZEROS + payload
    if size < 65_536:
        return bytes((first, 0xFE, size >> 8, size & 0xFF)) + _ZEROS + payload
    return bytes((first, 0xFF)) + size.to_bytes(8, "big") + _ZEROS + payload


def frame(payload: bytes, opcode: int = TEXT, *, first: int = FIN, mask: bytes | None = MASK) -> bytes:
    """A frame from a client, who has to mask it (section 5.2). `first`: the FIN and reserved bits."""
    head = cheap_frame(payload, first | opcode)[: -len(_ZEROS) - len(payload)]
    if mask is None:
        return bytes((head[0], head[1] & 0x7F)) + head[2:] + payload
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class FrameReader(ABC):
    """Cuts what a server sends into frames. A subclass says what becomes of them."""

    def __init__(self) -> None:
        self.rest = b""
        """The bytes of a frame that is not complete yet."""

    @abstractmethod
    def receive(self, payload: bytes) -> None:
        """A text has come, in one frame."""

    @abstractmethod
    def other(self, first: int, payload: bytes) -> bool:
        """Any other frame has come, by its first byte. Returns whether more may follow."""

    @abstractmethod
    def broken(self, reason: str) -> None:
        """The server sent what no server may, and nothing more is read."""

    def feed(self, data: bytes) -> None:
        """Take in the frames that are complete."""
        # A load reads everything through here, so this loop calls nothing but what takes the payload.
        if self.rest:
            data = self.rest + data
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                if size > 127 or data[at] & 8:
                    self.broken("a frame that is masked, or a control frame that is too long")  # sections 5.1, 5.5
                    break
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : start], "big")
            if start + size > end:
                break
            first = data[at]
            at = start + size
            if first == _TEXT_FRAME:
                self.receive(data[start:at])
            elif not self.other(first, data[start:at]):
                break
        self.rest = data[at:]


class _Frames(FrameReader):
    """All frames, by their first bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, bytes]] = []

    def receive(self, payload: bytes) -> None:
        self.found.append((_TEXT_FRAME, payload))

    def other(self, first: int, payload: bytes) -> bool:
        self.found.append((first, payload))
        return True

    def broken(self, reason: str) -> None:
        raise BrokenFrame(reason)


def split(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The complete frames of a server, as first byte and payload, and what is left over. Raises BrokenFrame."""
    frames = _Frames()
    frames.feed(data)
    return frames.found, frames.rest


def ended_by(payload: bytes) -> Ended:
    """The end that the payload of a close frame says (section 5.5.1)."""
    return Ended(int.from_bytes(payload[:2], "big") if payload else NO_CODE, payload[2:].decode(errors="replace"))


class RawClient:
    """A connection over any stream. `received`: the bytes that came and were not taken as frames.

    Nothing is read, and no ping answered, but while something is waited for.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.received = b""
        self._frames: deque[tuple[int, bytes]] = deque()
        self._sending = trio.StrictFIFOLock()
        self._closing = False

    async def send(self, data: bytes) -> None:
        """Send bytes as they are. Raises trio's errors of streams."""
        async with self._sending:
            await self.stream.send_all(data)

    async def until(self, wanted: bytes) -> bytes:
        """Read on until `wanted` is in `received`; returns that. Raises Ended."""
        while wanted not in self.received:
            await self._read()
        return self.received

    async def rest(self) -> bytes:
        """Read on until the server ends the connection; returns all of `received`. Raises trio.BrokenResourceError."""
        while data := await self.stream.receive_some(READ_BYTES):
            self.received += data
        return self.received

    async def close_code(self) -> int | None:
        """Read on until the server ends the connection; returns the code of its close frame, if there was one."""
        frames, _ = split(await self.rest())
        return next((ended_by(payload).code for first, payload in frames if first == FIN | CLOSE), None)

    async def upgrade(self, request: bytes = UPGRADE) -> bytes:
        """Shake hands; returns the head of the answer. Raises HandshakeRefused, Ended, trio's errors of streams."""
        await self.send(request)
        head, _, self.received = (await self.until(b"\r\n\r\n")).partition(b"\r\n\r\n")
        if not is_accepted(head):
            raise HandshakeRefused(status_of(head))
        return head

    async def message(self) -> str | bytes:
        """Return the next message; pings are answered, and a close. Raises Ended or BrokenFrame."""
        while True:
            while not self._frames:
                found, self.received = split(self.received)
                self._frames.extend(found)
                if not found:
                    await self._read()
            first, payload = self._frames.popleft()
            if len(payload) > MAX_MESSAGE_BYTES:
                raise BrokenFrame(f"a message of {len(payload)} bytes")
            opcode = first ^ FIN  # with a bit too many where the frame is a fragment, or uses an extension
            if opcode == TEXT:
                return payload.decode()
            if opcode == BINARY:
                return payload
            if opcode == CLOSE:
                await self._answer(frame(payload[:2], CLOSE), closing=True)
                raise ended_by(payload)
            if opcode == PING:
                await self._answer(frame(payload, PONG))
            elif opcode != PONG:
                raise BrokenFrame(f"a frame that begins with {first:#x}")

    async def close(self, code: int = 1000) -> None:
        """Send a close frame, whose answer ends `message`. Raises trio's errors of streams."""
        self._closing = True
        await self.send(frame(code.to_bytes(2, "big"), CLOSE))

    async def _read(self) -> None:
        try:
            data = await self.stream.receive_some(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if not data:
            raise Ended(ABNORMAL, f"the connection ended after {self.received[-200:]!r}")
        self.received += data

    async def _answer(self, data: bytes, *, closing: bool = False) -> None:
        if self._closing:
            return  # nothing follows a close frame, and one is enough (section 5.5.1)
        self._closing = closing
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the server is gone: reading says so
            await self.send(data)
