"""kill -9 at any moment, under load: what was acknowledged is there, once, in order; clients resume without a hole."""

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from support import mariadb
from support.process import Daemon, running
from support.wsclient import Client, Copy, Frame, Lost, connected

pytestmark = pytest.mark.crash

EMOJI = ("👍", "🦷", "❤️")
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
    edits: dict[int, int] = attrs.Factory(dict)  # seq: the number of the newest edit that was asked for
    kept: dict[int, Frame] = attrs.Factory(dict)  # seq: the newest that an ok said of a message that was changed
    gone: set[int] = attrs.Factory(set)  # seqs of what was asked to be deleted
    reacted: set[tuple[int, str]] = attrs.Factory(set)

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
        """Send bursts, changes of what was sent, and receipts until the connection is lost."""
        try:
            while True:
                burst = [f"{self.user}-{self.sent + n}" for n in range(self.rng.randint(1, 8))]
                self.sent += len(burst)
                self.unsure += burst
                await self.say(client, burst)
                self.settle(client)
                await self.change(client, self.rng.choice(sorted(self.acknowledged.values())))
                seq = self.copy.last_seq
                await client.send("receipt", conversation=self.conversation, delivered=seq)
                await client.send("receipt", conversation=self.conversation, read=seq)
        except Lost:
            self.settle(client)

    async def change(self, client: Client, seq: int) -> None:
        """Delete a third of the messages, edit another, react to the rest; each in a way that is a change."""
        about = {"conversation": self.conversation, "seq": seq}
        if seq % 3 == 0 and seq not in self.gone:
            self.gone.add(seq)
            await client.send("message.delete", **about)
        elif seq % 3 == 1:
            self.edits[seq] = self.edits.get(seq, 0) + 1
            await client.send("message.edit", **about, body=f"edit {self.edits[seq]} of {seq}")
        elif seq % 3 == 2 and (seq, emoji := self.rng.choice(EMOJI)) not in self.reacted:
            self.reacted.add((seq, emoji))
            await client.send("message.react", **about, emoji=emoji, on=True)

    def settle(self, client: Client) -> None:
        """What this connection was told counts, whether or not somebody still waited for it."""
        for frame in client.log:
            assert frame["type"] != "error", frame
            if "duplicate" in frame:
                (message,) = frame["messages"]
                id, seq = message["client_id"], message["seq"]
                assert message["sender"] == self.user
                assert message["body"] == f"says {id}" or seq in self.gone or seq in self.edits
                assert self.acknowledged.setdefault(id, seq) == seq
            elif frame["type"] == "ok" and frame.get("messages"):
                self.kept[frame["messages"][0]["seq"]] = frame["messages"][0]
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


Ask = Callable[..., list[tuple[Any, ...]]]
"""A statement with question marks, and their values, to the database itself: its rows."""


@attrs.frozen
class Place:
    """Where the daemon keeps it: the flags that say so, and how to look at it. `kills`: how often to kill it."""

    flags: tuple[str, ...]
    looking: Callable[[], AbstractContextManager[Ask]]
    kills: int


