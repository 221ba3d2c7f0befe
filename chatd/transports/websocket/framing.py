"""WebSocket frames from the server (RFC 6455, section 5.2): unmasked, one frame a message."""

import struct

from chatd.core.native import NativeJson

TEXT_FRAME = 0x81  # FIN and opcode 1 (RFC 6455, section 5.2)
BINARY_FRAME = 0x82  # FIN and opcode 2
PING = b"\x89\x00"
"""A WebSocket ping without payload."""

CLOSE = b"\x88"
"""First byte of a close frame."""
PONG = b"\x8a"
"""First byte of a pong."""
_MEDIUM_HEAD = struct.Struct(">BBH").pack


def text_frame(json: bytes) -> bytes:
    """A WebSocket text frame from the server."""
    size = len(json)
    if size < 126:
        return bytes((TEXT_FRAME, size)) + json
    if size < 65_536:
        return _MEDIUM_HEAD(TEXT_FRAME, 126, size) + json
    return bytes((TEXT_FRAME, 127)) + size.to_bytes(8, "big") + json


def binary_frame(data: bytes) -> bytes:
    """A WebSocket binary frame from the server."""
    return bytes((BINARY_FRAME,)) + text_frame(data)[1:]


class WebSocketJson(NativeJson):
    """One unmasked text frame of JSON for each."""

    name = "ws.json"
    framed = staticmethod(text_frame)


def close_frame(code: int | None, reason: str = "") -> bytes:
    """A WebSocket close frame from the server (RFC 6455, section 5.5.1); a reason has at most 123 bytes."""
    payload = b"" if code is None else code.to_bytes(2, "big") + _fitting(reason, 123)
    return CLOSE + bytes((len(payload),)) + payload


def pong_frame(payload: bytes) -> bytes:
    """The answer to a ping with this payload (at most 125 bytes)."""
    return PONG + bytes((len(payload),)) + payload


def _fitting(text: str, size: int) -> bytes:
    return text.encode()[:size].decode(errors="ignore").encode()
