"""The database server is killed and started again, again and again, while people write to each other."""

import random
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pymysql
import pytest
import trio

from storage.mysql.url import parse
from support import mariadb
from support.process import Daemon, eventually, running
from support.wsclient import Client, Lost, connected

pytestmark = pytest.mark.crash

OUTAGES = 10
PAIRS = 3
BACK = 20.0
"""Seconds until what is over is noticed: the server has to recover, and the daemon tries every few seconds."""


class Writer:
    """Sends one message after the other; what is temporary is tried again under the same name."""

    def __init__(self, client: Client, conversation: str, name: str) -> None:
        self.client = client
        self.conversation = conversation
        self.name = name
        self.acknowledged: dict[str, tuple[int, str]] = {}  # client_id -> seq, id
        self.stopping = False

    async def run(self) -> None:
        number = 0
        while not self.stopping:
            burst = [f"{self.name}-{number + n}" for n in range(random.randint(1, 6))]
            number += len(burst)
            while burst:
                pending = [
                    await self.client.send(
                        "message.send", conversation=self.conversation, client_id=id, body=f"says {id}"
                    )
                    for id in burst
                ]
                replies = [await each.reply() for each in pending]
                failed = False
                for id, reply in zip(list(burst), replies, strict=True):
                    if reply["type"] == "error":
                        assert (reply["code"], reply["temporary"]) == ("unavailable", True), reply
                        failed = True
                        continue
                    (message,) = reply["messages"]
                    assert message["client_id"] == id
                    assert self.acknowledged.setdefault(id, (message["seq"], message["id"])) == (
                        message["seq"], message["id"],
                    )  # fmt: skip
                    burst.remove(id)
                if failed:
                    await trio.sleep(0.1)


async def is_unready(daemon: Daemon) -> bool:
    status, said = await daemon.get("/readyz")
    assert status == 200 or "database server" in str(said), said
    return status == 503


async def test_server_killed_ten_times_costs_no_message(tmp_path: Path) -> None:
    # It has to keep what it has told, so unlike that of the other tests it syncs.
    server = mariadb.start("--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=1")
    try:
        await outages(tmp_path, server)
    finally:
        mariadb.stop(server)


async def outages(folder: Path, server: mariadb.Server) -> None:
    name = server.database()
    users = [f"{role}-{n}" for n in range(PAIRS) for role in ("pat", "den")]
    async with AsyncExitStack() as stack:
        daemon = await stack.enter_async_context(running(folder, "--database", server.url(name)))
        clients = [await stack.enter_async_context(connected(daemon, user, shared=True)) for user in users]
        conversations = [await client.open(users[n ^ 1]) for n, client in enumerate(clients)]
        writers = [Writer(*each) for each in zip(clients, conversations, users, strict=True)]
        async with trio.open_nursery() as nursery:
            for writer in writers:
                nursery.start_soon(writer.run)
            for outage in range(OUTAGES):
                before = sum(len(writer.acknowledged) for writer in writers)
                await eventually(daemon.is_ready, within=BACK)
                await trio.sleep(random.uniform(0.02, 0.5))
                mariadb.stop(server)
                await eventually(lambda: is_unready(daemon), within=BACK)
                assert (await daemon.get("/healthz"))[0] == 200
                await trio.to_thread.run_sync(server.again)
                await eventually(daemon.is_ready, within=BACK)

                async def goes_on(before: int = before) -> bool:
                    return sum(len(writer.acknowledged) for writer in writers) > before

                await eventually(goes_on, within=BACK)
                print(f"outage {outage}: {before} messages acknowledged before it")
            for writer in writers:
                writer.stopping = True
        assert daemon.process.returncode is None
        for writer in writers:
            assert not writer.client.closed.is_set(), "nobody had to connect again"
        await check(server, name, daemon, writers)


async def check(server: mariadb.Server, name: str, daemon: Daemon, writers: list[Writer]) -> None:
    """Nothing acknowledged is lost, nothing is there twice, and those who were connected missed nothing."""
    with server.session(name) as cursor:
        for writer in writers:
            cursor.execute("SELECT clientId, seq, id FROM Message WHERE senderId = %s", (writer.name,))
            kept = [(id.decode(), (seq, message)) for id, seq, message in cursor.fetchall()]
            assert len(dict(kept)) == len(kept)
            assert dict(kept) == writer.acknowledged, "all was sent until it was acknowledged"
            cursor.execute("SELECT COUNT(*), MAX(seq) FROM Message WHERE conversationId = %s", (writer.conversation,))
            ((count, last),) = cursor.fetchall()
            assert count == last
    for writer in writers:
        now = await writer.client.ask("conversation.get", conversation=writer.conversation)
        copy = await writer.client.caught_up(writer.conversation, now["info"]["rev"])
        copy.check()
        assert copy.last_seq == now["info"]["last_seq"]
        async with connected(daemon, writer.name) as reader:
            assert await reader.load(writer.conversation) == copy


