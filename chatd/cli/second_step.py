"""`chatd user totp` and `chatd user reset-2fa`."""

import sys
import time

import click

from chatd.admin.sign_in import ResetSecondStep, SetSecondStep
from chatd.auth import totp
from chatd.config import ConfigError

from .fail import fail
from .operate import operate
from .options import Settings, settings
from .say import say


@click.command("totp")
@click.argument("id")
@settings("data", "database")
def set_up(settings: Settings, id: str) -> None:
    """Ask the user ID for a code of an app behind the password.

    The app is one for authentication; the user's sessions end.

    Shows a QR code for the app, asks for the code that it shows then (at a terminal, else as the first line of standard
    input), and prints ten recovery codes, each good once in place of a code.
    """
    import segno

    try:
        name = settings.load().web.name
    except ConfigError as error:
        fail(str(error))
    secret = totp.make_secret()
    segno.make(totp.address_of(secret, name, id), error="m", micro=False).terminal(compact=True)
    say(f"Scan it with the authenticator app of {id}, or type: {' '.join(secret[i : i + 4] for i in range(0, 32, 4))}")
    code = _code()
    step = totp.matching_step(secret, "".join(code.split()), time.time_ns() // 1_000_000, after=-1)
    if step is None:
        fail("that is not the code that the app shows now: nothing was changed; are both clocks right?")
    done = operate(settings, SetSecondStep(user=id, secret=secret, step=step))
    say(f"{id} signs in by password and code from now on. Recovery codes, each good once; keep them on paper:")
    for recovery in done["codes"]:
        say(f"  {recovery}")


@click.command("reset-2fa")
@click.argument("id")
@settings("data", "database")
def reset(settings: Settings, id: str) -> None:
    """Take the second step away from the user ID.

    For somebody who has lost the app and the recovery codes. Their sessions end.
    """
    if operate(settings, ResetSecondStep(user=id))["had"]:
        say(f"{id} signs in by password alone; to set it up again: {settings.next('user', 'totp', id)}")
    else:
        say(f"{id} had no second step")


def _code() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Code that the app shows", err=True))
    line = sys.stdin.readline().strip()
    if not line:
        fail("the code that the app shows is needed, as the first line of standard input")
    return line
