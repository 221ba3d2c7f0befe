"""The operator's commands, on real files and against real daemons: what they print, and what they do to clients."""

import functools
import json
import os
import re
import shlex
import socket
import stat
import struct
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from click.testing import CliRunner

from chatd.admin import control
from chatd.cli import main
from chatd.client import Client, Closed, Connected, connect
from chatd.lock import Held, Lock
from chatd.program import program
from storage.changes import DeleteMessage, EditMessage, OpenDirect, PutUser, SendMessage
from storage.sqlite import SqliteStore
from support.certificates import make_certificate, trusting
from support.process import Daemon, command, environment, eventually, run, running

JWT = re.compile(r"eyJ[\w-]*\.[\w-]+\.[\w-]+")


@attrs.define
class Done:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Operator:
    """Runs commands in a folder whose `data` is what they work on.

    Those that work on the store run in this process, which spares the start of another, where `real` doesn't say no.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def run(self, *args: str, env: dict[str, str] | None = None, real: bool = False) -> Done:
        if args[0] in ("user", "token", "message", "db") and not real:
            place = () if "--data" in args else ("--data", str(self.folder / "data"))
            clean = {name: None for name in os.environ if name not in environment()}
            invoke = functools.partial(CliRunner(env=clean).invoke, main, [*args, *place])
            result = await trio.to_thread.run_sync(invoke)
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                raise result.exception
            return Done(result.exit_code, result.stdout, result.stderr)
        ended = await trio.to_thread.run_sync(functools.partial(run, *args, cwd=self.folder, env=env))
        return Done(ended.returncode, ended.stdout, ended.stderr)

    async def say(self, *args: str, real: bool = False) -> str:
        """What a command that succeeds prints."""
        done = await self.run(*args, real=real)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    async def refused(self, *args: str) -> str:
        """The one line of a command that can't do it."""
        done = await self.run(*args)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert done.stderr.startswith("chatd: "), done
        assert done.stderr.count("\n") == 1, done
        return done.stderr

    def next(self, *args: str) -> str:
        """What a message tells to type next."""
        return f"{program()} {shlex.join([*args, '--data', str(self.folder / 'data')])}"

    async def people(self) -> None:
        await self.say("user", "add", "pat-1", "--name", "Ada", "--role", "patient")
        await self.say("user", "add", "den-1", "--name", "Dr. Bo", "--role", "dentist")

    async def token(self, user: str, *args: str) -> str:
        line = await self.say("token", user, *args)
        assert JWT.fullmatch(line.removesuffix("\n")), "the token alone, on a line"
        return line.strip()


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def url(daemon: Daemon) -> str:
    return f"http://{daemon.host}:{daemon.port}"


@asynccontextmanager
async def signed_in(daemon: Daemon, token: str) -> AsyncIterator[Client]:
    async with connect(url(daemon), token=token) as client:
        events = client.events()
        with trio.fail_after(20):
            while not isinstance(await anext(events), Connected):
                pass
        yield client


async def closed(client: Client) -> int | None:
    """The code that a client is cut off with for good."""
    with pytest.raises(Closed) as caught:
        await all_events(client)
    return caught.value.code


async def all_events(client: Client) -> None:
    events = client.events()
    with trio.fail_after(20):
        while True:
            await anext(events)


# -- the same by the daemon and without one --


@asynccontextmanager
async def no_daemon(folder: Path) -> AsyncIterator[None]:
    await trio.lowlevel.checkpoint()
    yield


