"""What can be set: the tables of `chatd.toml`, their defaults and limits, and how they are loaded.

A setting is one line here. Its description and what it accepts make the error messages and the example file.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
import msgspec

from protocol.objects import ROLES, Role

DEFAULT_FILE = Path("chatd.toml")
DATABASE_FILE = "chatd.db"
SECRET_FILE = "secret"


class ConfigError(Exception):
    """A setting cannot be used; the message is one line that says where, what was found, and what is allowed."""


def _toml(value: object) -> str:
    """TOML's spelling of a value; JSON's is the same but for dates, NaN and infinity."""
    if isinstance(value, float) and not -1e308 < value < 1e308:
        return repr(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _field(default: object, type_: object, expects: str, help_: str) -> Any:
    return attrs.field(default=default, metadata={"type": type_, "expects": expects, "help": help_})


def _whole(default: int, low: int, high: int, help_: str) -> Any:
    return _field(default, Annotated[int, msgspec.Meta(ge=low, le=high)], f"an integer from {low} to {high}", help_)


def _number(default: float, low: float, high: float, help_: str) -> Any:
    type_ = Annotated[float, msgspec.Meta(ge=low, le=high)]  # a bounded float is neither NaN nor infinite
    return _field(default, type_, f"a number from {low:.9g} to {high:.9g}", help_)


def _text(default: str, pattern: str, expects: str, help_: str) -> Any:
    return _field(default, Annotated[str, msgspec.Meta(pattern=pattern)], expects, help_)


def _one_of(default: str, choices: tuple[str, ...], help_: str) -> Any:
    return _field(default, Literal[choices], "one of " + ", ".join(map(_toml, choices)), help_)


def _texts(pattern: str, expects: str, help_: str) -> Any:
    return _field((), tuple[Annotated[str, msgspec.Meta(pattern=pattern)], ...], expects, help_)


def _roles(default: tuple[Role, ...], help_: str) -> Any:
    return _field(default, tuple[Role, ...], "a list of " + ", ".join(map(_toml, ROLES)), help_)


@attrs.frozen(kw_only=True)
class Server:
    """Where the daemon listens, and its life."""

    host: str = _text("127.0.0.1", r"^[^\s\x00]+$", "an address or a host name", "address to listen on")
    port: int = _whole(3001, 0, 65535, "TCP port to listen on; 0 takes any free one")
    data: str = _text("./data", r"^[^\x00]+$", "the path of a folder", "folder for all that is kept")
    public_url: str = _text(
        "", r"^(https?://[^/\s\x00]+)?$", "an address like https://chat.example.org, without a path",
        "where browsers find this server; its pages may connect"
    )  # fmt: skip
    allowed_origins: tuple[str, ...] = _texts(
        r"^https?://[^/\s\x00]+$",
        'a list of origins like "https://www.example.org"',
        "other sites whose pages may connect",
    )
    allowed_hosts: tuple[str, ...] = _field(
        ("localhost", "127.0.0.1", "[::1]"),
        tuple[Annotated[str, msgspec.Meta(pattern=r"^[^/\s\x00]+$")], ...],
        "a list of host names without ports",
        "names of this server whose own pages may connect",
    )
    trusted_proxies: tuple[str, ...] = _texts(
        r"^[0-9A-Fa-f.:]+(/\d+)?$",
        'a list of addresses or networks like "10.0.0.0/8"',
        "who may say whom they speak for (X-Forwarded-For, X-Forwarded-Proto)",
    )
    grace: float = _number(10.0, 0, 3600, "s, for connections to end at shutdown")
    heartbeat: float = _number(25.0, 1, 3600, "s between pings; a connection silent for twice that is closed")
    websocket: Literal["own", "trio-websocket"] = _one_of(
        "own", ("own", "trio-websocket"), "what reads WebSocket frames; the library costs twice as much"
    )


@attrs.frozen(kw_only=True)
class Tls:
    """Certificates, where no proxy sees to them. Both or neither; read again at SIGHUP."""

    certificate: str = _text("", r"^[^\x00]*$", "the path of a PEM file", "certificate with its chain; empty: no TLS")
    key: str = _text("", r"^[^\x00]*$", "the path of a PEM file", "the certificate's private key")


@attrs.frozen(kw_only=True)
class Auth:
    """How users prove who they are."""

    secret_file: str = _text(
        "", r"^[^\x00]*$", "the path of a file", f"what signs tokens; empty: the file {SECRET_FILE} in the data folder"
    )
    token_lifetime: float = _number(30.0, 0.001, 3650, "days that a token is good for, where nothing else is said")


@attrs.frozen(kw_only=True)
class Storage:
    """Where messages are kept, and how safely."""

    database: str = _text(
        "",
        r"^(sqlite:///(?!:memory:)[^?#\x00]+)?$",
        '"", "sqlite:///relative.db" or "sqlite:////absolute.db"; mysql:// is not available yet',
        f"database; empty: the SQLite file {DATABASE_FILE} in the data folder",
    )
    durability: Literal["full", "normal"] = _one_of(
        "full", ("full", "normal"), "full: acknowledged messages outlive power loss; normal: only a crash of the daemon"
    )
    readers: int = _whole(2, 1, 32, "connections that read beside the one that writes")


@attrs.frozen(kw_only=True)
class Limits:
    """How much anyone may ask for, and how much is held in memory."""

    max_frame_bytes: int = _whole(262_144, 4_096, 4_194_304, "bytes of one frame from a client")
    max_body_chars: int = _whole(10_000, 1, 100_000, "characters of a message")
    max_revs: int = _whole(500, 1, 10_000, "conversations that one hello or sync may name")
    max_page: int = _whole(200, 1, 1_000, "items of one page of a list, history or search")
    max_participants: int = _whole(500, 2, 10_000, "people in a conversation")
    max_attachment_bytes: int = _whole(26_214_400, 1, 2**40, "bytes of an attached file")
    outbox_bytes: int = _whole(1_048_576, 65_536, 2**30, "bytes queued for a connection before it is cut as too slow")
    connections: int = _whole(10_000, 1, 1_000_000, "connections in all")
    connections_per_user: int = _whole(50, 1, 1_000_000, "connections of one user")
    requests_per_second: float = _number(20.0, 0.1, 1e6, "requests/s of a connection, over time")
    request_burst: int = _whole(100, 1, 1_000_000, "requests of a connection at once")
    user_requests_per_second: float = _number(40.0, 0.1, 1e6, "requests/s of a user over all connections, over time")
    user_request_burst: int = _whole(200, 1, 1_000_000, "requests of a user over all connections at once")
    rooms: int = _whole(10_000, 1, 1_000_000, "conversations held in memory")
    room_inbox: int = _whole(256, 1, 65_536, "requests waiting in one conversation")
    http_body_bytes: int = _whole(65_536, 1_024, 2**30, "bytes of an HTTP request's body, uploads excepted")


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long to wait."""

    handshake: float = _number(5.0, 0.1, 3600, "s, for the head of a request and the WebSocket handshake")
    hello: float = _number(10.0, 0.1, 3600, "s, for the hello of a new connection")
    close: float = _number(5.0, 0.1, 3600, "s, for a peer to answer a close")
    write: float = _number(10.0, 0.1, 3600, "s without a byte taken before a slow reader is cut")
    commit: float = _number(10.0, 0.1, 3600, "s, for a place in the queue and the commit to disk")
    room_idle: float = _number(60.0, 0.1, 86400, "s, after which an idle conversation leaves memory")
    keep_alive: float = _number(15.0, 0.1, 3600, "s, for the next HTTP request of a connection")


