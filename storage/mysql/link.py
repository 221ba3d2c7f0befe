"""PyMySQL's connection with short cuts.

PyMySQL reads each row by general means, and the description of each of its columns anew for each statement: together a
third of a commit's time in Python. Here a description that was seen before is not looked into again.
"""

import functools
import os
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

import pymysql
from pymysql.connections import MySQLResult
from pymysql.protocol import MysqlPacket

from .values import Value, value_of

_MAX_PACKET_BYTES = 0xFFFFFF
"""Bytes in a packet that is not the last of several."""

PACKET_READ_BYTES = 65536
"""Bytes to ask the system for, at least."""

_NULL = 251
_WIDTHS = {252: 2, 253: 3, 254: 8}
"""Bytes that a length takes, by the byte before it; a shorter one is that byte itself."""

_ERROR, _END = 0xFF, 0xFE


class _Result(MySQLResult):
    """Result of a statement."""

    connection: Any
    _check_packet_is_eof: Callable[[MysqlPacket], bool]

    def _get_descriptions(self) -> None:
        payload = self.connection.payload
        numbers = self.connection.numbers
        self._values = [value_of(payload(), numbers) for _ in range(self.field_count)]
        payload()  # the end of the descriptions

    def _read_rowdata_packet(self) -> None:
        payload, values = self.connection.payload, self._values
        rows: list[tuple[Any, ...]] = []
        while True:
            data = payload()
            if data[0] == _ERROR:
                MysqlPacket(data, "utf-8").raise_for_error()
            if data[0] == _END and self._check_packet_is_eof(MysqlPacket(data, "utf-8")):
                break
            rows.append(_row(data, values))
        self.affected_rows = len(rows)
        self.rows = tuple(rows)


def _row(data: bytes, values: list[Value]) -> tuple[Any, ...]:
    row: list[Any] = []
    at = 0
    for value in values:
        length = data[at]
        at += 1
        if length == _NULL:
            row.append(None)
            continue
        if length > _NULL:
            width = _WIDTHS[length]
            length = int.from_bytes(data[at : at + width], "little")
            at += width
        row.append(value(data[at : at + length]))
        at += length
    return tuple(row)


class _Incoming:
    """Bytes from the server, as the file that PyMySQL reads."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._came = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """Return `size` bytes; fewer at the end of the connection. Raises OSError."""
        start = self._at
        end = start + size
        if end > len(self._came):
            parts = [self._came[start:]]
            missing = size - len(parts[0])
            while missing > 0:
                more = self._sock.recv(max(PACKET_READ_BYTES, missing))
                if not more:
                    break
                parts.append(more)
                missing -= len(more)
            self._came = b"".join(parts)
            start, end = 0, size
        self._at = end
        return self._came[start:end]

    def close(self) -> None:
        """The socket is the connection's own to close."""


@functools.cache
def _any_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class DriverConnection(pymysql.connections.Connection):
    """PyMySQL's connection, but for three things.

    Where an address says nothing of encryption, PyMySQL encrypts if the server offers it, and trusts whatever comes;
    but first it reads all the authorities of the system, anew each time, and that takes ten times as long as to
    connect. Here it doesn't. How rows are read is the second. The third: it is the system that gives up waiting for the
    server, as Python looks before each call whether there is something to read, and loses the interpreter's lock each
    time.
    """

    numbers: frozenset[tuple[str, str]] = frozenset()
    """(table, column) of numbers that are read as text."""

    _sock: Any
    _rfile: Any
    _read_timeout: float | None
    _write_timeout: float | None
    _current_timeout: float | None
    _next_seq_id: int
    _read_bytes: Callable[[int], bytes]
    _force_close: Callable[[], None]

    def connect(self, sock: Any = None) -> None:
        super().connect(sock)
        # An encrypted connection knows nothing of the system's limits, and other systems write them otherwise.
        if os.name == "posix" and not isinstance(self._sock, ssl.SSLSocket):
            self._leave_waiting_to_the_system()

    def _leave_waiting_to_the_system(self) -> None:
        for option, timeout_s in (socket.SO_RCVTIMEO, self._read_timeout), (socket.SO_SNDTIMEO, self._write_timeout):
            seconds, rest = divmod(timeout_s or 0.0, 1.0)
            limit = struct.pack("ll", int(seconds), int(rest * 1_000_000))  # a timeval; zero is no limit
            self._sock.setsockopt(socket.SOL_SOCKET, option, limit)
        self._read_timeout = self._write_timeout = self._current_timeout = None
        self._sock.settimeout(None)
        self._rfile.close()
        self._rfile = _Incoming(self._sock)

    def _create_ssl_ctx(self, sslp: ssl.SSLContext | dict[str, Any]) -> ssl.SSLContext:
        return sslp if isinstance(sslp, ssl.SSLContext) else _any_certificate()

    def _read_query_result(self, unbuffered: bool = False) -> int | None:
        assert not unbuffered
        self._result = None
        result = _Result(self)
        result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows

    def payload(self) -> bytes:
        """The next packet, without its head. Raises what PyMySQL does where there is none, or not the next."""
        data = b""
        while True:
            head = self._read_bytes(4)
            length = head[0] | head[1] << 8 | head[2] << 16
            if head[3] != self._next_seq_id:
                self._force_close()
                raise pymysql.err.OperationalError(2013, "lost connection: another packet than the next")
            self._next_seq_id = (head[3] + 1) % 256
            data += self._read_bytes(length)
            if length < _MAX_PACKET_BYTES:
                return data
