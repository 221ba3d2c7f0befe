"""The codecs of Engine.IO and Socket.IO agree with those of python-engineio and python-socketio."""

from typing import Any

import pytest
from engineio.packet import Packet as TheirEnginePacket
from engineio.payload import Payload
from hypothesis import given, settings
from hypothesis import strategies as st
from socketio.packet import Packet as TheirPacket

from chatd.transports.engineio import packets as engine
from chatd.transports.engineio.packets import BrokenPacket
from chatd.transports.socketio.packets import RESERVED, Incomplete, Packet, SocketioKind, decode, encode

LETTERS = 'aZ0 é\u2028😀"\\/,-[{\x00\x1e'
"""What a codec may trip over."""

NAMES = st.text(LETTERS, min_size=1, max_size=9).filter(lambda name: name not in RESERVED)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(LETTERS, max_size=9)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdef", max_size=5), inner, max_size=4),
    max_leaves=8,
)
DATA = st.recursive(
    SCALARS | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdef", max_size=5), inner, max_size=3),
    max_leaves=8,
)
unhurried = settings(deadline=None, max_examples=50)
NAMESPACES = st.sampled_from(["/", "/custom", "/a/b"])
IDS = st.none() | st.integers(0, 10**9)


def count_bytes(value: Any) -> int:
    if isinstance(value, bytes):
        return 1
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(count_bytes, inner))


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    kind = draw(st.sampled_from([SocketioKind.CONNECT, SocketioKind.DISCONNECT, SocketioKind.EVENT, SocketioKind.ACK]))
    namespace = draw(NAMESPACES)
    match kind:
        case SocketioKind.CONNECT:
            return Packet(kind, namespace, draw(st.none() | st.dictionaries(st.text("abc", min_size=1), JSON)))
        case SocketioKind.DISCONNECT:
            return Packet(kind, namespace)
        case SocketioKind.EVENT:
            data = [draw(NAMES), *draw(st.lists(DATA, max_size=3))]
            return Packet(kind, namespace, data, draw(IDS))
        case _:
            return Packet(kind, namespace, draw(st.lists(DATA, max_size=3)), draw(st.integers(0, 10**9)))


def read(messages: list[str | bytes]) -> Packet:
    first, *attachments = messages
    assert isinstance(first, str)
    found = decode(first)
    if isinstance(found, Incomplete):
        assert found.attachments == len(attachments)
        return found.complete([attachment for attachment in attachments if isinstance(attachment, bytes)])
    assert not attachments
    return found


@unhurried
@given(packets().filter(lambda packet: count_bytes(packet.data) <= 10))
def test_packet_is_read_as_it_was_written(packet: Packet) -> None:
    assert read(encode(packet)) == packet


@unhurried
@given(packets().filter(lambda packet: count_bytes(packet.data) <= 10))
def test_packet_is_read_by_the_oracle(packet: Packet) -> None:
    first, *attachments = encode(packet)
    theirs = TheirPacket(encoded_packet=first)
    for attachment in attachments:
        theirs.add_attachment(attachment)
    ours = packet.kind + 3 if attachments else packet.kind
    assert (theirs.packet_type, theirs.namespace or "/", theirs.data, theirs.id) == (
        ours, packet.namespace, packet.data, packet.id,
    )  # fmt: skip


@unhurried
@given(packets().filter(lambda packet: count_bytes(packet.data) <= 10))
def test_packet_of_the_oracle_is_read(packet: Packet) -> None:
    theirs = TheirPacket(int(packet.kind), data=packet.data, namespace=packet.namespace, id=packet.id).encode()
    assert read(theirs if isinstance(theirs, list) else [theirs]) == packet


@unhurried
@given(st.text(max_size=60))
def test_any_text_is_a_packet_or_broken(text: str) -> None:
    for tried in (text, "2" + text, "2[" + text + "]", "51-" + text):
        try:
            decode(tried)
        except BrokenPacket:
            continue


@unhurried
@given(st.lists(st.text(LETTERS.replace("\x1e", "")) | st.binary(), min_size=1, max_size=9))
def test_payload_is_what_the_oracle_makes_of_it(messages: list[str | bytes]) -> None:
    ours = engine.SEPARATOR.join(map(engine.message, messages))
    theirs = Payload([TheirEnginePacket(4, message) for message in messages])
    assert ours.decode() == theirs.encode()
    assert [data for _, data in engine.decode_payload(ours)] == messages


@unhurried
@given(st.binary(max_size=80))
def test_any_body_is_a_payload_or_broken(body: bytes) -> None:
    try:
        found = engine.decode_payload(body)
    except BrokenPacket:
        return
    assert found


@pytest.mark.parametrize("number", ["99999999999", "-1"])
def test_attachment_count_out_of_reach_is_broken(number: str) -> None:
    with pytest.raises(BrokenPacket):
        read([f'5{number}-["message",{{"_placeholder":true,"num":0}}]'])


def test_payload_to_many_is_framed_once_and_another_is_not_mistaken_for_it() -> None:
    event, more, binary = b"42[1]", b"431[]\x1e432[]", b"42[2]\x1ebAAA="
    framed = engine.frames(event)
    assert framed == b"\x81\x0542[1]"
    assert engine.frames(more) == b"\x81\x05431[]\x81\x05432[]"
    assert engine.frames(event) is framed, "its sender got more in between"
    assert engine.frames(binary) == b"\x81\x0542[2]\x82\x02\x00\x00"
