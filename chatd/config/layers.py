"""Layers of settings: defaults, a file, the environment, the command line."""

import difflib
import ipaddress
import os
import re
import tomllib
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import msgspec

from .consistent import alike_jwt, wrong_jwt, wrong_oidc
from .fields import ConfigError, Setting, Unfit, toml
from .settings import (
    FAMILIES,
    FAMILY_SETTINGS,
    SETTINGS,
    TABLES,
    Config,
    in_config,
    settings_of,
    table_of,
    tables_of,
)

DEFAULT_FILE = Path("chatd.toml")
PREFIX = "CHATD_"

_FAMILY_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""Name of a table in a family."""

BORROWED = {
    "PORT": "server.port",
    "SOCKET_PORT": "server.port",
    "HOSTNAME": "server.host",
    "CORS_ORIGIN": "server.allowed_origins",
    "NEXT_PUBLIC_SITE_URL": "server.app_url",
    "NEXT_PUBLIC_SOCKET_URL": "server.public_url",
    "DATABASE_URL": "storage.database",
}
"""Names of settings in a web app's `.env`; where two mean the same, the later one counts."""

SITE_SECRETS = {
    "nextauth": ("AUTH_SECRET_3", "AUTH_SECRET_2", "AUTH_SECRET_1", "AUTH_SECRET", "NEXTAUTH_SECRET"),
    "better-auth": ("BETTER_AUTH_SECRET",),
}
"""Variables with the secrets of a web app's sign-in, the newest first; read once `auth.methods` names it."""


@attrs.frozen
class Source:
    """The source of a setting. `place`: a file, "environment" or "command line"; `name`: what it is called there."""

    place: str
    name: str

    def __str__(self) -> str:
        return f"{self.place}: {self.name}"


@attrs.frozen
class LoadedConfig:
    """Settings, the `file` that was read, and where each that isn't a default was found, by its dotted name."""

    config: Config
    file: Path | None
    sources: Mapping[str, Source]


@attrs.frozen
class _Given:
    """A value that somebody gave; `found` is how it stands there."""

    source: Source
    table: str
    key: str
    value: object
    found: object
    folder: Path | None = None  # where relative paths start, if not at the working directory

    @property
    def setting(self) -> str:
        return f"{self.table}.{self.key}"


def load(file: Path | None, overrides: Mapping[str, object]) -> Config:
    """The settings as `read` finds them for this process; without a file, `./chatd.toml` is read where there is one."""
    return read(file or default_file(), overrides, os.environ).config


def default_file() -> Path | None:
    """Return the file of the working directory, if there is one. Raises ConfigError where that is closed to us."""
    try:
        return DEFAULT_FILE if DEFAULT_FILE.exists() else None
    except OSError as error:  # as of root's folder, under sudo
        raise ConfigError(
            f"./{DEFAULT_FILE}: cannot be looked for: {error.strerror}: give --config, or change to another folder"
        ) from None


def read(file: Path | None, overrides: Mapping[str, object], environment: Mapping[str, str]) -> LoadedConfig:
    """Read the settings: defaults, then the file, then the environment, then what the command line says.

    The keys of `overrides` are dotted ("server.port"); a value may be text as it was typed; None stands for a flag that
    was not given.

    What a web app's own variables say is stronger than the file, but for its DATABASE_URL: a file that names a database
    means it. Relative paths in the file, and those of defaults beside a file, start at the file's folder; others at the
    working directory. Raises `ConfigError`.
    """
    in_file = [] if file is None else list(_from_file(file))
    stronger = [*_from_environment(environment), *_from_flags(overrides)]
    named = {given.setting for given in stronger}
    if any(given.setting == "storage.database" for given in in_file):
        named.add("storage.database")
    borrowed = {given.setting: given for given in _from_web_app(environment) if given.setting not in named}

    found: dict[str, dict[str, object]] = {name: {} for name in TABLES}
    sources: dict[str, Source] = {}
    if file is not None:
        _take_defaults_beside(file, found)
    for given in (*in_file, *borrowed.values(), *stronger):
        found.setdefault(given.table, {})[given.key] = _checked(given)
        sources[given.setting] = given.source
    for given in _site_secrets(environment, found["auth"].get("methods", ())):
        if given.setting not in named and f"{given.table}.secrets_file" not in sources:
            found[given.table][given.key] = _checked(given)
            sources[given.setting] = given.source
    tables: dict[str, Any] = {in_config(name): table(**found[name]) for name, table in TABLES.items()}
    for family, table in FAMILIES.items():
        begin = f"{family}."
        below = {name.removeprefix(begin): keys for name, keys in found.items() if name.startswith(begin)}
        tables[in_config(family)] = {name: table(**keys) for name, keys in below.items()}
    loaded = LoadedConfig(Config(**tables), file, sources)
    _require_consistent(loaded)
    return loaded


