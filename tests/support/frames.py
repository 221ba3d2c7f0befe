"""WebSocket frames as a client writes and reads them, right and wrong (RFC 6455, section 5.2)."""

import struct
from collections.abc import Iterator

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(payload: bytes, opcode: int = TEXT, *, first: int = 0x80, mask: bytes | None = b"\x01\x02\x03\x04") -> bytes:
    """One frame from a client (RFC 6455, section 5.2); `first`: the FIN and reserved bits."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 65536:
        length = b"\x7e" + struct.pack("!H", size)
    else:
        length = b"\x7f" + struct.pack("!Q", size)
    if mask is None:
        return bytes([first | opcode]) + length + payload
    masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
    return bytes([first | opcode, length[0] | 0x80]) + length[1:] + mask + masked


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The frames of a server, which masks nothing."""
    while len(data) >= 2:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        yield data[0] & 0x0F, data[start : start + size]
        data = data[start + size :]
