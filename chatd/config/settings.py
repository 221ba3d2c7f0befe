"""All settings: the tables of `chatd.toml` with their defaults and limits.

A setting is one line here. Its description and what it accepts make the error messages and the example file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from protocol.objects import ROLES, Role

from . import fields
from .fields import SQLITE, ConfigError, Setting, flag, number, one_of, path, roles, text, texts, whole
from .sign_in import BetterAuth, Jwt, NextAuth, Oidc

DATABASE_FILE = "chatd.db"
FILES_FOLDER = "files"
SECRET_FILE = "secret"
SECRET_LENGTH = 32
"""Characters, at least, of a secret; bytes, at least, of a secret file."""


@attrs.frozen(kw_only=True)
class Server:
    """Addresses that the daemon listens on, and its life."""

    host: str = text(
        "127.0.0.1", r"^[^\s\x00]+$", "an address or a host name", "address to listen on", tidy=fields.listening_host
    )
    port: int = whole(3001, 0, 65535, "TCP port to listen on; 0 takes any free one")
    data: str = path("./data", "a folder", "folder for all that is kept")
    public_url: str = text(
        "", "", "an address like https://chat.example.org, without a path",
        "where browsers find this server; its pages may connect", tidy=lambda url: url and fields.origin(url)
    )  # fmt: skip
    app_url: str = text(
        "", "", "an address like https://chat.example.org, without a path",
        "the site that this server chats for, where there is one; its pages may connect",
        tidy=lambda url: url and fields.origin(url)
    )  # fmt: skip
    allowed_origins: tuple[str, ...] = texts(
        (), fields.origin, 'a list of origins like "https://www.example.org", without paths or *',
        "other sites whose pages may connect"
    )  # fmt: skip
    allowed_hosts: tuple[str, ...] = texts(
        ("localhost", "127.0.0.1", "[::1]"), fields.host, "a list of host names without ports",
        "names of this server whose own pages may connect"
    )  # fmt: skip
    trusted_proxies: tuple[str, ...] = texts(
        (), fields.network, 'a list of addresses or networks like "10.0.0.0/8"',
        "who may say whom they speak for (X-Forwarded-For, X-Forwarded-Proto)"
    )  # fmt: skip
    grace: float = number(10.0, 0, 3600, "s, for connections to end at shutdown")
    heartbeat: float = number(25.0, 1, 3600, "s between pings; a connection silent for twice that is closed")
    websocket: Literal["own", "trio-websocket"] = one_of(
        "own", ("own", "trio-websocket"), "what reads WebSocket frames; the library costs twice as much"
    )


@attrs.frozen(kw_only=True)
class Tls:
    """Certificates, where no proxy sees to them. Both or neither; read again at SIGHUP."""

    certificate: str = path("", "a PEM file", "certificate with its chain; empty: no TLS")
    key: str = path("", "a PEM file", "the certificate's private key")


SESSION_LIFETIMES = ("patient=180d", "dentist=12h", "staff=12h", "admin=12h")


@attrs.frozen(kw_only=True)
class Auth:
    """Sign-in: the ways in, and how long they hold."""

    secret: str = text(
        "", rf"^([^\x00]{{{SECRET_LENGTH},}})?\Z", f"at least {SECRET_LENGTH} characters",
        "what signs tokens, itself; better in the environment or a file than here", secret=True
    )  # fmt: skip
    secret_file: str = path("", "a file", f"file of it; both empty: the file {SECRET_FILE} in the data folder")
    token_lifetime: float = number(30.0, 0.001, 3650, "days that a token is good for, where nothing else is said")
    methods: tuple[str, ...] = texts(
        fields.DEFAULT_METHODS, fields.method, "a list of " + ", ".join(map(fields.toml, fields.METHODS)),
        "ways to sign in"
    )  # fmt: skip
    session_lifetime: tuple[str, ...] = texts(
        SESSION_LIFETIMES, fields.lifetime,
        'a list like "patient=180d", with s, m, h or d', "how long a session lives after its last use, by role"
    )  # fmt: skip

    second_step: tuple[Role, ...] = roles(
        (), "roles that need a code of an authenticator app beside the password (chatd user totp)"
    )

    def session_seconds(self) -> dict[str, float]:
        """Return how long sessions live, in s, by role; a role that isn't named has the default."""
        named = [text.partition("=") for text in (*SESSION_LIFETIMES, *self.session_lifetime)]
        return {role: float(fields.seconds_of(length)) for role, _, length in named}


