"""SIGHUP to a real daemon: what is applied, what waits, and that a wrong file changes nothing."""

import json
import os
import signal
import ssl
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography import x509

from chatd.client.raw import upgrade
from support.certificates import make_certificate, trusting
from support.process import Daemon, eventually, running
from support.wsclient import connected

SITE = "https://www.clinic.example"


def lines(daemon: Daemon, event: str) -> list[dict[str, Any]]:
    """The lines of its log with this event."""
    found = (json.loads(line) for line in daemon.log.splitlines() if line.startswith("{"))
    return [line for line in found if line["event"].startswith(event)]


async def reload(daemon: Daemon, settings: str | None = None) -> dict[str, Any]:
    """Change the settings, send SIGHUP; the line that it logs."""
    if settings is not None:
        (daemon.errors.parent / "chatd.toml").write_text(settings)
    before = len(lines(daemon, "settings "))

    async def said() -> bool:
        return len(lines(daemon, "settings ")) > before

    os.kill(daemon.pid, signal.SIGHUP)
    await eventually(said, within=10)
    return lines(daemon, "settings ")[-1]


async def status(daemon: Daemon, *headers: str, host: str = "localhost") -> int:
    """Of the answer to a handshake."""
    with trio.fail_after(10):
        async with await daemon.dial() as stream:
            await stream.send_all(upgrade("/ws", *headers, host=host))
            return int(bytes(await stream.receive_some()).split()[1])


async def serial(daemon: Daemon) -> int:
    """Of the certificate that a new connection gets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with await trio.open_tcp_stream(daemon.host, daemon.port) as raw:
        stream = trio.SSLStream(raw, context, https_compatible=True)
        await stream.do_handshake()
        return certificate_serial(stream.getpeercert(binary_form=True))


def certificate_serial(der: bytes) -> int:
    return x509.load_der_x509_certificate(der).serial_number


def serial_in(file: Path) -> int:
    return certificate_serial(ssl.PEM_cert_to_DER_cert(file.read_text()))


async def test_reload_applies_settings_or_names_them(tmp_path: Path) -> None:
    async with running(tmp_path, settings="") as daemon, connected(daemon, "pat-1") as pat:
        assert await status(daemon, f"Origin: {SITE}") == 403
        said = await reload(
            daemon,
            f'[server]\nallowed_origins = ["{SITE}"]\nheartbeat = 60\n[logs]\nlevel = "debug"\n[limits]\nrooms = 9\n',
        )
        assert said["event"] == "settings reloaded"
        assert said["applied"] == ["server.allowed_origins", "logs.level"]
        assert said["need_restart"] == ["server.heartbeat", "limits.rooms"]
        assert await status(daemon, f"Origin: {SITE}") == 101
        async with connected(daemon, "den-1"):
            await pat.open("den-1")
        assert '"level":"debug"' in daemon.log, "loggers that had been used before"
        said = await reload(daemon, "")
        assert said["applied"] == ["server.allowed_origins", "logs.level"]
        assert said["need_restart"] == []
        assert await status(daemon, f"Origin: {SITE}") == 403
        await pat.ask("ping")


async def test_reload_leaves_flags_alone(tmp_path: Path) -> None:
    async with running(tmp_path, settings="") as daemon:
        said = await reload(daemon, '[server]\nport = 1\ndata = "elsewhere"\n')
        assert (said["event"], said["applied"], said["need_restart"]) == ("settings reloaded", [], [])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("[server\n", ["chatd.toml", "line 1"]),
        (f'[server]\nallowed_origins = ["{SITE}"]\nport = "many"\n', ["chatd.toml", "port", "many"]),
        (f'[server]\nallowed_origins = ["{SITE}"]\n[tls]\ncertificate = "tls.crt"\n', ["certificate", "key"]),
        (
            f'[server]\nallowed_origins = ["{SITE}"]\n[tls]\ncertificate = "tls.crt"\nkey = "tls.key"\n',
            ["tls.crt", "cannot be read"],
        ),
    ],
)
async def test_reload_of_wrong_settings_changes_nothing(tmp_path: Path, settings: str, words: list[str]) -> None:
    async with running(tmp_path, settings="") as daemon, connected(daemon, "pat-1") as pat:
        said = await reload(daemon, settings)
        assert (said["level"], said["event"]) == ("error", "settings not reloaded, all is as before")
        assert all(word in said["reason"] for word in words), said
        assert daemon.log.count('"level":"error"') == 1
        assert await status(daemon, f"Origin: {SITE}") == 403
        await pat.ask("ping")
        (tmp_path / "chatd.toml").unlink()
        assert (await reload(daemon))["event"] == "settings reloaded"


async def test_reload_gives_new_connections_the_new_certificate(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    settings = f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'
    async with running(tmp_path, settings=settings, tls=trusting(certificate)) as daemon:
        old = serial_in(certificate)
        assert await serial(daemon) == old
        async with connected(daemon, "pat-1") as pat:
            make_certificate(tmp_path)  # in their place, as a renewal does
            new = serial_in(certificate)
            assert await serial(daemon) == old, "nobody has said so"
            said = await reload(daemon)
            assert (said["applied"], said["need_restart"]) == ([], [])
            assert await serial(daemon) == new != old
            await pat.ask("ping")
            good = key.read_bytes()
            key.write_text("")
            said = await reload(daemon)
            assert (said["level"], said["reason"].startswith(f"[tls] key: {key}: ")) == ("error", True)
            assert await serial(daemon) == new
            key.write_bytes(good)
            assert (await reload(daemon))["level"] == "info"
            await pat.ask("ping")


async def logged(daemon: Daemon, event: str) -> dict[str, Any]:
    """The newest line of an event, once it is there: a thread writes the log."""

    async def said() -> bool:
        return bool(lines(daemon, event))

    await eventually(said, within=10)
    return lines(daemon, event)[-1]


async def test_proxies_words_count_for_origins_and_logs(tmp_path: Path) -> None:
    settings = '[server]\nallowed_hosts = ["chat.clinic.example"]\n'
    own = ("Origin: https://chat.clinic.example", "X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.9")
    async with running(tmp_path, settings=settings, development=False) as daemon:

        async def ask() -> int:
            return await status(daemon, *own, host="chat.clinic.example")

        assert await ask() == 403, "anybody may say so"
        assert (await logged(daemon, "handshake refused"))["address"] == "127.0.0.1"
        await reload(daemon, settings + 'trusted_proxies = ["127.0.0.0/8"]\n')
        assert await ask() == 101
        assert (await logged(daemon, "connected"))["address"] == "203.0.113.9"
        assert await status(daemon, own[0], host="chat.clinic.example") == 403, "it came by http"
        assert await status(daemon, *own, host="evil.example") == 403
        assert await status(daemon, *own, own[0], host="chat.clinic.example") == 403
        assert await status(daemon, *own, "Host: chat.clinic.example", host="chat.clinic.example") == 400
        assert await status(daemon, host="chat.clinic.example") == 101, "no browser's page"


async def test_terminal_that_was_closed_ends_the_daemon(tmp_path: Path) -> None:
    """Then nobody is there to send SIGHUP on purpose, and a daemon left behind would keep the port."""
    ours, theirs = os.openpty()
    async with running(tmp_path, stdin=theirs) as daemon:
        os.close(theirs)
        assert (await reload(daemon))["event"] == "settings reloaded", "on purpose, as long as it is open"
        os.close(ours)
        os.kill(daemon.pid, signal.SIGHUP)
        with trio.fail_after(20):
            assert await daemon.process.wait() == 0
