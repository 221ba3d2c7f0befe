"""The command line: reads flags and settings, and hands over. No logic of its own."""

import sys
from pathlib import Path
from typing import NoReturn

import click

from protocol.objects import ROLES, Role
from protocol.schema import render

from . import __version__, chat, logs, serving
from .config import ConfigError, load

UNUSABLE = 2
"""Exit code: something must be mended before the command can run."""


def fail(message: str) -> NoReturn:
    """One clear line, exit 2."""
    click.echo(f"chatd: {message}", err=True)
    sys.exit(UNUSABLE)


@click.group()
@click.version_option(__version__, prog_name="chatd")
def main() -> None:
    """A self-hosted chat daemon for clinics."""


@main.command()
@click.option("--config", "file", type=click.Path(path_type=Path), help="Settings; ./chatd.toml where it exists.")
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on (3001); 0: any free one.")
@click.option("--data", help="Folder for all that is kept (./data).")
@click.option("--database", help="sqlite:///relative.db or sqlite:////absolute.db.")
@click.option("--dev", is_flag=True, help="Development mode: whoever connects is who they say. On this machine only.")
@click.option("--dev-expose", is_flag=True, help="Development mode for other machines, too.")
def serve(
    file: Path | None,
    host: str | None,
    port: int | None,
    data: str | None,
    database: str | None,
    dev: bool,
    dev_expose: bool,
) -> None:
    """Run the daemon until SIGTERM or Ctrl-C."""
    flags = {"server.host": host, "server.port": port, "server.data": data, "storage.database": database}
    try:
        config = load(file, flags)
        logs.configure(config.logs.level, config.logs.format)
        serving.serve(config, development=dev or dev_expose, exposed=dev_expose)
    except (ConfigError, serving.CannotServe) as error:
        fail(str(error))


@main.command()
def schema() -> None:
    """Print the JSON Schema of every frame."""
    click.echo(render(), nl=False)


@main.command("chat")
@click.option("--as", "user", required=True, metavar="USER", help="Your id.")
@click.option("--with", "other", required=True, metavar="USER", help="Whom to talk to; need not be there yet.")
@click.option("--name", help="Your name; by default what the server knows, or your id.")
@click.option("--role", type=click.Choice(ROLES), help="Your role; by default what the server knows, or patient.")
@click.option("--server", metavar="URL", default="http://127.0.0.1:3001", help="The server (http://127.0.0.1:3001).")
def chat_command(user: str, other: str, name: str | None, role: Role | None, server: str) -> None:
    """Chat in this terminal, with a server in development mode.

    Each line is a message; /quit or Ctrl-D ends.
    """
    try:
        chat.run(server, user, other, name=name, role=role)
    except chat.CannotChat as error:
        fail(str(error))