@attrs.frozen(kw_only=True)
class Policy:
    """Whom each role may open a conversation with, or add to one."""

    patient: tuple[Role, ...] = _roles(("dentist", "staff", "admin"), "whom patients reach")
    dentist: tuple[Role, ...] = _roles(ROLES, "whom dentists reach")
    staff: tuple[Role, ...] = _roles(ROLES, "whom staff reach")
    admin: tuple[Role, ...] = _roles(ROLES, "whom admins reach")


@attrs.frozen(kw_only=True)
class Logs:
    """What is logged, on standard error. Never what people write."""

    level: Literal["debug", "info", "warning", "error"] = _one_of(
        "info", ("debug", "info", "warning", "error"), "the least severe that is logged"
    )
    format: Literal["auto", "human", "json"] = _one_of(
        "auto", ("auto", "human", "json"), "auto: human on a terminal, JSON lines elsewhere"
    )


@attrs.frozen(kw_only=True)
class Config:
    """All settings of one daemon."""

    server: Server = attrs.field(factory=Server)
    tls: Tls = attrs.field(factory=Tls)
    auth: Auth = attrs.field(factory=Auth)
    storage: Storage = attrs.field(factory=Storage)
    limits: Limits = attrs.field(factory=Limits)
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    policy: Policy = attrs.field(factory=Policy)
    logs: Logs = attrs.field(factory=Logs)

    def data_path(self) -> Path:
        """The data folder, absolute; `~` is the home folder. It may not exist yet."""
        return Path(self.server.data).expanduser().absolute()

    def secret_path(self) -> Path:
        """The file with what signs tokens, absolute. It may not exist yet."""
        file = self.auth.secret_file
        return Path(file).expanduser().absolute() if file else self.data_path() / SECRET_FILE

    def database_path(self) -> Path:
        """The SQLite file, absolute. It may not exist yet."""
        url = self.storage.database
        return Path(url.removeprefix("sqlite:///")).absolute() if url else self.data_path() / DATABASE_FILE


