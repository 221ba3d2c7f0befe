"""A MariaDB server of the tests' own, or the one that CHATD_TEST_MYSQL_URL names; a fresh database for who wants one.

With CHATD_TEST_MYSQLD, the program of a MySQL server, ours is one of MySQL. It lies in memory where there is /dev/shm,
doesn't sync (what is lost with the power is not the subject), and keeps its clock in a zone that nobody else has, so
that a time left to the server would show.
"""

import atexit
import contextlib
import functools
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pymysql
import pytest

from storage.mysql.link import DriverConnection
from storage.mysql.url import Address, parse

from .ports import free_port

ZONE = "+05:30"
PASSWORD = "p@ss:w/rd#?"
START_TIMEOUT_S = 60.0  # s, for the server to answer

_numbers = itertools.count(1)


@attrs.define(hash=False)
class Server:
    """A running server. `base`: its address without a database's name. Ours has a command that starts it."""

    base: str
    command: tuple[str, ...] = ()
    folder: Path = Path()
    process: "subprocess.Popen[bytes] | None" = None

    def again(self) -> None:
        """Start it, or start it again with what it has kept."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=log)
        _wait(self.process, parse(self.url("any")).port, self.folder)

    def url(self, database: str, options: str = "") -> str:
        return f"{self.base}/{database}{options}"

    @contextlib.contextmanager
    def session(self, database: str | None = None) -> Iterator[Any]:
        """A cursor of PyMySQL's own, as an administrator has it: autocommit, no settings of chatd's."""
        address = parse(self.url(database or "mysql"))
        with contextlib.closing(_connect(address, database)) as connection, connection.cursor() as cursor:
            yield cursor

    def database(self) -> str:
        """The name of a new, empty database, whose own collation is none of ours."""
        name = f"chatd_test_{os.getpid()}_{next(_numbers)}"
        with self.session() as cursor:
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET latin1 COLLATE latin1_swedish_ci")
        if not self.command:
            atexit.register(self._drop, name)
        return name

    def empty(self, database: str) -> None:
        """Take the rows out of every table; with ten tables a tenth of the time of making them."""
        with self.session(database) as cursor:
            cursor.execute("SET foreign_key_checks = 0")
            cursor.execute("SHOW TABLES")
            for (table,) in cursor.fetchall():
                cursor.execute(f"DELETE FROM `{table}`")

    def _drop(self, name: str) -> None:
        with contextlib.suppress(pymysql.MySQLError), self.session() as cursor:
            cursor.execute("SET SESSION lock_wait_timeout = 5")  # a test that failed may have left a transaction
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")


class _Plain(DriverConnection):
    """Its rows are what PyMySQL makes of them, not the store."""

    _read_query_result = pymysql.connections.Connection._read_query_result  # type: ignore[attr-defined]


def _connect(address: Address, database: str | None) -> Any:
    return _Plain(
        host=address.host, port=address.port, unix_socket=address.socket, user=address.user,
        password=address.password, database=database, autocommit=True, charset="utf8mb4", ssl=address.tls,
    )  # fmt: skip


def rows(app: Any, statement: str, *values: object) -> list[tuple[Any, ...]]:
    app.execute(statement, values)
    return list(app.fetchall())


@functools.cache
def server() -> Server:
    """The one server of this run, started when it is first asked for. Skips the test where there is none."""
    url = os.environ.get("CHATD_TEST_MYSQL_URL")
    if url:
        return Server(url.rstrip("/"))
    return start()


def start(*options: str) -> Server:
    """Another server, with these options; it ends with this process, or by `stop`. Skips the test where it can't be."""
    mysqld = os.environ.get("CHATD_TEST_MYSQLD")
    if not (mysqld or (shutil.which("mariadbd") and shutil.which("mariadb-install-db"))):
        pytest.skip("needs a MySQL server: install mariadb-server, or name one in CHATD_TEST_MYSQL_URL")
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="chatd-mariadb-", dir=memory if os.access(memory, os.W_OK) else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    program: tuple[str, ...] = "mariadbd", "--no-defaults"
    prepare: tuple[str, ...] = (
        "mariadb-install-db", "--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal",
    )  # fmt: skip
    if mysqld:
        # Like MariaDB's of itself: no binary log, no port for another protocol, TLS only where it gets a certificate.
        program = mysqld, "--no-defaults", "--skip-log-bin", "--mysqlx=OFF", "--auto-generate-certs=OFF"
        prepare = *program, "--initialize-insecure"
    # A server that starts removes temporary tables of others, where they share a folder for them.
    prepare = (*prepare, *as_root, f"--datadir={folder}/data", f"--tmpdir={folder}")
    made = subprocess.run(prepare, capture_output=True, check=False)
    assert made.returncode == 0, made.stdout.decode() + made.stderr.decode()
    port = free_port()
    # Ends with us even where we are killed.
    leash = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
    command = (
        *leash, *program, *as_root, f"--datadir={folder}/data", f"--socket={folder}/s",
        f"--pid-file={folder}/pid", f"--tmpdir={folder}", "--bind-address=127.0.0.1", f"--port={port}",
        "--skip-name-resolve",
        f"--default-time-zone={ZONE}", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0",
        "--innodb-buffer-pool-size=128M", "--performance-schema=OFF", "--max-connections=200", *options,
    )  # fmt: skip
    found = Server(f"mysql://chatd:{quote(PASSWORD, safe='')}@127.0.0.1:{port}", command, folder)
    atexit.register(stop, found)
    found.again()
    _make_user(folder)
    return found


def _wait(process: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
    """Until it listens: PyMySQL leaves a socket open when it finds nobody."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        assert process.poll() is None, (folder / "log").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.05)


def _make_user(folder: Path) -> None:
    connection = pymysql.connect(unix_socket=f"{folder}/s", user="root", autocommit=True)
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("CREATE USER chatd@'127.0.0.1' IDENTIFIED BY %s", (PASSWORD,))
        cursor.execute("GRANT ALL ON *.* TO chatd@'127.0.0.1' WITH GRANT OPTION")


def stop(server: Server, how: signal.Signals = signal.SIGKILL) -> None:
    """End a server that `start` made; more than once does no harm."""
    if server.process is not None and server.process.poll() is None:
        server.process.send_signal(how)
        server.process.wait()
