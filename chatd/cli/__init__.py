"""The command line: reads flags and settings, and hands over. No logic of its own. One file a family of commands."""

import click

from .. import __version__
from . import protocol, serve, talk


@click.group()
@click.version_option(__version__, prog_name="chatd")
def main() -> None:
    """A self-hosted chat daemon for clinics."""


for command in (serve.serve, talk.chat, protocol.schema):
    main.add_command(command)
