"""kill -9 at any moment, under load: what was acknowledged is there, once, in order; clients resume without a hole."""

import os
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path

import attrs
import pytest
import trio
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from support.process import Daemon, running
from support.wsclient import Client, Copy, Frame, Lost, connected

pytestmark = pytest.mark.crash

KILLS = 20
PAIRS = 3
READY = 5.0
"""Seconds from the start of the process until it is ready; it takes less than two where nothing else runs."""


@attrs.define
class Person:
    """One side of a pair, through all its connections: its copy, and what became of each message that it sent."""

    user: str
    other: str
    rng: random.Random
    conversation: str = ""
    epoch: str | None = None
    copies: dict[str, Copy] = attrs.Factory(dict)
    sent: int = 0
    acknowledged: dict[str, int] = attrs.Factory(dict)  # client_id: seq
    unsure: list[str] = attrs.Factory(list)  # client_ids, in the order sent

    @property
    def copy(self) -> Copy:
        return self.copies[self.conversation]

    async def say(self, client: Client, client_ids: Sequence[str]) -> list[Frame]:
        """Pipeline messages; their replies. Raises Lost."""
        conversation = self.conversation
        pending = [
            await client.send("message.send", conversation=conversation, client_id=id, body=f"says {id}")
            for id in client_ids
        ]
        return [await each.reply() for each in pending]

    async def chat(self, client: Client) -> None:
        """Send bursts and receipts until the connection is lost."""
        try:
            while True:
                burst = [f"{self.user}-{self.sent + n}" for n in range(self.rng.randint(1, 8))]
                self.sent += len(burst)
                self.unsure += burst
                await self.say(client, burst)
                self.settle(client)
                seq = self.copy.last_seq
                await client.send("receipt", conversation=self.conversation, delivered=seq)
                await client.send("receipt", conversation=self.conversation, read=seq)
        except Lost:
            self.settle(client)

    def settle(self, client: Client) -> None:
        """What this connection was told counts, whether or not somebody still waited for it."""
        for frame in client.log:
            assert frame["type"] != "error", frame
            if "duplicate" in frame:
                (message,) = frame["messages"]
                id, seq = message["client_id"], message["seq"]
                assert (message["sender"], message["body"]) == (self.user, f"says {id}")
                assert self.acknowledged.setdefault(id, seq) == seq
        client.log.clear()
        self.unsure = [id for id in self.unsure if id not in self.acknowledged]

    async def resume(self, client: Client) -> None:
        """Back after a crash: nothing is void. What wasn't acknowledged is sent again, and some that was."""
        now = client.hello["revs"][self.conversation]
        assert now["reset"] is False, "the store has less than it had told"
        await client.caught_up(self.conversation, now["rev"])
        kept = {message["client_id"] for message in self.copy.messages.values()}
        assert kept.issuperset(self.acknowledged)
        again = self.rng.sample(sorted(self.acknowledged), min(5, len(self.acknowledged))) + self.unsure
        for id, reply in zip(again, await self.say(client, again), strict=True):
            assert reply["duplicate"] is (id in kept)
        self.settle(client)
        assert not self.unsure


async def test_kill_at_random_moments(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHATD_TEST_SEED") or random.randrange(2**32))
    print(f"CHATD_TEST_SEED={seed}")
    rng = random.Random(seed)
    pairs = [(f"pat-{n}", f"den-{n}") for n in range(PAIRS)]
    people = [Person(user, other, random.Random(rng.random())) for a, b in pairs for user, other in ((a, b), (b, a))]
    for kill in range(KILLS + 1):
        began = time.monotonic()
        async with running(tmp_path) as daemon:
            assert await daemon.is_ready()
            ready = time.monotonic() - began
            async with AsyncExitStack() as stack:
                clients = [
                    await stack.enter_async_context(
                        connected(daemon, person.user, copies=person.copies, epoch=person.epoch)
                    )
                    for person in people
                ]
                for person, client in zip(people, clients, strict=True):
                    if person.epoch is None:
                        person.epoch = client.hello["epoch"]
                        person.conversation = await client.open(person.other)
                    else:
                        await person.resume(client)
                for person, client in zip(people, clients, strict=True):
                    await check(daemon, person, client, tmp_path / "data" / "chatd.db")
                messages = sum(len(person.acknowledged) for person in people)
                print(f"start {kill}: ready after {ready:.2f} s, {messages} messages acknowledged so far")
                assert ready < READY
                if kill == KILLS:
                    break
                async with trio.open_nursery() as nursery:
                    for person, client in zip(people, clients, strict=True):
                        nursery.start_soon(person.chat, client)
                    await trio.sleep(rng.uniform(0.02, 0.5))
                    await daemon.kill()
    assert messages > KILLS


async def check(daemon: Daemon, person: Person, client: Client, database: Path) -> None:
    """The resumed copy is what a fresh client gets, and what the file has; what was acknowledged is in it, once."""
    async with connected(daemon, person.user) as fresh:
        copy = await fresh.load(person.conversation)
    await client.caught_up(person.conversation, copy.rev)
    copy.check()
    assert person.copy == copy
    seqs = {m["client_id"]: m["seq"] for m in copy.messages.values() if m["sender"] == person.user}
    assert seqs == person.acknowledged

    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        statement = 'SELECT "seq", "rev", "senderId", "clientId" FROM "Message" WHERE "conversationId" = ?'
        rows = sorted(db.execute(statement, [person.conversation]).fetchall())
        assert rows == [(m["seq"], m["rev"], m["sender"], m["client_id"]) for _, m in sorted(copy.messages.items())]
        statement = 'SELECT "lastSeq", "rev" FROM "Conversation" WHERE "id" = ?'
        assert db.execute(statement, [person.conversation]).fetchall() == [(len(rows), copy.rev)]
        # Its making, each message, and each watermark that moved took one rev: none was left out.
        statement = 'SELECT COUNT(*) FROM "chatd_receipt" WHERE "conversationId" = ?'
        assert db.execute(statement, [person.conversation]).fetchone() == (copy.rev - 1 - len(rows),)
