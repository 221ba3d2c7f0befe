"""WebSocket frames from a client's bytes (RFC 6455, section 5). Pure: no I/O.

The parser does what trio-websocket does otherwise, at a fraction of its cost per message: one pass over the buffer, one
XOR over whole integers.
"""

from chatd.core.errors import Closing
from protocol.codes import CloseCode

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_WHOLE_TEXT = 0x80 | _TEXT
_MASKED = 0x80
_PEER_CODES = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)))  # section 7.4


class PingFrame:
    """Ping frame, to be answered with a pong of the same payload."""

    __slots__ = ("payload",)

    def __init__(self, payload: bytes) -> None:
        self.payload = payload


class PeerClose:
    """The peer's close frame; `code` as it is to be echoed, None where there was none."""

    __slots__ = ("code",)

    def __init__(self, code: int | None) -> None:
        self.code = code


BYTES_PER_FRAGMENT = 16
"""Average bytes of a fragment in the longest message allowed: smaller ones cost far more to read than they bring."""


class FrameReader:
    """Gathers bytes, gives messages of at most `max_message` bytes. Raises Closing for what breaks the protocol.

    `spare`: frames so far that were no message of their own (control frames and fragments); for the caller to reset.
    `lacking`: bytes that the frame under way still needs, as far as its head has come.
    """

    def __init__(self, max_message: int) -> None:
        self.max_message = max_message
        self.spare = 0
        self.lacking = 0
        self._buffer: bytes | bytearray = b""  # as it came, mostly; an incomplete frame is gathered in a bytearray
        self._at = 0  # where the next frame begins
        self._opcode = 0  # of a fragmented message under way
        self._message = bytearray()  # its fragments, joined as they come: kept apart, each pins 60 bytes more
        self._fragments = 0

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of their message."""
        return len(self._buffer) - self._at + len(self._message)

    def clear(self) -> None:
        """Let go of all that is held."""
        self._buffer, self._at, self._message = b"", 0, bytearray()

    def feed(self, data: bytes) -> None:
        """More bytes from the peer."""
        self.lacking = 0
        buffer = self._buffer
        if self._at == len(buffer):
            self._buffer = data
        elif isinstance(buffer, bytes):
            self._buffer = bytearray(buffer[self._at :]) + data
        else:
            del buffer[: self._at]
            buffer += data
        self._at = 0

    def next(self) -> str | bytes | PingFrame | PeerClose | None:
        """The next message or control frame, or None where more bytes are needed."""
        while True:
            buffer, at = self._buffer, self._at
            have = len(buffer) - at
            if have < 2:
                return None
            first, size = buffer[at], buffer[at + 1] - _MASKED
            if first != _WHOLE_TEXT or size < 0:
                _check_head(first, size)
            head = 6  # with the mask
            if size > 125:
                head = 8 if size == 126 else 14
                if have < head:
                    return None
                size = int.from_bytes(buffer[at + 2 : at + head - 4], "big")
            if len(self._message) + size > self.max_message and first & 0x0F < _CLOSE:
                raise Closing(CloseCode.TOO_LARGE, f"a message may have {self.max_message} bytes")
            if have < head + size:
                self.lacking = head + size - have
                return None
            start = at + head
            self._at = end = start + size
            mask = buffer[start - 4 : start] * (size // 4 + 1)
            unmasked = int.from_bytes(buffer[start:end], "little") ^ int.from_bytes(mask[:size], "little")
            payload = unmasked.to_bytes(size, "little")
            if first == _WHOLE_TEXT and not self._opcode:  # the hot path
                return _text(payload)
            found = self._take(first & 0x0F, bool(first & 0x80), payload)
            if found is not None:
                return found

    def _take(self, opcode: int, final: bool, payload: bytes) -> str | bytes | PingFrame | PeerClose | None:
        self.spare += 1
        if opcode == _PING:
            return PingFrame(payload)
        if opcode == _PONG:
            return None
        if opcode == _CLOSE:
            return PeerClose(_close_code(payload))
        if opcode > _BINARY or (opcode == _CONTINUATION) != bool(self._opcode):
            raise _broken("an unknown kind of frame, or one out of place")
        self._opcode = self._opcode or opcode
        if final and not self._fragments:
            self._opcode = 0
            return payload
        self._message += payload
        self._fragments += 1
        if self._fragments * BYTES_PER_FRAGMENT > self.max_message:
            raise Closing(CloseCode.TOO_LARGE, "too many fragments")
        if not final:
            return None
        whole, kind = bytes(self._message), self._opcode
        self._message, self._fragments, self._opcode = bytearray(), 0, 0
        return _text(whole) if kind == _TEXT else whole


def _check_head(first: int, size: int) -> None:
    if first & 0x70 or size < 0:
        raise _broken("reserved bits are set, or the frame is not masked")
    if first & 0x0F >= _CLOSE and (size > 125 or not first & 0x80):
        raise _broken("a control frame is fragmented or too long")


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise Closing(CloseCode.NOT_UTF8, "text that is not UTF-8") from None


def _close_code(payload: bytes) -> int | None:
    if not payload:
        return None
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or code not in _PEER_CODES:
        raise _broken("a malformed close frame")
    _text(payload[2:])
    return code


def _broken(reason: str) -> Closing:
    return Closing(CloseCode.BROKEN, reason)
