"""Commands complain in words for people: never a validator's or a parser's own."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from chatd.cli import main
from support.process import run, running

RAW = re.compile(r"Expected|`str`|`int`|\$\.|Traceback|\(at line")

LONG = "x" * 300


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PORT", "SOCKET_PORT", "DATABASE_URL", "HOSTNAME"):
        monkeypatch.delenv(name, raising=False)
    for words in (("init", "."), ("user", "add", "a", "--name", "A", "--role", "patient")):
        assert CliRunner().invoke(main, words).exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("user", "add", "b", "--name", "", "--role", "patient"), "`name`: expected at least 1 character"),
        (("user", "add", "b", "--name", LONG, "--role", "patient"), "`name`: expected at most"),
        (("user", "add", "a b", "--name", "x", "--role", "patient"), "a user's id has 1 to 128"),
        (("user", "rename", "a", ""), "`name`: expected at least 1 character"),
        (("apikey", "add", ""), "`name`: expected at least 1 character"),
        (("apikey", "add", LONG), "`name`: expected at most 200 characters"),
        (("token", "a", "--expires", "99999d"), "99999d is not from 1s to 3650d"),
        (("token", "a", "--expires", "soon"), "'soon' is no length of time"),
        (("invite", "a", "--expires", "9999d"), "9999d is not from 1m to 365d"),
        (("invite", "a", "--expires", "30s"), "30s is not from 1m to 365d"),
    ],
)
def test_command_with_a_value_that_cannot_be_complains_in_words(words: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert not RAW.search(done.stderr), done.stderr


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("127.0.0.1:80", "expected 127.0.0.1 alone; the port, 80, is server.port (--port)"),
        ("[::1]:80", "expected ::1 alone; the port, 80, is server.port (--port)"),
        ("chat.example:80", "expected chat.example alone"),
        ("https://chat.example", "is server.public_url"),
        ("", "expected an address or a host name"),
    ],
)
def test_host_in_another_form_is_refused_with_the_right_one(host: str, said: str) -> None:
    done = CliRunner().invoke(main, ["serve", "--host", host])
    assert done.exit_code == 2
    assert said in done.stderr
    assert "cannot listen" not in done.stderr


@pytest.mark.parametrize(
    ("host", "meant"),
    [
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("*", "0.0.0.0"),
        ("::", "::"),
        ("localhost", "localhost"),
        ("fe80::1%lo", None),
    ],
)
def test_host_in_a_form_that_is_understood_is_brought_to_one(host: str, meant: str | None) -> None:
    done = CliRunner().invoke(main, ["config", "--host", host])
    assert done.exit_code == 0
    assert f'host = "{meant or host}"  # command line' in done.stdout


def test_host_of_the_environment_is_named_as_such() -> None:
    env = {"HOSTNAME": "192.0.2.1"}
    done = run("serve", "--port", "0", cwd=Path.cwd(), env=env)
    assert done.returncode == 2
    assert "192.0.2.1 port 0 (the host is from the variable HOSTNAME): this machine has no such address" in done.stderr
    dev = run("serve", "--dev", "--port", "0", cwd=Path.cwd(), env=env).stderr
    assert "--dev: 192.0.2.1 port 0 (the host is from the variable HOSTNAME): not this machine's loopback" in dev
    assert "(the host is from the variable HOSTNAME)" in run("check", "--port", "0", cwd=Path.cwd(), env=env).stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nport = \n", "line 2, column 8: no value of TOML"),
        ("[server]\nhost = localhost\n", 'line 2, column 8: no value of TOML: a text stands in "quotation marks"'),
        ("[server]\nport = True\n", "a truth is true or false"),
        ("[server]\nport = 1\nport = 2\n", "this key is there twice"),
        ("[server]\n[server]\n", "this table is there twice"),
        ('[server]\nhost = "x\nport = 1\n', "a quotation mark is missing at the end of the line"),
        ('[server]\nhost = """x', "a quotation mark is missing"),
        ("[server\n", "line 1, column 8: a ] is missing"),
        ("server:\n", "expected key = value"),
        ("[server]\nport = 030\n", "a number that begins with 0"),
        ('[server]\ndata = "C:\\Users"\n', "is written \\\\"),
        ('[server]\ndata = "C:\\data"\n', "is written \\\\"),
        ('[server]\nallowed_origins = ["a"\n', "a ] is missing at the end of the list"),
        ("[server]\nx = {a = 1\n", ""),
        ("= 1\n", "expected key = value"),
        ("!\n", "expected key = value"),
    ],
)
def test_settings_file_that_is_no_toml_is_told_in_words(text: str, said: str) -> None:
    Path("chatd.toml").write_text(text)
    done = CliRunner().invoke(main, ["check"])
    assert done.exit_code == 2
    assert said in done.stderr
    assert not RAW.search(done.stderr), done.stderr
    assert done.stderr.count("\n") == 1


async def test_public_address_is_told_once_it_listens(tmp_path: Path) -> None:
    settings = '[server]\npublic_url = "https://chat.example.org"\n'
    async with running(tmp_path, settings=settings, development=False) as daemon:
        assert await daemon.line() == "listening on https://chat.example.org for browsers (server.public_url)"
