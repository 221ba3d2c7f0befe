"""`python -m bench.mysql`: chatd and a Socket.IO server with a database behind it, on one MariaDB, loaded in turn."""

import shutil
import signal
import socket as socketlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import click
import msgspec
import pymysql

from bench import report, servers
from bench.report import CHATD, Measured
from bench.servers import BODY_BYTES
from bench.socketio import Pairs
from chatd.bench.figures import Workload
from chatd.bench.members import Conversations, by_name
from chatd.bench.peer import PeerLost, SocketAddress
from chatd.bench.private import CannotStart, PrivateServer, environment, running
from chatd.bench.run import Crowd, RunSettings, run
from chatd.ops.program import command

SEED = Path(__file__).parent / "seed"
PEER = "seed"
START_TIMEOUT_S = 60.0
"""Seconds for the database server to answer."""

DATABASE_WARM_UP_S = 3.0


@attrs.frozen
class Database:
    """A database server of our own, that syncs at each commit as it does by default."""

    port: int
    pid: int

    def url(self, name: str) -> str:
        return f"mysql://bench:bench@127.0.0.1:{self.port}/{name}"


@contextmanager
def mariadb(folder: Path) -> Iterator[Database]:
    """MariaDB with its data in `folder`, and two databases. Raises CannotStart."""
    if not (shutil.which("mariadbd") and shutil.which("mariadb-install-db")):
        raise CannotStart("there is no MariaDB here: install mariadb-server")
    data, socket = folder / "mariadb", folder / "s"
    user = ["--user=root"]  # heeded by root alone
    made = subprocess.run(
        ("mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--tmpdir={folder}",
         "--auth-root-authentication-method=normal", *user),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise CannotStart(f"mariadb-install-db failed: {made.stderr.strip()[-300:]}")
    with socketlib.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "mariadb.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            ("mariadbd", "--no-defaults", *user, f"--datadir={data}", f"--socket={socket}", f"--port={port}",
             f"--tmpdir={folder}", "--bind-address=127.0.0.1", "--skip-name-resolve",
             "--innodb-buffer-pool-size=256M", f"--pid-file={folder / 'pid'}"),
            stdout=errors, stderr=errors, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        try:
            _prepare(socket, process, log)
            yield Database(port, process.pid)
        finally:
            process.kill()


def _prepare(socket: Path, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until it is ready."""
    until = time.monotonic() + START_TIMEOUT_S
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise CannotStart(f"mariadbd did not start: {log.read_text(errors='replace').strip()[-300:]}")
        time.sleep(0.05)
    connection: Any = pymysql.connect(unix_socket=str(socket), user="root", autocommit=True)
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("CREATE USER bench@'127.0.0.1' IDENTIFIED BY 'bench'")
        cursor.execute("GRANT ALL ON *.* TO bench@'127.0.0.1'")
        for name in PEER, CHATD:
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")


@contextmanager
def chatd(folder: Path, database: Database) -> Iterator[PrivateServer]:
    """This program's daemon on that database. Raises CannotStart."""
    flags = ("--dev", "--host", "127.0.0.1", "--port", "0", "--data", "data", "--database", database.url(CHATD))
    with running(CHATD, command("serve", *flags), folder, environment()) as server:
        yield server


@contextmanager
def seed(folder: Path, database: Database) -> Iterator[PrivateServer]:
    """The Socket.IO server on that database. Raises CannotStart."""
    env = {**environment(), "DATABASE_URL": database.url(PEER)}
    with running(PEER, (servers.installed(SEED), str(SEED / "server.mjs")), folder, env) as server:
        yield server


@click.command()
@click.option("--pairs", default=20, show_default=True, type=click.IntRange(min=1), help="Pairs of users.")
@click.option("--window", default=8, show_default=True, type=click.IntRange(min=1), help="Messages in flight per pair.")
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(min=0.1), help="Length of a turn.")
@click.option("--turns", default=3, show_default=True, type=click.IntRange(min=1), help="Turns for each server.")
@click.option("--disk", default=".", type=click.Path(exists=True, file_okay=False), help="Folder for the data (.)")
@click.option("--json", "file", type=click.Path(dir_okay=False), help="Also write all numbers to this file.")
def main(pairs: int, window: int, seconds: float, turns: int, disk: str, file: str | None) -> None:
    """Measure chatd against a Socket.IO server that keeps its messages, both on the same MariaDB."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers end with this program
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".bench-", dir=disk))).absolute()
        try:
            database = stack.enter_context(mariadb(folder))
            columns = {
                PEER: stack.enter_context(seed(folder, database)),
                CHATD: stack.enter_context(chatd(folder, database)),
            }
        except CannotStart as error:
            raise click.ClickException(str(error)) from None
        click.echo(
            f"{pairs} pairs, {window} messages in flight each, turns of {seconds:g} s; CPU with the database's\n"
        )
        measured: dict[str, list[Measured]] = {column: [] for column in columns}
        workload = Workload(
            conversations=pairs, members=2, senders=1, window=window, body_bytes=BODY_BYTES, receipts=False,
            seconds=seconds, warm_up=min(DATABASE_WARM_UP_S, seconds),
        )  # fmt: skip
        for turn in range(1, turns + 1):
            for column, server in columns.items():
                found = loaded(column, server, database, workload)
                measured[column].append(found)
                click.echo(
                    f"turn {turn}   {column:8} {found.acknowledged:8,.0f}/s {found.cpu:7.1f} us   "
                    f"ack p50 {found.p50:.1f} ms, p99 {found.p99:.1f} ms"
                )
    click.echo("\n" + "\n".join(report.table(measured, base=PEER)))
    if file:
        everything = {"workload": workload, "turns": measured, "ratios": report.ratios(measured, base=PEER)}
        Path(file).write_bytes(msgspec.json.format(msgspec.json.encode(everything)) + b"\n")


def loaded(column: str, server: PrivateServer, database: Database, workload: Workload) -> Measured:
    """Load a server for one turn."""
    address = SocketAddress.of(server.url)
    crowd: Crowd = Pairs(address, workload) if column == PEER else Conversations(address, workload, by_name)
    job = RunSettings(server=server.url, private=True, workload=workload, pid=server.pid, helpers=(database.pid,))
    try:
        figures = run(job, crowd, lambda _: None)
    except PeerLost as lost:
        raise click.ClickException(f"the load on {column}: {lost}") from None
    for wrong in ("interrupted" if figures.interrupted else None, figures.failure, *figures.discrepancies):
        if wrong:
            raise click.ClickException(f"the load on {column}: {wrong}")
    return Measured.of(figures)


if __name__ == "__main__":
    main(prog_name="python -m bench.mysql")
