"""What a service manager is told, over a real datagram socket."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from chatd.ops.systemd import Notifier


class Manager:
    """The service manager's end."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def heard(self) -> list[dict[str, str]]:
        """What came since it was last asked."""
        found: list[dict[str, str]] = []
        while True:
            try:
                data = self._socket.recv(4096).decode()
            except BlockingIOError:
                return found
            found.append(dict(line.split("=", 1) for line in data.split("\n")))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["file", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"@chatd-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    manager = Manager(address)
    yield manager
    manager.close()


def test_notifier_state_changes_are_sent(manager: Manager, address: str) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
    notifier.ready("serving http://127.0.0.1:3001")
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    notifier.stopping()
    ready, reloading, stopping = manager.heard()
    assert ready == {"READY": "1", "STATUS": "serving http://127.0.0.1:3001"}
    assert before <= int(reloading.pop("MONOTONIC_USEC")) <= time.monotonic_ns() // 1000
    assert reloading == {"RELOADING": "1", "STATUS": "reading the settings"}
    assert stopping == {"STOPPING": "1", "STATUS": "shutting down"}


def test_children_get_nothing_of_it() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/root"}
    Notifier.from_environment(environment)
    assert environment == {"HOME": "/root"}


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234"])
def test_without_a_manager_nothing_is_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})
    monkeypatch.setattr(socket, "socket", None)
    notifier.ready("")
    assert notifier.watchdog is None


def test_a_manager_that_is_gone_stops_nobody(tmp_path: Path) -> None:
    Notifier.from_environment({"NOTIFY_SOCKET": str(tmp_path / "nowhere")}).ready("")


def test_a_manager_that_does_not_read_holds_nobody_up(manager: Manager, address: str) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
    for _ in range(1000):  # more than the socket's queue takes
        notifier.ready("")
    assert 0 < len(manager.heard()) < 1000


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({}, None),
    ],
)
def test_watchdog_interval_is_read(environment: dict[str, str], seconds: float | None) -> None:
    assert Notifier.from_environment({"NOTIFY_SOCKET": "/x", **environment}).watchdog == seconds


def test_notifier_in_the_binary_names_the_process_that_unpacked_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    said = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "500000"}
    assert Notifier.from_environment({**said, "WATCHDOG_PID": str(os.getppid())}).watchdog == 0.5
    assert Notifier.from_environment({**said, "WATCHDOG_PID": str(os.getpid())}).watchdog is None


async def test_a_watchdog_hears_twice_as_often_as_it_asks_for_while_all_is_well(
    manager: Manager, address: str, autojump_clock: MockClock
) -> None:
    alive = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Notifier(address, watchdog=30).watch, lambda: alive)
        await trio.sleep(61)
        assert manager.heard() == [{"WATCHDOG": "1"}] * 5
        alive = False
        await trio.sleep(60)
        assert manager.heard() == []
        alive = True
        await trio.sleep(30)
        assert manager.heard() == [{"WATCHDOG": "1"}] * 2
        nursery.cancel_scope.cancel()


async def test_watchdog_without_a_manager_ends_its_task(autojump_clock: MockClock) -> None:
    with trio.fail_after(1):
        await Notifier("/x").watch(lambda: True)
