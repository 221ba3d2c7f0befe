"""`chatd invite`."""

from datetime import date
from pathlib import Path
from typing import Any

import click

from chatd.admin.sign_in import Invite
from chatd.config import Config, ConfigError

from .duration import Duration
from .fail import fail
from .operate import operate
from .options import Settings, settings
from .say import say

PICTURES = {".png": "png", ".svg": "svg"}


class BirthDate(click.ParamType[str]):
    """Becomes `YYYY-MM-DD`."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return date.fromisoformat(str(value)).isoformat()
        except ValueError:
            self.fail(f"{value!r} is no date: say 1953-04-30", param, ctx)


@click.command()
@click.argument("id")
@click.option("--birth-date", type=BirthDate(), help="Ask for it when the invitation is used: 1953-04-30.")
@click.option(
    "--expires",
    type=Duration(least="1m", most="365d"),
    default="14d",
    help="How long it is good for, like 2h or 30d (14d).",
)
@click.option("--qr", is_flag=True, help="Show it as a QR code, too.")
@click.option("--qr-file", type=click.Path(path_type=Path), help="Write the QR code into this .png or .svg file.")
@settings("data", "database")
def invite(settings: Settings, id: str, birth_date: str | None, expires: int, qr: bool, qr_file: Path | None) -> None:
    """Print an address that lets the user ID sign in, once.

    On paper or in a message; whoever has it is that user. The page asks for the birth date, where one is given.
    """
    if qr_file is not None and qr_file.suffix.lower() not in PICTURES:
        fail(f"--qr-file {qr_file}: the name ends with .png or .svg")
    try:
        config = settings.load()
    except ConfigError as error:
        fail(str(error))
    made = operate(settings, Invite(user=id, lifetime=expires, birth_date=birth_date))
    url = f"{address_of(config)}/#invitation={made['code']}"
    say(url)
    say(f"good once, until {made['expires_at'][:16]} UTC; typed by hand: {made['code']}", err=True)
    if not config.server.public_url:
        say("server.public_url is not set: this address works on this machine only", err=True)
    if qr or qr_file is not None:
        _draw(url, qr, qr_file)


def address_of(config: Config) -> str:
    """Return where browsers find the page."""
    server = config.server
    host = f"[{server.host}]" if ":" in server.host else server.host
    return server.public_url or f"http://{host}:{server.port}"


def _draw(url: str, on_terminal: bool, file: Path | None) -> None:
    import segno

    code = segno.make(url, error="m", micro=False)
    if on_terminal:
        code.terminal(compact=True)
    if file is not None:
        try:
            file.touch(mode=0o600)
            code.save(str(file), kind=PICTURES[file.suffix.lower()], scale=8)
        except OSError as error:
            fail(f"--qr-file {file}: {error.strerror}")
