"""`chatd init`: what a daemon needs, made once: settings, a private data folder, the secret, the database."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs

from chatd import config
from chatd.auth import secret
from chatd.config import SETTINGS, Config, toml
from chatd.ids import new_id
from storage.contract import StoreError
from storage.sqlite import SqliteStore

from .lock import Lock, LockHeld


class CannotSetUp(Exception):
    """Something can't be made; the message says what and why, in one line."""


@attrs.frozen
class InitStep:
    """One thing that is needed. `made`: now; else it was there. `note`: what else is to be said of it."""

    path: Path
    made: bool
    note: str = ""


def settings_file(folder: Path) -> Path:
    """Return the settings file of a daemon in this folder."""
    return folder.absolute() / config.DEFAULT_FILE


def set_up(folder: Path, flags: Mapping[str, str | None]) -> Iterator[InitStep]:
    """Make what isn't there. `flags` by dotted names are written into the settings; paths start where we are.

    Raises ConfigError and CannotSetUp. Nothing that is there is changed.
    """
    wanted = config.read(None, flags, {})
    file = settings_file(folder)
    try:
        config.read(file if file.exists() else None, flags, os.environ)  # what is wrong shows before anything is made
        folder.mkdir(parents=True, exist_ok=True)
        yield _write_settings(file, wanted)
        settings = config.load(file, {})
        yield _make_data_folder(settings.data_path())
        if not settings.auth.secret:
            path = settings.secret_path()
            made = not path.exists() and secret.make(path)
            yield InitStep(path, made, "what signs tokens; for its owner alone" if made else "")
        if settings.database_is_file():
            yield _make_database(settings)
    except OSError as error:
        raise CannotSetUp(f"{error.filename}: cannot be made: {error.strerror}") from None
    except (StoreError, secret.BadSecret, LockHeld) as error:
        raise CannotSetUp(str(error)) from None


def _write_settings(file: Path, wanted: config.LoadedConfig) -> InitStep:
    given = {name: _value(wanted.config, name) for name in wanted.sources}
    try:
        with open(file, "x", encoding="utf-8", opener=_private) as out:
            out.write(_settings_text(given))
    except FileExistsError:
        there = config.read(file, {}, {}).config
        differ = [name for name, value in given.items() if _value(there, name) != value]
        lines = ", ".join(_line(name, given[name]) for name in differ)
        return InitStep(file, False, f"not changed; write into it yourself: {lines}" if lines else "")
    return InitStep(file, True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # a database's URL may hold a password


def _make_data_folder(path: Path) -> InitStep:
    try:
        path.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        return InitStep(path, False)
    return InitStep(path, True, "for its owner alone; back it up")


def _make_database(settings: Config) -> InitStep:
    path = settings.database_path()
    if path.exists():
        return InitStep(path, False)
    with closing(Lock(settings.data_path(), path, daemon=False)):
        SqliteStore(path, new_epoch=new_id, durability=settings.storage.durability).close()
    return InitStep(path, True)


def _line(name: str, value: object) -> str:
    table, key = name.split(".")
    return f"[{table}] {key} = {toml(config.masked(table, key, value))}"


def _value(settings: Config, name: str) -> Any:
    """The setting's value; a path, and a database's, from where we are."""
    table, key = name.split(".")
    value = getattr(getattr(settings, table), key)
    beside = SETTINGS[table][key].beside
    return beside(Path.cwd(), value) if beside else value


_FILE = """\
# Settings of this chatd. Relative paths start at the folder of this file.
# chatd config --example   prints all settings there are, with their defaults
# chatd config             prints those that hold, and where each was found
# chatd check              says whether they can work

[server]
# Where to listen. 0.0.0.0 lets other machines in: then use [tls], or a proxy in front.
{server.host}
{server.port}
# Messages and the secret that signs tokens: back this folder up.
{server.data}
# Where browsers find this server, the site that it chats for, and other sites whose pages may connect.
{server.public_url}
{server.app_url}
{server.allowed_origins}

# Certificate and key, where no proxy sees to TLS.
[tls]
{tls.certificate}
{tls.key}

# Empty: the file chatd.db in the data folder.
[storage]
{storage.database}
"""
_ALWAYS = {"server.host": "127.0.0.1", "server.port": 3001, "server.data": "./data"}
_FOR_EXAMPLE = {
    "server.public_url": "https://chat.example.org",
    "server.app_url": "https://www.example.org",
    "server.allowed_origins": ["https://other.example.org"],
    "tls.certificate": "/etc/ssl/chat.example.org.pem",
    "tls.key": "/etc/ssl/private/chat.example.org.key",
    "storage.database": "",
}
"""Written as comments where they aren't given."""


def _settings_text(given: Mapping[str, object]) -> str:
    def line(found: re.Match[str]) -> str:
        name = found[1]
        value = {**_ALWAYS, **_FOR_EXAMPLE, **given}[name]
        comment = "" if name in given or name in _ALWAYS else "# "
        return f"{comment}{name.partition('.')[2]} = {toml(value)}"

    return re.sub(r"\{(\w+\.\w+)\}", line, _FILE)
