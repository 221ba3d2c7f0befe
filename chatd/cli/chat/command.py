"""`chatd chat`."""

import os
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import click
import trio

from chatd.cli.fail import fail
from chatd.cli.options import Settings, settings
from chatd.client import SignIn, SignInFailed
from chatd.client.sign_in import FINAL_STATUSES
from chatd.config import ConfigError, default_file, local_url
from protocol.objects import ROLES, Role

from .terminal import CannotChat, run
from .texts import printable

DEFAULT_SERVER = "http://127.0.0.1:3001"

CODES_ASKED_FOR = 3
"""Codes of a second step that may be typed, before the command ends."""

NOT_KEPT_EXIT_CODE = 1
"""Exit code: something that was piped in has not been kept."""

TOKEN_VARIABLE = "CHATD_TOKEN"
PASSWORD_VARIABLE = "CHATD_PASSWORD"


@click.command()
@click.option("--as", "user", metavar="USER", help="Your id, where the server is in development mode.")
@click.option("--with", "other", required=True, metavar="USER", help="Whom to talk to; need not be there yet.")
@click.option("--name", help="Your name; by default what the server knows, or your id. Development mode.")
@click.option("--role", type=click.Choice(ROLES), help="Your role; as with the name.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, allow_dash=False),
    help=f"File with the token that you sign in with; or put it into the variable {TOKEN_VARIABLE}.",
)
@click.option("--sign-in", "account", metavar="USER", help="Your id; asks for your password, and for a code.")
@click.option(
    "--ticket-file",
    type=click.Path(path_type=Path, allow_dash=False),
    help="File with a ticket, which signs in once.",
)
@click.option("--server", metavar="URL", help="The server; by default the settings', or http://127.0.0.1:3001.")
@settings()
@click.option("--ca", type=click.Path(path_type=Path), help="PEM file of the certificate (or its issuer's) to trust.")
def chat(
    settings: Settings,
    user: str | None,
    other: str,
    name: str | None,
    role: Role | None,
    token_file: Path | None,
    account: str | None,
    ticket_file: Path | None,
    server: str | None,
    ca: Path | None,
) -> None:
    """Chat in this terminal.

    As whom your token says or, with a server in development mode, as anybody. Each line is a message; /quit or Ctrl-D
    ends, and //word sends /word. The server is the one that ./chatd.toml describes, where there is one. Exits with 1
    if what came through a pipe was not kept.
    """
    server = server or _server_of(settings)
    given = [each is not None for each in (user, token_file, account, ticket_file)]
    if given.count(True) > 1:
        fail("--as is for development mode, --token-file, --sign-in and --ticket-file for the rest: give one of them")
    trust = _trusting(ca)
    try:
        token = None if user is not None else _credential(token_file, account, ticket_file, server, trust)
        if isinstance(token, SignIn) and account is not None and sys.stdin.isatty():
            trio.run(sign_in, token, _ask_code)  # once lines are read, nothing else can be asked for
    except SignInFailed as error:
        fail(f"{server}: {printable(str(error), ' ')}")
    except ValueError as error:
        fail(str(error))
    if user is None and token is None:
        fail(
            f"who are you? Give --sign-in USER, --token-file FILE (or {TOKEN_VARIABLE}) with what `chatd token ID` "
            "printed, or --as USER"
        )
    try:
        kept = run(server, other, user=user, name=name, role=role, token=token, ssl_context=trust)
    except CannotChat as error:
        fail(str(error))
    if not kept and not sys.stdin.isatty():
        sys.exit(NOT_KEPT_EXIT_CODE)


def _server_of(settings: Settings) -> str:
    """Return the address of the daemon that the settings file describes, for this machine."""
    try:
        if settings.file is None and default_file() is None:
            return DEFAULT_SERVER  # variables like PORT alone are as likely another program's
        config = settings.load()
    except ConfigError as error:
        fail(str(error))
    return local_url(config)


def _credential(
    token_file: Path | None, account: str | None, ticket_file: Path | None, server: str, trust: ssl.SSLContext | None
) -> str | SignIn | None:
    """Return what signs in; never from the command line, which others can see. Raises ValueError for a wrong URL."""
    if account is not None:
        password = os.environ.get(PASSWORD_VARIABLE) or str(click.prompt("Password", hide_input=True, err=True))
        return SignIn(server, user=account, password=password, ssl_context=trust)
    if ticket_file is not None:
        return SignIn(server, ticket=_secret_in("--ticket-file", ticket_file), ssl_context=trust)
    if token_file is not None:
        return _secret_in("--token-file", token_file)
    return os.environ.get(TOKEN_VARIABLE, "").strip() or None


async def sign_in(token: SignIn, ask: Callable[[str], str]) -> None:
    """Sign in by a password and, where a second step is set up, by the code that `ask` returns. Raises SignInFailed.

    A failure that may be over soon is left to the connection, which tries again.
    """
    code: str | None = None
    for left in range(CODES_ASKED_FOR, -1, -1):
        try:
            await token(code)
        except SignInFailed as error:
            if error.need == "code" and left:
                code = ask(str(error))
            elif error.status in FINAL_STATUSES:
                raise
            else:
                return
        except (OSError, trio.TooSlowError):
            return
        else:
            return


def _ask_code(why: str) -> str:
    return str(click.prompt(f"{printable(why, ' ')}\nCode", err=True))


def _secret_in(flag: str, file: Path) -> str:
    try:
        text = file.read_text("ascii").strip()
    except OSError as error:
        fail(f"{flag} {file}: cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{flag} {file}: there is no {flag[2:-5]} in it")
    if not text:
        fail(f"{flag} {file}: there is no {flag[2:-5]} in it")
    return text


def _trusting(ca: Path | None) -> ssl.SSLContext | None:
    if ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # of TLS, too
        fail(f"--ca {ca}: no certificate can be read from it: {error.strerror or error}")