# -- the layers --


def _from_file(file: Path) -> Iterator[_Given]:
    for table, content in _read(file).items():
        is_table = isinstance(content, dict)
        tops = [name for name in TABLES if "." not in name]
        _require_known(f"{file}: ", table, tops, "table" if is_table else "key outside of a table")
        if not is_table:
            raise ConfigError(f"{file}: {table} = {_shown(content)}: expected a table, [{table}]")
        yield from _from_table(file, table, content)


def _from_table(file: Path, table: str, content: Mapping[str, Any]) -> Iterator[_Given]:
    for key, value in content.items():
        below = f"{table}.{key}"
        if below in TABLES or below in FAMILIES or table in FAMILIES:
            if table in FAMILIES and not _FAMILY_NAME.fullmatch(key):
                raise ConfigError(f"{file}: [{table}] {toml(key)}: expected a name of small letters, digits, _ and -")
            if not isinstance(value, dict):
                raise ConfigError(f"{file}: [{table}] {key} = {_shown(value)}: expected a table, [{below}]")
            yield from _from_table(file, below, value)
            continue
        _require_known(f"{file}: [{table}] ", key, [*settings_of(table), *_tables_below(table)], "key")
        yield _Given(Source(str(file), f"[{table}] {key}"), table, key, value, value, _folder(file))


def _tables_below(table: str) -> list[str]:
    return [name.rpartition(".")[2] for name in (*TABLES, *FAMILIES) if name.rpartition(".")[0] == table]


def _from_environment(variables: Mapping[str, str]) -> Iterator[_Given]:
    """CHATD_SERVER_PORT and the like. An empty one counts as unset; one that begins with no table is someone else's."""
    known = {_variable_of(f"{table}.{key}"): (table, key) for table, keys in SETTINGS.items() for key in keys}
    ours = tuple(_variable_of(f"{table}.") for table in TABLES)
    for name, text in variables.items():
        if text and (named := _in_family(name)):
            yield _variable(name, *named, text)
        elif text and name.startswith(ours):
            _require_known("environment: ", name, known, "variable")
            yield _variable(name, *known[name], text)


def _from_web_app(variables: Mapping[str, str]) -> Iterator[_Given]:
    for name, setting in BORROWED.items():
        text = variables.get(name, "")
        if name == "HOSTNAME" and not _is_address(text):
            continue  # shells and containers put the machine's name there
        if setting in ("server.app_url", "server.public_url"):
            text = re.sub(r"(?<=[^:/])[/?#].*", "", text, flags=re.DOTALL)  # the site may live below a path
        if text:
            table, _, key = setting.partition(".")
            yield _variable(name, table, key, text)


def _in_family(name: str) -> tuple[str, str] | None:
    """Return the table and key of CHATD_AUTH_JWT_CLERK_ISSUER and the like; the longest key that fits."""
    for family, settings in FAMILY_SETTINGS.items():
        rest = name.removeprefix(_variable_of(f"{family}."))
        if rest != name:
            for key in sorted(settings, key=len, reverse=True):
                given = rest.removesuffix(f"_{key}".upper()).lower()
                if len(given) < len(rest) and _FAMILY_NAME.fullmatch(given):
                    return f"{family}.{given}", key
    return None


