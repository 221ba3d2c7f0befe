"""Files of environment variables, like the `.env` of a web app."""

import re
from collections.abc import Mapping
from pathlib import Path

from .fields import ConfigError
from .layers import BORROWED, PREFIX, LoadedConfig
from .settings import TABLES

ENV_FILE = Path(".env")
"""File in the working directory that a web app's framework reads by itself."""

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*=\s*(.*)")
_QUOTED = re.compile(r"""'([^']*)'\s*(?:#.*)?|"((?:[^"\\]|\\.)*)"\s*(?:#.*)?""")
_OURS = tuple(f"{PREFIX}{table}_".upper() for table in TABLES)


def with_file(file: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the file and, stronger, those of the environment. Raises ConfigError."""
    return {**_read(file), **environment}


def unread(loaded: LoadedConfig, environment: Mapping[str, str]) -> list[str]:
    """Return the names in `./.env` that would set what nothing else has set, were it read."""
    try:
        found = _read(ENV_FILE)
    except ConfigError:  # another program's file, in whatever form
        return []
    set_already = {BORROWED[name] for name in BORROWED if environment.get(name)} | loaded.sources.keys()
    return [
        name
        for name, value in found.items()
        if value and not environment.get(name) and (name.startswith(_OURS) or _sets(name, set_already))
    ]


def _sets(name: str, set_already: set[str]) -> bool:
    # HOSTNAME is what a container calls itself, more often than an address to listen on.
    return name in BORROWED and name != "HOSTNAME" and BORROWED[name] not in set_already


def _read(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: not UTF-8 text") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            name, value = _variable(line, f"{file}: line {number}")
            found[name] = value
    return found


def _variable(line: str, where: str) -> tuple[str, str]:
    given = _ASSIGNMENT.fullmatch(line.rstrip())
    if given is None:
        raise ConfigError(f"{where}: expected NAME=value, or a comment (#)")
    name, text = given.groups()
    if text[:1] in ("'", '"'):
        quoted = _QUOTED.fullmatch(text)
        if quoted is None:
            raise ConfigError(f"{where}: {name}: expected a quotation mark at the end of the value, on the same line")
        literal, escaped = quoted.groups()
        value = literal if literal is not None else re.sub(r"\\(.)", _unescaped, escaped)
    else:
        literal, value = None, re.sub(r"(^|\s+)#.*", "", text).strip()
    if literal is None and re.search(r"\$\{?[A-Za-z_]", value) and (name in BORROWED or name.startswith(_OURS)):
        raise ConfigError(f"{where}: {name}: variables within variables ($NAME) are not known here; write the value")
    return name, value


def _unescaped(found: re.Match[str]) -> str:
    return {"n": "\n", "r": "\r", "t": "\t"}.get(found[1], found[1])


def hint(loaded: LoadedConfig, environment: Mapping[str, str]) -> str | None:
    """Return what to say of a `./.env` that isn't read, if anything."""
    names = unread(loaded, environment)
    if not names:
        return None
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{ENV_FILE} is here and was not read, though it has {shown}; --env-file {ENV_FILE} reads it"
