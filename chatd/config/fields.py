"""The kinds of settings: each call makes one, with its default, what is allowed, and what it is for."""

import ipaddress
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
import msgspec

from protocol.objects import ROLES, Role


class Unfit(ValueError):
    """A value of the right type that can't be; the message says what is expected instead."""


class ConfigError(Exception):
    """A setting cannot be used; the message is one line that says where, what was found, and what is allowed."""


@attrs.frozen(kw_only=True)
class Setting:
    """The description of one setting, beside its name and default.

    `type` is msgspec's; `tidy` brings a value of that type to its normal form, or raises ValueError; `beside` makes a
    value relative to a folder; a `secret` is never shown. `advice`: what is expected, where more can be said of a text.
    """

    type: Any
    expects: str
    help: str
    tidy: Callable[[Any], object] | None = None
    beside: Callable[[Path, str], str] | None = None
    secret: bool = False
    advice: Callable[[str], str | None] | None = None


def toml(value: object) -> str:
    """TOML's spelling of a value; JSON's is the same but for dates, NaN and infinity."""
    if isinstance(value, float) and not -1e308 < value < 1e308:
        return repr(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def field(default: object, type_: object, expects: str, help_: str, **more: Any) -> Any:
    return attrs.field(
        default=default,
        repr=not more.get("secret"),
        metadata={"setting": Setting(type=type_, expects=expects, help=help_, **more)},
    )


def whole(default: int, low: int, high: int, help_: str) -> Any:
    return field(default, Annotated[int, msgspec.Meta(ge=low, le=high)], f"an integer from {low} to {high}", help_)


def number(default: float, low: float, high: float, help_: str) -> Any:
    type_ = Annotated[float, msgspec.Meta(ge=low, le=high)]  # a bounded float is neither NaN nor infinite
    return field(default, type_, f"a number from {low:.9g} to {high:.9g}", help_)


def flag(default: bool, help_: str) -> Any:
    return field(default, bool, "true or false", help_)


def text(default: str, pattern: str, expects: str, help_: str, **more: Any) -> Any:
    return field(default, Annotated[str, msgspec.Meta(pattern=pattern)], expects, help_, **more)


def path(default: str, expects: str, help_: str) -> Any:
    """A path, relative to the file that names it. Empty only where that is the default."""
    many = "+" if default else "*"
    return text(default, rf"^[^\x00-\x1f]{many}\Z", f"the path of {expects}", help_, beside=_path_beside)


def one_of(default: str, choices: tuple[str, ...], help_: str) -> Any:
    return field(default, Literal[choices], "one of " + ", ".join(map(toml, choices)), help_)


def texts(default: tuple[str, ...], tidy: Callable[[str], str], expects: str, help_: str, **more: Any) -> Any:
    return field(default, tuple[str, ...], expects, help_, tidy=lambda values: tuple(map(tidy, values)), **more)


def roles(default: tuple[Role, ...], help_: str) -> Any:
    return field(default, tuple[Role, ...], "a list of " + ", ".join(map(toml, ROLES)), help_)


def _path_beside(folder: Path, value: str) -> str:
    return value if not value or value.startswith("~") else str(folder / value)


SQLITE = "sqlite:///"


_WRITTEN = {"/": "%2F", "?": "%3F", "#": "%23", " ": "%20", "\t": "%09"}


def database_advice(url: str) -> str | None:
    """Return what to write instead of an address that is none, without what may be secret in it."""
    if url != url.strip() or url[:1] in ("'", '"') or url[-1:] in ("'", '"'):
        return "it without quotation marks and spaces around it"
    found = re.fullmatch(r"mysql://(?:(.*)@)?(.*)", url, re.DOTALL)
    if found is None:
        return None
    inner = [sign for sign in _WRITTEN if sign in (found[1] or "")]
    if inner:
        written = ", ".join(f"{'a space' if sign == ' ' else sign} as {_WRITTEN[sign]}" for sign in inner)
        return f"signs of user and password that mean something in an address to be written otherwise: {written}"
    if found[1] and any(space in found[2] for space in " \t#"):
        return "a space behind the host to be written %20, and a # as %23"
    return None


def database_beside(folder: Path, url: str) -> str:
    """The URL of a SQLite file, its path relative to `folder`; any other as it is."""
    return SQLITE + _path_beside(folder, url.removeprefix(SQLITE)) if url.startswith(SQLITE) else url


_HOST = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]"
_ORIGIN = re.compile(rf"(https?)://({_HOST})(?::([0-9]{{1,5}}))?/?")
_OWN_PORT = {"http": 80, "https": 443}


def origin(text: str) -> str:
    """A page's origin as browsers write it (RFC 6454, section 6.2): small letters, no port that goes without saying.

    One slash at the end is forgiven; ValueError for a path, a wildcard, a user's name.
    """
    found = _ORIGIN.fullmatch(text.lower()) if text.isascii() else None
    if found is None:
        raise ValueError("no origin")
    scheme, name, digits = found.groups()
    port = int(digits or _OWN_PORT[scheme])
    if not 0 < port < 65_536:
        raise ValueError("no port")
    return f"{scheme}://{host(name)}" + ("" if port == _OWN_PORT[scheme] else f":{port}")


def host(text: str) -> str:
    """A host as it stands in an origin: a name in small letters, an IPv6 address in brackets. Raises ValueError."""
    small = text.lower()
    if not text.isascii() or re.fullmatch(_HOST, small) is None:
        raise ValueError("no host")
    return f"[{ipaddress.IPv6Address(small[1:-1])}]" if small.startswith("[") else small


