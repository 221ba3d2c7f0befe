"""A real daemon under a service manager: what it tells, that it ends whatever hangs, and the unit file."""

import configparser
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from chatd.config import Config
from chatd.ops.process import FORCED_EXIT_S
from support.process import ROOT, eventually, launcher, running
from support.wsclient import connected

UNIT = ROOT / "deploy" / "chatd.service"


class Manager:
    """The service manager's end of the socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    async def next(self, *, within: float = 10) -> dict[str, str]:
        """What it hears next."""
        with trio.fail_after(within):
            await trio.lowlevel.wait_readable(self._socket)
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().split("\n"))

    async def silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long, from some moment on."""
        with trio.move_on_after(10 * seconds):
            while True:
                with trio.move_on_after(seconds) as waiting:
                    await self.next(within=2 * seconds)
                if waiting.cancelled_caught:
                    return True
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


async def test_service_manager_is_told_of_readiness_reload_and_stop(tmp_path: Path, manager: Manager) -> None:
    async with running(tmp_path, settings="", env={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as daemon:
        serving = f"serving http://127.0.0.1:{daemon.port}"
        assert await manager.next() == {"READY": "1", "STATUS": serving}
        daemon.process.send_signal(signal.SIGHUP)
        reloading = await manager.next()
        assert (reloading["RELOADING"], reloading["MONOTONIC_USEC"].isdigit()) == ("1", True)
        assert await manager.next() == {"READY": "1", "STATUS": serving}
        (tmp_path / "chatd.toml").write_text("nonsense")
        daemon.process.send_signal(signal.SIGHUP)
        assert (await manager.next())["RELOADING"] == "1"
        ready = await manager.next()
        assert ready["READY"] == "1", "the manager waits for it"
        assert "wrong" in ready["STATUS"]
        assert await daemon.stop() == 0
        assert (await manager.next())["STOPPING"] == "1"


async def test_watchdog_hears_the_daemon_while_the_loop_turns(tmp_path: Path, manager: Manager) -> None:
    watched = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
    async with (
        running(tmp_path, env=watched, program=launcher("--hung")) as daemon,
        connected(daemon, "den-1"),
        connected(daemon, "pat-1") as pat,
    ):
        conversation = await pat.open("den-1")
        while "READY" not in await manager.next():
            pass
        for _ in range(5):
            assert await manager.next(within=1) == {"WATCHDOG": "1"}
        await pat.send("message.send", conversation=conversation, client_id="1", body="stuck")
        assert await manager.silent(1.0)
        await daemon.kill()


SHORT = "[server]\ngrace = 0.5\n[timeouts]\ncommit = 0.5\n"


@pytest.mark.parametrize(("signals", "bound"), [(1, 15.0), (2, 10.0)])
async def test_store_that_hangs_keeps_no_daemon_from_ending(tmp_path: Path, signals: int, bound: float) -> None:
    settings = SHORT if signals == 1 else "[server]\ngrace = 60\n"
    async with (
        running(tmp_path, settings=settings, program=launcher("--stuck")) as daemon,
        connected(daemon, "den-1"),
        connected(daemon, "pat-1") as pat,
    ):
        conversation = await pat.open("den-1")
        kept = await pat.say(conversation, "1", "kept")
        await pat.send("message.send", conversation=conversation, client_id="2", body="stuck")
        await pat.ask("ping")
        for number in range(signals):
            daemon.process.terminate()
            if number == 0:
                await eventually(lambda: says(daemon.log, "shutting down"), within=10)
        with trio.fail_after(bound):
            assert await daemon.process.wait() == 1
        assert "ended by force" in daemon.log
    async with running(tmp_path, settings=settings) as daemon, connected(daemon, "pat-1") as pat:
        copy = await pat.load(conversation)
        assert [message["body"] for message in copy.messages.values()] == ["kept"]
        assert copy.rev == kept["rev"]


async def says(log: str, event: str) -> bool:
    return event in log


# -- the unit file --


def unit() -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(strict=True, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(UNIT.read_text())
    return parsed


def test_unit_file_means_what_the_daemon_does() -> None:
    service = unit()["Service"]
    assert service["Type"] == "notify"
    assert service["ExecReload"].endswith("-HUP $MAINPID")
    assert service["RestartPreventExitStatus"] == "2"
    assert service["ExecStart"].split()[1:] == ["serve", "--config", "/var/lib/chatd/chatd.toml"]
    assert (service["NotifyAccess"], service["KillMode"]) == ("all", "mixed"), "the one-file binary is two processes"
    assert service["StateDirectory"] == "chatd"
    assert service["UMask"] == "0077"
    assert service["LimitCORE"] == "0", "a core dump has patients' messages in it"
    for hardened in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "MemoryDenyWriteExecute"):
        assert service[hardened] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert set(service["RestrictAddressFamilies"].split()) == {"AF_INET", "AF_INET6", "AF_UNIX"}
    assert service["SystemCallFilter"] == "@system-service"


def test_daemon_ends_by_itself_before_the_manager_kills_it() -> None:
    config = Config()
    longest = config.server.grace + config.timeouts.commit + FORCED_EXIT_S
    assert longest < int(unit()["Service"]["TimeoutStopSec"])


def test_unit_file_is_taken_by_systemd(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        assert unit().sections() == ["Unit", "Service", "Install"]
        return
    # There the program is not installed, and it may be that neither is its user.
    text = UNIT.read_text().replace("/usr/local/bin/chatd", sys.executable)
    (tmp_path / "chatd.service").write_text(text)
    result = subprocess.run(
        [analyze, "verify", "--man=no", str(tmp_path / "chatd.service")],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
