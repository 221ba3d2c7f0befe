"""What comes back over our connection is what PyMySQL would have made of it, whatever the value and its length."""

import datetime
import itertools
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import pymysql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.mysql.connection import Connection
from storage.mysql.errors import why
from storage.mysql.link import PACKET_READ_BYTES, DriverConnection
from storage.mysql.names import Names
from storage.mysql.url import parse
from storage.mysql.values import LITERALS, time_literal
from support import mariadb
from support.certificates import make_certificate


@pytest.fixture(scope="module")
def address() -> str:
    server = mariadb.server()
    return server.url(server.database())


@pytest.fixture
def db(address: str) -> Iterator[Connection]:
    with closing(Connection(parse(address), Names(), writer=False, timeout_s=20.0)) as connection:
        yield connection


def test_link_value_of_every_kind_is_read(db: Connection) -> None:
    (row,) = db.run(
        "SELECT NULL, -5, 18446744073709551615, TRUE, 'Zahn 🦷', '', x'00ff', CAST('2.50' AS DECIMAL(5, 2)), 1.5e0, "
        "CAST('2026-03-01 10:11:12.345' AS DATETIME(3)), CAST('1969-12-31 23:59:59' AS DATETIME), "
        "CAST('2026-03-01' AS DATE), JSON_ARRAY('ä', 1), COUNT(*)"
    )
    noon = datetime.datetime(2026, 3, 1, 10, 11, 12, 345_000, tzinfo=datetime.UTC)
    assert row == (
        None, -5, 2**64 - 1, 1, "Zahn 🦷", "", b"\0\xff", Decimal("2.50"), 1.5,
        round(noon.timestamp() * 1000), -1000, datetime.date(2026, 3, 1), '["ä", 1]', 1,
    )  # fmt: skip
    assert [type(value) for value in row[1:4]] == [int, int, int]


def test_date_that_no_calendar_has(db: Connection) -> None:
    db.run("SET sql_mode = 'ANSI_QUOTES'")
    assert db.run("SELECT CAST('0000-00-00 00:00:00' AS DATETIME(3))") == [(0,)]


@pytest.mark.parametrize(
    "length",
    [0, 1, 250, 251, 252, 65535, 65536, PACKET_READ_BYTES - 5, PACKET_READ_BYTES, 3 * PACKET_READ_BYTES + 1, 1_000_000],
)
def test_values_of_any_length(db: Connection, length: int) -> None:
    rows = db.run("SELECT REPEAT('x', ?), ? UNION ALL SELECT REPEAT('ä', ?), ?", (length, "one", length // 2, "two"))
    assert list(rows) == [("x" * length, "one"), ("ä" * (length // 2), "two")]


def test_link_many_rows_are_read(db: Connection) -> None:
    rows = db.run('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) SELECT i, "i" FROM n')
    assert list(rows) == [(i, i) for i in range(1, 1000)]
    assert db.run("SELECT 1 FROM DUAL WHERE FALSE") == []


@settings(max_examples=100)
@given(values=st.lists(st.text() | st.integers(-(2**63), 2**63 - 1) | st.none() | st.booleans(), min_size=1))
def test_link_values_written_are_read_back(address: str, values: list[Any]) -> None:
    with closing(Connection(parse(address), Names(), writer=False, timeout_s=20.0)) as db:
        assert db.run("SELECT " + ", ".join("?" * len(values)), values) == [tuple(values)]


@pytest.mark.parametrize(
    "text", ["it's", "back\\slash", "\\'", "'; DROP TABLE x; --", "nul\0", 'a "b" `c`', "a\r\n\x1a%s"]
)
def test_texts_stay_in_their_quotes(db: Connection, text: str) -> None:
    assert db.run(f"SELECT {LITERALS[str](text)}, LENGTH({LITERALS[str](text)})") == [(text, len(text))]


def test_times_are_written_in_utc() -> None:
    assert time_literal(1_772_359_872_005) == "'2026-03-01 10:11:12.005'"
    assert time_literal(None) == "NULL"


def test_error_behind_the_first_rows(db: Connection) -> None:
    with pytest.raises(pymysql.err.MySQLError) as failed:
        db.run(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) "
            "SELECT REPEAT('x', 20000), (SELECT 1 UNION ALL SELECT 2 FROM DUAL WHERE i > 3) FROM n"
        )
    assert failed.value.args[0] == 1242, "a subquery with two rows"
    assert db.run("SELECT 1") == [(1,)], "and it can be used on"


@pytest.fixture(scope="module")
def encrypting(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The address of a server that can encrypt, and the certificate to trust."""
    certificate, key = make_certificate(tmp_path_factory.mktemp("tls"))
    server = mariadb.start(f"--ssl-cert={certificate}", f"--ssl-key={key}")
    return server.url(server.database()), certificate


def test_rows_over_an_encrypted_connection(encrypting: tuple[str, Path]) -> None:
    url, certificate = encrypting
    by_name = url.replace("127.0.0.1", "localhost")
    for options in "", "?sslaccept=accept_invalid_certs", f"?sslaccept=strict&sslcert={certificate}":
        with closing(Connection(parse(by_name + options), Names(), writer=True, timeout_s=20.0)) as db:
            assert db.run("SHOW STATUS LIKE 'Ssl_cipher'")[0][1], options or "encrypted wherever the server can"
            assert db.run("SELECT REPEAT('x', 100000), NULL") == [("x" * 100_000, None)]
    with pytest.raises(pymysql.err.OperationalError) as refused:
        Connection(parse(by_name + "?sslaccept=strict"), Names(), writer=True, timeout_s=20.0)
    assert "certificate is not trusted" in why(refused.value)


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_server_that_does_not_answer_is_given_up(address: str, encrypting: tuple[str, Path], encrypted: bool) -> None:
    url = parse(encrypting[0] if encrypted else address)
    with closing(Connection(url, Names(), writer=False, timeout_s=0.3)) as db:
        began = time.monotonic()
        with pytest.raises(pymysql.err.OperationalError) as failed:
            db.run("SELECT SLEEP(30)")
        assert failed.value.args[0] == 2013
        assert 0.25 < time.monotonic() - began < 20


def test_patience_is_for_each_answer(address: str) -> None:
    with closing(Connection(parse(address), Names(), writer=False, timeout_s=None)) as db:
        assert db.run("SELECT SLEEP(0.01)") == [(0,)]


class Wire:
    """A connection's socket, of which the bytes are given: for what a server sends under no ordinary settings."""

    def __init__(self, *packets: tuple[int, bytes]) -> None:
        head = (len(data).to_bytes(3, "little") + bytes([number]) for number, data in packets)
        self.bytes = b"".join(itertools.chain(*zip(head, (data for _, data in packets), strict=True)))
        self.link = DriverConnection.__new__(DriverConnection)
        self.link._next_seq_id = 255
        self.link._read_bytes = self.read
        self.link._force_close = mock.Mock()

    def read(self, size: int) -> bytes:
        found, self.bytes = self.bytes[:size], self.bytes[size:]
        return found


def test_packet_in_several_pieces() -> None:
    longest = 0xFFFFFF
    wire = Wire((255, b"a" * longest), (0, b"b" * longest), (1, b""), (2, b"next"))
    assert wire.link.payload() == b"a" * longest + b"b" * longest
    assert wire.link.payload() == b"next"


def test_packet_out_of_turn_ends_the_connection() -> None:
    wire = Wire((7, b"x"))
    with pytest.raises(pymysql.err.OperationalError) as failed:
        wire.link.payload()
    assert failed.value.args[0] == 2013
    wire.link._force_close.assert_called_once()  # type: ignore[attr-defined]
