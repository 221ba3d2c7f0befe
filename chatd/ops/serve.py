"""`chatd serve`: checks what must hold, opens what is needed, says where it listens, and runs the daemon."""

import errno
import gc
import ipaddress
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing

import click
import structlog
import trio

from chatd.admin.control import Control
from chatd.auth.secret import BadSecret, ensure
from chatd.auth.tokens import Tokens
from chatd.config import Config, LoadedConfig
from chatd.daemon import Daemon
from chatd.ids import new_id
from chatd.logs.writer import LineWriter
from chatd.net import tls
from chatd.net.listen import listen
from storage.contract import Store, StoreError, StoreUnreachable

from . import open_store as database
from . import rlimit as files
from .finding import listening_place
from .first_start import may_make
from .lock import Lock, LockHeld, not_taken
from .process import Service
from .program import command, program
from .standby import Standby
from .systemd import Notifier

log = structlog.get_logger("chatd.serving")


STORE_WAIT_S = 10.0
"""Seconds that a daemon waits for a command that has the store."""

DAEMON_WAIT_S = 5.0
"""Seconds that it waits for another daemon that has it."""


class CannotServe(Exception):
    """Something must be mended first; the message says what, in one line."""


def serve(loaded: LoadedConfig, *, development: bool, exposed: bool, read: Callable[[], Config]) -> None:
    """Run the daemon until SIGTERM or SIGINT. `read`: the settings as they are at a SIGHUP. Raises CannotServe."""
    config = loaded.config
    notifier = Notifier.from_environment()
    if development:
        _check_development(loaded, exposed=exposed)
    try:
        encryption = tls.load(config.tls)
    except tls.BadCertificate as error:
        raise CannotServe(str(error)) from None
    new = _may_make(loaded, development=development)
    with closing(_lock(config)):
        listeners: list[socket.socket] = []

        def attempt() -> Store:
            return _open_store(config, development=development, new=new)

        try:
            store = attempt()
        except StoreUnreachable as error:
            listeners = _listen(loaded)
            standby = Standby(
                config, attempt, str(error), encryption=encryption, development=development, exposed=exposed
            )
            found = trio.run(standby.wait, listeners, notifier)
            if found is None:
                notifier.stopping()
                return
            store = found
        with closing(store):
            tokens = None if development else _tokens(config)
            listeners = listeners or _listen(loaded)
            files.allow(files.needed(config.limits.connections))
            _calm_collector()
            try:
                daemon = Daemon(
                    config,
                    store,
                    development=development,
                    exposed=exposed,
                    encryption=encryption,
                    tokens=tokens,
                    decoder=command("attachment-worker"),
                )
            except BadSecret as error:
                raise CannotServe(str(error)) from None
            with closing(_control(config)) as control:
                service = Service(daemon, listeners, notifier, read, control)
                trio.run(service.run, lambda: _announce(daemon, service.url))


def _listen(loaded: LoadedConfig) -> list[socket.socket]:
    server = loaded.config.server
    try:
        return listen(server.host, server.port)
    except OSError as error:
        raise CannotServe(_cannot_listen(loaded, error)) from None


def _may_make(loaded: LoadedConfig, *, development: bool) -> bool:
    """Return True where a new database may be made. Before the lock, which makes the folder."""
    try:
        return may_make(loaded, development=development)
    except StoreError as error:
        raise CannotServe(str(error)) from None


def _lock(config: Config) -> Lock:
    """Make this process the one that has the data folder and the database."""
    began = time.monotonic()
    while True:
        try:
            return Lock(config.data_path(), config.database_path() if config.database_is_file() else None, daemon=True)
        except LockHeld as held:
            # A command of the operator is done in a moment; a daemon may be about to end, as at a restart.
            if time.monotonic() - began < (DAEMON_WAIT_S if held.daemon else STORE_WAIT_S):
                time.sleep(0.05)
                continue
            what = "a chatd that runs already" if held.daemon else "a command of chatd"
            raise CannotServe(f"{held.what} is in use by {held.who}, {what}: stop it, or use another --data") from None
        except OSError as error:
            raise CannotServe(f"cannot be locked for this daemon: {not_taken(error)}") from None


