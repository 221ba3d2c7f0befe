"""Settings from everywhere: which layer wins, and what a web app's variables mean."""

from pathlib import Path

import pytest

from chatd.config import SETTINGS, Config, ConfigError, in_config, load, read
from chatd.config.fields import host, network, origin
from support.settings import (
    DATABASE,
    ORIGIN,
    ORIGINS,
    PASSWORD,
    from_environment,
    from_file,
    refusal,
    refused,
    variable,
)

pytestmark = pytest.mark.usefixtures("empty_folder")


def test_the_process_is_asked_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATD_SERVER_PORT", "77")
    assert load(None, {}).server.port == 77


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
    names = [variable(f"{table}.{key}") for table, keys in SETTINGS.items() for key in keys]
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


def test_settings_not_used_are_not_checked() -> None:
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