_TABLES: dict[str, type[Any]] = {table.name: table.type for table in attrs.fields(Config) if table.type}
_SETTINGS = {name: attrs.fields_dict(section) for name, section in _TABLES.items()}


def load(path: Path | None, overrides: Mapping[str, object]) -> Config:
    """Read the settings: defaults, then the file, then what the command line says.

    `path` None means `./chatd.toml` if there is one. The keys of `overrides` are dotted ("server.port"); a value of
    None stands for a flag that was not given. Raises `ConfigError`.
    """
    found: dict[str, dict[str, object]] = {name: {} for name in _TABLES}
    if path is not None or DEFAULT_FILE.exists():
        file = path or DEFAULT_FILE
        for table, content in _read(file).items():
            is_table = isinstance(content, dict)
            _require_known(f"{file}: ", table, _TABLES, "table" if is_table else "key outside of a table")
            if not is_table:
                raise ConfigError(f"{file}: {table} = {_shown(content)}: expected a table, [{table}]")
            for key, value in content.items():
                found[table][key] = _checked(f"{file}: [{table}] ", table, key, value)
    for dotted, value in overrides.items():
        if value is not None:
            table, _, key = dotted.partition(".")
            _require_known("command line: ", table, _TABLES, "table")
            found[table][key] = _checked(f"command line: {table}.", table, key, value)
    sections: dict[str, Any] = {name: section(**found[name]) for name, section in _TABLES.items()}
    return Config(**sections)


def example() -> str:
    """The text of `chatd.toml.example`: every setting with its default, which loads to the defaults."""
    return "\n".join(_example_lines())


def _example_lines() -> Iterator[str]:
    yield "# Settings of chatd, with their defaults. Copy to chatd.toml, and keep the lines that you change."
    for name, settings in _SETTINGS.items():
        yield f"\n# {_TABLES[name].__doc__}\n[{name}]"
        for key, setting in settings.items():
            yield f"# {setting.metadata['help']} ({setting.metadata['expects']})"
            yield f"{key} = {_toml(setting.default)}"
    yield ""


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
        raise ConfigError(": ".join(filter(None, (str(path), place, what.replace("\n", " "))))) from error


def _require_known(where: str, name: str, known: Mapping[str, object], kind: str) -> None:
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"allowed: {', '.join(known)}"
        bare = name if re.fullmatch(r"[\w-]+", name) else _toml(name)
        raise ConfigError(f"{where}{bare}: unknown {kind}; {hint}")


def _checked(where: str, table: str, key: str, value: object) -> object:
    """The value as the setting's type; an error's line is `where`, the key, and what is wrong."""
    _require_known(where, key, _SETTINGS[table], "key")
    metadata = _SETTINGS[table][key].metadata
    plain = os.fspath(value) if isinstance(value, os.PathLike) else value
    try:
        return msgspec.convert(plain, metadata["type"], strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}{key} = {_shown(plain)}: expected {metadata['expects']}") from error


def _shown(value: object) -> str:
    """A wrong value for an error message: on one line, short, without the password that a URL may hold."""
    if isinstance(value, str):
        value = re.sub(r"^(\w+://)?.*@.*", r"\1...", value, flags=re.DOTALL)
    try:
        text = _toml(value)
    except ValueError:  # an integer of thousands of digits, written in hexadecimal
        text = "..."
    return text if len(text) <= 60 else text[:57] + "..."
