"""Settings from everywhere: which layer wins, what a web app's variables mean, what errors hide."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatd.config import SETTINGS, Config, ConfigError, in_config, load, read
from chatd.config.fields import host, network, origin

PASSWORD = "correct-horse"
INTEGER = "an integer from {} to {}".format
NUMBER = "a number from {} to {}".format
ORIGIN = "an address like https://chat.example.org, without a path"
ORIGINS = 'a list of origins like "https://www.example.org", without paths or *'
PROXIES = 'a list of addresses or networks like "10.0.0.0/8"'
DATABASE = '"", "sqlite:///relative.db", "sqlite:////absolute.db" or "mysql://user:password@host/name"'
NAMES = 'a list of theirs for ours, like "Message=messages" or "Message.content=body"'
ROLES_OF = 'a list like "PRO=dentist" of patient, dentist, staff and admin'
METHODS = 'a list of "token", "password", "ticket", "invitation", "nextauth", "better-auth", "jwt", "oidc"'
COOKIES = "a list of names of cookies"
SESSION_COLUMNS = 'a list of theirs for token, user, expires, like "token={}"'.format
CLAIM = 'the path of a claim, like "sub" or "user.id"'
ROLES = 'a list of "patient", "dentist", "staff", "admin"'

WRONG: dict[str, list[tuple[str | list[str], str]]] = {
    "server.host": [("a b", "an address or a host name")],
    "server.port": [("abc", INTEGER(0, 65535))],
    "server.data": [("a\nb", "the path of a folder")],
    "server.public_url": [
        (url, ORIGIN)
        for url in (
            *("https://a.example/chat", "https://a.example?x", "ftp:a.example", "a.example", "https://*", "https://"),
            *("https://a.example:0", "https://a.example:99999", "https://a.example:", "https://ä.example", "*", "null"),
            *("https://[::1", "https://[12345::]", "https://a..b", "https://a.example//", "https://\u212aa.example"),
        )
    ],
    "server.app_url": [("https://a.example/chat", ORIGIN), ("a.example", ORIGIN)],
    "server.allowed_origins": [
        (["*"], ORIGINS),
        (["https://*.a.example"], ORIGINS),
        (["https://a.example", "https://b.example/chat"], ORIGINS),
        (["https://a.example", ""], ORIGINS),
    ],
    "server.allowed_hosts": [
        (["a.example:80"], "a list of host names without ports"),
        (["*"], "a list of host names without ports"),
    ],
    "server.trusted_proxies": [(["10.0.0.1/8"], PROXIES), (["10.0.0.300"], PROXIES), (["proxy"], PROXIES)],
    "server.grace": [("10s", NUMBER(0, 3600))],
    "server.heartbeat": [("often", NUMBER(1, 3600))],
    "server.websocket": [("websockets", 'one of "own", "trio-websocket"')],
    "tls.certificate": [("a\tb", "the path of a PEM file")],
    "tls.key": [("a\tb", "the path of a PEM file")],
    "auth.secret": [("..." + PASSWORD, "at least 32 characters")],
    "auth.secret_file": [("a\x7fb\n", "the path of a file")],
    "auth.token_lifetime": [("30d", NUMBER(0.001, 3650))],
    "auth.methods": [([wrong], METHODS) for wrong in ("cookie", "Password")],
    "auth.session_lifetime": [
        ([wrong], 'a list like "patient=180d", with s, m, h or d') for wrong in ("patient", "nurse=1d", "staff=0h")
    ],
    "auth.second_step": [(["nurse"], ROLES)],
    "auth.nextauth.secrets": [([PASSWORD, "x" * 1025], "a list of texts of 1 to 1024 characters")],
    "auth.nextauth.secrets_file": [("a\x7fb\n", "the path of a file")],
    "auth.nextauth.cookies": [([wrong], COOKIES) for wrong in ("a b", "a=b", "a;b")],
    "auth.nextauth.sessions": [("cookie", 'one of "jwt", "database"')],
    "auth.nextauth.table": [("a b", "the name of a table"), ("`x`", "the name of a table")],
    "auth.nextauth.columns": [
        ([wrong], SESSION_COLUMNS("sessionToken")) for wrong in ("token", "id=x", "token=a b", "token=`x`", "token=")
    ],
    "auth.better_auth.secrets": [([PASSWORD, "x" * 1025], "a list of texts of 1 to 1024 characters")],
    "auth.better_auth.secrets_file": [("a\x7fb\n", "the path of a file")],
    "auth.better_auth.cookies": [(["a b"], COOKIES)],
    "auth.better_auth.table": [("a.b", "the name of a table")],
    "auth.better_auth.columns": [(["user=a;b"], SESSION_COLUMNS("token"))],
    "auth.nextauth.user": [("a b", CLAIM)],
    "storage.database": [
        ("postgresql:", DATABASE),
        ("file:./dev.db", DATABASE),
        ("sqlite://relative.db", DATABASE),
        ("sqlite:///:memory:", DATABASE),
    ],
    "storage.durability": [("off", 'one of "full", "normal"')],
    "storage.readers": [("two", INTEGER(1, 32))],
    "mysql.constants": [
        ([wrong], 'a list like "Message.type=TEXT"') for wrong in ("Message.type", "type=TEXT", "M.a b=c")
    ],
    "mysql.ids": [("nanoid", 'one of "", "uuid", "cuid"')],
    "mysql.receiver_in_groups": [("everybody", 'one of "", "sender"')],
    "storage.files": [("a\nb", "the path of a folder")],
    "mysql.write_attachments": [("sometimes", "true or false")],
    "mysql.names": [([wrong], NAMES) for wrong in ("Message", "Message=a b", "Message.a.b=c", "=x", "Message=`x`")],
    "mysql.poll": [("always", NUMBER(0.1, 3600))],
    "mysql.roles": [([wrong], ROLES_OF) for wrong in ("PRO", "PRO=doctor", "=dentist", "PRO=dentist=x")],
    "limits.max_frame_bytes": [("1M", INTEGER(4096, 4194304))],
    "limits.max_body_chars": [("many", INTEGER(1, 100000))],
    "limits.max_revs": [("many", INTEGER(1, 10000))],
    "limits.max_page": [("many", INTEGER(1, 1000))],
    "limits.max_participants": [("many", INTEGER(2, 2000))],
    "limits.max_attachment_bytes": [("25M", INTEGER(1, 2**40))],
    "limits.max_attachments": [("all", INTEGER(1, 50))],
    "limits.user_attachment_bytes_per_day": [("1 GiB", INTEGER(1, 2**50))],
    "limits.outbox_bytes": [("1M", INTEGER(65536, 2**30))],
    "limits.connections": [("many", INTEGER(1, 1000000))],
    "limits.connections_per_user": [("many", INTEGER(1, 1000000))],
    "limits.connections_per_address": [("many", INTEGER(1, 1000000))],
    "limits.address_requests_per_second": [("many", NUMBER(0.1, 1000000))],
    "limits.address_request_burst": [("many", INTEGER(1, 1000000))],
    "limits.requests_per_second": [("many", NUMBER(0.1, 1000000))],
    "limits.request_burst": [("many", INTEGER(1, 1000000))],
    "limits.user_requests_per_second": [("many", NUMBER(0.1, 1000000))],
    "limits.user_request_burst": [("many", INTEGER(1, 1000000))],
    "limits.rooms": [("many", INTEGER(1, 1000000))],
    "limits.room_inbox": [("many", INTEGER(1, 65536))],
    "limits.free_disk_bytes": [("1G", INTEGER(0, 2**50))],
    "limits.http_body_bytes": [("many", INTEGER(1024, 2**30))],
    "limits.unfinished_bytes": [("1", INTEGER(2**20, 2**40))],
    "timeouts.handshake": [("5s", NUMBER(0.1, 3600))],
    "timeouts.hello": [("5s", NUMBER(0.1, 3600))],
    "timeouts.close": [("5s", NUMBER(0.1, 3600))],
    "timeouts.write": [("5s", NUMBER(0.1, 3600))],
    "timeouts.commit": [("5s", NUMBER(0.1, 3600))],
    "timeouts.room_idle": [("1m", NUMBER(0.1, 86400))],
    "timeouts.keep_alive": [("5s", NUMBER(0.1, 3600))],
    "policy.patient": [(["nurse"], ROLES)],
    "policy.dentist": [(["all"], ROLES)],
    "policy.staff": [(["*"], ROLES)],
    "policy.admin": [(["Patient"], ROLES)],
    "messages.edit_within": [("1d", NUMBER(0, 876000))],
    "messages.delete_within": [("1d", NUMBER(0, 876000))],
    "web.name": [("a\nb", "1 to 80 characters")],
    "web.logo": [("a\tb", "the path of a picture: .svg, .png, .webp or .jpg")],
    "web.theme": [("a\tb", "the path of a CSS file")],
    "web.language": [(wrong, 'a language like "en" or "pt-BR"') for wrong in ("English", "en_GB", "en-", "en\n")],
    "web.sign_in_url": [
        (wrong, "an http or https address")
        for wrong in ("javascript:alert(1)", "/sign-in", "https://", "https://a b", "https://a.example\n")
    ],
    "web.lock_after": [("5m", NUMBER(0, 1440))],
    "web.media_origins": [(["*"], ORIGINS), (["https://a.example/x"], ORIGINS)],
    "socketio.enabled": [("yes", "true or false")],
    "socketio.paths": [
        (wrong, 'a list of paths like "/api/socket"')
        for wrong in (["socket.io"], ["/"], ["/a b"], ["/a?x=1"], ["/a//b"])
    ],
    "socketio.namespaces": [(["chat"], 'a list of namespaces like "/" or "/chat"')],
    "socketio.names": [
        (wrong, 'a list of ours=theirs, like "new_message=receive_message"')
        for wrong in (["new_message"], ["=x"], ["new_message="], ["a b=c"])
    ],
    "socketio.aliases": [(["new_message"], 'a list of ours=theirs, like "new_message=receive_message"')],
    "socketio.acknowledgement": [("okay", 'one of "success", "ok", "status"')],
    "socketio.system_messages": [("no", "true or false")],
    "socketio.query": [("on", "true or false")],
    "socketio.connect_timeout": [("soon", "a number from 0.1 to 3600")],
    "socketio.ping_timeout": [("soon", "a number from 0.1 to 3600")],
    "socketio.recovery": [("long", "a number from 0 to 3600")],
    "socketio.recovery_bytes": [("much", "an integer from 0 to 1099511627776")],
    "metrics.token": [("a secret with spaces", "16 to 512 printable characters without space")],
    "logs.level": [("INFO", 'one of "debug", "info", "warning", "error"')],
    "files.downloads": [([wrong], 'a list of "dicom", "docx" and "zip"') for wrong in ("DICOM", "exe")],
    "files.clamd": [(wrong, "the path of a socket, or host:port") for wrong in ("clamd.ctl", "host", ":3310", "/a\nb")],
    "files.cache": [("day", 'one of "hour", "never"')],
    "logs.format": [("xml", 'one of "auto", "human", "json"')],
}
"""Of each setting, text that is wrong for it, and what the error says is allowed. Written by hand, not derived."""

CASES = [(setting, value, expected) for setting, cases in WRONG.items() for value, expected in cases]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def from_file(text: str, **environment: str) -> Config:
    Path("chatd.toml").write_text(text)
    return read(Path("chatd.toml"), {}, environment).config


def from_environment(**variables: str) -> Config:
    return read(None, {}, variables).config


def refusal(text: str = "", /, **environment: str) -> str:
    """The message of the error that a file of this text, or one of the variables, gets."""
    Path("chatd.toml").write_text(text)
    return refused(Path("chatd.toml"), {}, environment)


def refused(file: Path | None, flags: dict[str, object], environment: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        read(file, flags, environment)
    return str(caught.value)


def variable(setting: str) -> str:
    return "CHATD_" + setting.replace(".", "_").upper()


def test_every_setting_has_a_wrong_value_here() -> None:
    assert set(WRONG) == {f"{table}.{key}" for table, keys in SETTINGS.items() for key in keys}


@pytest.mark.parametrize(("setting", "value", "expected"), CASES)
def test_a_wrong_value_gets_one_exact_line_wherever_it_stands(setting: str, value: Any, expected: str) -> None:
    table, _, key = setting.rpartition(".")
    text = ",".join(value) if isinstance(value, list) else value
    shown, typed = (
        json.dumps(found, ensure_ascii=False) if not SETTINGS[table][key].secret else "..." for found in (value, text)
    )
    literal = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    assert refusal(f"[{table}]\n{key} = {literal}") == f"chatd.toml: [{table}] {key} = {shown}: expected {expected}"
    assert refusal(**{variable(setting): text}) == f"environment: {variable(setting)} = {typed}: expected {expected}"
    assert refused(None, {setting: text}, {}) == f"command line: {setting} = {typed}: expected {expected}"


@pytest.mark.parametrize("text", ["3001.0", " 3001", "3_001", "0x10", "1e3", "٣", "+1", "-1", "9" * 5000, "true"])
def test_numbers_in_the_environment_are_strict(text: str) -> None:
    message = refusal(CHATD_SERVER_PORT=text)
    assert message.startswith("environment: CHATD_SERVER_PORT = ")
    assert message.endswith(": expected an integer from 0 to 65535")


@pytest.mark.parametrize("text", ["nan", "inf", "1,5", "5s", "-0.1", "1e999"])
def test_fractions_are_strict_too(text: str) -> None:
    assert (
        refusal(CHATD_SERVER_GRACE=text)
        == f'environment: CHATD_SERVER_GRACE = "{text}": expected a number from 0 to 3600'
    )


# -- layers --


def test_the_stronger_layer_wins() -> None:
    Path("chatd.toml").write_text('[server]\nport = 1\nhost = "192.0.2.1"\ngrace = 1\nheartbeat = 2\n')
    environment = {"PORT": "2", "CHATD_SERVER_PORT": "3", "HOSTNAME": "192.0.2.2", "CHATD_SERVER_GRACE": "3.5"}
    server = read(Path("chatd.toml"), {"server.port": "4", "server.data": None}, environment).config.server
    assert (server.port, server.host, server.grace, server.heartbeat) == (4, "192.0.2.2", 3.5, 2.0)
    assert read(Path("chatd.toml"), {}, environment).config.server.port == 3
    assert read(Path("chatd.toml"), {}, {"PORT": "2"}).config.server.port == 2
    assert read(Path("chatd.toml"), {}, {}).config.server.port == 1


def test_a_layer_that_loses_is_checked_all_the_same() -> None:
    assert "chatd.toml: [server] port" in refusal("[server]\nport = 70000", CHATD_SERVER_PORT="3", PORT="2")
    assert "CHATD_SERVER_PORT" in refused(None, {"server.port": 4}, {"CHATD_SERVER_PORT": "x"})


def test_lists_in_the_environment() -> None:
    config = from_environment(CHATD_POLICY_PATIENT="dentist , staff", CHATD_SERVER_ALLOWED_HOSTS="Chat.Example.org")
    assert config.policy.patient == ("dentist", "staff")
    assert config.server.allowed_hosts == ("chat.example.org",)


def test_empty_variables_count_as_unset() -> None:
    names = [variable(setting) for setting in WRONG]
    assert read(None, {}, dict.fromkeys([*names, "PORT", "CORS_ORIGIN", "DATABASE_URL"], "")).config == Config()


def test_every_setting_can_be_set_by_a_variable() -> None:
    """To its default, which changes nothing, but is noted."""
    default = Config()
    for table, keys in SETTINGS.items():
        for key in keys:
            value = getattr(getattr(default, in_config(table)), key)
            if value not in ("", ()):
                text = ",".join(value) if isinstance(value, tuple) else str(value)
                loaded = read(None, {}, {variable(f"{table}.{key}"): text})
                assert loaded.config == default
                assert list(loaded.sources) == [f"{table}.{key}"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("CHATD_SERVER_PROT", "did you mean CHATD_SERVER_PORT?"),
        ("CHATD_TLS_CERT", "did you mean CHATD_TLS_KEY?"),
        ("CHATD_LOGS_", "did you mean CHATD_LOGS_LEVEL?"),
    ],
)
def test_an_unknown_variable_is_refused(name: str, hint: str) -> None:
    assert refusal(**{name: "1"}) == f"environment: {name}: unknown variable; {hint}"


def test_variables_of_others_are_left_alone() -> None:
    others = {
        "CHATD_ENV": "production",
        "CHATD_TOKEN": "x",
        "CHATD_SERVERS_X": "x",
        "chatd_server_port": "x",
        "LIMITS": "x",
    }
    assert read(None, {}, others).config == Config()


# -- a web app's variables --


def test_the_env_file_of_a_web_app() -> None:
    loaded = read(
        None,
        {},
        {
            "NODE_ENV": "production",
            "PORT": "3000",
            "SOCKET_PORT": "3001",
            "HOSTNAME": "0.0.0.0",
            "NEXT_PUBLIC_SITE_URL": "https://clinic.example",
            "NEXT_PUBLIC_SOCKET_URL": "https://socket.clinic.example",
            "CORS_ORIGIN": "https://clinic.example",
            "DATABASE_URL": "mysql://app:secret@db:3306/next",
        },
    )
    server = loaded.config.server
    assert (server.host, server.port) == ("0.0.0.0", 3001)
    assert server.app_url == "https://clinic.example"
    assert server.public_url == "https://socket.clinic.example"
    assert server.allowed_origins == ("https://clinic.example",)
    assert loaded.config.storage.database == "mysql://app:secret@db:3306/next"
    assert loaded.sources["server.port"].name == "SOCKET_PORT"


def test_the_socket_port_wins_whatever_comes_first() -> None:
    assert from_environment(SOCKET_PORT="1", PORT="junk").server.port == 1
    assert from_environment(SOCKET_PORT="", PORT="2").server.port == 2
    assert refusal(PORT="junk") == 'environment: PORT = "junk": expected an integer from 0 to 65535'


def test_what_is_not_used_is_not_looked_at() -> None:
    assert from_environment(PORT="tcp://10.0.0.1", CHATD_SERVER_PORT="5").server.port == 5
    assert read(None, {"storage.database": "sqlite:///a.db"}, {"DATABASE_URL": "?"}).config == read(
        None, {"storage.database": "sqlite:///a.db"}, {}
    ).config  # fmt: skip


@pytest.mark.parametrize("name", ["clinic-1", "localhost", "1.2.3", "web.example.org"])
def test_a_machines_name_is_no_address_to_listen_on(name: str) -> None:
    assert from_environment(HOSTNAME=name).server.host == "127.0.0.1"


@pytest.mark.parametrize("address", ["::", "192.0.2.1"])
def test_an_address_is(address: str) -> None:
    assert from_environment(HOSTNAME=address).server.host == address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://clinic.example/", ("https://clinic.example",)),
        (
            "https://A.example:443/ , http://b.example:80,http://c:3000",
            ("https://a.example", "http://b.example", "http://c:3000"),
        ),
    ],
)
def test_cors_origins(text: str, expected: tuple[str, ...]) -> None:
    assert from_environment(CORS_ORIGIN=text).server.allowed_origins == expected


def test_all_origins_are_none() -> None:
    assert refusal(CORS_ORIGIN="*") == f'environment: CORS_ORIGIN = "*": expected {ORIGINS}'


@pytest.mark.parametrize("rest", ["", "/", "/chat/", "/chat?x=1", "?x", "#top"])
def test_a_site_may_live_below_a_path(rest: str) -> None:
    url = f"https://Next.example{rest}"
    assert from_environment(NEXT_PUBLIC_SITE_URL=url).server.app_url == "https://next.example"
    assert from_environment(NEXT_PUBLIC_SOCKET_URL=url).server.public_url == "https://next.example"


def test_a_site_has_a_scheme() -> None:
    assert refusal(NEXT_PUBLIC_SITE_URL="next.example") == (
        f'environment: NEXT_PUBLIC_SITE_URL = "next.example": expected {ORIGIN}'
    )


def test_a_database_that_somebody_named_is_meant() -> None:
    url = "mysql://u:p@h/db"
    assert from_environment(DATABASE_URL=url).storage.database == url
    assert from_file("[server]\nport = 1", DATABASE_URL=url).storage.database == url
    assert from_file('[storage]\ndatabase = ""', DATABASE_URL="file:./dev.db").storage.database == ""
    both = {"DATABASE_URL": url, "CHATD_STORAGE_DATABASE": "sqlite:///own.db"}
    assert from_environment(**both).storage.database == "sqlite:///own.db"


def test_a_database_of_another_kind() -> None:
    for url in ("postgresql://u:p@h/db", "file:./dev.db"):
        shown = url if url.startswith("file") else "postgresql://..."
        assert refusal(DATABASE_URL=url) == f'environment: DATABASE_URL = "{shown}": expected {DATABASE}'


def test_mysql_has_no_file() -> None:
    with pytest.raises(ConfigError, match=r"^storage.database: mysql:// is not available here; use sqlite:///$"):
        from_environment(DATABASE_URL=f"mysql://u:{PASSWORD}@h/db").database_path()


# -- paths --


def test_paths_in_a_file_start_at_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    folder = tmp_path / "clinic"
    folder.mkdir()
    file = folder / "chatd.toml"
    file.write_text(
        '[server]\ndata = "kept"\n[tls]\ncertificate = "~/c.pem"\nkey = "/etc/k.pem"\n'
        '[auth]\nsecret_file = "s"\n[storage]\ndatabase = "sqlite:///own/chat.db"\n'
    )
    for name in (file, Path("clinic/chatd.toml")):
        config = read(name, {}, {}).config
        assert config.data_path() == folder / "kept"
        assert config.secret_path() == folder / "s"
        assert config.database_path() == folder / "own" / "chat.db"
        assert (config.tls.certificate, config.tls.key) == ("~/c.pem", "/etc/k.pem")
    elsewhere = read(file, {"server.data": "flag"}, {"CHATD_AUTH_SECRET_FILE": "v"}).config
    assert elsewhere.data_path() == tmp_path / "flag"
    assert elsewhere.secret_path() == tmp_path / "v"


def test_leaving_out_a_default_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "clinic" / "chatd.toml"
    file.parent.mkdir()
    file.write_text("")
    said = read(file, {}, {})
    file.write_text('[server]\ndata = "./data"\n')
    assert read(file, {}, {}).config == said.config
    assert said.config.data_path() == file.parent / "data"
    assert said.sources == {}


# -- settings that depend on one another --


@pytest.mark.parametrize(("one", "other"), [("certificate", "key"), ("key", "certificate")])
def test_certificate_and_key_come_together(one: str, other: str) -> None:
    said = f'= "a.pem": needs [tls] {other}, too'
    assert refusal(f'[tls]\n{one} = "a.pem"') == f"chatd.toml: [tls] {one} {said}"
    assert refusal(**{f"CHATD_TLS_{one.upper()}": "a.pem"}) == f"environment: CHATD_TLS_{one.upper()} {said}"
    assert refused(None, {f"tls.{one}": "a.pem"}, {}) == f"command line: tls.{one} {said}"
    Path("chatd.toml").write_text(f'[tls]\n{one} = "a.pem"')
    both = read(Path("chatd.toml"), {}, {f"CHATD_TLS_{other.upper()}": "b.pem"}).config.tls
    assert {both.certificate, both.key} == {"a.pem", "b.pem"}


def test_one_secret() -> None:
    assert refusal('[auth]\nsecret_file = "s"', CHATD_AUTH_SECRET="x" * 32) == (
        "environment: CHATD_AUTH_SECRET: given together with chatd.toml: [auth] secret_file; keep one of them"
    )
    assert from_environment(CHATD_AUTH_SECRET="x" * 32).auth.secret == "x" * 32


# -- normal forms --


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://Chat.Example.ORG", "https://chat.example.org"),
        ("HTTPS://a:443", "https://a"),
        ("http://a:80/", "http://a"),
        ("http://a:443", "http://a:443"),
        ("https://a:00443", "https://a"),
        ("https://xn--mnchen-3ya.example", "https://xn--mnchen-3ya.example"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
    ],
)
def test_origins_are_as_browsers_write_them(text: str, expected: str) -> None:
    assert origin(text) == expected
    assert origin(expected) == expected


def test_hosts_and_networks() -> None:
    assert [host("LocalHost"), host("[0::1]")] == ["localhost", "[::1]"]
    assert [network("10.0.0.0/8"), network("192.0.2.1"), network("2001:DB8::/32")] == [
        "10.0.0.0/8",
        "192.0.2.1",
        "2001:db8::/32",
    ]


# -- errors --


@pytest.mark.parametrize(
    "environment",
    [
        {"DATABASE_URL": f"postgresql://u:{PASSWORD}@h/db"},
        {"DATABASE_URL": f"mysql://u:{PASSWORD}"},
        {"DATABASE_URL": f"mysql://u:{PASSWORD}#1@h/db"},
        {"DATABASE_URL": f"u:{PASSWORD}@h/db"},
        {"DATABASE_URL": f"sqlite:///u:{PASSWORD}@h?"},
        {"CORS_ORIGIN": f"https://a.example,https://u:{PASSWORD}@b.example"},
        {"NEXT_PUBLIC_SITE_URL": f"https://u:{PASSWORD}@b.example/x"},
        {"CHATD_AUTH_SECRET": PASSWORD},
    ],
)
def test_errors_hold_no_password(environment: dict[str, str]) -> None:
    assert PASSWORD not in refusal(**environment)


def test_nor_do_errors_about_a_file() -> None:
    for text in (
        f'[server]\nallowed_origins = ["https://a.example", "https://u:{PASSWORD}@b.example"]',
        f'[storage.database]\nurl = "mysql://u:{PASSWORD}@h/db"',
        f'[auth]\nsecret = ["{PASSWORD}"]',
        f'storage = "mysql://u:{PASSWORD}@h/db"',
    ):
        assert PASSWORD not in refusal(text)


def test_the_process_is_asked_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATD_SERVER_PORT", "77")
    assert load(None, {}).server.port == 77


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://u:ge#heim@h/d", "to be written otherwise: # as %23"),
        ("mysql://u:ge/heim@h/d", "to be written otherwise: / as %2F"),
        ("mysql://u:ge? heim@h/d", "to be written otherwise: ? as %3F, a space as %20"),
        ("mysql://u:ge#he@im@h/d", "to be written otherwise: # as %23"),
        ("mysql://u:geheim@h/d e", "a space behind the host to be written %20"),
        ('"mysql://u:geheim@h/d"', "expected it without quotation marks and spaces around it"),
        ("'mysql://u:geheim@h/d'", "expected it without quotation marks and spaces around it"),
        (" mysql://u:geheim@h/d", "expected it without quotation marks and spaces around it"),
    ],
)
def test_database_url_with_signs_that_mean_something_says_how_to_write_them(url: str, words: str) -> None:
    said = refusal(DATABASE_URL=url)
    assert words in said
    assert "heim" not in said
    assert "ge#" not in said
