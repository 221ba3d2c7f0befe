"""Two daemons on one database, people on both in one conversation: one order for all, whoever is killed meanwhile."""

import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from support import mariadb
from support.process import Daemon, running
from support.wsclient import Client, Copy, Frame, Lost, connected

pytestmark = pytest.mark.crash

EACH = 60
"""Messages of each person."""

SOON = 10.0
"""Seconds, at most, for what takes two on a quiet machine."""


@asynccontextmanager
async def started(folder: Path, name: str, url: str) -> AsyncIterator[Daemon]:
    (folder / name).mkdir(exist_ok=True)
    async with running(folder / name, "--database", url) as daemon:
        yield daemon


@attrs.define(eq=False)
class Person:
    """Somebody at one of the daemons, through all their connections: their copy, and what became of each message."""

    user: str
    rng: random.Random
    conversation: str = ""
    epoch: str | None = None
    copies: dict[str, Copy] = attrs.Factory(dict)
    acknowledged: dict[str, tuple[int, str]] = attrs.Factory(dict)  # client_id -> seq, id
    sent: int = 0
    moved: trio.Event = attrs.Factory(trio.Event)
    done: bool = False

    @property
    def copy(self) -> Copy:
        return self.copies[self.conversation]

    @asynccontextmanager
    async def at(self, daemon: Daemon) -> AsyncIterator[Client]:
        """Connected, or connected again."""
        async with connected(daemon, self.user, copies=self.copies, epoch=self.epoch, shared=True) as client:
            if self.epoch is not None:
                assert client.hello["epoch"] == self.epoch
                assert client.hello["revs"][self.conversation]["reset"] is False
            self.epoch = client.hello["epoch"]
            yield client

    async def chat(self, client: Client) -> None:
        """Send bursts, edits, reactions and receipts, what was not acknowledged first. Raises Lost."""
        about = {"conversation": self.conversation}
        while len(self.acknowledged) < EACH:
            self.sent = min(EACH, max(self.sent, len(self.acknowledged) + self.rng.randint(1, 6)))
            burst = [id for n in range(self.sent) if (id := f"{self.user}-{n}") not in self.acknowledged]
            pending = [
                await client.send("message.send", **about, client_id=id, body=f"says {id}", reply_to=self.answers())
                for id in burst
            ]
            for id, each in zip(burst, pending, strict=True):
                (message,) = (await self.granted(each))["messages"]
                assert (message["sender"], message["client_id"]) == (self.user, id)
                self.acknowledged[id] = message["seq"], message["id"]
            self.moved.set()
            seq, _ = self.rng.choice(list(self.acknowledged.values()))
            edit = await client.send("message.edit", **about, seq=seq, body=f"edit of {seq} {self.rng.random()}")
            react = await client.send("message.react", **about, seq=self.copy.last_seq, emoji="👍", on=True)
            receipt = await client.send("receipt", **about, read=self.copy.last_seq)
            for each in edit, react, receipt:
                await self.granted(each)
        self.done = True

    async def granted(self, pending: Any) -> Frame:
        reply: Frame = await pending.reply()
        assert reply["type"] == "ok", reply
        return reply

    def answers(self) -> int | None:
        return self.rng.choice([None, *self.copy.messages])

    async def until(self, count: int) -> None:
        """Until so many messages are acknowledged."""
        while len(self.acknowledged) < count:
            self.moved = trio.Event()
            await self.moved.wait()


