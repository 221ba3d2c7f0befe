"""Packets of Socket.IO 5. Pure: no I/O.

A packet is one text, which announces binary attachments, and they follow as messages of their own.
"""

import re
from enum import IntEnum
from typing import Any, Final

import attrs
import msgspec

from chatd.transports.engineio.packets import BrokenPacket
from storage.value import value

MAX_ATTACHMENTS: Final = 10
"""Attachments of one packet: each is held until the last has come."""

MAX_DEPTH: Final = 32
"""Depth of arrays and objects in a packet's data."""

_PACKET_HEAD: Final = re.compile(r"([0-6])(?:(\d{1,9})-)?(?:(/[^,]*)(?:,|$))?(\d{1,15})?", re.ASCII)
_PLAIN_EVENT: Final = re.compile(r"2(\d{0,15})(?=\[)", re.ASCII)
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


class SocketioKind(IntEnum):
    """The kinds of packets."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


BINARY_KINDS: Final = {SocketioKind.BINARY_EVENT: SocketioKind.EVENT, SocketioKind.BINARY_ACK: SocketioKind.ACK}
FROM_CLIENTS: Final = frozenset(SocketioKind) - {SocketioKind.CONNECT_ERROR}

RESERVED: Final = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)
"""Names that no event may have: they are the library's own."""


@value
class Packet:
    """One packet. `data`: of an event its name and arguments, of an ack its arguments; `id`: of the ack, if wanted.

    `is_binary`: it came with attachments, which are in the data.
    """

    kind: SocketioKind
    namespace: str = "/"
    data: Any = None
    id: int | None = None
    is_binary: bool = attrs.field(default=False, eq=False)


@attrs.frozen
class Incomplete:
    """A packet whose attachments are still to come."""

    packet: Packet
    attachments: int

    def complete(self, attachments: list[bytes]) -> Packet:
        """Return the packet with its attachments in place. Raises BrokenPacket where they don't fit."""
        used: set[int] = set()
        data = _filled(self.packet.data, attachments, used)
        if len(used) != self.attachments:
            raise BrokenPacket("an attachment has no place")
        return attrs.evolve(self.packet, data=data, is_binary=True)


def decode(text: str) -> Packet | Incomplete:
    """Return the packet that a text is or begins. Raises BrokenPacket."""
    simple = _plain_event(text)
    if simple is not None:
        return simple
    match = _PACKET_HEAD.match(text)
    if match is None:
        raise BrokenPacket("an unknown kind of packet")
    kind = SocketioKind(int(match[1]))
    data = _data(text[match.end() :])
    packet = Packet(BINARY_KINDS.get(kind, kind), match[3] or "/", data, None if match[4] is None else int(match[4]))
    _check(kind, packet)
    if kind not in BINARY_KINDS:
        if match[2] is not None:
            raise BrokenPacket("attachments of a packet without binary data")
        return packet
    if match[2] is None or int(match[2]) > MAX_ATTACHMENTS:
        raise BrokenPacket("too many attachments")
    incomplete = Incomplete(packet, int(match[2]))
    return incomplete if incomplete.attachments else packet


def _plain_event(text: str) -> Packet | None:
    """Return an event of the main namespace, the most frequent packet by far; None: look closer."""
    match = _PLAIN_EVENT.match(text)
    if match is None:
        return None
    data = _data(text[match.end() :])
    name = data[0] if data else None
    if type(name) is not str or name in RESERVED:
        return None
    id = match[1]
    return Packet(SocketioKind.EVENT, "/", data, int(id) if id else None)


def _data(text: str) -> Any:
    if not text:
        return None
    try:
        data = _decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        raise BrokenPacket("data that is not JSON") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(data) > MAX_DEPTH:
        raise BrokenPacket("data that is nested too deep")
    return data


def _depth(data: Any) -> int:
    """Return how deep data is nested; msgspec refuses what would exhaust the stack."""
    depth, level = 0, [data]
    while level:
        level = [
            child
            for value in level
            if isinstance(value, list | dict)
            for child in (value if isinstance(value, list) else value.values())
        ]
        depth += 1
    return depth


def _check(kind: SocketioKind, packet: Packet) -> None:
    """Raise BrokenPacket for data that a packet of this kind can't have."""
    data = packet.data
    good = {
        SocketioKind.CONNECT: data is None or isinstance(data, dict),
        SocketioKind.DISCONNECT: data is None,
        SocketioKind.EVENT: isinstance(data, list) and bool(data) and _is_name(data[0]),
        SocketioKind.ACK: isinstance(data, list) and packet.id is not None,
        SocketioKind.CONNECT_ERROR: False,
    }[packet.kind]
    if not good or kind not in FROM_CLIENTS:
        raise BrokenPacket("a packet with the wrong data")


def _is_name(name: object) -> bool:
    if isinstance(name, str):
        return name not in RESERVED
    return isinstance(name, int | float) and not isinstance(name, bool)


def _filled(value: Any, attachments: list[bytes], used: set[int]) -> Any:
    if isinstance(value, list):
        return [_filled(item, attachments, used) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("_placeholder") is not True:
        return {key: _filled(item, attachments, used) for key, item in value.items()}
    number = value.get("num")
    if not isinstance(number, int) or not 0 <= number < len(attachments):
        raise BrokenPacket("a placeholder of no attachment")
    used.add(number)
    return attachments[number]


def head_of(kind: SocketioKind, namespace: str = "/", id: int | None = None, attachments: int = 0) -> bytes:
    """Return a packet's text up to its data, as an Engine.IO message."""
    if namespace == "/" and kind is SocketioKind.ACK and id is not None:
        return b"43%d" % id
    announced = f"{attachments}-" if kind in BINARY_KINDS else ""
    within = "" if namespace == "/" else f"{namespace},"
    return f"4{int(kind)}{announced}{within}{'' if id is None else id}".encode()


def encode(packet: Packet) -> list[str | bytes]:
    """Return a packet's Engine.IO messages: its text, and its attachments."""
    attachments: list[bytes] = []
    data = _emptied(packet.data, attachments)
    kind = packet.kind
    if attachments:
        kind = {plain: binary for binary, plain in BINARY_KINDS.items()}[kind]
    head = head_of(kind, packet.namespace, packet.id, len(attachments))[1:]
    text = head if data is None else head + _encoder.encode(data)
    return [text.decode(), *attachments]


def _emptied(value: Any, attachments: list[bytes]) -> Any:
    if isinstance(value, bytes):
        attachments.append(value)
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(value, list | tuple):
        return [_emptied(item, attachments) for item in value]
    if isinstance(value, dict):
        return {key: _emptied(item, attachments) for key, item in value.items()}
    return value


def text_packet(head: bytes, data: Any) -> bytes:
    """Return a packet without attachments as an Engine.IO payload; `head` as from `head_of`."""
    return head + _encoder.encode(data)