async def test_readyz_tells_of_an_outage_though_nobody_writes(tmp_path: Path) -> None:
    # A server that doesn't sync may forget the last second, and with it the epoch: then it is another database.
    server = mariadb.start("--innodb-flush-log-at-trx-commit=1")
    try:
        name = server.database()
        async with running(tmp_path, "--database", server.url(name)) as daemon, connected(daemon, "pat-1") as client:
            await eventually(daemon.is_ready, within=5)
            mariadb.stop(server)
            await eventually(lambda: is_unready(daemon), within=BACK)
            with pytest.raises((AssertionError, Lost)):
                await client.ask("conversation.list")
            await trio.to_thread.run_sync(server.again)
            await eventually(daemon.is_ready, within=BACK)
            await client.ask("conversation.list")
    finally:
        mariadb.stop(server)


def app_url(root: Any, server: mariadb.Server, database: str) -> str:
    """The database's address for a new user `app`, who has no rights elsewhere, with the password `one`."""
    root.execute("CREATE USER app@'127.0.0.1' IDENTIFIED BY 'one'")
    root.execute(f"GRANT ALL ON {database}.* TO app@'127.0.0.1'")
    address = parse(server.url(database))
    return f"mysql://app:one@{address.host}:{address.port}/{database}"


async def test_password_that_changes_is_told_until_it_comes_back(tmp_path: Path) -> None:
    """What an operator may do while the daemon runs: it says so at /readyz, and goes on by itself."""
    server = mariadb.start()
    try:
        name = server.database()
        root = pymysql.connect(unix_socket=f"{server.folder}/s", user="root", autocommit=True)
        with closing(root), root.cursor() as cursor:
            mine = app_url(cursor, server, name)
            async with running(tmp_path, "--database", mine) as daemon, connected(daemon, "pat-1") as client:
                async with connected(daemon, "den-1"):
                    conversation = await client.open("den-1")
                cursor.execute("ALTER USER app@'127.0.0.1' IDENTIFIED BY 'two'")
                cursor.execute("SELECT id FROM information_schema.processlist WHERE user = 'app'")
                for (id,) in cursor.fetchall():
                    cursor.execute(f"KILL {id}")

                async def says_why() -> bool:
                    status, said = await daemon.get("/readyz")
                    return status == 503 and "refuses this user and password" in said["reason"]

                await eventually(says_why, within=BACK)
                cursor.execute("ALTER USER app@'127.0.0.1' IDENTIFIED BY 'one'")
                await eventually(daemon.is_ready, within=BACK)
                await client.say(conversation, "k-1")
    finally:
        mariadb.stop(server)


async def test_server_that_becomes_read_only_is_read_and_written_when_it_is_over(tmp_path: Path) -> None:
    """As a replica does after a failover: reads go on, and writes when it is over."""
    server = mariadb.start()
    try:
        name = server.database()
        root = pymysql.connect(unix_socket=f"{server.folder}/s", user="root", autocommit=True)
        with closing(root), root.cursor() as cursor:
            mine = app_url(cursor, server, name)  # who may everything writes all the same
            async with (
                running(tmp_path, "--database", mine) as daemon,
                connected(daemon, "pat-1") as client,
            ):
                async with connected(daemon, "den-1"):
                    conversation = await client.open("den-1")
                await client.say(conversation, "k-1")
                cursor.execute("SET GLOBAL read_only = 1")
                refused = await client.refused("message.send", conversation=conversation, client_id="k-2", body="hi")
                assert (refused["code"], refused["temporary"]) == ("unavailable", True)
                assert await is_unready(daemon)
                history = await client.ask("message.history", conversation=conversation)
                assert [m["client_id"] for m in history["messages"]] == ["k-1"]
                cursor.execute("SET GLOBAL read_only = 0")
                await eventually(daemon.is_ready, within=BACK)
                assert (await client.say(conversation, "k-2"))["messages"][0]["seq"] == 2
    finally:
        mariadb.stop(server)
