"""`chatd chat`."""

import os
import ssl
from pathlib import Path

import click

from chatd.cli.fail import fail
from protocol.objects import ROLES, Role

from .terminal import CannotChat, run

VARIABLE = "CHATD_TOKEN"


@click.command()
@click.option("--as", "user", metavar="USER", help="Your id, where the server is in development mode.")
@click.option("--with", "other", required=True, metavar="USER", help="Whom to talk to; need not be there yet.")
@click.option("--name", help="Your name; by default what the server knows, or your id. Development mode.")
@click.option("--role", type=click.Choice(ROLES), help="Your role; as with the name.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, allow_dash=False),
    help=f"File with the token that you sign in with; or put it into the variable {VARIABLE}.",
)
@click.option("--server", metavar="URL", default="http://127.0.0.1:3001", help="The server (http://127.0.0.1:3001).")
@click.option("--ca", type=click.Path(path_type=Path), help="PEM file of the certificate (or its issuer's) to trust.")
def chat(
    user: str | None,
    other: str,
    name: str | None,
    role: Role | None,
    token_file: Path | None,
    server: str,
    ca: Path | None,
) -> None:
    """Chat in this terminal.

    As whom your token says or, with a server in development mode, as anybody. Each line is a message; /quit or Ctrl-D
    ends, and //word sends /word.
    """
    token = None if user is not None else _token(token_file)  # never on the command line, which others can see
    if user is not None and token_file is not None:
        fail("--as is for development mode, --token-file for the rest: give one of them")
    if user is None and token is None:
        fail(f"who are you? Give --token-file FILE (or {VARIABLE}) with what `chatd token ID` printed, or --as USER")
    try:
        run(server, other, user=user, name=name, role=role, token=token, ssl_context=_trusting(ca))
    except CannotChat as error:
        fail(str(error))


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(VARIABLE, "").strip() or None
    try:
        text = file.read_text("ascii").strip()
    except OSError as error:
        fail(f"--token-file {file}: cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"--token-file {file}: there is no token in it")
    if not text:
        fail(f"--token-file {file}: there is no token in it")
    return text


def _trusting(ca: Path | None) -> ssl.SSLContext | None:
    if ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # of TLS, too
        fail(f"--ca {ca}: no certificate can be read from it: {error.strerror or error}")