def _variable_of(setting: str) -> str:
    return PREFIX + setting.replace(".", "_").upper()


def _site_secrets(variables: Mapping[str, str], methods: object) -> Iterator[_Given]:
    """The secrets that a web app's sign-in finds in its environment, for the methods that are named."""
    assert isinstance(methods, tuple)
    for method, names in SITE_SECRETS.items():
        there = [name for name in names if variables.get(name)]
        if method in methods and there:
            secrets = tuple(dict.fromkeys(variables[name] for name in there))
            source = Source("environment", ", ".join(there))
            yield _Given(source, f"auth.{method.replace('-', '_')}", "secrets", secrets, secrets)


def _from_flags(overrides: Mapping[str, object]) -> Iterator[_Given]:
    for setting, value in overrides.items():
        if value is not None:
            table, _, key = setting.rpartition(".")
            _require_known("command line: ", table, TABLES, "table")
            _require_known(f"command line: {table}.", key, SETTINGS[table], "key")
            plain: Any = os.fspath(value) if isinstance(value, os.PathLike) else value
            value = _parsed(SETTINGS[table][key], plain) if isinstance(plain, str) else plain
            yield _Given(Source("command line", setting), table, key, value, plain)


def _take_defaults_beside(file: Path, found: dict[str, dict[str, object]]) -> None:
    for name, table in TABLES.items():
        for key, setting in SETTINGS[name].items():
            if setting.beside and (folder := _folder(file)):
                found[name][key] = setting.beside(folder, getattr(table(), key))


def _folder(file: Path) -> Path | None:
    """The file's, if that is not the working directory anyway."""
    return None if file.parent == Path() else file.parent


# -- values --


def _variable(name: str, table: str, key: str, text: str) -> _Given:
    return _Given(Source("environment", name), table, key, _parsed(settings_of(table)[key], text), text)


def _parsed(setting: Setting, text: str) -> object:
    """Return text as the setting's type: a list is comma separated. Other text stays, for `_checked` to complain."""
    if typing.get_origin(setting.type) is tuple:
        return tuple(item.strip() for item in text.split(","))
    try:
        value: object = msgspec.convert(text, setting.type, strict=False)
    except msgspec.ValidationError:
        return text
    return text if type(value) is int and not re.fullmatch(r"-?\d+", text) else value  # 3001.0 is none


def _checked(given: _Given) -> object:
    """The value in its normal form, paths where they start. Raises ConfigError."""
    setting = settings_of(given.table)[given.key]
    try:
        value: Any = msgspec.convert(given.value, setting.type, strict=True)
        value = setting.tidy(value) if setting.tidy else value
    except ValueError as error:  # msgspec's ValidationError is one, too
        shown = "..." if setting.secret else _shown(given.found)
        expects = str(error) if isinstance(error, Unfit) else setting.expects
        if setting.advice and isinstance(given.value, str):
            expects = setting.advice(given.value) or expects
        raise ConfigError(f"{given.source} = {shown}: expected {expects}") from error
    return setting.beside(given.folder, value) if setting.beside and given.folder else value


def _require_consistent(loaded: LoadedConfig) -> None:
    """Check the settings that depend on each other. Raises ConfigError."""
    config, sources = loaded.config, loaded.sources
    for one, other in (("certificate", "key"), ("key", "certificate")):
        if getattr(config.tls, one) and not getattr(config.tls, other):
            where = sources[f"tls.{one}"]
            raise ConfigError(f"{where} = {_shown(getattr(config.tls, one))}: needs [tls] {other}, too")
    for table in tables_of(config):
        found = table_of(config, table)
        for key in settings_of(table):
            if getattr(found, key) and getattr(found, f"{key}_file", ""):
                one, other = f"{table}.{key}", f"{table}.{key}_file"
                if one in sources and other in sources:
                    raise ConfigError(f"{sources[one]}: given together with {sources[other]}; keep one of them")
    for family in FAMILIES:
        method = in_config(family)
        if method in config.auth.methods and not getattr(config, method):
            where = sources["auth.methods"]
            raise ConfigError(f'{where}: "{method}" needs a table with settings, [{family}.NAME]')
    for name, jwt in config.jwt.items():
        wrong = wrong_jwt(jwt) or alike_jwt(jwt, [other for key, other in config.jwt.items() if key < name])
        _complain(sources, f"auth.jwt.{name}", wrong)
    for name, oidc in config.oidc.items():
        _complain(sources, f"auth.oidc.{name}", wrong_oidc(oidc, config.server.public_url))