@attrs.frozen(kw_only=True)
class Storage:
    """The place where messages are kept, and how safely."""

    database: str = text(
        "", r"^(sqlite:///(?!:memory:)[^?#\x00-\x1f]+|mysql://[^/?#\s\x00]+/[^/?#\s\x00]+(\?[^#\s\x00]*)?)?\Z",
        '"", "sqlite:///relative.db", "sqlite:////absolute.db" or "mysql://user:password@host/name"',
        f"database; empty: the SQLite file {DATABASE_FILE} in the data folder", beside=fields.database_beside,
        advice=fields.database_advice
    )  # fmt: skip
    durability: Literal["full", "normal"] = one_of(
        "full", ("full", "normal"), "full: acknowledged messages outlive power loss; normal: only a crash of the daemon"
    )
    readers: int = whole(2, 1, 32, "connections that read beside the one that writes")
    files: str = path("", "a folder", "folder for what people attach; empty: the folder files in the data folder")


@attrs.frozen(kw_only=True)
class Mysql:
    """The database of an app beside chatd: what it calls its things, and how often to look for what it wrote."""

    names: tuple[str, ...] = texts(
        (), fields.naming, 'a list of theirs for ours, like "Message=messages" or "Message.content=body"',
        "tables and columns of the app that have other names than in docs/mysql.md"
    )  # fmt: skip
    roles: tuple[str, ...] = texts(
        (), fields.role_of, 'a list like "PRO=dentist" of patient, dentist, staff and admin',
        "values of the app's enum of roles; one that is not named here, nor like ours, counts as patient"
    )  # fmt: skip
    constants: tuple[str, ...] = texts(
        (), fields.constant, 'a list like "Message.type=TEXT"',
        "what chatd writes to required columns of the app that it knows nothing of, table by table"
    )  # fmt: skip
    receiver_in_groups: Literal["", "sender"] = one_of(
        "", ("", "sender"),
        "who is a message's receiver in a group, where the app has such a column: empty: nobody, and where it may not "
        "be NULL groups are forbidden; sender: who wrote it"
    )  # fmt: skip
    write_attachments: bool = fields.flag(
        False, "write files that are sent through chatd to the app's table of files as well; needs server.public_url"
    )
    ids: Literal["", "uuid", "cuid"] = one_of(
        "", ("", "uuid", "cuid"),
        "form of the ids that chatd makes, where the app checks it; empty: UUIDs, or cuids where a column is too short"
    )  # fmt: skip
    poll: float = number(1.0, 0.1, 3600, "s between two looks for what the app, or another daemon, wrote")


