"""`chatd chat`."""

import click

from protocol.objects import ROLES, Role

from ..chat import CannotChat, run
from .fail import fail


@click.command()
@click.option("--as", "user", required=True, metavar="USER", help="Your id.")
@click.option("--with", "other", required=True, metavar="USER", help="Whom to talk to; need not be there yet.")
@click.option("--name", help="Your name; by default what the server knows, or your id.")
@click.option("--role", type=click.Choice(ROLES), help="Your role; by default what the server knows, or patient.")
@click.option("--server", metavar="URL", default="http://127.0.0.1:3001", help="The server (http://127.0.0.1:3001).")
def chat(user: str, other: str, name: str | None, role: Role | None, server: str) -> None:
    """Chat in this terminal, with a server in development mode.

    Each line is a message; /quit or Ctrl-D ends.
    """
    try:
        run(server, user, other, name=name, role=role)
    except CannotChat as error:
        fail(str(error))
