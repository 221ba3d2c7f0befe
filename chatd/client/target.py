"""The server that a URL names."""

import ssl
from urllib.parse import urlsplit

import attrs
import trio


@attrs.frozen
class ServerAddress:
    """The server that a URL names. `netloc`: as in the `Host` header; `resource`: path and query."""

    host: str
    port: int
    tls: bool
    netloc: str
    resource: str

    @classmethod
    def of(cls, url: str) -> "ServerAddress":
        """Raises ValueError for what is no URL of a server."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
            raise ValueError(f"{url!r} is no URL of a server: expected one like http://127.0.0.1:3001")
        tls = parts.scheme in ("https", "wss")
        path = parts.path if parts.path not in ("", "/") else "/ws"
        resource = f"{path}?{parts.query}" if parts.query else path
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls, parts.netloc.rpartition("@")[2], resource)

    async def dial(self, context: ssl.SSLContext | None = None) -> trio.abc.Stream:
        """Connect; `context`: how a server's certificate is judged, where not by the system's rules. Raises OSError."""
        stream = await trio.open_tcp_stream(self.host, self.port)
        stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        if not self.tls:
            return stream
        context = context or ssl.create_default_context()
        encrypted = trio.SSLStream(stream, context, server_hostname=self.host, https_compatible=True)
        try:
            await encrypted.do_handshake()
        except trio.BrokenResourceError as error:
            await trio.aclose_forcefully(stream)
            if isinstance(error.__cause__, ssl.SSLError):  # an OSError that says why, of a certificate above all
                raise error.__cause__ from None
            raise
        return encrypted
