"""The connections of a load: frames, how they are cut, how they end, addresses."""

import socket
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.bench.peer import Peer, PeerLost, SocketAddress, Wires
from chatd.client.raw import cheap_frame
from chatd.transports.websocket.frames import FrameReader
from chatd.transports.websocket.framing import close_frame, text_frame


@attrs.define(eq=False, init=False)
class Ear(Peer):
    """Notes what comes."""

    texts: list[bytes]
    ended: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.texts, self.ended = [], []

    def receive(self, payload: bytes) -> None:
        self.texts.append(payload)

    def lost(self, reason: str) -> None:
        self.ended.append(reason)


@pytest.fixture
def wired() -> Iterator[tuple[Ear, socket.socket]]:
    """A peer, and the server's end of its connection."""
    ours, theirs = socket.socketpair()
    ear, wires = Ear(), Wires()
    ear.attach(ours, b"", wires)
    theirs.settimeout(5)
    yield ear, theirs
    wires.close()
    theirs.close()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_001])
def test_the_server_reads_what_a_load_writes(size: int) -> None:
    reader = FrameReader(1 << 20)
    reader.feed(cheap_frame(b"x" * size) + cheap_frame(b"next"))
    assert reader.next() == "x" * size
    assert reader.next() == "next"
    assert reader.next() is None


@given(st.lists(st.sampled_from([0, 1, 125, 126, 300, 65_536]), max_size=4), st.data())
def test_frames_are_read_however_they_are_cut(sizes: list[int], data: st.DataObject) -> None:
    texts = [bytes([65 + at]) * size for at, size in enumerate(sizes)]
    stream = b"".join(map(text_frame, texts))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    ear = Ear()
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        ear.feed(stream[begin:end])
    assert ear.texts == texts
    assert ear.ended == []


def test_a_ping_is_answered(wired: tuple[Ear, socket.socket]) -> None:
    ear, theirs = wired
    theirs.sendall(b"\x89\x04ping" + b"\x8a\x00" + text_frame(b"{}"))
    ear.ready(1)
    assert theirs.recv(100) == b"\x8a\x84\0\0\0\0ping"
    assert ear.texts == [b"{}"]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (close_frame(1001, "shutting down"), "1001 shutting down"),
        (b"\x82\x01a", "no text"),
        (b"\x01\x01a", "no text"),
        (b"", "closed the connection"),
    ],
)
def test_connection_end_is_reported(wired: tuple[Ear, socket.socket], sent: bytes, words: str) -> None:
    ear, theirs = wired
    theirs.sendall(sent)
    theirs.shutdown(socket.SHUT_WR)
    ear.ready(1)
    (reason,) = ear.ended
    assert words in reason
    ear.push(b"too late")
    ear.flush()
    ear.ready(1)
    assert len(ear.ended) == 1


def test_bytes_that_the_kernel_refuses_follow_in_order(wired: tuple[Ear, socket.socket]) -> None:
    ear, theirs = wired
    blocks = [bytes([at]) * 100_000 for at in range(40)]
    for block in blocks:
        ear.push(block)
        ear.flush()
    received = bytearray()
    while len(received) < 4_000_000:
        received += theirs.recv(1 << 20)
        ear.ready(2)
    assert received == b"".join(blocks)


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://x", "http://", "http://x:99999", "http://[::1"])
def test_text_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(PeerLost, match="expected one like"):
        SocketAddress.of(url)


def test_addresses() -> None:
    assert SocketAddress.of("http://127.0.0.1:3001") == SocketAddress("127.0.0.1", 3001)
    assert SocketAddress.of("ws://[::1]:80/ws") == SocketAddress("::1", 80)
    assert str(SocketAddress("::1", 80)) == "[::1]:80"
    secure = SocketAddress.of("wss://chat.example.org")
    assert (secure.host, secure.port) == ("chat.example.org", 443)
    assert secure.trust is not None


def test_a_file_of_certificates_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("my shopping list")
    with pytest.raises(PeerLost, match=r"ca\.pem"):
        SocketAddress.of("https://localhost", ca=str(tmp_path / "ca.pem"))
