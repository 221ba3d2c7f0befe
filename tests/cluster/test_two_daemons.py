"""Two daemons on one store, and people at both: by the letter of the cursor rules everybody is told everything."""

from random import Random
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.config import Config, Mysql, Timeouts
from chatd.core import session
from chatd.testing import TestClient, seed_schedule
from chatd.testing.harness import Frame
from support.shops import AppStore
from support.steering import Clinic, clinic
from support.strict import Book

USERS = {"pat-1": "patient", "den-1": "dentist", "sta-1": "staff"}
ROUNDS, REQUESTS = 4, 15


@attrs.define(eq=False)
class Seat:
    """A connection to one of the daemons, and the copy that it feeds."""

    user: str
    at: Clinic
    client: TestClient
    book: Book


class TwoDaemons:
    """Everybody asks for anything at either daemon, faster than these look at what the other wrote."""

    def __init__(self, daemons: tuple[Clinic, Clinic], seed: int) -> None:
        self._daemons = daemons
        self._rng = Random(seed)
        self._seats: list[Seat] = []
        self._conversations: list[str] = []
        self._group = ""
        self._count = 0

    async def run(self) -> None:
        for user in USERS:
            for at in self._daemons:
                await self._connect(user, at)
        first = self._seats[-1].client
        for other in ("pat-1", "den-1"):
            self._conversations.append((await first.ask("conversation.open", with_=other))["conversation"])
        made = await first.ask("conversation.create", title="Team", members=["pat-1", "den-1"])
        self._group = made["conversation"]
        self._conversations += [self._group] * 3
        for _ in range(ROUNDS):
            for _ in range(REQUESTS):
                await self._request()
                if self._rng.random() < 0.3:
                    await self._pause()
            if self._rng.random() < 0.4:
                await self._reconnect()
            await self._settle()

    async def _connect(self, user: str, at: Clinic, before: Book | None = None) -> None:
        client = await at.server.connect()
        book = Book(client, before.copies if before else None)
        await client.hello(user, role=USERS[user], epoch="epoch-1", revs=book.revs)
        self._seats.append(Seat(user, at, client, book))

    async def _reconnect(self) -> None:
        """Somebody comes back with what they had, to either daemon."""
        self._release()
        seat = self._seats.pop(self._rng.randrange(len(self._seats)))
        await seat.client.abort()
        await self._connect(seat.user, self._rng.choice(self._daemons), seat.book.read())

    def _release(self) -> None:
        for at in self._daemons:
            at.reads.release()

    async def _pause(self) -> None:
        self._release()
        if self._rng.random() < 0.5:
            await wait_all_tasks_blocked()
        else:
            await trio.sleep(self._rng.choice([0.01, 0.3, 1.1]))
        for at in self._daemons:
            if self._rng.random() < 0.3:
                at.reads.hold(self._rng.choice(["before", "after"]))

    async def _request(self) -> None:
        seat, rng = self._rng.choice(self._seats), self._rng
        self._count += 1
        conversation = {"conversation": rng.choice(self._conversations)}
        someone = rng.choice([user for user in USERS if user != seat.user])
        sends: list[tuple[str, Frame]] = [
            ("message.send", conversation | {"client_id": f"k{self._count}", "body": "x"})
        ] * 5
        requests: list[tuple[str, Frame]] = [
            ("receipt", conversation | {"read": rng.randrange(1, 6)}),
            ("conversation.get", conversation),
            ("conversation.get", conversation),
            ("conversation.list", {}),
            ("conversation.open", {"with": someone}),
            ("conversation.leave", conversation),
            ("conversation.add", {"conversation": self._group, "user": someone}),
            ("conversation.remove", {"conversation": self._group, "user": someone}),
        ]
        type, fields = rng.choice([*sends, *requests])
        if (type, seat.user) != ("conversation.leave", "sta-1") and fields.get("user") != "sta-1":
            await seat.client.send(type, **fields)

    async def _settle(self) -> None:
        """Both daemons have looked; nothing more is under way."""
        self._release()
        await trio.sleep(5)
        for seat in self._seats:
            for id, _, _ in seat.at.store.memberships(seat.user):
                if id not in seat.book.read().copies:
                    await seat.client.ask("conversation.get", conversation=id)
            seat.book.agree(seat.at.store)


@pytest.mark.parametrize("seed", range(12))
async def test_two_daemons_tell_everybody_in_rev_order(
    seed: int, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """No `from` is above a cursor, no reply's `info` ahead of the changes before it, no `ok` out of its turn."""
    print(f"seed {seed}")
    seed_schedule(seed)
    monkeypatch.setattr(session, "MAX_READS", 1000)  # here others stop writing some time
    monkeypatch.setattr(session, "CATCH_UP_S", 1000.0)
    store = AppStore()
    parts: Any = {"store": store, "config": Config(mysql=Mysql(poll=1.0), timeouts=Timeouts(room_idle=0.5))}
    async with clinic(**parts) as one, clinic(**parts) as two:
        with trio.fail_after(1000):
            await TwoDaemons((one, two), seed).run()