@attrs.frozen(kw_only=True)
class Limits:
    """Limits of what anyone may ask for, and of what is held in memory."""

    max_frame_bytes: int = whole(262_144, 4_096, 4_194_304, "bytes of one frame from a client")
    max_body_chars: int = whole(10_000, 1, 100_000, "characters of a message")
    max_revs: int = whole(500, 1, 10_000, "conversations that one hello or sync may name")
    max_page: int = whole(200, 1, 1_000, "items of one page of a list, history or search")
    max_participants: int = whole(500, 2, 2_000, "people in a conversation")
    max_attachment_bytes: int = whole(26_214_400, 1, 2**40, "bytes of an attached file")
    max_attachments: int = whole(10, 1, 50, "files of a message")
    user_attachment_bytes_per_day: int = whole(2**30, 1, 2**50, "bytes that a user may upload in 24 hours")
    outbox_bytes: int = whole(1_048_576, 65_536, 2**30, "bytes queued for a connection before it is cut as too slow")
    connections: int = whole(10_000, 1, 1_000_000, "connections in all")
    connections_per_user: int = whole(50, 1, 1_000_000, "connections of one user")
    connections_per_address: int = whole(
        1_000, 1, 1_000_000, "connections from one address (or IPv6 /64), proxies excepted"
    )
    requests_per_second: float = number(20.0, 0.1, 1e6, "requests/s of a connection, over time")
    request_burst: int = whole(100, 1, 1_000_000, "requests of a connection at once")
    user_requests_per_second: float = number(40.0, 0.1, 1e6, "requests/s of a user over all connections, over time")
    user_request_burst: int = whole(200, 1, 1_000_000, "requests of a user over all connections at once")
    address_requests_per_second: float = number(
        200.0, 0.1, 1e6, "HTTP requests and handshakes/s of one address (or IPv6 /64), over time"
    )
    address_request_burst: int = whole(1_000, 1, 1_000_000, "HTTP requests and handshakes of one address at once")
    unfinished_bytes: int = whole(
        134_217_728, 1_048_576, 2**40, "bytes of unfinished messages held for all signed-in connections together"
    )
    rooms: int = whole(10_000, 1, 1_000_000, "conversations held in memory")
    room_inbox: int = whole(256, 1, 65_536, "requests waiting in one conversation")
    free_disk_bytes: int = whole(
        67_108_864, 0, 2**50, "bytes free in the data folder below which /readyz answers 503; 0: not looked at"
    )
    http_body_bytes: int = whole(65_536, 1_024, 2**30, "bytes of an HTTP request's body, uploads and frames excepted")


@attrs.frozen(kw_only=True)
class Timeouts:
    """Seconds to wait."""

    handshake: float = number(5.0, 0.1, 3600, "s, for the head of a request and the WebSocket handshake")
    hello: float = number(10.0, 0.1, 3600, "s, for the hello of a new connection")
    close: float = number(5.0, 0.1, 3600, "s, for a peer to answer a close")
    write: float = number(10.0, 0.1, 3600, "s without a byte taken before a slow reader is cut")
    commit: float = number(10.0, 0.1, 3600, "s, for a place in the queue and the commit to disk")
    room_idle: float = number(60.0, 0.1, 86400, "s, after which an idle conversation leaves memory")
    keep_alive: float = number(15.0, 0.1, 3600, "s, for the next HTTP request of a connection")


@attrs.frozen(kw_only=True)
class Policy:
    """Roles that each role may open a conversation with, or add to one."""

    patient: tuple[Role, ...] = roles(("dentist", "staff", "admin"), "whom patients reach")
    dentist: tuple[Role, ...] = roles(ROLES, "whom dentists reach")
    staff: tuple[Role, ...] = roles(ROLES, "whom staff reach")
    admin: tuple[Role, ...] = roles(ROLES, "whom admins reach")


@attrs.frozen(kw_only=True)
class Messages:
    """Time in which people may take back what they wrote. Staff and admins may delete at any time."""

    edit_within: float = number(24.0, 0, 876_000, "hours in which a message may be edited by its sender; 0: not at all")
    delete_within: float = number(24.0, 0, 876_000, "hours in which its sender may delete it; 0: not at all")