def _complain(sources: Mapping[str, Source], table: str, wrong: str | None) -> None:
    """Raise ConfigError for what is wrong with a table, if anything is."""
    if wrong:
        place = next(source.place for setting, source in sources.items() if setting.startswith(f"{table}."))
        raise ConfigError(f"{place}: [{table}] {wrong}")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


# -- reading, and complaining --


def _read(path: Path) -> dict[str, Any]:
    """Parse a TOML file, with or without a byte order mark."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}: line {line}: not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        # "Invalid value (at line 3, column 8)", "... (at end of document)", or a bare complaint about a huge number
        what, _, where = str(error).partition(" (at ")
        place = where.rstrip(")").replace("end of document", f"line {len(data.splitlines())}, the end")
        raise ConfigError(": ".join(filter(None, (str(path), place, _in_words(what))))) from error


_WORDS = (
    ("Invalid value", 'no value of TOML: a text stands in "quotation marks", a truth is true or false'),
    ("Cannot overwrite a value", "this key is there twice"),
    ("Cannot declare", "this table is there twice"),
    ("Illegal character '\\n'", "a quotation mark is missing at the end of the line"),
    ("Unterminated string", "a quotation mark is missing"),
    ("Expected ']' at the end of a table", "a ] is missing: a table begins with its name, like [server]"),
    ("Expected '='", "expected key = value"),
    ("Expected newline or end of document", "one value too many, or a number that begins with 0"),
    ("Invalid hex value", "a \\ within \"...\" is written \\\\, or the text stands in '...'"),
    ("Unescaped '\\'", "a \\ within \"...\" is written \\\\, or the text stands in '...'"),
    ("Unclosed array", "a ] is missing at the end of the list"),
    ("Unclosed inline table", "a } is missing"),
    ("Invalid statement", "expected key = value, a table like [server], or a comment (#)"),
    ("Invalid initial character for a key", "expected key = value, a table like [server], or a comment (#)"),
)
"""The parser's complaints, which have no other form than their text, and what they mean for who wrote the file."""


def _in_words(complaint: str) -> str:
    words = next((words for start, words in _WORDS if complaint.startswith(start)), complaint)
    return words.replace("\n", " ")


def _require_known(where: str, name: str, known: Iterable[str], kind: str) -> None:
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"allowed: {', '.join(known)}"
        bare = name if re.fullmatch(r"[\w-]+", name) else toml(name)
        raise ConfigError(f"{where}{bare}: unknown {kind}; {hint}")


def _shown(value: object) -> str:
    """A wrong value for an error message: on one line, short, without the password that a URL may hold."""
    try:
        text = toml(_without_password(value))
    except ValueError:  # an integer of thousands of digits, written in hexadecimal
        text = "..."
    return text if len(text) <= 60 else text[:57] + "..."


def _without_password(value: object) -> object:
    """Return the value, of a text with an @ or a URL that is likely to hold a password only the scheme."""
    match value:
        case str() if hides := re.match(r"(\w+://)?.*@|((?!https?:|sqlite:|file:)\w+://)", value, flags=re.DOTALL):
            return f"{hides[1] or hides[2] or ''}..."
        case list() | tuple():
            return [_without_password(item) for item in value]
        case dict():
            return {key: _without_password(item) for key, item in value.items()}
        case _:
            return value
