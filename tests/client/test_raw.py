"""The raw client judges servers by the standard: what it writes and reads, as wsproto does it, and what it refuses."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import memory_stream_pair
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    RejectConnection,
    TextMessage,
)

from chatd.client.raw import (
    BINARY,
    CLOSE,
    FIN,
    PING,
    UPGRADE,
    BrokenFrame,
    Ended,
    HandshakeRefused,
    RawClient,
    cheap_frame,
    frame,
    is_accepted,
    split,
)


@pytest.mark.parametrize("masked", [frame, cheap_frame])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_001])
def test_raw_frame_is_read_by_another_implementation(size: int, masked: Callable[[bytes], bytes]) -> None:
    server = Connection(ConnectionType.SERVER)
    server.receive_data(masked(b"x" * size) + frame(b"\xff", BINARY) + cheap_frame(b"p", FIN | PING))
    texts: list[TextMessage] = []
    rest: list[Event] = []
    for event in server.events():
        if isinstance(event, TextMessage):
            texts.append(event)
        else:
            rest.append(event)
    assert "".join(text.data for text in texts) == "x" * size
    assert rest == [BytesMessage(b"\xff", True, True), Ping(b"p")]


def test_raw_split_reads_what_another_implementation_writes() -> None:
    server = Connection(ConnectionType.SERVER)
    texts = ["", "x", "y" * 125, "z" * 126, "a" * 65_536]
    data = b"".join(server.send(TextMessage(text)) for text in texts) + server.send(CloseConnection(1001, "bye"))
    frames, rest = split(data + b"\x81\x05half")
    assert frames == [*((0x81, text.encode()) for text in texts), (FIN | CLOSE, b"\x03\xe9bye")]
    assert rest == b"\x81\x05half"


@pytest.mark.parametrize("wrong", [frame(b"masked"), cheap_frame(b""), b"\x89\x7e\x00\x7e" + b"x" * 126])
def test_raw_split_of_frames_that_no_server_may_send_raises(wrong: bytes) -> None:
    with pytest.raises(BrokenFrame):
        split(wrong)


ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)


@pytest.mark.parametrize(
    ("part", "other"),
    [
        (b"101", b"200"),
        (b"WebSocket\r", b"h2c\r"),
        (b"keep-alive, Upgrade", b"keep-alive"),
        (b"s3pP", b"S3PP"),
        (b"Sec-WebSocket-Accept", b"X"),
    ],
)
def test_raw_handshake_is_accepted_by_no_less_than_the_standard_asks(part: bytes, other: bytes) -> None:
    assert is_accepted(ACCEPTED)
    assert not is_accepted(ACCEPTED.replace(part, other))


async def shaken(*events: Event) -> tuple[RawClient, WSConnection, trio.abc.Stream]:
    """A raw client that has shaken hands with another implementation's server, and what that one sent besides."""
    ours, theirs = memory_stream_pair()
    client, server = RawClient(ours), WSConnection(ConnectionType.SERVER)
    server.receive_data(UPGRADE)
    await theirs.send_all(b"".join(map(server.send, (AcceptConnection(), *events))))
    await client.upgrade()
    assert await theirs.receive_some() == UPGRADE
    list(server.events())
    return client, server, theirs


async def test_raw_client_answers_pings_and_one_close() -> None:
    sent = (Ping(b"p"), TextMessage("one"), Pong(b""), Message(b"two"), CloseConnection(4010, "no hello"))
    client, server, theirs = await shaken(*sent)
    assert [await client.message(), await client.message()] == ["one", b"two"]
    with pytest.raises(Ended) as ended:
        await client.message()
    assert (ended.value.code, ended.value.reason) == (4010, "no hello")
    server.receive_data(bytes(await theirs.receive_some()))
    assert [(type(event), getattr(event, "code", None)) for event in server.events()] == [
        (Pong, None),
        (CloseConnection, 4010),
    ]


async def test_raw_client_that_closes_answers_nothing_any_more() -> None:
    client, _, theirs = await shaken()
    await client.close()
    await theirs.send_all(b"\x89\x00" + b"\x88\x02\x03\xe8")
    with pytest.raises(Ended, match="1000"):
        await client.message()
    await client.stream.aclose()
    assert b"".join([bytes(data) async for data in theirs]) == frame(b"\x03\xe8", CLOSE)


@pytest.mark.parametrize("first", [0x01, 0x80, 0xC1, 0x83])
async def test_raw_client_refuses_fragments_and_unknown_frames(first: int) -> None:
    client, _, theirs = await shaken()
    await theirs.send_all(bytes((first, 1)) + b"x")
    with pytest.raises(BrokenFrame):
        await client.message()


async def test_raw_client_refuses_a_message_that_is_too_long() -> None:
    client, server, theirs = await shaken()
    await theirs.send_all(server.send(TextMessage("x" * 2**20)) + server.send(TextMessage("x" * (2**20 + 1))))
    assert len(await client.message()) == 2**20
    with pytest.raises(BrokenFrame):
        await client.message()


async def test_raw_client_without_a_close_frame_ends_as_abnormal() -> None:
    client, _, theirs = await shaken()
    await theirs.aclose()
    with pytest.raises(Ended, match="1006"):
        await client.message()


async def test_raw_client_whose_handshake_is_refused_says_the_status() -> None:
    ours, theirs = memory_stream_pair()
    server = WSConnection(ConnectionType.SERVER)
    server.receive_data(UPGRADE)
    await theirs.send_all(server.send(RejectConnection(status_code=403)))
    with pytest.raises(HandshakeRefused, match="403"):
        await RawClient(ours).upgrade()