async def test_daemon_killed_leaves_the_other_serving(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHATD_TEST_SEED") or random.randrange(2**32))
    print(f"CHATD_TEST_SEED={seed}")
    rng = random.Random(seed)
    server = mariadb.server()
    name = server.database()
    people = [Person(user, random.Random(rng.random())) for user in ("ann", "amy", "ben", "bea")]
    left, right = people[:2], people[2:]
    async with AsyncExitStack() as stack:
        doomed = await stack.enter_async_context(started(tmp_path, "a", server.url(name)))
        other = await stack.enter_async_context(started(tmp_path, "b", server.url(name)))
        lefts = [await stack.enter_async_context(person.at(doomed)) for person in left]
        rights = [await stack.enter_async_context(person.at(other)) for person in right]
        made = await lefts[0].ask(
            "conversation.create", title="Recall", members=[p.user for p in people], client_id="g"
        )
        for person, client in zip(people, (*lefts, *rights), strict=True):
            person.conversation = made["conversation"]
            with trio.fail_after(SOON):
                await client.caught_up(person.conversation, made["rev"])

        async with trio.open_nursery() as nursery:
            for person, client in zip(right, rights, strict=True):
                nursery.start_soon(person.chat, client)
            for person, client in zip(left, lefts, strict=True):
                nursery.start_soon(lost_in, person, client)
            for person in people:
                await person.until(rng.randint(5, EACH // 3))
            await doomed.kill()
            assert not all(person.done for person in people), "it was to be in the middle"
        again = await stack.enter_async_context(started(tmp_path, "a", server.url(name)))
        lefts = [await stack.enter_async_context(person.at(again)) for person in left]
        async with trio.open_nursery() as nursery:
            for person, client in zip(left, lefts, strict=True):
                nursery.start_soon(person.chat, client)
        await agree(server, name, people, (*lefts, *rights), (again, other))


async def lost_in(person: Person, client: Client) -> None:
    with pytest.raises(Lost):
        await person.chat(client)


async def agree(
    server: mariadb.Server, name: str, people: list[Person], clients: tuple[Client, ...], daemons: tuple[Daemon, ...]
) -> None:
    """No number is left out, nothing is lost or there twice, and everybody has the same, who resumed as who is new."""
    conversation = people[0].conversation
    with server.session(name) as cursor:
        cursor.execute("SELECT clientId, seq, id FROM Message WHERE conversationId = %s", (conversation,))
        kept = [(id.decode(), (seq, message)) for id, seq, message in cursor.fetchall()]
        cursor.execute("SELECT lastSeq, rev FROM Conversation WHERE id = %s", (conversation,))
        ((last, rev),) = cursor.fetchall()
        cursor.execute("SELECT userId, unreadCount FROM ConversationParticipant")
        unread = dict(cursor.fetchall())
        # The making, and each message, edit, reaction and receipt that moved something took one rev: none was left out.
        cursor.execute(
            "SELECT (SELECT COUNT(*) FROM chatd_version) + (SELECT COUNT(*) FROM chatd_receipt WHERE kind = 'read')"
        )
        ((moves,),) = cursor.fetchall()
    acknowledged = {id: place for person in people for id, place in person.acknowledged.items()}
    assert len(kept) == len(acknowledged) == EACH * len(people)
    assert dict(kept) == acknowledged
    assert sorted(seq for _, (seq, _) in kept) == list(range(1, last + 1))
    fresh: list[Copy] = []
    for daemon in daemons:
        async with connected(daemon, "bea") as reader:
            fresh.append(await reader.load(conversation))
    assert fresh[0] == fresh[1]
    reactions = sum(reaction["count"] for m in fresh[0].messages.values() for reaction in m["reactions"])
    assert fresh[0].rev == rev == 1 + last + moves + reactions
    for person, client in zip(people, clients, strict=True):
        with trio.fail_after(SOON):
            await client.caught_up(conversation, rev)
        person.copy.check()
        assert person.copy == fresh[0]
        summary = await client.ask("conversation.get", conversation=conversation)
        assert summary["membership"]["unread"] == unread[person.user]


async def test_daemons_show_what_the_other_wrote(tmp_path: Path) -> None:
    """To the same user, too, who is at both."""
    server = mariadb.server()
    url = server.url(server.database())
    async with (
        started(tmp_path, "a", url) as one,
        started(tmp_path, "b", url) as two,
        connected(one, "ada", role="patient") as ada,
        connected(two, "ada", role="patient") as ada_too,
        connected(two, "bo") as bo,
    ):
        opened = await ada.ask("conversation.open", **{"with": "bo"})
        found = await bo.ask("conversation.open", **{"with": "ada"})
        conversation = opened["conversation"]
        assert found["conversation"] == conversation
        for client in ada, ada_too, bo:
            await client.load(conversation)
        waits: list[float] = []
        for n in range(6):
            writer, others = ((ada, (ada_too, bo)), (bo, (ada,)), (ada_too, (ada,)))[n % 3]
            sent = await writer.say(conversation, f"k-{n}")
            began = trio.current_time()
            with trio.fail_after(SOON):
                for client in others:
                    copy = await client.caught_up(conversation, sent["rev"])
                    assert copy.messages[n + 1] == {k: v for k, v in sent["messages"][0].items() if k != "status"}
            waits.append(trio.current_time() - began)
        print("shown at the other after", ", ".join(f"{wait:.2f} s" for wait in waits))
        read = await ada.ask("receipt", conversation=conversation, read=6)
        with trio.fail_after(SOON):
            for client in ada, ada_too, bo:
                copy = await client.caught_up(conversation, read["rev"])
                assert copy.participants["ada"]["read_seq"] == 6
        newest = [frame["membership"] for frame in ada_too.events("change") if frame.get("membership")][-1]
        assert newest["unread"] == 0
        assert ada.copies == ada_too.copies == bo.copies
