"""`chatd serve`: checks what must hold, opens what is needed, says where it listens, and runs the daemon."""

import errno
import gc
import ipaddress
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator

import click
import structlog
import trio

from storage.contract import StoreError
from storage.sqlite import SqliteStore

from .config import Config
from .daemon import Daemon, new_id
from .listen import listen

log = structlog.get_logger("chatd.serving")


class CannotServe(Exception):
    """Something must be mended first; the message says what, in one line."""


def serve(config: Config, *, development: bool, exposed: bool) -> None:
    """Run the daemon until SIGTERM or SIGINT. Raises CannotServe."""
    if development:
        _check_development(config, exposed=exposed)
    store = _open_store(config, development=development)
    try:
        try:
            listeners = listen(config.server.host, config.server.port)
        except OSError as error:
            raise CannotServe(_cannot_listen(config, error)) from None
        _calm_collector()
        trio.run(_serve, Daemon(config, store, development=development, exposed=exposed), listeners)
    finally:
        store.close()


def _calm_collector() -> None:
    """Let the garbage collector look for cycles less often: a message makes many objects, and hardly ever a cycle.

    By default it looks after every 700; that costs a tenth of the CPU time of a message.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _check_development(config: Config, *, exposed: bool) -> None:
    for variable in ("NODE_ENV", "CHATD_ENV"):
        if os.environ.get(variable, "").strip().lower() == "production":
            raise CannotServe(f"--dev: refused, as {variable} says production; unset it, or start without --dev")
    if exposed:
        log.warning("development mode is open to other machines: anybody who reaches this port can be anyone")
    elif not _is_loopback(config.server.host):
        raise CannotServe(
            f"--dev: host {config.server.host} is not this machine's loopback; "
            "use --host 127.0.0.1, or --dev-expose where everybody on the network may read everything"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _open_store(config: Config, *, development: bool) -> SqliteStore:
    try:
        store = SqliteStore(
            config.database_path(),
            new_epoch=new_id,
            development=development,
            durability=config.storage.durability,
            readers=config.storage.readers,
        )
    except StoreError as error:
        raise CannotServe(str(error)) from None
    if development and not store.development:
        store.close()
        raise CannotServe(
            f"{store.path} was not made in development mode, where anybody may be anyone: "
            "use another folder (--data ./data-dev), or start without --dev"
        )
    if store.development and not development:
        log.warning("this store was made in development mode: its users were never checked")
    if store.single:
        log.warning("this SQLite is too old for several connections: reads and writes share one")
    return store


def _cannot_listen(config: Config, error: OSError) -> str:
    where = f"cannot listen on {config.server.host} port {config.server.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where}: another program does (a second chatd?); stop it, or use --port"
    if error.errno == errno.EACCES:
        return f"{where}: not allowed for this user; use a port above 1023 (--port)"
    return f"{where}: {error.strerror or error}"


async def _serve(daemon: Daemon, listeners: list[socket.socket]) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_at_signal, daemon, signals, nursery.cancel_scope)
            async with trio.open_nursery() as running:
                await running.start(daemon.run, listeners)
                _announce(daemon, listeners)
            nursery.cancel_scope.cancel()


async def _stop_at_signal(daemon: Daemon, signals: AsyncIterator[int], everything: trio.CancelScope) -> None:
    async for _ in signals:
        if daemon.stopping:
            everything.cancel()  # a second one cuts it short
        daemon.stop()


def _announce(daemon: Daemon, listeners: list[socket.socket]) -> None:
    host, port = listeners[0].getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    click.echo(f"listening on {url}")
    if daemon.services.development:
        command = f"{_program()} chat" + ("" if url == "http://127.0.0.1:3001" else f" --server {url}")
        click.echo("Development mode. To make a patient and a dentist talk, each in a terminal of their own:")
        click.echo(f"  {command} --as pat-1 --name Ada --with den-1")
        click.echo(f"  {command} --as den-1 --name 'Dr. Bo' --role dentist --with pat-1")
    sys.stdout.flush()
    log.info("started", store=str(getattr(daemon.store, "path", "")), pid=os.getpid())


def _program() -> str:
    """What to type to run this program from here."""
    called = sys.argv[0]
    if shutil.which("chatd") or os.path.sep not in called:
        return "chatd"
    relative = os.path.relpath(called)
    return called if relative.startswith("..") else relative
