"""Settings: the example file, and the one line that a wrong one gets."""

import os
import shutil
from pathlib import Path

import pytest

from chatd.config import Config, ConfigError, Limits, Logs, Policy, Server, example, load
from chatd.config.layers import BORROWED

ROOT = Path(__file__).parents[2]
DATABASE = '"", "sqlite:///relative.db", "sqlite:////absolute.db" or "mysql://user:password@host/name"'
ROLES = '"patient", "dentist", "staff", "admin"'
TABLES = "server, tls, auth, storage, mysql, limits, timeouts, policy, messages, web, files, socketio, metrics, logs"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("CHATD_") or name in BORROWED:
            monkeypatch.delenv(name)


def refused(text: str | bytes) -> str:
    """The message of the error that a `chatd.toml` of this text gets."""
    Path("chatd.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load(None, {})
    return str(caught.value)


def test_the_example_file_is_up_to_date() -> None:
    assert (ROOT / "chatd.toml.example").read_text(encoding="utf-8") == example()


def test_the_example_file_loads_to_the_defaults() -> None:
    shutil.copy(ROOT / "chatd.toml.example", "chatd.toml")
    assert load(None, {}) == Config()


def test_without_a_file_the_defaults_hold() -> None:
    assert load(None, {}) == Config()


def test_a_file_in_the_working_directory_is_found() -> None:
    Path("chatd.toml").write_text('[server]\nport = 0\ngrace = 3\n[policy]\npatient = []\n[logs]\nlevel = "debug"\n')
    config = load(None, {})
    assert config.server == Server(port=0, grace=3.0)
    assert isinstance(config.server.grace, float)
    assert config.policy == Policy(patient=())
    assert config.logs == Logs(level="debug")
    assert config.limits == Limits()


def test_the_command_line_overrides_the_file() -> None:
    Path("chatd.toml").write_text('[server]\nport = 1\nhost = "::1"\n')
    config = load(None, {"server.port": 2, "server.host": None, "server.data": Path("elsewhere")})
    assert config.server == Server(port=2, host="::1", data="elsewhere")


def test_a_byte_order_mark_and_windows_line_ends_are_fine() -> None:
    Path("chatd.toml").write_bytes(b"\xef\xbb\xbf[server]\r\nport = 7\r\n")
    assert load(None, {}).server.port == 7


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ('server.port = "abc"', '[server] port = "abc": expected an integer from 0 to 65535'),
        ("server.port = 65536", "[server] port = 65536: expected an integer from 0 to 65535"),
        ("server.port = -1", "[server] port = -1: expected an integer from 0 to 65535"),
        ("server.port = true", "[server] port = true: expected an integer from 0 to 65535"),
        ("server.port = 1.5", "[server] port = 1.5: expected an integer from 0 to 65535"),
        ("server.port = 3001.0", "[server] port = 3001.0: expected an integer from 0 to 65535"),
        ("server.port = [1]", "[server] port = [1]: expected an integer from 0 to 65535"),
        ("server.port.x = 1", '[server] port = {"x": 1}: expected an integer from 0 to 65535'),
        ("server.port = 2020-01-01", '[server] port = "2020-01-01": expected an integer from 0 to 65535'),
        (f"server.port = 0x{'f' * 5000}", "[server] port = ...: expected an integer from 0 to 65535"),
        ("server.host = 1", "[server] host = 1: expected an address or a host name"),
        ('server.host = ""', '[server] host = "": expected an address or a host name'),
        ('server.host = "a b"', '[server] host = "a b": expected an address or a host name'),
        (f'server.host = "{"a " * 99}"', f'[server] host = "{"a " * 28}...: expected an address or a host name'),
        ('server.data = ""', '[server] data = "": expected the path of a folder'),
        ('server.data = "a\\u0000"', '[server] data = "a\\u0000": expected the path of a folder'),
        ("server.grace = nan", "[server] grace = nan: expected a number from 0 to 3600"),
        ("server.grace = inf", "[server] grace = inf: expected a number from 0 to 3600"),
        ("server.grace = -0.1", "[server] grace = -0.1: expected a number from 0 to 3600"),
        ('server.grace = "10"', '[server] grace = "10": expected a number from 0 to 3600'),
        ("server.grace = false", "[server] grace = false: expected a number from 0 to 3600"),
        ("server.heartbeat = 0", "[server] heartbeat = 0: expected a number from 1 to 3600"),
        ("storage.readers = 0", "[storage] readers = 0: expected an integer from 1 to 32"),
        ("storage.readers = 33", "[storage] readers = 33: expected an integer from 1 to 32"),
        ('storage.durability = "off"', '[storage] durability = "off": expected one of "full", "normal"'),
        ("storage.durability = 1", '[storage] durability = 1: expected one of "full", "normal"'),
        ('storage.database = "mysql://h"', f'[storage] database = "mysql://...": expected {DATABASE}'),
        ('storage.database = "postgresql://h/db"', f'[storage] database = "postgresql://...": expected {DATABASE}'),
        (
            'storage.database = "mysql://u:p/w@h/db"',
            '[storage] database = "mysql://...": expected signs of user and password that mean something in an address '
            "to be written otherwise: / as %2F",
        ),
        ('storage.database = "u:p@h"', f'[storage] database = "...": expected {DATABASE}'),
        ('storage.database = "sqlite://"', f'[storage] database = "sqlite://": expected {DATABASE}'),
        ('storage.database = "sqlite:///"', f'[storage] database = "sqlite:///": expected {DATABASE}'),
        ('storage.database = "sqlite://h/x"', f'[storage] database = "sqlite://h/x": expected {DATABASE}'),
        (
            'storage.database = "sqlite:///:memory:"',
            f'[storage] database = "sqlite:///:memory:": expected {DATABASE}',
        ),
        ('storage.database = "chat.db"', f'[storage] database = "chat.db": expected {DATABASE}'),
        ("limits.max_page = 0", "[limits] max_page = 0: expected an integer from 1 to 1000"),
        ("limits.max_frame_bytes = 1", "[limits] max_frame_bytes = 1: expected an integer from 4096 to 4194304"),
        (
            "limits.requests_per_second = 0",
            "[limits] requests_per_second = 0: expected a number from 0.1 to 1000000",
        ),
        ("timeouts.hello = 0", "[timeouts] hello = 0: expected a number from 0.1 to 3600"),
        ('timeouts.close = "5s"', '[timeouts] close = "5s": expected a number from 0.1 to 3600'),
        ('policy.patient = "all"', f'[policy] patient = "all": expected a list of {ROLES}'),
        ('policy.staff = ["nurse"]', f'[policy] staff = ["nurse"]: expected a list of {ROLES}'),
        ("policy.admin = [1]", f"[policy] admin = [1]: expected a list of {ROLES}"),
        ('logs.level = "INFO"', '[logs] level = "INFO": expected one of "debug", "info", "warning", "error"'),
        ('logs.format = "xml"', '[logs] format = "xml": expected one of "auto", "human", "json"'),
        ("server = 5", "server = 5: expected a table, [server]"),
        ("[[server]]\nport = 1", 'server = [{"port": 1}]: expected a table, [server]'),
        ("server.prot = 1", "[server] prot: unknown key; did you mean port?"),
        ("tls.zzz = 1", "[tls] zzz: unknown key; allowed: certificate, key"),
        ("[sever]", "sever: unknown table; did you mean server?"),
        ("[zzz]", f"zzz: unknown table; allowed: {TABLES}"),
        ("port = 1", f"port: unknown key outside of a table; allowed: {TABLES}"),
        ('["a\\nb"]', f'"a\\nb": unknown table; allowed: {TABLES}'),
    ],
)
def test_a_wrong_setting_gets_one_line_that_says_it_all(setting: str, expected: str) -> None:
    assert refused(setting) == f"chatd.toml: {expected}"


