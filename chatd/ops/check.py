"""`chatd check`: whether a daemon with these settings can work here. It looks, and changes nothing."""

import errno
import fcntl
from collections.abc import Iterator

from chatd.auth import secret
from chatd.config import Config, LoadedConfig, settings_of
from chatd.net.listen import listen
from storage.sqlite.access import objection

from . import lock, machine
from .check_database import database
from .check_files import files
from .check_sign_in import sign_in
from .finding import CheckFinding, exposed, listening_place


def check_up(loaded: LoadedConfig, *, now: int) -> Iterator[CheckFinding]:
    """Look at everything, a finding at a time. `now`: the clock, in ms since 1970."""
    settings = loaded.config
    for what, findings in (
        ("settings", _settings(loaded)),
        ("data folder", _data_folder(settings)),
        ("secret", _secret(settings)),
        ("sign-in", sign_in(settings)),
        ("database", database(loaded, now)),
        ("files", files(settings)),
        ("disk", machine.space(settings)),
        ("tls", machine.certificate(settings, now)),
        ("open files", machine.open_files(settings)),
        ("port", _port(loaded)),
    ):
        try:
            yield from findings
        except OSError as error:  # a path below a folder that is closed to us, say
            yield CheckFinding("wrong", what, f"{error.filename}: {error.strerror}")


def _settings(loaded: LoadedConfig) -> Iterator[CheckFinding]:
    places = dict.fromkeys([*([str(loaded.file)] if loaded.file else []), *(s.place for s in loaded.sources.values())])
    yield CheckFinding("ok", "settings", " < ".join(["defaults", *places]))
    holds = [
        name
        for name, source in loaded.sources.items()
        if source.place == str(loaded.file)
        and (_is_secret(name) or (name == "storage.database" and "@" in loaded.config.storage.database))
    ]
    if loaded.file and holds:
        yield from exposed("settings", loaded.file, f"{' and '.join(holds)} in it: chmod 600 {loaded.file}")


def _is_secret(setting: str) -> bool:
    table, _, key = setting.rpartition(".")
    return settings_of(table)[key].secret


def _data_folder(settings: Config) -> Iterator[CheckFinding]:
    path = settings.data_path()
    if not path.exists():
        yield CheckFinding("warning", "data folder", f"{path}: not there yet; chatd init makes it")
    elif not path.is_dir():
        yield CheckFinding("wrong", "data folder", f"{path}: is not a folder")
    elif why := objection(path) or objection(path / lock.LOCK_FILE):
        yield CheckFinding("wrong", "data folder", why)
    elif wrong := list(exposed("data folder", path, f"chmod 700 {path}")):
        yield from wrong
    else:
        yield CheckFinding("ok", "data folder", f"{path}: for its owner alone")


def _secret(settings: Config) -> Iterator[CheckFinding]:
    where = "auth.secret" if settings.auth.secret else str(settings.secret_path())
    try:
        secret.secret_of(settings)
    except FileNotFoundError:
        yield CheckFinding("warning", "secret", f"{where}: not there yet; chatd init makes it")
    except secret.BadSecret as error:
        yield CheckFinding("wrong", "secret", str(error))
    else:
        yield CheckFinding("ok", "secret", where)


def _port(loaded: LoadedConfig) -> Iterator[CheckFinding]:
    settings, where = loaded.config, listening_place(loaded)
    try:
        for sock in listen(settings.server.host, settings.server.port):
            sock.close()
        yield CheckFinding("ok", "port", f"{where}: free")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            yield CheckFinding("wrong", "port", f"{where}: {error.strerror or error}")
        elif pid := _daemon(settings):
            yield CheckFinding("ok", "port", f"{where}: held by the chatd of this data folder (pid {pid})")
        else:
            yield CheckFinding(
                "wrong", "port", f"{where}: another program listens there; stop it, or take another port"
            )


def _daemon(settings: Config) -> str | None:
    """The process id of the daemon that runs on the data folder, as its lock says; None if nobody holds that."""
    try:
        with (settings.data_path() / lock.LOCK_FILE).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.readline().partition(" ")[0] or "unknown"
    except OSError:
        pass
    return None
