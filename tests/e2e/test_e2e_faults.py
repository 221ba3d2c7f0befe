"""Disks that are full or fail, and signals: no acknowledgement that isn't kept, and recovery without a restart."""

import itertools
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio

from support import strace
from support.process import Daemon, eventually, running
from support.wsclient import Client, Lost, connected

RECOVERY = 10.0
"""Seconds within which all is well again once the fault is gone."""

BODY = 10_000
"""Characters of a message that needs space of its own."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "chatd-test", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@asynccontextmanager
async def full(disk: Path) -> AsyncIterator[None]:
    """A file of somebody else takes all that is left."""
    file = disk / "ballast"
    with file.open("wb", buffering=0) as writer, suppress(OSError):
        while True:
            writer.write(bytes(4096))
    yield
    file.unlink()


@asynccontextmanager
async def files_limited(pid: int, folder: Path) -> AsyncIterator[None]:
    """No file grows beyond what the largest has now."""
    largest = max(entry.stat().st_size for entry in os.scandir(folder))
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest, before[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def failing_sync(pid: int) -> AbstractAsyncContextManager[None]:
    """A disk that takes what is written, and fails to keep it."""
    calls = "fsync,fdatasync"
    return strace.attached(pid, "-o", os.devnull, "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO")


async def test_daemon_outlives_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    async with running(tmp_path, data=small_disk / "data", settings="[limits]\nfree_disk_bytes = 0\n") as daemon:
        await outlives(daemon, full(small_disk), lasting=True)


async def test_daemon_outlives_a_limit_of_file_sizes(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        await outlives(daemon, files_limited(daemon.pid, tmp_path / "data"), lasting=False)


async def test_daemon_outlives_a_failing_sync(tmp_path: Path) -> None:
    strace.require()
    async with running(tmp_path) as daemon:
        await outlives(daemon, failing_sync(daemon.pid), lasting=True)


async def outlives(daemon: Daemon, fault: AbstractAsyncContextManager[None], *, lasting: bool) -> None:
    """During a fault nothing is acknowledged that isn't kept, and reads go on; afterwards it is as if nothing was.

    `lasting`: nothing can be kept until it is over.
    """
    async with connected(daemon, "den-1") as den, connected(daemon, "pat-1") as pat:
        conversation = await pat.open("den-1")
        seqs = {id: (await pat.say(conversation, id))["messages"][0]["seq"] for id in ("a", "b", "c")}
        refused = []
        async with fault:
            for n in range(200):  # where space is left in a file, some succeed
                pending = [
                    await pat.send("message.send", conversation=conversation, client_id=f"{n}-{i}", body="x" * BODY)
                    for i in range(5)
                ]
                for each in pending:
                    reply = await each.reply()
                    id = each.fields["client_id"]
                    if reply["type"] == "ok":
                        seqs[id] = reply["messages"][0]["seq"]
                    else:
                        assert (reply["code"], reply["temporary"]) == ("unavailable", True), reply
                        refused.append(id)
                if refused:
                    break
            for _ in range(10 if lasting else 0):
                status, answer = await daemon.get("/readyz")
                assert (status, answer["status"], bool(answer["reason"])) == (503, "unavailable", True)
                assert (await daemon.get("/healthz"))[0] == 200
                await trio.sleep(0.25)
            async with connected(daemon, "den-1") as reader:
                assert (await reader.load(conversation)).messages.keys() >= set(seqs.values())
        await eventually(daemon.is_ready, within=RECOVERY)
        for id in (*refused, *seqs):
            message = (await pat.say(conversation, id, "x" * BODY))["messages"][0]
            assert message["seq"] == seqs.setdefault(id, message["seq"])
        async with connected(daemon, "den-1") as reader:
            copy = await reader.load(conversation)
        copy.check()
        assert {m["client_id"]: m["seq"] for m in copy.messages.values()} == seqs
        for client in (den, pat):
            assert await client.caught_up(conversation, copy.rev) == copy


async def chat(client: Client, conversation: str, name: str) -> None:
    """Send bursts until the connection is lost."""
    with suppress(Lost):
        for n in itertools.count():
            pending = [
                await client.send("message.send", conversation=conversation, client_id=f"{name}-{n}-{i}", body="hello")
                for i in range(8)
            ]
            for each in pending:
                await each.reply()


async def test_sigterm_under_load_tells_everyone_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    """Everyone is told, then closed with 1001; the exit code is 0, and what was acknowledged is kept."""
    users = [f"{role}-{n}" for n in range(3) for role in ("pat", "den")]
    async with AsyncExitStack() as stack:
        daemon = await stack.enter_async_context(running(tmp_path))
        clients = [await stack.enter_async_context(connected(daemon, user)) for user in users]
        conversations = [await clients[n].open(users[n ^ 1]) for n in range(len(users))]
        async with trio.open_nursery() as nursery:
            for client, conversation, user in zip(clients, conversations, users, strict=True):
                nursery.start_soon(chat, client, conversation, user)
            await trio.sleep(0.2)
            assert await daemon.stop(within=10) == 0
    async with running(tmp_path) as daemon:
        for client, conversation, user in zip(clients, conversations, users, strict=True):
            (told,) = client.events("going_away")
            assert told["reconnect_in"] > 0
            assert client.close_code == 1001
            for error in client.events("error"):
                assert (error["code"], error["temporary"]) == ("unavailable", True)
            oks = [frame["messages"][0] for frame in client.log if "duplicate" in frame]
            assert oks
            async with connected(daemon, user) as reader:
                copy = await reader.load(conversation)
            copy.check()
            assert all(copy.messages[message["seq"]]["id"] == message["id"] for message in oks)
            assert copy.messages.items() >= client.copies[conversation].messages.items()


async def test_sigterm_again_cuts_it_short(tmp_path: Path) -> None:
    settings = "[server]\ngrace = 60\n[timeouts]\nclose = 60\n"
    async with (
        running(tmp_path, settings=settings) as daemon,
        connected(daemon, "den-1") as silent,
        connected(daemon, "pat-1") as client,
    ):
        conversation = await client.open("den-1")
        silent.pause()
        for n in range(4):  # more than it takes in without being read, so that it will not answer the close
            await client.say(conversation, f"{n}")
        daemon.process.terminate()
        await client.closed.wait()
        with trio.move_on_after(1.5):
            await daemon.process.wait()
        assert daemon.process.returncode is None
        assert await daemon.stop(within=10) == 0
    async with running(tmp_path) as daemon, connected(daemon, "pat-1") as client:
        assert (await client.load(conversation)).last_seq == 4
