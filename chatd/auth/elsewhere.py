"""The ways to sign in that an app or a clinic's IT has already, as the settings name them."""

from collections.abc import Callable, Iterator
from pathlib import Path

from chatd.config import Config
from chatd.core.gate import Gate

from . import secret
from .authenticate import Authenticator
from .nextauth import NextAuth
from .nextauth_method import NextAuthAuthenticator
from .secret import BadSecret

STRONG_CHARS = 32
"""Characters of a site's secret below which `chatd check` warns: who guesses it is anybody."""


def authenticators(config: Config, gate: Gate, now: Callable[[], int]) -> Iterator[Authenticator]:
    """The authenticators of `auth.methods` that need more than chatd itself has. Raises BadSecret."""
    if "nextauth" in config.auth.methods:
        site = NextAuth(nextauth_secrets(config), config.nextauth.cookies)
        yield NextAuthAuthenticator(site, gate, now, user=config.nextauth.user)


def nextauth_secrets(config: Config) -> tuple[str, ...]:
    """The secrets of the site's NextAuth, the newest first. Raises BadSecret where there is none."""
    found = config.nextauth.secrets or _lines(config.nextauth.secrets_file)
    if not found:
        raise BadSecret(
            'auth.methods has "nextauth", which needs the site\'s secret: AUTH_SECRET (or NEXTAUTH_SECRET) in the '
            "environment, or [auth.nextauth] secrets_file"
        )
    return found


def _lines(file: str) -> tuple[str, ...]:
    """The secrets in a file, a line each. Raises BadSecret."""
    if not file:
        return ()
    path = Path(file).expanduser()
    try:
        text = secret.read_private(path).decode()
    except UnicodeDecodeError:
        raise BadSecret(f"{path}: not UTF-8 text") from None
    except FileNotFoundError:
        raise BadSecret(f"{path}: is not there") from None
    return tuple(line.strip() for line in text.splitlines() if line.strip())