NO_VALUE = 'no value of TOML: a text stands in "quotation marks", a truth is true or false'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server]\nport = 3001 3002", "line 2, column 13: one value too many, or a number that begins with 0"),
        ("[server]\n\nport =\n", f"line 3, column 7: {NO_VALUE}"),
        ("[server]\nport =", f"line 2, the end: {NO_VALUE}"),
        ("[server]\nport = 1\nport = 2\n[logs]", "line 3, column 9: this key is there twice"),
        (b'[server]\nhost = "\xff"', "line 2: not UTF-8 text"),
    ],
)
def test_a_syntax_error_names_the_line(text: str | bytes, expected: str) -> None:
    assert refused(text) == f"chatd.toml: {expected}"


@pytest.mark.parametrize("text", [f"x = {'[' * 5000}", f"x = {'9' * 5000}"])
def test_hostile_toml_is_an_error_of_one_line_too(text: str) -> None:
    message = refused(text)
    assert message.startswith("chatd.toml: ")
    assert "\n" not in message


def test_a_file_that_was_named_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^other.toml: cannot be read: No such file or directory$"):
        load(Path("other.toml"), {})
    with pytest.raises(ConfigError, match=r": cannot be read: Is a directory$"):
        load(tmp_path, {})


@pytest.mark.parametrize(
    ("dotted", "value", "expected"),
    [
        ("server.port", 70000, "server.port = 70000: expected an integer from 0 to 65535"),
        ("server.port", "80a", 'server.port = "80a": expected an integer from 0 to 65535'),
        ("server.port", 80.0, "server.port = 80.0: expected an integer from 0 to 65535"),
        ("server.prot", 1, "server.prot: unknown key; did you mean port?"),
        ("sever.port", 1, "sever: unknown table; did you mean server?"),
    ],
)
def test_a_wrong_flag_names_the_command_line(dotted: str, value: object, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {dotted: value})
    assert str(caught.value) == f"command line: {expected}"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, "data/chatd.db"),
        ({"server.data": "./elsewhere"}, "elsewhere/chatd.db"),
        ({"server.data": "~/chat"}, "home/chat/chatd.db"),
        ({"storage.database": "sqlite:///own/chat.db"}, "own/chat.db"),
    ],
)
def test_the_database_is_a_file(
    overrides: dict[str, object], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert load(None, overrides).database_path() == tmp_path / expected


def test_the_database_may_be_anywhere() -> None:
    assert load(None, {"storage.database": "sqlite:////srv/chat.db"}).database_path() == Path("/srv/chat.db")