@attrs.frozen(kw_only=True)
class Web:
    """The chat page: how it looks, and where its pictures may come from."""

    name: str = text("Chat", r"^[^\x00-\x1f]{1,80}\Z", "1 to 80 characters", "name at the top of the page")
    logo: str = path("", "a picture: .svg, .png, .webp or .jpg", "logo of the page; empty: none")
    theme: str = path("", "a CSS file", "what overrides the page's colours (CSS variables); empty: nothing")
    language: str = text(
        "", r"^([a-z]{2,3}(-[A-Za-z0-9]{2,8})*)?\Z", 'a language like "en" or "pt-BR"',
        "language of the page; empty: the browser's"
    )  # fmt: skip
    sign_in_url: str = text(
        "", r"^(https?://[^\s\x00-\x1f\x7f]{1,2000})?\Z", "an http or https address",
        "where people without a session sign in; empty: on the page itself"
    )  # fmt: skip
    lock_after: float = number(
        5.0, 0, 1440, "minutes without input after which a staff member's screen asks for its PIN; 0: never"
    )
    media_origins: tuple[str, ...] = texts(
        (), fields.origin, 'a list of origins like "https://www.example.org", without paths or *',
        "other sites that pictures and recordings of the page may come from"
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class Files:
    """Files that people attach: which kinds are taken, who looks at them, and how long browsers keep them."""

    downloads: tuple[str, ...] = texts(
        (), fields.download, 'a list of "dicom", "docx" and "zip"',
        "kinds of files that are taken beside pictures, videos, recordings, PDF and text; never shown, only downloaded"
    )  # fmt: skip
    clamd: str = text(
        "", r"^(/[^\x00-\x1f]{1,100}|[^\s/:]{1,253}:[0-9]{1,5}|\[[0-9A-Fa-f:.]+\]:[0-9]{1,5})?\Z",
        "the path of a socket, or host:port", "clamd, which scans each file for viruses; empty: nothing is scanned"
    )  # fmt: skip
    cache: Literal["hour", "never"] = one_of(
        "hour", ("hour", "never"), "hour: the browser of who may see a file keeps it for an hour; never: it keeps none"
    )


@attrs.frozen(kw_only=True)
class SocketIo:
    """Front ends that speak Socket.IO: see docs/socketio.md."""

    enabled: bool = flag(True, "whether they are served at all")
    paths: tuple[str, ...] = texts(
        ("/socket.io",), fields.request_path, 'a list of paths like "/api/socket"',
        "paths that are served, with and without a slash at the end"
    )  # fmt: skip
    namespaces: tuple[str, ...] = texts(
        ("/",), fields.namespace, 'a list of namespaces like "/" or "/chat"', "namespaces that are served"
    )  # fmt: skip
    names: tuple[str, ...] = texts(
        (), fields.event_name, 'a list of ours=theirs, like "new_message=receive_message"',
        "events that the front end knows by another name"
    )  # fmt: skip
    aliases: tuple[str, ...] = texts(
        (), fields.event_name, 'a list of ours=theirs, like "new_message=receive_message"',
        "names that events have besides"
    )  # fmt: skip
    acknowledgement: Literal["success", "ok", "status"] = one_of(
        "success", ("success", "ok", "status"), "form of acknowledgements: {success: true}, {ok: true} or {status: ...}"
    )
    system_messages: bool = flag(True, "whether they are shown as messages, with senderId null")
    query: bool = flag(False, "whether credentials may be in the query, where proxies log them")
    connect_timeout: float = number(45.0, 0.1, 3600, "s, for a client to connect to a namespace")
    ping_timeout: float = number(20.0, 0.1, 3600, "s, for the answer to a ping")
    recovery: float = number(120.0, 0, 3600, "s in which a lost connection may be recovered; 0: not at all")
    recovery_bytes: int = whole(67_108_864, 0, 2**40, "bytes kept for recovery over all connections")


@attrs.frozen(kw_only=True)
class Metrics:
    """Numbers for Prometheus, at /metrics."""

    token: str = text(
        "", r"^([!-~]{16,512})?\Z", "16 to 512 printable characters without space",
        "Bearer token of who may read them from elsewhere; empty: only this machine itself", secret=True
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class Logs:
    """Logs, on standard error. Never of what people write."""

    level: Literal["debug", "info", "warning", "error"] = one_of(
        "info", ("debug", "info", "warning", "error"), "the least severe that is logged"
    )
    format: Literal["auto", "human", "json"] = one_of(
        "auto", ("auto", "human", "json"), "auto: human on a terminal, JSON lines elsewhere"
    )


@attrs.frozen(kw_only=True)
class Config:
    """All settings of one daemon."""

    server: Server = attrs.field(factory=Server)
    tls: Tls = attrs.field(factory=Tls)
    auth: Auth = attrs.field(factory=Auth)
    better_auth: BetterAuth = attrs.field(factory=BetterAuth, metadata={"table": "auth.better_auth"})
    nextauth: NextAuth = attrs.field(factory=NextAuth, metadata={"table": "auth.nextauth"})
    jwt: Mapping[str, Jwt] = attrs.field(factory=dict, metadata={"family": "auth.jwt", "of": Jwt})
    oidc: Mapping[str, Oidc] = attrs.field(factory=dict, metadata={"family": "auth.oidc", "of": Oidc})
    storage: Storage = attrs.field(factory=Storage)
    mysql: Mysql = attrs.field(factory=Mysql)
    limits: Limits = attrs.field(factory=Limits)
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    policy: Policy = attrs.field(factory=Policy)
    messages: Messages = attrs.field(factory=Messages)
    web: Web = attrs.field(factory=Web)
    files: Files = attrs.field(factory=Files)
    socketio: SocketIo = attrs.field(factory=SocketIo)
    metrics: Metrics = attrs.field(factory=Metrics)
    logs: Logs = attrs.field(factory=Logs)

    def data_path(self) -> Path:
        """The data folder, absolute; `~` is the home folder. It may not exist yet."""
        return _absolute(self.server.data)

    def secret_path(self) -> Path:
        """The file with what signs tokens, absolute. It may not exist yet; `auth.secret` stands instead of it."""
        return _absolute(self.auth.secret_file) if self.auth.secret_file else self.data_path() / SECRET_FILE

    def files_path(self) -> Path:
        """The folder for what people attach, absolute. It may not exist yet."""
        return _absolute(self.storage.files) if self.storage.files else self.data_path() / FILES_FOLDER

    def database_is_file(self) -> bool:
        """Return True if messages are kept in a SQLite file."""
        return not self.storage.database or self.storage.database.startswith(SQLITE)

    def database_path(self) -> Path:
        """The SQLite file, absolute. It may not exist yet. Raises ConfigError where the database is no file."""
        url = self.storage.database
        if not self.database_is_file():
            scheme = url.partition(":")[0]
            raise ConfigError(f"storage.database: {scheme}:// is not available here; use sqlite:///")
        return _absolute(url.removeprefix(SQLITE)) if url else self.data_path() / DATABASE_FILE


def _absolute(path: str) -> Path:
    return Path(path).expanduser().absolute()


TABLES: dict[str, type[Any]] = {
    table.metadata.get("table", table.name): table.type
    for table in attrs.fields(Config)
    if table.type and "family" not in table.metadata
}
"""Tables by their names in the file; what follows the last point is the name in `Config`."""

FAMILIES: dict[str, type[Any]] = {
    table.metadata["family"]: table.metadata["of"] for table in attrs.fields(Config) if "family" in table.metadata
}
"""Tables of which there is one for each name that an operator gives: `auth.jwt` for `[auth.jwt.clerk]`."""


def _settings(table: type[Any]) -> dict[str, Setting]:
    return {field.name: field.metadata["setting"] for field in attrs.fields(table)}


SETTINGS: dict[str, dict[str, Setting]] = {name: _settings(table) for name, table in TABLES.items()}
FAMILY_SETTINGS: dict[str, dict[str, Setting]] = {name: _settings(table) for name, table in FAMILIES.items()}


def in_config(table: str) -> str:
    """Return the name in `Config` of a table: `nextauth` for `auth.nextauth`."""
    return table.rpartition(".")[2]


def settings_of(table: str) -> dict[str, Setting]:
    """Return the settings of a table, which may be one of a family: `auth.jwt.clerk`."""
    return SETTINGS[table] if table in SETTINGS else FAMILY_SETTINGS[table.rpartition(".")[0]]


def table_of(config: Config, table: str) -> Any:
    """Return the values of a table, which may be one of a family."""
    family, _, name = table.rpartition(".")
    return getattr(config, in_config(family))[name] if family in FAMILIES else getattr(config, in_config(table))


def tables_of(config: Config) -> list[str]:
    """Return the names of all tables that there are, those of families by the names that are given."""
    return [*TABLES, *(f"{family}.{name}" for family in FAMILIES for name in getattr(config, in_config(family)))]
