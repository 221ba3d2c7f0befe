"""`chatd check`: whether a daemon with these settings can work here. It looks, and changes nothing."""

import errno
import fcntl
import ipaddress
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cryptography import x509

from chatd.auth import elsewhere, secret
from chatd.config import Config, Loaded, settings_of
from chatd.net import tls
from chatd.net.listen import listen
from storage.sqlite.access import objection

from . import lock
from . import rlimit as files
from .check_database import database
from .finding import Finding, exposed, listening_place

LOW_SPACE, NO_SPACE = 2**30, 2**26
"""Bytes free below which there is a warning, and below which something is wrong."""

WEB_APP_SIGN_INS = {
    "Auth.js": ("AUTH_SECRET", "NEXTAUTH_SECRET"),
    "Better Auth": ("BETTER_AUTH_SECRET",),
    "Clerk": ("CLERK_SECRET_KEY",),
    "Supabase": ("SUPABASE_JWT_SECRET", "SUPABASE_SERVICE_ROLE_KEY"),
    "Auth0": ("AUTH0_SECRET",),
}
"""Environment variables by which a web app's sign-in shows, by its name."""

METHODS_OF = {
    "Auth.js": "nextauth",
    "Better Auth": "better-auth",
    **dict.fromkeys(("Clerk", "Supabase", "Auth0"), "jwt"),
}
"""Ways to sign in that take such an app's sessions or tokens as they are, by its name."""

SHORT_CERTIFICATE = 14
"""Days left below which there is a warning."""


def check_up(loaded: Loaded, *, now: int) -> Iterator[Finding]:
    """Look at everything, a finding at a time. `now`: the clock, in ms since 1970."""
    settings = loaded.config
    for what, findings in (
        ("settings", _settings(loaded)),
        ("data folder", _data_folder(settings)),
        ("secret", _secret(settings)),
        ("sign-in", _sign_in(settings)),
        ("database", database(loaded, now)),
        ("disk", _space(settings)),
        ("tls", _certificate(settings, now)),
        ("open files", _open_files(settings)),
        ("port", _port(loaded)),
    ):
        try:
            yield from findings
        except OSError as error:  # a path below a folder that is closed to us, say
            yield Finding("wrong", what, f"{error.filename}: {error.strerror}")


def _settings(loaded: Loaded) -> Iterator[Finding]:
    places = dict.fromkeys([*([str(loaded.file)] if loaded.file else []), *(s.place for s in loaded.sources.values())])
    yield Finding("ok", "settings", " < ".join(["defaults", *places]))
    holds = [
        name
        for name, source in loaded.sources.items()
        if source.place == str(loaded.file)
        and (_is_secret(name) or (name == "storage.database" and "@" in loaded.config.storage.database))
    ]
    if loaded.file and holds:
        yield from exposed("settings", loaded.file, f"{' and '.join(holds)} in it: chmod 600 {loaded.file}")


def _is_secret(setting: str) -> bool:
    table, _, key = setting.rpartition(".")
    return settings_of(table)[key].secret


def _data_folder(settings: Config) -> Iterator[Finding]:
    path = settings.data_path()
    if not path.exists():
        yield Finding("warning", "data folder", f"{path}: not there yet; chatd init makes it")
    elif not path.is_dir():
        yield Finding("wrong", "data folder", f"{path}: is not a folder")
    elif why := objection(path):
        yield Finding("wrong", "data folder", why)
    elif wrong := list(exposed("data folder", path, f"chmod 700 {path}")):
        yield from wrong
    else:
        yield Finding("ok", "data folder", f"{path}: for its owner alone")


def _secret(settings: Config) -> Iterator[Finding]:
    where = "auth.secret" if settings.auth.secret else str(settings.secret_path())
    try:
        secret.secret_of(settings)
    except FileNotFoundError:
        yield Finding("warning", "secret", f"{where}: not there yet; chatd init makes it")
    except secret.BadSecret as error:
        yield Finding("wrong", "secret", str(error))
    else:
        yield Finding("ok", "secret", where)


def _sign_in(settings: Config) -> Iterator[Finding]:
    yield Finding("ok", "sign-in", ", ".join(settings.auth.methods) or "by nothing: nobody can sign in")
    yield from _site_sign_in(settings)
    for service, names in WEB_APP_SIGN_INS.items():
        if METHODS_OF.get(service) in settings.auth.methods:
            continue
        if found := [name for name in names if os.environ.get(name)]:
            text = f"{found[0]} is set: an app here signs people in with {service}; so that they needn't do it twice, "
            if "ticket" in settings.auth.methods:
                text += "its backend asks for tickets with a key (chatd apikey add NAME; docs/sign-in.md)"
            else:
                text += 'let auth.methods hold "ticket"'
            if service in METHODS_OF:
                text += f'; or let it hold "{METHODS_OF[service]}", which takes what it gives people as it is'
            yield Finding("ok", "sign-in", text)


