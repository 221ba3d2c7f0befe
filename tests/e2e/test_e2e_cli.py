"""The program from outside: what it prints, and one clear line with exit code 2 where it cannot run."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from chatd.cli import main
from storage.sqlite import SqliteStore
from support.process import ROOT, run, running
from support.wsclient import connected


def refused(*flags: str, cwd: Path, command: str = "serve", **env: str) -> str:
    """The one line that it prints before it exits."""
    result = run(command, *flags, cwd=cwd, env=env)
    assert result.returncode == 2, result
    assert result.stdout == ""
    assert result.stderr.startswith("chatd: "), result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def make_store(path: Path, *, development: bool = True) -> None:
    SqliteStore(path, new_epoch=lambda: "epoch", development=development).close()


def test_run_that_times_out_leaves_no_descriptor(tmp_path: Path) -> None:
    run("--version", cwd=tmp_path)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(subprocess.TimeoutExpired):
        run("serve", "--dev", "--port", "0", cwd=tmp_path, timeout=0.5)
    assert os.listdir("/proc/self/fd") == before


def test_serve_on_a_taken_port_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        line = refused("--dev", "--port", port, cwd=tmp_path)
    assert f"127.0.0.1 port {port}" in line
    assert "--port" in line


def unwritable_folder(folder: Path) -> None:
    if os.geteuid():
        (folder / "data").mkdir(mode=0o500)
    else:  # root may write everywhere, but not into a file as if it were a folder
        (folder / "data").write_text("")


def database_that_is_none(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "chatd.db").write_bytes(b"my holiday pictures " * 1000)


def newer_schema(folder: Path) -> None:
    make_store(folder / "data" / "chatd.db")
    with closing(sqlite3.connect(folder / "data" / "chatd.db")) as db, db:
        table, *_ = db.execute("SELECT name FROM sqlite_master WHERE name LIKE '%migrations%'").fetchone()
        (columns,) = zip(*[row[1:2] for row in db.execute(f"PRAGMA table_info({table})")], strict=True)
        values = {"migration_set": "chatd", "name": "m999_telepathy", "applied_at": "2039-01-01"}
        names = [name for name in columns if name in values]
        db.execute(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
            [values[name] for name in names],
        )


def store_of_a_real_clinic(folder: Path) -> None:
    make_store(folder / "data" / "chatd.db", development=False)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (unwritable_folder, ["/data: ", "folder"]),
        (database_that_is_none, ["data/chatd.db", "cannot be read as the database"]),
        (newer_schema, ["data/chatd.db", "newer version", "m999_telepathy"]),
        (store_of_a_real_clinic, ["data/chatd.db", "not made in development mode"]),
    ],
)
def test_serve_data_that_is_unusable_is_named(
    tmp_path: Path, prepare: Callable[[Path], None], words: list[str]
) -> None:
    prepare(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("chatd.db")}
    line = refused("--dev", "--port", "0", cwd=tmp_path)
    assert all(word in line for word in words), line
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('[server]\nport = "many"\n', ["chatd.toml", "server", "port", "many", "65535"]),
        ("[limits]\nmax_page = 0\n", ["chatd.toml", "limits", "max_page", "0"]),
        ("[server]\nprot = 3001\n", ["chatd.toml", "server", "prot", "unknown", "port"]),
        ("[sever]\nport = 3001\n", ["chatd.toml", "sever", "unknown", "server"]),
        ("[server\n", ["chatd.toml", "line 1"]),
    ],
)
def test_serve_settings_that_cannot_be_used_are_named(tmp_path: Path, settings: str, words: list[str]) -> None:
    (tmp_path / "chatd.toml").write_text(settings)
    line = refused("--dev", cwd=tmp_path)
    assert all(word in line for word in words), line


def test_serve_settings_that_are_not_there_are_named(tmp_path: Path) -> None:
    assert "other.toml" in refused("--dev", "--config", "other.toml", cwd=tmp_path)


@pytest.mark.parametrize("variable", ["NODE_ENV", "CHATD_ENV"])
def test_development_mode_is_not_for_production(tmp_path: Path, variable: str) -> None:
    line = refused("--dev", "--port", "0", cwd=tmp_path, **{variable: "production"})
    assert "--dev" in line
    assert variable in line
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_development_mode_is_for_this_machine(tmp_path: Path, host: str) -> None:
    line = refused("--dev", "--host", host, "--port", "0", cwd=tmp_path)
    assert host in line
    assert "--dev-expose" in line


async def test_development_mode_for_other_machines_is_warned_of(tmp_path: Path) -> None:
    async with running(tmp_path, "--dev-expose", "--host", "0.0.0.0") as daemon:
        assert "anybody" in daemon.log


async def test_serve_in_a_fresh_folder_needs_nothing(tmp_path: Path) -> None:
    """No settings, no data: the first line says where it listens, the data folder is private, and it works."""
    async with running(tmp_path, settings=None) as daemon:
        assert daemon.port > 0
        async with connected(daemon, "den-1"), connected(daemon, "pat-1") as client:
            await client.say(await client.open("den-1"), "a")
        assert (await daemon.get("/healthz"))[0] == 200
    assert sorted(os.listdir(tmp_path)) == ["data", "stderr.log"]
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("absolute", [False, True])
async def test_serve_database_url_says_where_the_file_is(tmp_path: Path, absolute: bool) -> None:
    file = tmp_path / "somewhere" / "else.db"
    url = f"sqlite:///{file}" if absolute else "sqlite:///somewhere/else.db"
    async with running(tmp_path, "--database", url):
        assert file.exists()
    assert not list((tmp_path / "data").glob("*.db"))


def commands(group: click.Group, *names: str) -> Iterator[tuple[str, click.Command]]:
    """All commands below a group, by what is typed."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield " ".join((*names, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)


def test_lists_of_commands_say_whole_sentences() -> None:
    """Within 80 columns, and without a cut."""
    cut = [name for name, command in commands(main) if command.get_short_help_str(limit=64).endswith("...")]
    assert cut == []


def test_schema_is_printed_as_documented(tmp_path: Path) -> None:
    result = run("schema", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (ROOT / "docs" / "protocol.schema.json").read_text()
