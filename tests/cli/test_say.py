"""Commands print one printable line for each thing, in any encoding, whatever is in the store."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from chatd.cli import main
from chatd.cli.say import one_line
from chatd.config import DATABASE_FILE
from storage.changes import EditMessage, OpenDirect, PutRow, PutUser, SendMessage
from storage.keyed import ApiKey, SignedIn
from storage.sqlite import SqliteStore
from support.process import environment

HOSTILE = "Eve\x1b[2J\x9b31m\nroot  admin  active  \u202egnp.exe\x07\u2028end"
"""Clears a screen, forges a row, turns the writing round."""

COMMANDS: dict[str, list[list[str]]] = {
    "user list": [[], ["--json"]],
    "user disable": [["eve"]],
    "user enable": [["eve"]],
    "user rename": [["eve", HOSTILE]],
    "user role": [["eve", "staff"]],
    "user add": [["adam", "--name", HOSTILE, "--role", "patient"]],
    "user unlink": [["eve"]],
    "user reset-2fa": [["eve"]],
    "token list": [[], ["--json"], ["--user", "eve"]],
    "token revoke": [["--user", "eve"]],
    "session list": [[], ["--json"], ["--user", "eve"]],
    "session revoke": [["--user", "eve"], ["--all"]],
    "apikey add": [["an app"]],
    "apikey list": [[], ["--json"]],
    "apikey revoke": [["key-1"]],
    "invite": [["eve"]],
    "message versions": [["c1", "1"], ["c1", "1", "--json"]],
    "db check": [[]],
    "db upgrade": [[]],
    "db new-epoch": [[]],
}

WITHOUT_NAMES = {
    "init",
    "check",
    "config",
    "serve",
    "schema",
    "bench",
    "chat",
    "token issue",
    "db adopt",
    "user passwd",
    "user link",
    "user totp",
    "attachment-worker",
    "who",
}
"""Commands that print nothing of the store, or ask a server that is not this store's."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with closing(SqliteStore(tmp_path / DATABASE_FILE, new_epoch=lambda: "epoch-1")) as store:
        store.commit(
            [
                PutUser(user="eve", name=HOSTILE, role="patient", at=0),
                PutUser(user="bo", name="Bo", role="dentist", at=0),
                OpenDirect(conversation="c1", user="eve", other="bo", at=0),
                SendMessage(
                    conversation="c1", user="eve", client_id="k1", message="m1", body=HOSTILE, reply_to=None, at=1
                ),
                PutRow(row=ApiKey(hash="h", id="key-1", name=HOSTILE, max_role="staff", created_at=0)),
                PutRow(
                    row=SignedIn(
                        hash="h",
                        id="s-1",
                        user="eve",
                        method="password",
                        created_at=0,
                        seen_at=0,
                        expires_at=2**42,
                        agent=HOSTILE,
                    )
                ),
                EditMessage(conversation="c1", user="eve", seq=1, body="harmless", at=2, since=None),
            ]
        )
    return tmp_path


@pytest.mark.parametrize(("command", "arguments"), [(c, a) for c, each in COMMANDS.items() for a in each])
def test_command_hostile_name_is_printed_as_one_printable_line(data: Path, command: str, arguments: list[str]) -> None:
    done = CliRunner().invoke(main, [*command.split(), *arguments, "--data", str(data)])
    refused = HOSTILE in arguments  # such a name comes from an app's database, never by a command
    assert done.exit_code == (2 if refused else 0), done.output
    lines = done.output.split("\n")
    indented = command == "message versions"
    assert all(line.isprintable() for line in lines), done.output
    assert indented or not any(line.startswith("root  admin") for line in lines)


def test_every_command_is_tried_with_a_hostile_name() -> None:
    assert isinstance(main, click.Group)
    known = {*COMMANDS, *WITHOUT_NAMES}
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        inner = command.list_commands(click.Context(command)) if isinstance(command, click.Group) else []
        for whole in [f"{name} {each}" for each in inner] or [name]:
            assert whole in known, f"{whole} is new: try it with a hostile name here"


def test_json_hostile_name_is_escaped_and_whole(data: Path) -> None:
    done = CliRunner().invoke(main, ["user", "list", "--json", "--data", str(data)])
    names = [json.loads(line)["name"] for line in done.output.splitlines()]
    assert HOSTILE in names


def test_one_line_keeps_letters_joiners_and_emoji() -> None:
    for text in ("Ayşe Özgür", "می\u200cخواهم", "👩\u200d⚕\ufe0f Dr. Bo", "Łukasz"):
        assert one_line(text) == text


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_command_encoding_lacks_a_letter_replaces_it(data: Path, encoding: str) -> None:
    with closing(SqliteStore(data / DATABASE_FILE, new_epoch=lambda: "new")) as store:
        store.commit([PutUser(user="ise", name="İsmail 牙", role="patient", at=0)])
    done = subprocess.run(
        [sys.executable, "-m", "chatd", "user", "list", "--data", str(data)],
        env=environment(PYTHONIOENCODING=encoding),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"?smail ?" in done.stdout