def listening_host(text: str) -> str:
    """Return an address or name to listen on: an IPv6 address without brackets, 0.0.0.0 for *. Raises Unfit."""
    if text == "*":
        return "0.0.0.0"
    if "/" in text:
        raise Unfit("an address or a host name; the address in browsers, like https://..., is server.public_url")
    found = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](:[0-9]*)?|([^:]+)(:[0-9]*)", text)
    if found is None:
        return text
    if found[2] or found[4]:
        raise Unfit(f"{found[1] or found[3]} alone; the port, {(found[2] or found[4])[1:]}, is server.port (--port)")
    return found[1]


def network(text: str) -> str:
    """An IP address or network in its short form. ValueError, too, for bits beyond the mask: who is meant?"""
    return str(ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text))


def naming(text: str) -> str:
    """Return the naming of a table or column of ours, without spaces. Raises ValueError if it is none."""
    ours, _, theirs = (part.strip() for part in text.partition("="))
    if re.fullmatch(r"[A-Za-z]+(\.[A-Za-z]+)?", ours) is None or re.fullmatch(r"[A-Za-z0-9_$]{1,64}", theirs) is None:
        raise ValueError("no naming")
    return f"{ours}={theirs}"


def constant(text: str) -> str:
    """Return what is written to a column of the app's. Raises ValueError if it is none."""
    column, equals, value = text.partition("=")
    if not equals or re.fullmatch(r"[A-Za-z]+\.[A-Za-z0-9_$]{1,64}", column.strip()) is None or "\0" in value:
        raise ValueError("no constant")
    return f"{column.strip()}={value.strip()}"


def role_of(text: str) -> str:
    """Return the mapping of an app's role to one of ours. Raises ValueError if it is none."""
    theirs, _, ours = (part.strip() for part in text.rpartition("="))
    if not theirs or ours not in ROLES:
        raise ValueError("no role")
    return f"{theirs}={ours}"


DEFAULT_METHODS = ("token", "password", "ticket", "invitation")
"""Ways to sign in that need no settings of their own."""

METHODS = (*DEFAULT_METHODS, "nextauth", "better-auth", "jwt", "oidc")
"""Ways to sign in that this version has."""


def method(text: str) -> str:
    """Return the name of a way to sign in. Raises ValueError for another word."""
    if text not in METHODS:
        raise ValueError("no method")
    return text


def cookie_name(text: str) -> str:
    """Return the name of a cookie (RFC 6265, section 4.1.1). Raises ValueError if it is none."""
    if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", text) is None:
        raise ValueError("no name of a cookie")
    return text


def claim(text: str) -> str:
    """Return the path of a claim, like `sub` or `app_metadata.role`. Raises ValueError if it is none."""
    if re.fullmatch(r"[!-~]{1,200}", text) is None:
        raise ValueError("no path of a claim")
    return text


def word(text: str) -> str:
    """Return a word without space. Raises ValueError if it is none."""
    if re.fullmatch(r"[!-~]{1,512}", text) is None:
        raise ValueError("no word")
    return text


_KEYS_ADDRESS = r"(https://|http://(127\.0\.0\.1|localhost|\[::1\])[:/])[!-~]{1,2000}"


def keys_place(text: str) -> str:
    """Return the place of public keys: an https address, a loopback one by http, or a path. Raises ValueError."""
    if "://" in text and re.fullmatch(_KEYS_ADDRESS, text) is None:
        raise ValueError("no address of keys")
    return text


def keys_beside(folder: Path, place: str) -> str:
    return place if "://" in place else _path_beside(folder, place)


SESSION_COLUMNS = ("token", "user", "expires")


def session_column(text: str) -> str:
    """Return the naming of a column of a site's sessions, like `token=id`. Raises ValueError if it is none."""
    ours, _, theirs = (part.strip() for part in text.partition("="))
    if ours not in SESSION_COLUMNS or re.fullmatch(r"[A-Za-z0-9_$]{1,64}", theirs) is None:
        raise ValueError("no naming")
    return f"{ours}={theirs}"


def site_secret(text: str) -> str:
    """Return a secret that an app has, too. Raises ValueError for an empty or a huge one."""
    if not 1 <= len(text) <= 1024 or "\x00" in text:
        raise ValueError("no secret")
    return text


DOWNLOADS = ("dicom", "docx", "zip")
"""Kinds of files that are taken where the settings name them."""


def download(text: str) -> str:
    """Return the name of a kind of file that may be taken for downloads only. Raises ValueError for another word."""
    if text not in DOWNLOADS:
        raise ValueError("no kind of file")
    return text


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def lifetime(text: str) -> str:
    """Return a role and how long its sessions live, like `patient=180d`. Raises ValueError if it isn't that."""
    role, _, length = (part.strip() for part in text.partition("="))
    if role not in ROLES or re.fullmatch(r"[1-9][0-9]{0,8}[smhd]", length) is None:
        raise ValueError("no lifetime")
    return f"{role}={length}"


def seconds_of(text: str) -> int:
    """Return the seconds of a length of time like `12h`."""
    return int(text[:-1]) * _SECONDS[text[-1]]


def request_path(text: str) -> str:
    """A path of the server, without its last slash. Raises ValueError."""
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+/?", text):
        raise ValueError(text)
    return text.rstrip("/")


def namespace(text: str) -> str:
    """A namespace of Socket.IO. Raises ValueError."""
    if not re.fullmatch(r"/[A-Za-z0-9._~/-]*", text):
        raise ValueError(text)
    return text


def event_name(text: str) -> str:
    """A pair of names of an event, ours=theirs. Raises ValueError."""
    if not re.fullmatch(r"[a-z_]+=[^\s=\x00-\x1f]{1,100}", text):
        raise ValueError(text)
    return text
