"""A daemon whose store is in the test's hands: commits and reads can be held, failed, and written past."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar

import attrs
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from chatd.testing.harness import Frame, Server, TestClient, daemon
from storage.changes import Change, Leave, OpenDirect, Outcome, SendMessage
from storage.contract import Unavailable
from storage.memory import MemoryStore

from .strict import Book

T = TypeVar("T")
When = Literal["before", "after"]

REQUESTS: dict[str, dict[str, Any]] = {
    "conversation.get": {},
    "conversation.leave": {},
    "membership.set": {"muted": True},
    "message.send": {"client_id": "r-1", "body": "x"},
    "message.history": {},
    "receipt": {"read": 1},
    "typing": {"active": True},
    "focus": {},
}
"""What a request about a conversation has besides."""


class WatchedStore(MemoryStore):
    """Notes what was committed together. `meddle` runs once, right before the next commit: another writer."""

    def __init__(self) -> None:
        super().__init__(epoch="epoch-1", development=True)
        self.batches: list[list[Change]] = []
        self.meddle: Callable[[], object] | None = None

    def commit(self, changes: Sequence[Change]) -> list[Outcome]:
        meddle, self.meddle = self.meddle, None
        if meddle is not None:
            meddle()
        self.batches.append(list(changes))
        return super().commit(changes)

    def reopen(self) -> None:
        """As after a failure: what nobody was told of may have happened."""
        self.generation += 1


class Elsewhere:
    """Another writer on the same store."""

    def __init__(self, c: "Clinic", conversation: str, name: str = "elsewhere") -> None:
        self._store = c.store
        self._conversation = conversation
        self._name = name
        self._count = 0

    def commit(self, change: Change) -> Outcome:
        (outcome,) = MemoryStore.commit(self._store, [change])
        return outcome

    def send(self, user: str) -> None:
        self._count += 1
        name = f"{self._name}-{self._count}"
        self.commit(
            SendMessage(
                conversation=self._conversation, user=user, client_id=name, message=name, body=name, reply_to=None, at=0
            )
        )

    def open(self, conversation: str, user: str, other: str) -> None:
        self.commit(OpenDirect(conversation, user, other, 0))

    def leave(self, user: str) -> None:
        self.commit(Leave(self._conversation, user, f"{self._name}-left-{user}", 0))


class Runner:
    """Runs the store's calls inline, and stops them where it is told to."""

    def __init__(self) -> None:
        self.calls = 0
        self._held: When | None = None
        self._go = trio.Event()
        self._failing: When | None = None
        self._on_failure: Callable[[], None] = lambda: None

    def hold(self, when: When) -> None:
        """From now on calls wait before the store is asked, or after it answered."""
        if self._held is None:
            self._go = trio.Event()
        self._held = when

    def release(self) -> None:
        """Let all go on; nothing fails any more but what has begun to."""
        self._held = self._failing = None
        self._go.set()

    def fail(self, when: When, and_then: Callable[[], None] = lambda: None) -> None:
        """The next call raises Unavailable, before anything happened or after it was done."""
        self._failing = when
        self._on_failure = and_then

    async def __call__(self, work: Callable[[], T]) -> T:
        self.calls += 1
        await trio.lowlevel.checkpoint()
        failing, self._failing = self._failing, None
        if self._held == "before":
            await self._go.wait()
        if failing == "before":
            raise Unavailable("the disk is full")
        found = work()
        if self._held == "after":
            await self._go.wait()
        if failing == "after":
            self._on_failure()
            raise Unavailable("the disk is failing")
        return found


@attrs.define
class Clinic:
    """The daemon, and what steers its store."""

    server: Server
    store: WatchedStore
    writes: Runner
    reads: Runner

    async def pair(self) -> tuple[TestClient, TestClient, str]:
        """A patient and a dentist with a conversation of theirs, at rev 1."""
        ada = await self.server.connect("pat-1", name="Ada")
        bo = await self.server.connect("den-1", role="dentist", name="Bo")
        opened = await ada.ask("conversation.open", with_="den-1")
        await bo.expect("change", conversation=opened["conversation"], from_=0)
        return ada, bo, opened["conversation"]


@asynccontextmanager
async def clinic(**parts: Any) -> AsyncIterator[Clinic]:
    """Run a daemon around a `WatchedStore`; at the end nothing is held any more."""
    writes, reads = Runner(), Runner()
    store = parts.pop("store", None) or WatchedStore()
    async with daemon(store=store, write=writes, read=reads, **parts) as server:

        def dial(pair: Callable[[], Any] = memory_stream_pair) -> trio.abc.Stream:
            ours, theirs = pair()
            connections = server.daemon.server.nursery  # as those that come over a socket: the grace is theirs, too
            assert connections is not None
            connections.start_soon(server.daemon.server.serve_stream, theirs)
            stream: trio.abc.Stream = ours
            return stream

        server.dial = dial  # type: ignore[method-assign]
        try:
            yield Clinic(server, store, writes, reads)
        finally:
            writes.release()
            reads.release()


async def say(client: TestClient, conversation: str, *client_ids: str, body: str | None = None) -> list[int]:
    """Pipeline a message for each; returns the requests' ids."""
    return [
        await client.send("message.send", conversation=conversation, client_id=id, body=body or id) for id in client_ids
    ]


def changes(client: TestClient, conversation: str | None = None) -> list[Frame]:
    """All change events that came."""
    return [f for f in client.received if f["type"] == "change" and conversation in (None, f["conversation"])]


async def agree(c: Clinic, *books: Book) -> None:
    """Let everything happen that takes no time; then every copy must be the truth."""
    await wait_all_tasks_blocked()
    for book in books:
        book.agree(c.store)
