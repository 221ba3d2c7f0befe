"""One owner of the data at a time, and the socket by which a daemon is given commands."""

import json
import os
import socket
import stat
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from chatd.admin import control
from chatd.ops import reach
from chatd.ops.lock import Lock, LockHeld
from support.commands import Operator, signed_in
from support.process import running


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


# -- one owner --


async def test_daemon_beside_another_is_refused(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "STORE_WAIT_S", 0.1)
    async with running(operator.folder, development=False) as daemon:
        line = await operator.refused("serve", "--port", "0")
        assert f"process {daemon.pid}" in line
        assert str(operator.folder / "data") in line
        assert "--data" in line
        other = str(operator.folder / "other")
        database = f"sqlite:///{operator.folder}/data/chatd.db"
        await operator.people()
    async with running(operator.folder, "--database", database, development=False, data=Path(other)) as daemon:
        # The same database by another data folder: it has a lock of its own where it lies elsewhere.
        third = str(operator.folder / "third")
        line = await operator.refused("serve", "--port", "0", "--data", third, "--database", database)
        assert f"process {daemon.pid}" in line
        assert "chatd.db" in line
        assert "--data" in await operator.refused("user", "list", "--data", third, "--database", database)
        assert "pat-1" in await operator.say("user", "list", "--data", other, "--database", database)


async def test_control_socket_of_a_killed_daemon_is_replaced(operator: Operator) -> None:
    async with running(operator.folder, development=False) as daemon:
        await operator.people()
        await daemon.kill()
    assert (operator.folder / "data" / control.SOCKET_NAME).is_socket()
    assert "pat-1" in await operator.say("user", "list")
    async with running(operator.folder, development=False) as daemon:
        async with signed_in(daemon, await operator.token("pat-1")):
            pass
        assert await daemon.stop() == 0
    assert not (operator.folder / "data" / control.SOCKET_NAME).exists()


async def test_command_waits_for_another(operator: Operator) -> None:
    await operator.people()
    lock = Lock(operator.folder / "data", None, daemon=False)
    async with trio.open_nursery() as nursery:
        done = trio.Event()

        @nursery.start_soon
        async def ask() -> None:
            assert "pat-1" in await operator.say("user", "list")
            done.set()

        with trio.move_on_after(1.5):
            await done.wait()
        assert not done.is_set()
        lock.close()


async def test_daemon_waits_for_a_command(operator: Operator) -> None:
    await operator.people()
    lock = Lock(operator.folder / "data", None, daemon=False)
    ready = trio.Event()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            async with running(operator.folder, development=False):
                ready.set()

        await trio.sleep(2)  # by then it would be
        assert not ready.is_set()
        lock.close()
        await ready.wait()


def test_lock_is_for_one(tmp_path: Path) -> None:
    with closing(Lock(tmp_path, tmp_path / "chatd.db", daemon=True)):
        with pytest.raises(LockHeld) as caught:
            Lock(tmp_path, None, daemon=False)
        assert (caught.value.who, caught.value.daemon) == (f"process {os.getpid()}", True)
    database = tmp_path / "elsewhere" / "chatd.db"
    with closing(Lock(tmp_path, database, daemon=False)):
        with pytest.raises(LockHeld) as caught:
            Lock(tmp_path / "other", database, daemon=True)
        assert (caught.value.what, caught.value.daemon) == (database, False)
    with closing(Lock(tmp_path / "other", database, daemon=True)):
        pass
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o700


async def test_control_socket_in_a_folder_with_a_long_name_works(tmp_path: Path) -> None:
    folder = tmp_path / ("clinic" * 30) / ("data" * 30)
    folder.mkdir(parents=True)
    operator = Operator(folder)
    async with running(folder, development=False) as daemon:
        await operator.people()
        assert f"process {daemon.pid}" in await operator.refused("serve", "--port", "0")
        assert await daemon.stop() == 0
    assert not (folder / "data" / control.SOCKET_NAME).exists()


# -- the control socket --


async def answer(folder: Path, request: bytes) -> bytes:
    async with await trio.open_unix_socket(folder / "data" / control.SOCKET_NAME) as stream:
        with trio.fail_after(20):
            await stream.send_all(request)
            return b"".join([data async for data in stream])


async def test_control_socket_is_for_its_owner_and_bounded(operator: Operator) -> None:
    async with running(operator.folder, development=False) as daemon:
        mode = (operator.folder / "data" / control.SOCKET_NAME).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
        for request in (
            b"\n", b"hello\n", b"[]\n", b'{"verb": 7}\n', b'{"verb": "sell"}\n', b'{"verb": "user.list", "after": 7}\n',
            b'{"verb": "user.add", "user": "a b", "name": "A", "role": "staff"}\n', b"[" * 5000 + b"\n",
            b"x" * (control.MAX_REQUEST_BYTES + 4096), b"\xff\n",
        ):  # fmt: skip
            answered = json.loads(await answer(operator.folder, request))
            assert answered.keys() == {"error"}, request
        unknown = json.loads(await answer(operator.folder, b'{"verb": "token.issue", "user": "x", "lifetime": 0}\n'))
        assert "lifetime" in unknown["error"]
        # Who says nothing holds up nobody for long, and nobody at all while there are places.
        idle = [
            await trio.open_unix_socket(operator.folder / "data" / control.SOCKET_NAME)
            for _ in range(control.MAX_CONNECTIONS - 1)
        ]
        await operator.people()
        for stream in idle:
            await stream.aclose()
        assert '"level":"error"' not in daemon.log


@pytest.mark.parametrize(("uid", "ours"), [(os.geteuid(), True), (0, True), (54321, False)])
def test_other_users_are_refused(uid: int, ours: bool) -> None:
    class Peer:
        def getsockopt(self, level: int, option: int, size: int) -> bytes:
            assert (level, option) == (socket.SOL_SOCKET, socket.SO_PEERCRED)
            return struct.pack("iII", 1, uid, 1)

    peer: Any = Peer()
    assert control._is_ours(peer) == ours