def _site_sign_in(settings: Config) -> Iterator[Finding]:
    """Whether the sessions of a site beside chatd can be told."""
    for method in ("nextauth", "better-auth"):
        if not elsewhere.needs_secret(settings, method):
            continue
        try:
            secrets = elsewhere.secrets_of(settings, method)
        except secret.BadSecret as error:
            yield Finding("wrong", method, str(error))
            continue
        if min(map(len, secrets)) < elsewhere.STRONG_CHARS:
            text = f"a secret of the site has fewer than {elsewhere.STRONG_CHARS} characters: who guesses it is anybody"
            yield Finding("warning", method, f"{text}; make one with `openssl rand -base64 33`, for the site and here")
        else:
            yield Finding("ok", method, f"{len(secrets)} secret{'s' if len(secrets) > 1 else ''} of the site")


def _space(settings: Config) -> Iterator[Finding]:
    folders = [settings.data_path()]
    if settings.database_is_file():
        folders.append(settings.database_path().parent)
    seen = set[int]()
    for folder in folders:
        while not folder.exists():
            folder = folder.parent
        if (device := folder.stat().st_dev) not in seen:
            seen.add(device)
            free = shutil.disk_usage(folder).free
            level: Literal["ok", "warning", "wrong"] = (
                "wrong" if free < NO_SPACE else "warning" if free < LOW_SPACE else "ok"
            )
            yield Finding(level, "disk", f"{folder}: {free / 2**30:,.1f} GiB free")


def _certificate(settings: Config, now: int) -> Iterator[Finding]:
    try:
        context = tls.load(settings.tls)
    except tls.BadCertificate as error:
        yield Finding("wrong", "tls", str(error))
        return
    if context is None:
        if _is_local(settings.server.host):
            yield Finding("ok", "tls", "none; whoever connects is on this machine, or comes through a proxy")
        else:
            text = f"none: unless a proxy encrypts it, all that goes to {settings.server.host} can be read on the way"
            yield Finding("warning", "tls", text)
        return
    path = Path(settings.tls.certificate).expanduser()
    try:
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except ValueError as error:  # something that OpenSSL lets pass
        yield Finding("warning", "tls", f"{path}: its dates and names cannot be read: {error}")
        return
    left = (certificate.not_valid_after_utc - datetime.fromtimestamp(now / 1000, UTC)).days
    until = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    if certificate.not_valid_before_utc.timestamp() * 1000 > now:
        yield Finding("wrong", "tls", f"{path}: not valid before {certificate.not_valid_before_utc:%Y-%m-%d}")
    elif left < 0:
        yield Finding("wrong", "tls", f"{path}: expired on {until}; renew it, and send the daemon SIGHUP")
    elif left < SHORT_CERTIFICATE:
        yield Finding(
            "warning", "tls", f"{path}: {left} days left, until {until}; renew it, and send the daemon SIGHUP"
        )
    else:
        yield Finding("ok", "tls", f"{path}: good until {until}")
    name = urlsplit(settings.server.public_url).hostname
    if name and not _is_for(certificate, name):
        yield Finding("wrong", "tls", f"{path}: not for {name}, the host of public_url")


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_for(certificate: x509.Certificate, name: str) -> bool:
    """Whether browsers take the certificate for this host: its alternative names alone count (RFC 9525)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        return ipaddress.ip_address(name) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        pass
    wildcard = "*." + name.partition(".")[2]
    return bool({name, wildcard} & {found.lower() for found in names.get_values_for_type(x509.DNSName)})


def _open_files(settings: Config) -> Iterator[Finding]:
    most, wanted = files.most(), files.needed(settings.limits.connections)
    if most < wanted:
        advice = f"ulimit -Hn {wanted} as root, LimitNOFILE={wanted} in the unit, or fewer limits.connections"
        yield Finding("warning", "open files", f"{most} at most, and {wanted} may be needed: {advice}")
    else:
        yield Finding("ok", "open files", f"enough for {settings.limits.connections} connections")


def _port(loaded: Loaded) -> Iterator[Finding]:
    settings, where = loaded.config, listening_place(loaded)
    try:
        for sock in listen(settings.server.host, settings.server.port):
            sock.close()
        yield Finding("ok", "port", f"{where}: free")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            yield Finding("wrong", "port", f"{where}: {error.strerror or error}")
        elif pid := _daemon(settings):
            yield Finding("ok", "port", f"{where}: held by the chatd of this data folder (pid {pid})")
        else:
            yield Finding("wrong", "port", f"{where}: another program listens there; stop it, or take another port")


def _daemon(settings: Config) -> str | None:
    """The process id of the daemon that runs on the data folder, as its lock says; None if nobody holds that."""
    try:
        with (settings.data_path() / lock.NAME).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.readline().partition(" ")[0] or "unknown"
    except OSError:
        pass
    return None