def in_a_file(folder: Path) -> Place:
    @contextmanager
    def looking() -> Iterator[Ask]:
        with closing(sqlite3.connect(f"{(folder / 'data' / 'chatd.db').as_uri()}?mode=ro", uri=True)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            yield lambda statement, *values: db.execute(statement, values).fetchall()

    return Place((), looking, KILLS)


def on_a_server(folder: Path) -> Place:
    server = mariadb.server()
    name = server.database()

    @contextmanager
    def looking() -> Iterator[Ask]:
        with server.session(name) as cursor:
            cursor.execute("SET sql_mode = 'ANSI_QUOTES'")

            def ask(statement: str, *values: object) -> list[tuple[Any, ...]]:
                cursor.execute(statement.replace("?", "%s"), values)
                return [tuple(v.decode() if isinstance(v, bytes) else v for v in row) for row in cursor.fetchall()]

            yield ask

    return Place(("--database", server.url(name)), looking, KILLS // 2)


@pytest.mark.parametrize("place_in", [in_a_file, on_a_server])
async def test_daemon_killed_again_and_again_loses_nothing(tmp_path: Path, place_in: Callable[[Path], Place]) -> None:
    place = place_in(tmp_path)
    seed = int(os.environ.get("CHATD_TEST_SEED") or random.randrange(2**32))
    print(f"CHATD_TEST_SEED={seed}")
    rng = random.Random(seed)
    pairs = [(f"pat-{n}", f"den-{n}") for n in range(PAIRS)]
    people = [Person(user, other, random.Random(rng.random())) for a, b in pairs for user, other in ((a, b), (b, a))]
    for kill in range(place.kills + 1):
        began = time.monotonic()
        async with running(tmp_path, *place.flags) as daemon:
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
                    await check(daemon, person, client, place)
                messages = sum(len(person.acknowledged) for person in people)
                print(f"start {kill}: ready after {ready:.2f} s, {messages} messages acknowledged so far")
                assert ready < READY
                if kill == place.kills:
                    break
                async with trio.open_nursery() as nursery:
                    for person, client in zip(people, clients, strict=True):
                        nursery.start_soon(person.chat, client)
                    await trio.sleep(rng.uniform(0.02, 0.5))
                    await daemon.kill()
    assert messages > place.kills


async def check(daemon: Daemon, person: Person, client: Client, place: Place) -> None:
    """The resumed copy is what a fresh client gets, and what the database has; what was acknowledged is in it, once."""
    async with connected(daemon, person.user) as fresh:
        copy = await fresh.load(person.conversation)
    await client.caught_up(person.conversation, copy.rev)
    copy.check()
    assert person.copy == copy
    seqs = {m["client_id"]: m["seq"] for m in copy.messages.values() if m["sender"] == person.user}
    assert seqs == person.acknowledged
    for seq, kept in person.kept.items():
        check_change(kept, copy.messages[seq])
    for seq in person.edits.keys() & {seq for seq, m in copy.messages.items() if m.get("edited_at")}:
        assert number_of(copy.messages[seq]) <= person.edits[seq]

    with place.looking() as ask:
        statement = (
            'SELECT "seq", COALESCE("changedRev", "rev"), "senderId", "clientId" FROM "Message" '
            'WHERE "conversationId" = ?'
        )
        rows = sorted(ask(statement, person.conversation))
        assert rows == [(m["seq"], m["rev"], m["sender"], m["client_id"]) for _, m in sorted(copy.messages.items())]
        statement = 'SELECT "lastSeq", "rev" FROM "Conversation" WHERE "id" = ?'
        assert ask(statement, person.conversation) == [(len(rows), copy.rev)]
        # Its making, each message, each text that was changed, each reaction, and each watermark that moved took one
        # rev, but for watermarks that waited together, which take one for all: none was left out.
        ((texts, marks),) = ask(
            'SELECT (SELECT COUNT(*) FROM "chatd_version" WHERE "conversationId" = ?),'
            ' (SELECT COUNT(*) FROM "chatd_receipt" WHERE "conversationId" = ?)',
            person.conversation,
            person.conversation,
        )
        reactions = sum(reaction["count"] for m in copy.messages.values() for reaction in m["reactions"])
        without_marks = 1 + len(rows) + texts + reactions
        assert without_marks + min(marks, 1) <= copy.rev <= without_marks + marks


def check_change(kept: Frame, now: Frame) -> None:
    """What an ok said of a changed message still holds, or was changed further."""
    assert now["rev"] >= kept["rev"]
    if kept.get("deleted_at"):
        assert (now["body"], now.get("deleted_at")) == ("", kept["deleted_at"])
    if kept.get("edited_at"):
        assert number_of(now) >= number_of(kept)
    told = {(r["emoji"], user) for r in kept["reactions"] for user in r["users"]}
    assert told <= {(r["emoji"], user) for r in now["reactions"] for user in r["users"]}


def number_of(message: Frame) -> int:
    """Which of its edits a message shows."""
    return int(message["body"].split()[1])
