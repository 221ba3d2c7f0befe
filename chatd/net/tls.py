"""TLS on the one port: the certificate, and connections that begin with a handshake."""

import select
import socket
import ssl
from pathlib import Path
from typing import Final

import trio

from chatd.config import Tls

from .asgi import PEER_GONE, write
from .linger import linger
from .problem import whole_answer
from .unfinished import Turnstile

HANDSHAKE_BYTE: Final = 0x16
"""The first byte of TLS (RFC 8446, section 5.1)."""

NOT_TLS: Final = b"this port speaks TLS only: use https:// or wss://\n"
"""Plain text, as a browser shows it to a person."""


class BadCertificate(Exception):
    """Certificate or key cannot be used; the message is one line that says which file, why, and what to do."""


def load(settings: Tls) -> ssl.SSLContext | None:
    """Return the TLS context of the certificate files; None: no TLS. Raises BadCertificate."""
    if not settings.certificate and not settings.key:
        return None
    certificate = _pem("certificate", settings.certificate)
    key = _pem("key", settings.key)
    try:
        ssl.create_default_context(cafile=str(certificate))
    except ssl.SSLError:
        raise BadCertificate(f"[tls] certificate: {certificate}: holds no certificate, or a damaged one") from None

    def encrypted() -> str:
        raise BadCertificate(f"[tls] key: {key}: is encrypted; store it without a passphrase, readable by chatd alone")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])  # WebSocket needs it, and browsers would rather speak HTTP/2
    try:
        context.load_cert_chain(certificate, key, password=encrypted)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise BadCertificate(f"[tls] key: {key}: is not the key of {certificate}") from None
        why = (error.reason or "no private key, or a damaged one").lower().replace("_", " ")
        raise BadCertificate(f"[tls] key: {key}: cannot be used with {certificate}: {why}") from None
    return context


def _pem(setting: str, name: str) -> Path:
    """The file's absolute path. Raises BadCertificate where it can't be a PEM file."""
    if not name:
        raise BadCertificate(f"[tls] {setting}: missing; certificate and key come together")
    path = Path(name).expanduser().absolute()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadCertificate(f"[tls] {setting}: {path}: cannot be read: {error.strerror}") from None
    if b"-----BEGIN " not in data:
        raise BadCertificate(f"[tls] {setting}: {path}: is not a PEM file (-----BEGIN ...); convert it with openssl")
    return path


class TlsStream(trio.abc.HalfCloseableStream):
    """One encrypted connection, from its socket."""

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext) -> None:
        self._raw = stream
        self._tls = trio.SSLStream(stream, context, server_side=True, https_compatible=True)

    async def do_handshake(self) -> None:
        """Agree on keys, however long that takes. Raises trio.BrokenResourceError."""
        await self._tls.do_handshake()

    def would_block(self) -> bool:
        """Return True if the kernel has no room for more: the peer doesn't read."""
        poll = select.poll()
        try:
            poll.register(self._raw.socket.fileno(), select.POLLOUT)
        except (OSError, ValueError):  # closed
            return True
        return not poll.poll(0)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._tls.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._tls.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._tls.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """End our side of the TCP connection. As on the web, no close_notify: what is sent says where it ends."""
        await self._raw.send_eof()

    async def aclose(self) -> None:
        await self._tls.aclose()


async def accept(
    stream: trio.SocketStream, sock: socket.socket, context: ssl.SSLContext, *, turns: Turnstile, patience: float
) -> TlsStream | None:
    """Shake hands within `patience` seconds. None: the peer left, was too slow, or spoke something else than TLS.

    The caller closes `stream`.
    """
    secure = TlsStream(stream, context)
    try:
        with trio.move_on_after(patience):
            await trio.lowlevel.wait_readable(sock)
            first = sock.recv(1, socket.MSG_PEEK)
            if first and first[0] != HANDSHAKE_BYTE:
                await write(stream, whole_answer(400, NOT_TLS, "text/plain"), patience)
                await linger(stream)
                return None
            await turns.wait()  # a handshake costs a millisecond of the loop
            await secure.do_handshake()
            return secure
    except (OSError, trio.TooSlowError, *PEER_GONE):
        pass
    return None
