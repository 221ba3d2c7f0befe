"""A conversation of two in a memory store, and a session at its gate, without a daemon."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from trio.lowlevel import checkpoint

from chatd.core.gate import Gate
from chatd.core.native import NativeJson
from chatd.core.session import Session
from storage.changes import CreateGroup, OpenDirect, PutUser, SendMessage
from storage.contract import Unavailable
from storage.memory import MemoryStore
from support.sinks import KeepingSink

T = TypeVar("T")
C = "c-1"


class Reads:
    """Runs reads inline. `failures`: how many of the next fail; `before`: called once before the next."""

    def __init__(self) -> None:
        self.failures = 0
        self.before: Callable[[], object] | None = None

    async def __call__(self, work: Callable[[], T]) -> T:
        await checkpoint()
        if self.failures:
            self.failures -= 1
            raise Unavailable("the store is away")
        found = work()
        before, self.before = self.before, None
        if before is not None:
            before()  # between the read and its answer
        return found


class SmallClinic:
    """`session`: Ada's, who is signed in; `send` commits a message of Bo, of which nobody is told."""

    def __init__(self, limit: int = 2**20) -> None:
        self.store = MemoryStore(epoch="e", development=True)
        self.store.commit([PutUser("ada", "Ada", "patient", 1), PutUser("bo", "Bo", "dentist", 1)])
        self.store.commit([OpenDirect(conversation=C, user="ada", other="bo", at=1)])
        self.reads = Reads()
        self.gate = Gate(self.store, self.reads, self.reads)
        self.sink = KeepingSink(limit)
        self.stopped: list[int] = []
        self.session = Session(
            "s-1", self.sink, NativeJson(), gate=self.gate, stop=lambda code, _: self.stopped.append(code)
        )
        ada = self.store.user("ada")
        assert ada is not None
        self.session.user = ada
        self._sent = 0

    def send(self, count: int = 1) -> None:
        for _ in range(count):
            self._sent += 1
            self.store.commit(
                [
                    SendMessage(
                        conversation=C, user="bo", client_id=f"k-{self._sent}", message=f"m-{self._sent}", body="x",
                        reply_to=None, at=2,
                    )
                ]
            )  # fmt: skip

    def group(self, id: str, members: int) -> None:
        people = tuple(f"u-{n}" for n in range(members))
        self.store.commit([PutUser(user, user, "dentist", 1) for user in people])
        self.store.commit(
            [
                CreateGroup(
                    conversation=id, user="ada", title="Hall", members=tuple(people), client_id=None, at=1, limit=500
                )
            ]
        )

    @property
    def told(self) -> list[dict[str, Any]]:
        """Every frame that the session was told."""
        return [json.loads(payload) for payload in self.sink.payloads]
