"""A gate that runs by hand-held calls of a store, and what it published."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from chatd.core.gate import Gate
from storage.changes import Change, Outcome, PutUser, UserSaved
from storage.contract import TableMismatch, Unavailable
from support.steering import Runner, WatchedStore


def put(name: str) -> PutUser:
    return PutUser(name, None, None, 0)


class Guarded(WatchedStore):
    """A store with a bug, and whose repair can be watched."""

    def __init__(self) -> None:
        super().__init__()
        self.repairs = 0

    def commit(self, changes: Sequence[Change]) -> list[Outcome]:
        names = [change.user for change in changes if isinstance(change, PutUser)]
        if "poison" in names:
            raise ZeroDivisionError("a bug")
        if "full" in names:
            raise Unavailable("the disk is full")
        if "misfit" in names:
            raise TableMismatch("Message.kindId")
        return super().commit(changes)

    def repair(self) -> None:
        self.repairs += 1


class Desk:
    """A gate that runs, and what it published, in order."""

    def __init__(self) -> None:
        self.store = Guarded()
        self.writes, self.reads = Runner(), Runner()
        self.gate = Gate(self.store, self.writes, self.reads)
        self.published: list[str] = []

    def submit(self, *names: str) -> Any:
        def publish(outcomes: Sequence[Outcome]) -> None:
            for outcome in outcomes:
                assert isinstance(outcome, UserSaved)
                self.published.append(outcome.user.id)

        return self.gate.submit([put(name) for name in names], publish)


@asynccontextmanager
async def running() -> AsyncIterator[Desk]:
    """At the end everything that was submitted must be done."""
    desk = Desk()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.gate.run)
        yield desk
        desk.writes.release()
        desk.reads.release()
        desk.gate.close()
