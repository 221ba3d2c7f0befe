"""WebSocket frames from the server (RFC 6455, section 5.2): unmasked, one frame a message."""

from protocol.encode import encode
from protocol.frames import Frame

TEXT = 0x81  # FIN and opcode 1 (RFC 6455, section 5.2)
PING = b"\x89\x00"
"""A WebSocket ping without payload."""

CLOSE = b"\x88"
"""How a close frame begins."""
PONG = b"\x8a"
"""How a pong begins."""


class WebSocketJson:
    """One unmasked text frame (RFC 6455, section 5.2) of JSON."""

    name = "ws.json"

    def encode(self, frame: Frame) -> bytes:
        return text_frame(encode(frame))

    def wrap(self, json: bytes) -> bytes:
        return text_frame(json)


def text_frame(payload: bytes) -> bytes:
    """A WebSocket text frame from the server."""
    size = len(payload)
    if size < 126:
        return bytes((TEXT, size)) + payload
    if size < 65_536:
        return bytes((TEXT, 126, size >> 8, size & 0xFF)) + payload
    return bytes((TEXT, 127)) + size.to_bytes(8, "big") + payload


def close_frame(code: int | None, reason: str = "") -> bytes:
    """A WebSocket close frame from the server (RFC 6455, section 5.5.1); a reason has at most 123 bytes."""
    payload = b"" if code is None else code.to_bytes(2, "big") + _fitting(reason, 123)
    return CLOSE + bytes((len(payload),)) + payload


def pong_frame(payload: bytes) -> bytes:
    """The answer to a ping with this payload (at most 125 bytes)."""
    return PONG + bytes((len(payload),)) + payload


def _fitting(text: str, size: int) -> bytes:
    return text.encode()[:size].decode(errors="ignore").encode()
