"""Addresses of databases as Prisma writes them: what is understood, what is refused, by name."""

import contextlib
import ssl
from pathlib import Path
from urllib.parse import quote

import pymysql
import pytest

from storage.contract import StoreError
from storage.mysql.store import MysqlStore
from storage.mysql.url import Address, parse
from support import mariadb
from support.certificates import make_certificate
from support.stores import mysql_database


def test_url_that_is_whole_is_read() -> None:
    found = parse("mysql://chat:p%40ss%3A%2F%23@db.example:3307/clinic%20chat")
    assert found == Address("db.example", 3307, "chat", "p@ss:/#", "clinic chat")


def test_url_parts_left_out_have_defaults() -> None:
    found = parse("mysql://root@localhost/app")
    assert (found.host, found.port, found.password, found.socket, found.tls) == ("localhost", 3306, "", None, None)
    assert parse("mysql://root@[::1]/app").host == "::1"


def test_url_options_of_prisma_are_read() -> None:
    found = parse(
        "mysql://u:p@h/d?connection_limit=5&connect_timeout=3&socket_timeout=7&pool_timeout=0&socket=%2Frun%2Fm.sock"
        "&statement_cache_size=100"
    )
    assert (found.connections, found.connect_timeout, found.socket_timeout, found.pool_timeout, found.socket) == (
        5, 3.0, 7.0, 86_400.0, "/run/m.sock",
    )  # fmt: skip


@pytest.mark.parametrize(("accept", "mode"), [("strict", ssl.CERT_REQUIRED), ("accept_invalid_certs", ssl.CERT_NONE)])
def test_url_sslaccept_says_whether_the_certificate_is_checked(accept: str, mode: ssl.VerifyMode) -> None:
    tls = parse(f"mysql://u:p@h/d?sslaccept={accept}").tls
    assert tls is not None
    assert tls.verify_mode is mode
    assert tls.check_hostname is (mode is ssl.CERT_REQUIRED)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://u:geheim@h", "expected mysql://user:password@host:3306/name"),
        ("mysql://u:geheim@h/", "expected mysql://"),
        ("mysql://u:geheim@h/a/b", "expected mysql://"),
        ("mysql:///d", "expected mysql://"),
        ("mysql://h/d", "expected mysql://"),
        ("mysqls://u:geheim@h/d", "not an address like"),
        ("postgresql://u:geheim@h/d", "not an address like"),
        ("mysql://u:geheim@h:99999/d", "the port after the host"),
        ("mysql://u:geheim@h:x/d", "the port after the host"),
        ("mysql://u:geheim@h/d#x", "write it as %23"),
        ("mysql://u:[geheim@h/d", "elsewhere write %5B and %5D"),
        ("mysql://u:%geheim@h/d", "a % that stands for itself, as in a password, is written %25"),
        ("mysql://u:geheim%E4@h/d", "its percent-encoding is not of UTF-8"),
        ("mysql://u:geheim@h/d?ssl=true", "the option ssl is not known here; understood: connection_limit,"),
        ("mysql://u:geheim@h/d?sslidentity=geheim.p12", "the option sslidentity is not known"),
        ("mysql://u:geheim@h/d?sslaccept=maybe", "sslaccept is one of strict, accept_invalid_certs"),
        ("mysql://u:geheim@h/d?sslcert=/nowhere.pem", "sslcert: there is no file /nowhere.pem"),
        ("mysql://u:geheim@h/d?connection_limit=1", "connection_limit is a whole number from 2 to 64"),
        ("mysql://u:geheim@h/d?connection_limit=\u0664", "connection_limit is a whole number"),
        ("mysql://u:geheim@h/d?connect_timeout=-1", "connect_timeout is a whole number from 0 to 86400"),
        ("mysql://u:geheim@h/d?socket_timeout=5&socket_timeout=6", "the option socket_timeout is there twice"),
    ],
)
def test_url_that_is_none_is_refused(url: str, reason: str) -> None:
    with pytest.raises(StoreError) as error:
        parse(url)
    assert reason in str(error.value)
    assert "geheim@" not in str(error.value)


def test_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(StoreError, match=r"sslcert: .*ca\.pem is no certificate in PEM form"):
        parse(f"mysql://u:p@h/d?sslcert={file}")


def test_password_is_never_shown() -> None:
    found = parse("mysql://u:geheim@h/d")
    assert "geheim" not in f"{found} {found!r}"
    assert str(found) == "d on h:3306"


def test_fewer_connections_than_readers(tmp_path: Path) -> None:
    url = mysql_database(tmp_path)
    with contextlib.closing(MysqlStore(f"{url}?connection_limit=2", new_epoch=lambda: "e", readers=5)) as store:
        assert store._pool._readers == 1


def test_store_over_an_encrypted_connection_works(tmp_path: Path) -> None:
    """Checked strictly, not checked, and where nothing is said; refused with another authority's certificate."""
    certificate, key = make_certificate(tmp_path, "server")
    other, _ = make_certificate(tmp_path, "other")
    server = mariadb.start(f"--ssl-cert={certificate}", f"--ssl-key={key}", "--require-secure-transport=ON")
    try:
        database = "app"
        socket = server.folder / "s"
        with (
            contextlib.closing(pymysql.connect(unix_socket=str(socket), user="root")) as admin,
            admin.cursor() as cursor,
        ):
            cursor.execute("CREATE DATABASE app")
        for options in (f"?sslcert={certificate}&sslaccept=strict", "?sslaccept=accept_invalid_certs", ""):
            url = server.url(database, options)
            opened = MysqlStore(url, new_epoch=lambda: "e")
            with contextlib.closing(opened) as store, store._pool.reading() as db:
                assert db.one("SHOW STATUS LIKE 'Ssl_version'") == ("Ssl_version", "TLSv1.3")
        with pytest.raises(StoreError, match="certificate is not trusted"):
            MysqlStore(server.url(database, f"?sslcert={other}"), new_epoch=lambda: "e")
    finally:
        mariadb.stop(server)


@pytest.mark.parametrize("password", ["p\u00e4ss", "\u043f\u0430\u0440\u043e\u043b\u044c \u2603", "'\"\\`$#/?@:%"])
def test_password_outside_latin_1_signs_in(password: str) -> None:
    server = mariadb.server()
    name = server.database()
    url = f"mysql://chatd_words:{quote(password, safe='')}@127.0.0.1:{parse(server.url(name)).port}/{name}"
    with server.session(name) as admin:
        admin.execute("CREATE OR REPLACE USER chatd_words@'127.0.0.1' IDENTIFIED BY %s", (password,))
        admin.execute(f"GRANT ALL ON {name}.* TO chatd_words@'127.0.0.1'")
        try:
            MysqlStore(url, new_epoch=lambda: "e").close()
            with pytest.raises(StoreError, match="refuses this user and password"):
                MysqlStore(url.replace(":", ":x", 2).replace("mysql:x", "mysql:"), new_epoch=lambda: "e")
        finally:
            admin.execute("DROP USER chatd_words@'127.0.0.1'")
