"""Looks at what changes by itself under a running daemon: the certificate's dates, disks, the limit of open files."""

import ipaddress
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cryptography import x509

from chatd.config import Config
from chatd.net import tls

from . import rlimit as files
from .finding import CheckFinding

LOW_SPACE, NO_SPACE = 2**30, 2**26
"""Bytes free below which there is a warning, and below which something is wrong."""

SHORT_CERTIFICATE_DAYS = 14
"""Days left below which there is a warning."""


def space(settings: Config) -> Iterator[CheckFinding]:
    """Look at the room on the disks that hold the data."""
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
            yield CheckFinding(level, "disk", f"{folder}: {free / 2**30:,.1f} GiB free")


def certificate(settings: Config, now: int) -> Iterator[CheckFinding]:
    """Look at the certificate: its dates, and whether it is for the host of public_url. `now`: ms since 1970."""
    try:
        context = tls.load(settings.tls)
    except tls.BadCertificate as error:
        yield CheckFinding("wrong", "tls", str(error))
        return
    if context is None:
        if _is_local(settings.server.host):
            yield CheckFinding("ok", "tls", "none; whoever connects is on this machine, or comes through a proxy")
        else:
            text = f"none: unless a proxy encrypts it, all that goes to {settings.server.host} can be read on the way"
            yield CheckFinding("warning", "tls", text)
        return
    path = Path(settings.tls.certificate).expanduser()
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except ValueError as error:  # something that OpenSSL lets pass
        yield CheckFinding("warning", "tls", f"{path}: its dates and names cannot be read: {error}")
        return
    left = (found.not_valid_after_utc - datetime.fromtimestamp(now / 1000, UTC)).days
    until = f"{found.not_valid_after_utc:%Y-%m-%d}"
    if found.not_valid_before_utc.timestamp() * 1000 > now:
        yield CheckFinding("wrong", "tls", f"{path}: not valid before {found.not_valid_before_utc:%Y-%m-%d}")
    elif left < 0:
        yield CheckFinding("wrong", "tls", f"{path}: expired on {until}; renew it, and send the daemon SIGHUP")
    elif left < SHORT_CERTIFICATE_DAYS:
        yield CheckFinding(
            "warning", "tls", f"{path}: {left} days left, until {until}; renew it, and send the daemon SIGHUP"
        )
    else:
        yield CheckFinding("ok", "tls", f"{path}: good until {until}")
    name = urlsplit(settings.server.public_url).hostname
    if name and not _is_for(found, name):
        yield CheckFinding("wrong", "tls", f"{path}: not for {name}, the host of public_url")


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_for(certificate: x509.Certificate, name: str) -> bool:
    """Return True if browsers take the certificate for this host: its alternative names alone count (RFC 9525)."""
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


def open_files(settings: Config) -> Iterator[CheckFinding]:
    """Look whether this process may open as many files as its connections may need."""
    most, wanted = files.most(), files.needed(settings.limits.connections)
    if most < wanted:
        advice = f"ulimit -Hn {wanted} as root, LimitNOFILE={wanted} in the unit, or fewer limits.connections"
        yield CheckFinding("warning", "open files", f"{most} at most, and {wanted} may be needed: {advice}")
    else:
        yield CheckFinding("ok", "open files", f"enough for {settings.limits.connections} connections")
