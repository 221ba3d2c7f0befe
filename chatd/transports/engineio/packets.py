"""Packets and payloads of Engine.IO 4. Pure: no I/O.

Outgoing packets are kept as polling has them: packets in text, `SEPARATOR` between them, binary ones in base64. A
WebSocket gets each in a frame of its own.
"""

import base64
import binascii
from collections import deque
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

from chatd.transports.websocket.framing import binary_frame, text_frame

SEPARATOR: Final = b"\x1e"
BINARY: Final = b"b"
"""First byte of a binary message in a payload."""

MAX_PACKETS_PER_PAYLOAD: Final = 1_000
"""Each costs far more than its bytes; the client sends some dozens at once."""


class EngineKind(StrEnum):
    """The kinds of packets, by their first character."""

    OPEN = "0"
    CLOSE = "1"
    PING = "2"
    PONG = "3"
    MESSAGE = "4"
    UPGRADE = "5"
    NOOP = "6"


_KIND_BY_DIGIT: Final = {kind.value: kind for kind in EngineKind}  # a third of the cost of asking the enum


class BrokenPacket(ValueError):
    """Bytes that are no packet, or a payload that is none: the session ends."""


CLOSE, PING, NOOP = (kind.value.encode() for kind in (EngineKind.CLOSE, EngineKind.PING, EngineKind.NOOP))
PROBE: Final = "probe"
ANSWERED_PROBE: Final = b"3probe"


def decode(packet: str | bytes) -> tuple[EngineKind, str | bytes]:
    """Return the kind and the data of a packet from a WebSocket: bytes are a binary message. Raises BrokenPacket."""
    if isinstance(packet, bytes):
        return EngineKind.MESSAGE, packet
    kind = _KIND_BY_DIGIT.get(packet[:1])
    if kind is None:
        raise BrokenPacket("an unknown kind of packet")
    return kind, packet[1:]


def decode_payload(body: bytes) -> list[tuple[EngineKind, str | bytes]]:
    """Return the packets of a request's body. Raises BrokenPacket."""
    parts = body.split(SEPARATOR, MAX_PACKETS_PER_PAYLOAD)
    if len(parts) > MAX_PACKETS_PER_PAYLOAD:
        raise BrokenPacket("too many packets in a payload")
    return [_decode_part(part) for part in parts]


def _decode_part(part: bytes) -> tuple[EngineKind, str | bytes]:
    if part.startswith(BINARY):
        try:
            return EngineKind.MESSAGE, base64.b64decode(part[1:], validate=True)
        except binascii.Error:
            raise BrokenPacket("binary data that is not base64") from None
    try:
        return decode(part.decode())
    except UnicodeDecodeError:
        raise BrokenPacket("text that is not UTF-8") from None


def message(data: str | bytes) -> bytes:
    """Return a message as a payload has it."""
    if isinstance(data, bytes):
        return BINARY + base64.b64encode(data)
    return EngineKind.MESSAGE.value.encode() + data.encode()


def split(payload: bytes) -> Sequence[bytes]:
    """Return the packets of a payload of ours."""
    return payload.split(SEPARATOR)


_framed: Final = deque[tuple[bytes, bytes]](maxlen=2)
"""Payloads framed last: a message to many is framed once, as they get it one after the other, its sender with more.

By identity: to hash a payload costs as much as to frame it.
"""


def frames(payload: bytes) -> bytes:
    """Return a payload of ours as WebSocket frames, one for each packet."""
    for known, framed in _framed:
        if known is payload:
            return framed
    made = b"".join(_frames(payload))
    _framed.append((payload, made))
    return made


def _frames(payload: bytes) -> Iterator[bytes]:
    start = end = 0
    while end >= 0:
        end = payload.find(SEPARATOR, start)  # `split` looks at each byte by itself
        packet = payload[start:] if end < 0 else payload[start:end]
        start = end + 1
        if packet.startswith(BINARY):
            yield binary_frame(base64.b64decode(packet[1:]))
        else:
            yield text_frame(packet)
