"""The command line: reads flags and settings, and hands over. No logic of its own."""

import errno
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import click
import structlog
import trio

from protocol.schema import render
from storage.contract import StoreError
from storage.sqlite import SqliteStore

from . import __version__, logs
from .config import Config, ConfigError, load
from .daemon import Daemon, new_id
from .listen import listen

log = structlog.get_logger("chatd.cli")

UNUSABLE = 2
"""Exit code: something must be mended before the command can run."""


def fail(message: str) -> NoReturn:
    """One clear line, exit 2."""
    click.echo(f"chatd: {message}", err=True)
    sys.exit(UNUSABLE)


@click.group()
@click.version_option(__version__, prog_name="chatd")
def main() -> None:
    """A self-hosted chat daemon for clinics."""


@main.command()
@click.option("--config", "file", type=click.Path(path_type=Path), help="Settings; ./chatd.toml where it exists.")
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on (3001); 0: any free one.")
@click.option("--data", help="Folder for all that is kept (./data).")
@click.option("--database", help="sqlite:///relative.db or sqlite:////absolute.db.")
@click.option("--dev", is_flag=True, help="Development mode: whoever connects is who they say. On this machine only.")
@click.option("--dev-expose", is_flag=True, help="Development mode for other machines, too.")
def serve(
    file: Path | None,
    host: str | None,
    port: int | None,
    data: str | None,
    database: str | None,
    dev: bool,
    dev_expose: bool,
) -> None:
    """Run the daemon until SIGTERM or Ctrl-C."""
    dev = dev or dev_expose
    try:
        config = load(
            file,
            {"server.host": host, "server.port": port, "server.data": data, "storage.database": database},
        )
    except ConfigError as error:
        fail(str(error))
    logs.configure(config.logs.level, config.logs.format)
    if dev:
        check_development(config, exposed=dev_expose)
    store = open_store(config, development=dev)
    try:
        if dev and not store.development:
            fail(
                f"{store.path} was not made in development mode, where anybody may be anyone: "
                "use another folder (--data ./data-dev), or start without --dev"
            )
        if store.development and not dev:
            log.warning("this store was made in development mode: its users were never checked")
        try:
            listeners = listen(config.server.host, config.server.port)
        except OSError as error:
            fail(_cannot_listen(config, error))
        daemon = Daemon(config, store, development=dev, exposed=dev_expose)
        trio.run(_serve, daemon, listeners)
    finally:
        store.close()


def open_store(config: Config, *, development: bool) -> SqliteStore:
    """The store that the settings name; exits where it can't be used."""
    try:
        store = SqliteStore(
            config.database_path(),
            new_epoch=new_id,
            development=development,
            durability=config.storage.durability,
            readers=config.storage.readers,
        )
    except StoreError as error:
        fail(str(error))
    if store.single:
        log.warning("this SQLite is too old for several connections: reads and writes share one")
    return store


def check_development(config: Config, *, exposed: bool) -> None:
    """Development mode is for this machine; exits where it isn't."""
    for variable in ("NODE_ENV", "CHATD_ENV"):
        if os.environ.get(variable, "").strip().lower() == "production":
            fail(f"--dev: refused, as {variable} says production; unset it, or start without --dev")
    if exposed:
        log.warning("development mode is open to other machines: anybody who reaches this port can be anyone")
    elif not _is_loopback(config.server.host):
        fail(
            f"--dev: host {config.server.host} is not this machine's loopback; "
            "use --host 127.0.0.1, or --dev-expose where everybody on the network may read everything"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _cannot_listen(config: Config, error: OSError) -> str:
    where = f"{config.server.host} port {config.server.port}"
    if error.errno == errno.EADDRINUSE:
        return f"cannot listen on {where}: another program does (a second chatd?); stop it, or use --port"
    if error.errno == errno.EACCES:
        return f"cannot listen on {where}: not allowed for this user; use a port above 1023 (--port)"
    return f"cannot listen on {where}: {error.strerror or error}"


def address_of(listener: socket.socket) -> str:
    """HOST:PORT as a URL has it."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _serve(daemon: Daemon, listeners: list[socket.socket]) -> None:
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            nursery.start_soon(_stop_at_signal, daemon, signals, nursery.cancel_scope)
            async with trio.open_nursery() as running:
                await running.start(daemon.run, listeners)
                _announce(daemon, listeners)
        nursery.cancel_scope.cancel()


def _announce(daemon: Daemon, listeners: list[socket.socket]) -> None:
    url = f"http://{address_of(listeners[0])}"
    click.echo(f"listening on {url}")
    if daemon.services.development:
        server = "" if url == "http://127.0.0.1:3001" else f" --server {url}"
        click.echo("Development mode: two people talk, each in a terminal of their own:")
        click.echo(f"  chatd chat{server} --as pat-1 --name Ada --with den-1")
        click.echo(f"  chatd chat{server} --as den-1 --name 'Dr. Bo' --role dentist --with pat-1")
    sys.stdout.flush()
    log.info("started", store=str(getattr(daemon.store, "path", "")), pid=os.getpid())


async def _stop_at_signal(daemon: Daemon, signals: AsyncIterator[int], now: trio.CancelScope) -> None:
    async for _ in signals:
        if daemon.stopping:
            now.cancel()  # a second one cuts it short
        daemon.stop()


@main.command()
def schema() -> None:
    """Print the JSON Schema of every frame."""
    click.echo(render(), nl=False)
