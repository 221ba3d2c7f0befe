"""The handshake of RFC 6455, section 4.2: which requests are one, and its answer. Pure: no I/O."""

import base64
import binascii
import hashlib

from chatd.net.head import Head
from chatd.net.problem import plain_answer

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
_VERSION = b"13"


class BadHandshake(Exception):
    """No WebSocket can come of this request; `status` is the HTTP answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status

    def answer(self) -> bytes:
        """Return the whole HTTP answer."""
        headers = [(b"sec-websocket-version", _VERSION)] if self.status == 426 else []
        return plain_answer(self.status, "bad_request", str(self), headers=headers)


def accept_key(head: Head) -> str:
    """Return the value of Sec-WebSocket-Accept. Raises BadHandshake.

    Of what a proxy in between may read otherwise than we do, nothing is let through: no body, one key, one version.
    """
    keys, versions = head.all(b"sec-websocket-key"), head.all(b"sec-websocket-version")
    if head.http_version != "1.1":
        raise BadHandshake(400, "a WebSocket begins with a request in HTTP/1.1")
    if head.get(b"transfer-encoding") is not None or any(size != b"0" for size in head.all(b"content-length")):
        raise BadHandshake(400, "a WebSocket begins with a request without a body")
    if len(versions) > 1 or len(keys) > 1:
        raise BadHandshake(400, "Sec-WebSocket-Key and Sec-WebSocket-Version come once each")
    if versions != [_VERSION]:
        raise BadHandshake(426, "this server speaks WebSocket version 13")
    key = keys[0] if keys else b""
    try:
        nonce = base64.b64decode(key, validate=True)
    except binascii.Error:
        nonce = b""
    if len(nonce) != 16:
        raise BadHandshake(400, "Sec-WebSocket-Key is missing or malformed")
    return answer_to(key)


def answer_to(key: bytes) -> str:
    """Return the value of Sec-WebSocket-Accept for a value of Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode()
