"""Who is told that somebody came or went, without a daemon: the index, the delay, and what is kept of it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.core.gate import Gate
from chatd.core.native import NativeJson
from chatd.core.outbox import Cork, Outbox
from chatd.core.presence import OFFLINE_DELAY_S, PresenceIndex
from chatd.core.registry import Registry
from chatd.core.session import Session
from storage.contract import Unavailable
from support.steering import Runner, WatchedStore
from support.stores import Desk


class Wire:
    """A transport that takes everything."""

    busy = False

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []

    def try_write(self, data: bytes) -> int:
        self.frames.append(json.loads(data))
        return len(data)

    def blocked(self) -> bool:
        return False

    async def writable(self) -> None:
        await trio.lowlevel.checkpoint()


class House:
    """The parts that presence needs, and who is connected."""

    def __init__(self) -> None:
        self.store = WatchedStore()
        self.desk = Desk(self.store)
        self.writes, self.reads = Runner(), Runner()
        self.gate = Gate(self.store, self.writes, self.reads)
        self.registry = Registry()
        self.presence = PresenceIndex(self.registry, self.gate, lambda: round(trio.current_time() * 1000))
        self.wires: dict[Session, Wire] = {}

    async def arrive(self, user: str) -> Session:
        wire = Wire()
        outbox = Outbox(wire, Cork(), limit=2**20, stalled=10, on_cut=lambda reason: None)
        session = Session(f"session of {user}", outbox, NativeJson(), gate=self.gate, stop=lambda code, reason: None)
        self.wires[session] = wire
        self.registry.add(user, session)
        await self.presence.arrive(user)
        return session

    def leave(self, user: str, session: Session) -> None:
        if self.registry.remove(user, session):
            self.presence.depart(user)

    def heard(self, session: Session) -> list[tuple[str, bool]]:
        return [(frame["user"], frame["online"]) for frame in self.wires[session].frames]

    @property
    def is_empty(self) -> bool:
        p = self.presence
        return not (p._conversations or p._members or p._leaving or p._lost)


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    made = House()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.gate.run)
        nursery.start_soon(made.presence.run)
        yield made
        nursery.cancel_scope.cancel()


async def test_presence_is_told_to_those_who_share_a_conversation(autojump_clock: MockClock) -> None:
    async with house() as h:
        h.desk.chat("ada", "bo")
        h.desk.chat("ada", "cy")
        h.desk.people("eve")
        bo, eve = await h.arrive("bo"), await h.arrive("eve")
        ada = await h.arrive("ada")
        cy = await h.arrive("cy")
        assert (h.heard(bo), h.heard(eve), h.heard(ada)) == ([("ada", True)], [], [("cy", True)])
        assert h.presence.peers("ada") == {"bo", "cy"}
        assert h.presence.peers("bo") == {"ada"}
        h.leave("ada", ada)
        await trio.sleep(OFFLINE_DELAY_S + 1)
        assert h.heard(bo)[1:] == h.heard(cy) == [("ada", False)]
        assert not h.presence.online("ada")


async def test_only_the_first_and_the_last_session_are_told_of(autojump_clock: MockClock) -> None:
    async with house() as h:
        h.desk.chat("ada", "bo")
        bo = await h.arrive("bo")
        sessions = [await h.arrive("ada") for _ in range(3)]
        for session in sessions[:2]:
            h.leave("ada", session)
        await trio.sleep(60)
        assert h.heard(bo) == [("ada", True)]
        h.leave("ada", sessions[2])
        await trio.sleep(60)
        assert h.heard(bo) == [("ada", True), ("ada", False)]


async def test_the_delay_runs_from_the_newest_loss(autojump_clock: MockClock) -> None:
    async with house() as h:
        h.desk.chat("ada", "bo")
        bo = await h.arrive("bo")
        for _ in range(5):
            session = await h.arrive("ada")
            h.leave("ada", session)
            await trio.sleep(OFFLINE_DELAY_S - 1)
        lost = trio.current_time() - (OFFLINE_DELAY_S - 1)
        assert h.heard(bo) == [("ada", True)]
        await trio.sleep(1.1)
        assert h.heard(bo) == [("ada", True), ("ada", False)]
        seen = h.wires[bo].frames[-1]["last_seen"]
        assert seen == f"1970-01-01T00:00:{lost:06.3f}Z"
        await wait_all_tasks_blocked()
        user = h.store.user("ada")
        assert user is not None
        assert user.last_seen_at == round(lost * 1000)
        assert h.presence.states([user])[0].last_seen == seen


async def test_a_conversation_that_begins_and_ends_while_online(autojump_clock: MockClock) -> None:
    async with house() as h:
        h.desk.people("ada", "bo")
        ada, bo = await h.arrive("ada"), await h.arrive("bo")
        assert h.presence.peers("ada") == set()
        h.presence.moved("c", 1, frozenset({"ada", "bo"}))
        assert (h.presence.peers("ada"), h.presence.peers("bo")) == ({"bo"}, {"ada"})
        h.presence.moved("c", 2, frozenset({"bo"}))
        assert (h.presence.peers("ada"), h.presence.peers("bo")) == (set(), set())
        h.presence.moved("c", 1, frozenset({"ada", "bo"}))  # older news come too late
        assert h.presence.peers("ada") == set()
        h.leave("ada", ada)
        await trio.sleep(OFFLINE_DELAY_S + 1)
        assert h.heard(bo) == []


async def test_presence_keeps_nothing_when_everybody_has_gone(autojump_clock: MockClock) -> None:
    async with house() as h:
        for other in ("bo", "cy"):
            h.desk.chat("ada", other)
        sessions = {user: await h.arrive(user) for user in ("ada", "bo", "cy")}
        h.presence.moved("made-up", 1, frozenset({"ada", "nobody"}))
        for user, session in sessions.items():
            h.leave(user, session)
            await trio.sleep(2)
        await trio.sleep(OFFLINE_DELAY_S)
        assert h.is_empty


async def test_an_arrival_that_fails_leaves_nothing(autojump_clock: MockClock) -> None:
    async with house() as h:
        h.desk.chat("ada", "bo")
        bo = await h.arrive("bo")
        h.reads.fail("before")
        with pytest.raises(Unavailable):
            await h.arrive("ada")
        assert not h.presence.online("ada")
        assert h.heard(bo) == []


async def test_presence_at_shutdown_records_last_seen(autojump_clock: MockClock) -> None:
    async with house() as h:
        h.desk.chat("ada", "bo")
        await h.arrive("ada")
        await trio.sleep(7)
        await h.presence.close()
        ada, bo = h.store.user("ada"), h.store.user("bo")
        assert ada is not None
        assert bo is not None
        assert (ada.last_seen_at, bo.last_seen_at) == (7000, None)
        h.writes.fail("before")
        await h.presence.close()  # the store's trouble is no reason not to end
