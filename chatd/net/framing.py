"""One answer as HTTP/1.1 bytes (RFC 9112, 6): its head, and a body that is sized, chunked, or ended by closing. Pure.

h11 does this, too, at twice the cost of what is below for a whole request; reading, where peers lie, stays its part.
"""

from collections.abc import Iterable

from .problem import completed, reason

GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


class Nonsense(Exception):
    """The application's answer can't be sent as it is."""


class Framing:
    """One answer, part by part. `bodyless`: to HEAD; `chunks`: whether the peer understands chunks.

    `started`, `status`, `ended`: how far it is; `closes`: the connection ends with it.
    """

    def __init__(self, *, bodyless: bool, chunks: bool, closes: bool) -> None:
        self.bodyless = bodyless
        self.closes = closes
        self.started = False
        self.status = 0
        self.ended = False
        self._chunks = chunks
        self._chunked = False
        self._left: int | None = None  # bytes of a sized body that are still to come

    def head(self, status: int, headers: Iterable[tuple[bytes, bytes]], *, close: bool = False) -> bytes:
        """Return the head. `close`: end the connection with this answer. Raises Nonsense."""
        if self.started or not 200 <= status <= 599:
            raise Nonsense(f"no answer begins with status {status} here")
        lines = completed(headers)
        self.bodyless |= status in (204, 304)
        self.closes |= close
        for name, value in lines:
            lower = name.lower()
            if lower == b"content-length":
                self._left = int(value)
            elif lower == b"connection":
                self.closes |= value.lower() == b"close"
            elif lower == b"transfer-encoding":
                raise Nonsense("the transfer encoding is not the application's to choose")
        if self._left is None and not self.bodyless:
            self._chunked = self._chunks
            self.closes |= not self._chunks
            if self._chunked:
                lines.append((b"transfer-encoding", b"chunked"))
        if self.closes and not any(name.lower() == b"connection" for name, _ in lines):
            lines.append((b"connection", b"close"))
        fields = b"".join([b"%s: %s\r\n" % line for line in lines])
        # No header may bring a line of its own into the answer.
        if fields.count(b"\n") != len(lines) or fields.count(b"\r") != len(lines) or b"\0" in fields:
            raise Nonsense("a header is malformed")
        self.started = True
        self.status = status
        return b"HTTP/1.1 %d %s\r\n%s\r\n" % (status, reason(status), fields)

    def body(self, data: bytes) -> bytes:
        """Return a part of the body. Raises Nonsense."""
        if not self.started or self.ended:
            raise Nonsense("a body outside of its answer")
        if self.bodyless or not data:
            return b""
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise Nonsense("a body longer than its content-length")
            return data
        return b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data

    def end(self) -> bytes:
        """Return what ends the answer. Raises Nonsense."""
        if not self.started or self.ended:
            raise Nonsense("an end outside of an answer")
        if self._left and not self.bodyless:
            raise Nonsense("a body shorter than its content-length")
        self.ended = True
        return b"0\r\n\r\n" if self._chunked else b""
