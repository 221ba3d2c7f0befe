"""The certificate's files, the handshake, and the way out of an encrypted connection."""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from chatd.config import Tls
from chatd.core.outbox import Cork, Outbox
from chatd.net import tls
from chatd.net.tls import BadCertificate, TlsStream
from chatd.net.unfinished import Turnstile
from chatd.net.writers import StreamTransport
from support.certificates import make_certificate, trusting


def complaint(certificate: Path | str, key: Path | str) -> str:
    with pytest.raises(BadCertificate) as raised:
        tls.load(Tls(certificate=str(certificate), key=str(key)))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_without_files_there_is_no_tls() -> None:
    assert tls.load(Tls()) is None


def test_files_that_can_be_used(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = tls.load(Tls(certificate=str(certificate), key=str(key)))
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_relative_paths_and_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_certificate(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert tls.load(Tls(certificate="tls.crt", key="tls.key")) is not None
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tls.load(Tls(certificate="~/tls.crt", key="~/tls.key")) is not None


def test_one_file_holds_both(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    assert tls.load(Tls(certificate=str(both), key=str(both))) is not None


def test_one_without_the_other(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    assert complaint(certificate, "") == "[tls] key: missing; certificate and key come together"
    assert complaint("", key) == "[tls] certificate: missing; certificate and key come together"


@pytest.mark.parametrize("which", ["certificate", "key"])
def test_files_that_cannot_be_used(tmp_path: Path, which: str) -> None:
    files = dict(zip(("certificate", "key"), make_certificate(tmp_path), strict=True))
    wrong = files[which]
    text = wrong.read_text()

    def said() -> str:
        line = complaint(files["certificate"], files["key"])
        assert line.startswith(f"[tls] {which}: {wrong}"), line
        return line.removeprefix(f"[tls] {which}: {wrong}")

    wrong.write_bytes(ssl.PEM_cert_to_DER_cert(files["certificate"].read_text()) if which == "certificate" else b"\x30")
    assert said() == ": is not a PEM file (-----BEGIN ...); convert it with openssl"
    wrong.write_text("")
    assert said().startswith(": is not a PEM file")
    wrong.write_text(text[: len(text) // 2])
    assert "damaged" in said() or "cannot be used" in said()
    wrong.write_text(text.replace("MI", "!!"))
    assert "damaged" in said() or "cannot be used" in said()
    wrong.unlink()
    assert said() == ": cannot be read: No such file or directory"
    wrong.mkdir()
    assert said() == ": cannot be read: Is a directory"


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path)
    _, key = make_certificate(tmp_path, "other")
    assert complaint(certificate, key) == f"[tls] key: {key}: is not the key of {certificate}"


def test_files_in_each_others_place(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    assert complaint(key, certificate) == f"[tls] certificate: {key}: holds no certificate, or a damaged one"
    assert "no private key" in complaint(certificate, certificate)


def test_an_encrypted_key_asks_nobody(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, password=b"hunter2")
    line = complaint(certificate, key)
    assert line == f"[tls] key: {key}: is encrypted; store it without a passphrase, readable by chatd alone"


# -- connections --


async def pair() -> tuple[trio.SocketStream, trio.SocketStream, socket.socket]:
    """Both ends of a TCP connection; the server's is there twice, as the daemon has it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = await trio.open_tcp_stream(*listener.getsockname())
        sock, _ = listener.accept()
    sock.setblocking(False)
    return ours, trio.SocketStream(trio.socket.from_stdlib_socket(sock)), sock


@asynccontextmanager
async def accepted(
    folder: Path,
) -> AsyncIterator[tuple[trio.SSLStream[trio.SocketStream], TlsStream]]:
    """An encrypted connection, the client's end first."""
    certificate, key = make_certificate(folder)
    context = tls.load(Tls(certificate=str(certificate), key=str(key)))
    assert context is not None
    ours, theirs, sock = await pair()
    client = trio.SSLStream(ours, trusting(certificate), server_hostname="127.0.0.1", https_compatible=True)
    async with ours, theirs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            secure = await tls.accept(theirs, sock, context, turns=Turnstile(), patience=5)
        assert secure is not None
        yield client, secure


async def test_bytes_go_both_ways_until_either_ends(tmp_path: Path) -> None:
    async with accepted(tmp_path) as (client, secure):
        await client.send_all(b"ping")
        assert await secure.receive_some(100) == b"ping"
        await secure.wait_send_all_might_not_block()
        await secure.send_all(b"pong")
        await secure.send_eof()
        assert await client.receive_some(100) == b"pong"
        assert await client.receive_some(100) == b""
        await client.aclose()
        assert await secure.receive_some(100) == b""
        await secure.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await secure.send_all(b"more")
        assert secure.would_block()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_versions(tmp_path: Path, version: ssl.TLSVersion) -> None:
    certificate, key = make_certificate(tmp_path)
    context = tls.load(Tls(certificate=str(certificate), key=str(key)))
    assert context is not None
    ours, theirs, sock = await pair()
    asked = trusting(certificate)
    asked.minimum_version = asked.maximum_version = version
    asked.set_alpn_protocols(["h2", "http/1.1"])
    client = trio.SSLStream(ours, asked, server_hostname="localhost", https_compatible=True)
    async with ours, theirs, trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        assert await tls.accept(theirs, sock, context, turns=Turnstile(), patience=5) is not None
    assert client.version() == version.name.replace("_", ".")
    assert client.selected_alpn_protocol() == "http/1.1", "browsers would speak HTTP/2"


async def refused(folder: Path, data: bytes, *, end: bool, patience: float = 5) -> bytes:
    """What a peer gets that sends this; the server's end of it is closed as the daemon does."""
    certificate, key = make_certificate(folder)
    context = tls.load(Tls(certificate=str(certificate), key=str(key)))
    assert context is not None
    ours, theirs, sock = await pair()
    async with ours:
        await ours.send_all(data)
        if end:
            await ours.send_eof()
        async with theirs:
            assert await tls.accept(theirs, sock, context, turns=Turnstile(), patience=patience) is None
        received = b""
        with trio.fail_after(5):
            try:
                while chunk := await ours.receive_some():
                    received += chunk
            except trio.BrokenResourceError:
                pass
        return received


HELLO = bytes.fromhex("16030100")


async def test_plain_http_is_told_so(tmp_path: Path) -> None:
    answer = await refused(tmp_path, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", end=True)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-length: %d" % len(body) in head
    assert b"https://" in body


@pytest.mark.parametrize(
    ("data", "end"), [(b"", True), (HELLO, True), (HELLO + bytes(500), False), (b"\x16" * 99, True)]
)
async def test_handshakes_that_fail(tmp_path: Path, data: bytes, end: bool) -> None:
    assert b"HTTP" not in await refused(tmp_path, data, end=end)


@pytest.mark.parametrize("data", [b"", HELLO, b"\x16"])
async def test_half_a_handshake_and_silence(tmp_path: Path, data: bytes) -> None:
    assert await refused(tmp_path, data, end=False, patience=0.1) == b""


# -- the way out --


@asynccontextmanager
async def outbox_of(secure: TlsStream, limit: int) -> AsyncIterator[tuple[Outbox, list[str]]]:
    reasons: list[str] = []
    outbox = Outbox(StreamTransport(secure), Cork(), limit=limit, stalled=5, on_cut=reasons.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.run)
        yield outbox, reasons
        nursery.cancel_scope.cancel()


FRAME = b"x" * 10_000


async def test_a_reader_is_not_cut_by_a_burst_that_nobody_gave_it_a_chance_to_read(tmp_path: Path) -> None:
    async with accepted(tmp_path) as (client, secure), outbox_of(secure, limit=65_536) as (outbox, reasons):
        for _ in range(40):  # in one turn of the event loop: six times the bound
            outbox.push(FRAME)
        assert reasons == []
        left = 40 * len(FRAME)
        with trio.fail_after(10):
            while left:
                left -= len(await client.receive_some())
            await outbox.drained()
        assert reasons == []


async def test_tls_bytes_waiting_in_one_turn_are_bounded(tmp_path: Path) -> None:
    async with accepted(tmp_path) as (_, secure), outbox_of(secure, limit=65_536) as (outbox, reasons):
        for _ in range(60):
            outbox.push(FRAME)
        assert reasons == ["too slow"]


async def test_tls_peer_that_does_not_read_is_cut_at_the_bound(tmp_path: Path) -> None:
    async with accepted(tmp_path) as (_, secure), outbox_of(secure, limit=65_536) as (outbox, reasons):
        with trio.fail_after(10):
            while not secure.would_block():  # what the kernel's buffers take
                outbox.push(FRAME, counts=False)
                await trio.lowlevel.checkpoint()
        for n in range(1, 9):
            outbox.push(FRAME)
            assert reasons == (["too slow"] if n * len(FRAME) > 65_536 else [])