def _tokens(config: Config) -> Tokens:
    try:
        secret, made = ensure(config)
    except BadSecret as error:
        raise CannotServe(str(error)) from None
    if made is not None:
        log.info("made a secret that signs tokens", file=str(made))
    return Tokens(secret)


def _control(config: Config) -> Control:
    try:
        return Control(config.data_path())
    except OSError as error:
        raise CannotServe(
            f"{config.data_path()}: cannot listen for commands there: {error.strerror or error}"
        ) from None


def _calm_collector() -> None:
    """Let the garbage collector look for cycles less often: a message makes many objects, and hardly ever a cycle.

    By default it looks after every 700; that costs a tenth of the CPU time of a message.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _check_development(loaded: LoadedConfig, *, exposed: bool) -> None:
    for variable in ("NODE_ENV", "CHATD_ENV"):
        if os.environ.get(variable, "").strip().lower() == "production":
            raise CannotServe(f"--dev: refused, as {variable} says production; unset it, or start without --dev")
    if exposed:
        log.warning("development mode is open to other machines: anybody who reaches this port can be anyone")
    elif not _is_loopback(loaded.config.server.host):
        raise CannotServe(
            f"--dev: {listening_place(loaded)}: not this machine's loopback; "
            "use --host 127.0.0.1, or --dev-expose where everybody on the network may read everything"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _open_store(config: Config, *, development: bool, new: bool) -> Store:
    """Open the store. Raises StoreUnreachable where waiting may help, CannotServe where nothing does."""
    try:
        place = database.place_of(config)
        store, warnings = database.open_store(config, new_epoch=new_id, development=development, new=new, upgrade=True)
    except StoreUnreachable:
        raise
    except StoreError as error:
        raise CannotServe(str(error)) from None
    if development and not store.development:
        store.close()
        raise CannotServe(
            f"{place} was not made in development mode, where anybody may be anyone: "
            "use another folder (--data ./data-dev), or start without --dev"
        )
    if store.development and not development:
        log.warning("this store was made in development mode: its users were never checked")
    for warning in warnings:
        log.warning(warning)
    return store


def _cannot_listen(loaded: LoadedConfig, error: OSError) -> str:
    where = f"cannot listen on {listening_place(loaded)}"
    if error.errno == errno.EADDRINUSE:
        return f"{where}: another program does (a second chatd?); stop it, or use --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: this machine has no such address; use one of its own, 127.0.0.1, or 0.0.0.0 for all"
    if error.errno == errno.EACCES:
        return f"{where}: not allowed for this user; use a port above 1023 (--port)"
    return f"{where}: {error.strerror or error}"


def _announce(daemon: Daemon, url: str) -> None:
    say = _standard_output()
    say(f"listening on {url}")
    if public := daemon.config.server.public_url:
        say(f"listening on {public} for browsers (server.public_url)")
    if daemon.parts.development:
        command = f"{program()} chat" + ("" if url == "http://127.0.0.1:3001" else f" --server {url}")
        say("Development mode. A patient and a dentist, in two tabs of a browser:")
        say(f"  {url}/?as=pat-1&name=Ada&with=den-1")
        say(f"  {url}/?as=den-1&name=Dr.+Bo&role=dentist&with=pat-1")
        say("or in two more terminals, in this folder:")
        say(f"  {command} --as pat-1 --name Ada --with den-1")
        say(f"  {command} --as den-1 --name 'Dr. Bo' --role dentist --with pat-1")
    log.info("started", store=database.place_of(daemon.config), pid=os.getpid())


def _standard_output() -> Callable[[str], None]:
    """Return a way to print a line that doesn't wait, also where the terminal is paused."""
    try:
        return LineWriter(sys.stdout.fileno()).put
    except (AttributeError, OSError, ValueError):  # closed, or caught by a test
        return click.echo