@pytest.fixture(params=["daemon", "alone"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Where the commands find the store."""
    return running(tmp_path, development=False) if request.param == "daemon" else no_daemon(tmp_path)


async def test_users(place: Any, operator: Operator) -> None:
    async with place:
        added = await operator.say("user", "add", "pat-1", "--name", "Ada", "--role", "patient")
        assert added == f"added pat-1 (Ada, patient); to let them sign in: {operator.next('token', 'pat-1')}\n"
        await operator.say("user", "add", "den-1", "--name", "Dr. Bo", "--role", "dentist")
        assert "already" in await operator.refused("user", "add", "pat-1", "--name", "Eve", "--role", "admin")
        assert await operator.say("user", "rename", "pat-1", "Ada L.") == (
            "renamed pat-1 (Ada L., patient); who talks with them sees it now\n"
        )
        assert await operator.say("user", "role", "pat-1", "staff") == (
            "changed pat-1 (Ada L., staff); it counts from now on\n"
        )
        for _ in range(2):
            assert await operator.say("user", "disable", "den-1") == (
                "disabled den-1 (Dr. Bo, dentist), and cut off; "
                f"to let them in again: {operator.next('user', 'enable', 'den-1')}\n"
            )
        assert await operator.say("user", "list") == (
            "ID     ROLE     STATE     NAME\nden-1  dentist  disabled  Dr. Bo\npat-1  staff    active    Ada L.\n"
        )
        listed = [json.loads(line) for line in (await operator.say("user", "list", "--json")).splitlines()]
        assert [(u["id"], u["role"], u["name"], u["disabled_at"] is None) for u in listed] == [
            ("den-1", "dentist", "Dr. Bo", False), ("pat-1", "staff", "Ada L.", True),
        ]  # fmt: skip
        assert "user enable den-1" in await operator.refused("token", "den-1")
        assert await operator.say("user", "enable", "den-1") == (
            "enabled den-1 (Dr. Bo, dentist); their tokens are good again, "
            f"see: {operator.next('token', 'list', '--user', 'den-1')}\n"
        )
        await operator.token("den-1")


async def test_what_names_nobody(place: Any, operator: Operator) -> None:
    async with place:
        await operator.people()
        for args in (
            ("user", "rename", "pat-9", "X"), ("user", "role", "pat-9", "staff"), ("user", "disable", "pat-9"),
            ("user", "enable", "pat-9"), ("token", "pat-9"), ("token", "list", "--user", "pat-9"),
            ("token", "revoke", "--user", "pat-9"),
        ):  # fmt: skip
            line = await operator.refused(*args)
            assert "there is no user pat-9" in line
            assert "chatd user list" in line
        assert "chatd token list" in await operator.refused("token", "revoke", "t9")
        assert "printable ASCII" in await operator.refused("user", "add", "pat 1", "--name", "X", "--role", "staff")
        assert "name" in await operator.refused("user", "add", "pat-2", "--name", "", "--role", "staff")
        assert "name" in await operator.refused("user", "add", "pat-2", "--name", "X\nY", "--role", "staff")
        assert "say which" in await operator.refused("token", "revoke")
        assert "say which" in await operator.refused("token", "revoke", "t1", "--user", "pat-1")
        wrong = await operator.run("token", "pat-1", "--expires", "soon")
        assert wrong.returncode == 2
        assert "90s, 15m, 12h or 30d" in wrong.stderr
        assert len((await operator.say("user", "list", "--json")).splitlines()) == 2


async def test_tokens(place: Any, operator: Operator) -> None:
    async with place:
        await operator.people()
        await operator.token("pat-1")
        await operator.token("pat-1", "--expires", "90s")
        await operator.token("den-1", "--expires", "12h")

        async def listed(*args: str) -> list[dict[str, Any]]:
            return [json.loads(line) for line in (await operator.say("token", "list", "--json", *args)).splitlines()]

        tokens = await listed()
        assert [t["user"] for t in tokens] == ["pat-1", "pat-1", "den-1"]
        assert {t["state"] for t in tokens} == {"valid"}
        issued = [time.mktime(time.strptime(t["issued_at"][:19], "%Y-%m-%dT%H:%M:%S")) for t in tokens]
        ends = [time.mktime(time.strptime(t["expires_at"][:19], "%Y-%m-%dT%H:%M:%S")) for t in tokens]
        assert [round(end - begin) for begin, end in zip(issued, ends, strict=True)] == [30 * 86400, 90, 12 * 3600]
        revoked = await operator.say("token", "revoke", tokens[0]["id"])
        assert revoked == f"revoked {tokens[0]['id']} of pat-1; a new one: {operator.next('token', 'pat-1')}\n"
        assert [t["state"] for t in await listed("--user", "pat-1")] == ["revoked", "valid"]
        assert "(1 issued here)" in await operator.say("token", "revoke", "--user", "pat-1")
        assert [t["state"] for t in await listed()] == ["revoked", "revoked", "valid"]
        table = await operator.say("token", "list")
        assert not JWT.search(table)
        assert table.splitlines()[0].split() == ["ID", "STATE", "ISSUED", "(UTC)", "EXPIRES", "(UTC)", "USER"]


async def test_earlier_texts_of_messages(place: Any, operator: Operator) -> None:
    store = SqliteStore(operator.folder / "data" / "chatd.db", new_epoch=lambda: "e1")
    sender = frozenset({"sender"})
    store.commit([
        PutUser("pat-1", "Ada", "patient", 1),
        PutUser("den-1", "Bo", "dentist", 1),
        OpenDirect("c1", "pat-1", "den-1", 2),
        *(SendMessage("c1", "pat-1", f"k{n}", f"m{n}", f"first {n}", None, 3) for n in (1, 2)),
        *(EditMessage("c1", "pat-1", 1, f"text {n} \x1b[2J", 10 + n, None) for n in range(2, 9)),
        DeleteMessage("c1", "pat-1", 1, 99, None, sender),
    ])  # fmt: skip
    store.close()
    async with place:
        printed = (await operator.say("message", "versions", "c1", "1")).splitlines()
        assert printed[0] == "-- until 1970-01-01T00:00:00.012Z (rev 4)"
        assert [line for line in printed if not line.startswith("--")][:2] == ["first 1", printed[3]]
        assert "\x1b" not in "".join(printed), "what people wrote does nothing to the operator's terminal"
        found = [
            json.loads(line) for line in (await operator.say("message", "versions", "c1", "1", "--json")).splitlines()
        ]
        assert [v["body"] for v in found] == ["first 1", *(f"text {n} \x1b[2J" for n in range(2, 9))]
        assert "never edited" in (await operator.run("message", "versions", "c1", "2")).stderr
        assert "the newest is 2" in await operator.refused("message", "versions", "c1", "3")
        assert "no conversation c9" in await operator.refused("message", "versions", "c9", "1")


async def test_the_database(place: Any, operator: Operator) -> None:
    async with place:
        await operator.people()
        assert {line.split()[0] for line in (await operator.say("db", "check")).splitlines()} == {"ok"}
        assert "nothing to do" in await operator.say("db", "upgrade")
        first, second = [await operator.say("db", "new-epoch") for _ in range(2)]
        assert first != second


async def test_more_users_than_a_page(operator: Operator) -> None:
    with closing(SqliteStore(operator.folder / "data" / "chatd.db", new_epoch=lambda: "e")) as store:
        store.commit([PutUser(f"u{number:04}", "Ada", "patient", 1) for number in range(1001)])
    lines = (await operator.say("user", "list", "--json")).splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"u{number:04}" for number in range(1001)]
    async with running(operator.folder, development=False):
        assert (await operator.say("user", "list", "--json")).splitlines() == lines


async def test_without_a_database(operator: Operator) -> None:
    for args in (("user", "list"), ("token", "pat-1"), ("db", "check"), ("db", "upgrade"), ("db", "new-epoch")):
        line = await operator.refused(*args)
        assert "data/chatd.db" in line
        assert "--data" in line
    assert not (operator.folder / "data").exists()


async def test_in_development_mode_nobody_needs_a_token(operator: Operator) -> None:
    async with running(operator.folder):
        await operator.people()
        assert "development mode" in await operator.refused("token", "pat-1")
    assert "development mode" in await operator.refused("token", "pat-1")


# -- what they do to clients --


async def test_whoever_is_disabled_is_cut_off_within_a_second(operator: Operator) -> None:
    async with running(operator.folder, development=False) as daemon:
        await operator.people()
        token = await operator.token("pat-1")
        async with signed_in(daemon, token) as client, signed_in(daemon, await operator.token("den-1")) as other:
            await operator.say("user", "disable", "pat-1", real=True)
            with trio.fail_after(1):
                assert await closed(client) == 4503
            assert other.connected
        async with connect(url(daemon), token=token) as client:
            assert await closed(client) in (4501, None)
        await operator.say("user", "enable", "pat-1")
        async with signed_in(daemon, token):
            pass


@pytest.mark.parametrize("whole", [False, True], ids=["one", "all"])
async def test_a_revoked_token_is_cut_off_within_a_second(operator: Operator, whole: bool) -> None:
    async with running(operator.folder, development=False) as daemon:
        await operator.people()
        first, second = await operator.token("pat-1"), await operator.token("pat-1")
        ids = [json.loads(line)["id"] for line in (await operator.say("token", "list", "--json")).splitlines()]
        async with signed_in(daemon, first) as one, signed_in(daemon, second) as two:
            await operator.say("token", "revoke", *(("--user", "pat-1") if whole else (ids[0],)), real=True)
            with trio.fail_after(1):
                assert await closed(one) == 4503
                assert not whole or await closed(two) == 4503
            assert whole or two.connected
        async with signed_in(daemon, await operator.token("pat-1")):
            pass


async def test_a_new_epoch_makes_clients_start_anew(operator: Operator) -> None:
    async with running(operator.folder, development=False) as daemon:
        await operator.people()
        async with signed_in(daemon, await operator.token("pat-1")) as client:
            before = client.replica.epoch
            events = client.events()
            said = await operator.say("db", "new-epoch")
            with trio.fail_after(20):
                async for event in events:
                    if isinstance(event, Connected):
                        break
            assert client.replica.epoch != before
            assert str(client.replica.epoch) in said


async def test_a_rename_reaches_clients(operator: Operator) -> None:
    async with running(operator.folder, development=False) as daemon:
        await operator.people()
        async with signed_in(daemon, await operator.token("den-1")) as bo:
            await bo.open("pat-1")
            await operator.say("user", "rename", "pat-1", "Ada L.")

            async def renamed() -> bool:
                await trio.lowlevel.checkpoint()
                return bo.replica.users["pat-1"].name == "Ada L."

            await eventually(renamed, within=5)


# -- one owner --


async def test_a_second_daemon(operator: Operator) -> None:
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


async def test_what_a_killed_daemon_left_is_replaced(operator: Operator) -> None:
    async with running(operator.folder, development=False) as daemon:
        await operator.people()
        await daemon.kill()
    assert (operator.folder / "data" / control.NAME).is_socket()
    assert "pat-1" in await operator.say("user", "list")
    async with running(operator.folder, development=False) as daemon:
        async with signed_in(daemon, await operator.token("pat-1")):
            pass
        assert await daemon.stop() == 0
    assert not (operator.folder / "data" / control.NAME).exists()


async def test_a_command_waits_for_another(operator: Operator) -> None:
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


async def test_a_daemon_waits_for_a_command(operator: Operator) -> None:
    await operator.people()
    lock = Lock(operator.folder / "data", None, daemon=False)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            async with running(operator.folder, development=False):
                pass

        await trio.sleep(1)
        lock.close()


def test_a_lock_is_for_one(tmp_path: Path) -> None:
    with closing(Lock(tmp_path, tmp_path / "chatd.db", daemon=True)):
        with pytest.raises(Held) as caught:
            Lock(tmp_path, None, daemon=False)
        assert (caught.value.who, caught.value.daemon) == (f"process {os.getpid()}", True)
    database = tmp_path / "elsewhere" / "chatd.db"
    with closing(Lock(tmp_path, database, daemon=False)):
        with pytest.raises(Held) as caught:
            Lock(tmp_path / "other", database, daemon=True)
        assert (caught.value.what, caught.value.daemon) == (database, False)
    with closing(Lock(tmp_path / "other", database, daemon=True)):
        pass
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o700


async def test_a_folder_with_a_long_name(tmp_path: Path) -> None:
    folder = tmp_path / ("clinic" * 30) / ("data" * 30)
    folder.mkdir(parents=True)
    operator = Operator(folder)
    async with running(folder, development=False) as daemon:
        await operator.people()
        assert f"process {daemon.pid}" in await operator.refused("serve", "--port", "0")
        assert await daemon.stop() == 0
    assert not (folder / "data" / control.NAME).exists()


# -- the control socket --


async def answer(folder: Path, request: bytes) -> bytes:
    async with await trio.open_unix_socket(folder / "data" / control.NAME) as stream:
        with trio.fail_after(20):
            await stream.send_all(request)
            return b"".join([data async for data in stream])


async def test_the_control_socket_is_for_its_owner_and_bounded(operator: Operator) -> None:
    async with running(operator.folder, development=False) as daemon:
        mode = (operator.folder / "data" / control.NAME).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
        for request in (
            b"\n", b"hello\n", b"[]\n", b'{"verb": 7}\n', b'{"verb": "sell"}\n', b'{"verb": "user.list", "after": 7}\n',
            b'{"verb": "user.add", "user": "a b", "name": "A", "role": "staff"}\n', b"[" * 5000 + b"\n",
            b"x" * (control.MAX_REQUEST + 4096), b"\xff\n",
        ):  # fmt: skip
            answered = json.loads(await answer(operator.folder, request))
            assert answered.keys() == {"error"}, request
        unknown = json.loads(await answer(operator.folder, b'{"verb": "token.issue", "user": "x", "lifetime": 0}\n'))
        assert "lifetime" in unknown["error"]
        # Who says nothing holds up nobody for long, and nobody at all while there are places.
        idle = [
            await trio.open_unix_socket(operator.folder / "data" / control.NAME) for _ in range(control.AT_ONCE - 1)
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


# -- what nobody may see --


@pytest.mark.parametrize("mode", [0o640, 0o604])
async def test_a_secret_that_others_may_read(operator: Operator, mode: int) -> None:
    await operator.people()
    secret = operator.folder / "data" / "secret"
    await operator.token("pat-1")
    secret.chmod(mode)
    for args in (("serve", "--port", "0"), ("token", "pat-1")):
        line = await operator.refused(*args)
        assert str(secret) in line
        assert "chmod 600" in line
        assert secret.read_text().strip() not in line


def command_lines() -> str:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                found.append((entry / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return "\n".join(found)


@pytest.mark.parametrize("by", ["file", "variable"])
async def test_a_chat_by_token_and_no_trace_of_it(operator: Operator, by: str) -> None:
    async with running(operator.folder, development=False) as daemon:
        await operator.people()
        secret = (operator.folder / "data" / "secret").read_text().strip()
        token = await operator.token("pat-1")
        file = operator.folder / "token"
        file.write_text(token + "\n")
        flags = ("--token-file", str(file)) if by == "file" else ()
        env = environment(**({} if by == "file" else {"CHATD_TOKEN": token}))
        async with signed_in(daemon, await operator.token("den-1")) as bo:
            process = await trio.lowlevel.open_process(
                command("chat", "--with", "den-1", "--server", url(daemon), *flags),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=operator.folder, env=env,
            )  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.send_all(b"It hurts\n")

            async def arrived() -> bool:
                return any(
                    message.body == "It hurts" and message.sender == "pat-1"
                    for held in await bo.conversations()
                    for message in held.messages.values()
                )

            await eventually(arrived, within=20)
            seen = command_lines()
            assert "den-1" in seen
            await process.stdin.aclose()
            with trio.fail_after(20):
                printed = b"".join([data async for data in process.stdout]).decode()
                assert await process.wait() == 0
        other = command("chat", "--with", "den-1", "--server", url(daemon))
        env = environment(CHATD_TOKEN=token + "x")
        refused = await trio.to_thread.run_sync(
            functools.partial(
                subprocess.run, other, env=env, input="Hello\n", capture_output=True, text=True, timeout=30
            )
        )
        assert refused.returncode == 2
        assert await daemon.stop() == 0
        for text in (seen, printed, daemon.log, refused.stdout, refused.stderr):
            assert token not in text
            assert secret not in text
            assert token.rpartition(".")[2] not in text


async def test_a_chat_over_tls_trusts_what_it_is_told_to(operator: Operator) -> None:
    certificate, key = make_certificate(operator.folder)
    await operator.people()
    file = operator.folder / "token"
    file.write_text(await operator.token("pat-1"))
    settings = f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'
    async with running(operator.folder, settings=settings, tls=trusting(certificate), development=False) as daemon:

        async def chat(*flags: str) -> str:
            asked = ("chat", "--with", "den-1", "--token-file", "token", "--server", f"https://127.0.0.1:{daemon.port}")
            process = await trio.lowlevel.open_process(
                command(*asked, *flags),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=operator.folder, env=environment(),
            )  # fmt: skip
            assert process.stdout is not None
            printed = b""
            with trio.fail_after(20):
                while b"\n" not in printed:
                    printed += await process.stdout.receive_some()
            process.kill()
            await process.wait()
            return printed.decode()

        assert "you talk to Dr. Bo" in await chat("--ca", str(certificate))
        assert "certificate" in await chat()


async def test_a_chat_of_nobody(operator: Operator) -> None:
    assert "CHATD_TOKEN" in await operator.refused("chat", "--with", "den-1")
    assert "cannot be read" in await operator.refused("chat", "--with", "den-1", "--token-file", "nowhere")
    (operator.folder / "empty").write_text("\n")
    assert "no token" in await operator.refused("chat", "--with", "den-1", "--token-file", "empty")
    assert "one of them" in await operator.refused("chat", "--with", "den-1", "--as", "x", "--token-file", "empty")
    assert "--ca" in await operator.refused("chat", "--with", "den-1", "--as", "x", "--ca", "empty")
