"""A database's address as Prisma writes it: `mysql://user:password@host:3306/name?sslaccept=strict`.

Of Prisma's options those that mean something here are understood; any other is refused by its name, as it may be one
that its writer relies on.
"""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from storage.contract import StoreError

PORT = 3306
SCHEME = "mysql://"

_UNDERSTOOD = ("connection_limit", "connect_timeout", "pool_timeout", "socket_timeout", "socket", "sslaccept",
               "sslcert", "statement_cache_size")  # fmt: skip
_ACCEPT = ("strict", "accept_invalid_certs")


@attrs.frozen
class Address:
    """Address of a database, with credentials. Times: seconds. The password is never shown."""

    host: str
    port: int
    user: str
    password: str = attrs.field(repr=False)
    database: str
    socket: str | None = None
    tls: ssl.SSLContext | None = None
    connections: int | None = None
    connect_timeout: float = 5.0
    socket_timeout: float = 20.0
    pool_timeout: float = 10.0

    def __str__(self) -> str:
        """Return the address for people, without the password."""
        return f"{self.database} on {self.socket or self.host}" + ("" if self.socket else f":{self.port}")


def parse(url: str) -> Address:
    """Raises StoreError: what is wrong, without the password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise StoreError("database: [ and ] belong around an IPv6 address; elsewhere write %5B and %5D") from None
    if not url.startswith(SCHEME):
        raise StoreError("database: not an address like mysql://user:password@host:3306/name")
    try:
        port = PORT if parts.port is None else parts.port
    except ValueError:
        raise StoreError("database: the port after the host is not a number up to 65535") from None
    if re.search(r"%(?![0-9A-Fa-f]{2})", parts.netloc):
        raise StoreError("database: a % that stands for itself, as in a password, is written %25")
    database = _plain(parts.path.removeprefix("/"))
    if not parts.hostname or not parts.username or not database or "/" in parts.path[1:]:
        raise StoreError("database: expected mysql://user:password@host:3306/name")
    if parts.fragment:
        raise StoreError("database: there is a # in it; write it as %23 where it belongs to the password")
    options = _options(parts.query)
    return Address(
        host=parts.hostname,
        port=port,
        user=_plain(parts.username),
        password=_plain(parts.password or ""),
        database=database,
        socket=options.get("socket"),
        tls=_tls(options),
        connections=_whole(options, "connection_limit", 2, 64),
        connect_timeout=_seconds(options, "connect_timeout", 5.0),
        socket_timeout=_seconds(options, "socket_timeout", 20.0),
        pool_timeout=_seconds(options, "pool_timeout", 10.0),
    )


def _plain(text: str) -> str:
    """Return the text without percent-encoding. Raises StoreError where that isn't of UTF-8."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise StoreError("database: its percent-encoding is not of UTF-8, where \u00e4 is %C3%A4") from None


def _options(query: str) -> dict[str, str]:
    """Return the options behind the question mark. `statement_cache_size` is about Prisma alone, and harmless."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _UNDERSTOOD:
            raise StoreError(f"database: the option {name} is not known here; understood: {', '.join(_UNDERSTOOD)}")
        if name in found:
            raise StoreError(f"database: the option {name} is there twice")
        found[name] = value
    return found


def _whole(options: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise StoreError(f"database: {name} is a whole number from {low} to {high}")
    return int(text)


def _seconds(options: Mapping[str, str], name: str, default: float) -> float:
    found = _whole(options, name, 0, 86_400)
    return default if found is None else float(found or 86_400)  # Prisma's 0 means: no limit


def _tls(options: Mapping[str, str]) -> ssl.SSLContext | None:
    """`sslcert`: the authority's certificate, as for Prisma; without it the system's are trusted.

    Where nothing is said (None), the connection is encrypted if the server offers it, and its certificate not checked.
    """
    accept, authority = options.get("sslaccept"), options.get("sslcert")
    if accept is None and authority is None:
        return None
    if accept is not None and accept not in _ACCEPT:
        raise StoreError(f"database: sslaccept is one of {', '.join(_ACCEPT)}")
    if authority is not None and not Path(authority).is_file():
        raise StoreError(f"database: sslcert: there is no file {authority}")
    try:
        context = ssl.create_default_context(cafile=authority)
    except (ssl.SSLError, OSError):
        raise StoreError(f"database: sslcert: {authority} is no certificate in PEM form") from None
    if accept == "accept_invalid_certs":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
