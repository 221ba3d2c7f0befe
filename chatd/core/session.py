"""One connection towards the chat: it asks as a `Caller`, and is told as a `Recipient`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

import trio

from protocol.codes import CloseCode
from protocol.frames import ChangeOk
from protocol.types import RequestId
from storage.records import Standing, User

from . import view
from .caller import Read
from .catchup import Feeder
from .event import Dialect
from .gate import Gate
from .identity import NOTHING, Identity
from .order import Order
from .sink import Sink

Stop = Callable[[CloseCode, str], None]

MAX_READS = 4
"""Times that a reply is read which others' writes are ahead of; the last one leaves ahead of the catch-up."""

CATCH_UP_S = 5.0
"""Seconds that a reply waits for a catch-up before it is read again."""


class Session(Order):
    """The signed-in user of a connection, the requests still unanswered, and the order of what leaves.

    `stop(code, reason)` begins to end the connection; it never waits.
    """

    def __init__(self, id: str, sink: Sink, dialect: Dialect, *, gate: Gate, stop: Stop) -> None:
        super().__init__(sink, dialect)
        self.ok_is_event = dialect.ok_is_event
        self.id = id
        self.stop = stop
        self.user_id = ""
        self.address: str | None = None  # of the client, as far as it is known
        self.carried = NOTHING  # what the connection's handshake showed, until `hello`
        self.bound_to: str | None = None  # the user who alone may sign in, where requests that carry it are signed in
        self.identity: Identity | None = None  # of who signed in; the connection ends with its credential
        self.focus: str | None = None
        self.came_by: Callable[[], str] = lambda: "websocket"
        self.typing_in: set[str] = set()  # conversations whose rooms must hear when this connection is lost
        self._user: User | None = None
        self._feeder = Feeder(self, self, gate)
        self._turn = trio.Lock()
        self._unanswered = 0
        self._quiet: trio.Event | None = None

    @property
    def user(self) -> User | None:
        """The row of the user who has signed in."""
        return self._user

    @user.setter
    def user(self, user: User) -> None:
        self._user = user
        self.user_id = user.id

    @property
    def is_gone(self) -> bool:
        """Return True if nothing reaches the client any more."""
        return self.sink.is_cut

    # -- answers --

    def answer(self, ok: ChangeOk) -> None:
        """Answer with the `ok` of a change."""
        self.ok(ok.conversation, ok.from_rev, ok.rev, self.dialect.reply(ok))

    def answer_sent(self, re: RequestId, conversation: str, from_rev: int, rev: int, seen: view.Seen) -> None:
        """The same for a message that was sent, and nothing else with it: the hot path."""
        self.ok(conversation, from_rev, rev, self.dialect.sent(re, conversation, from_rev, rev, seen))

    def asked(self) -> None:
        """Count a request that went to a room."""
        self._unanswered += 1

    def answered(self) -> None:
        """Count it as answered, or as one that needs no answer."""
        self._unanswered -= 1
        if not self._unanswered and self._quiet is not None:
            self._quiet.set()
            self._quiet = None

    async def quiet(self) -> None:
        """Wait until every request that went to a room is answered: a read comes after what was asked before it."""
        while self._unanswered:
            if self._quiet is None:
                self._quiet = trio.Event()
            await self._quiet.wait()

    async def read(
        self, work: Callable[[], Awaitable[Read]], place: AbstractAsyncContextManager[None] | None = None
    ) -> None:
        """Run a read after all that was asked before it; its reply leaves in rev order with all else."""
        await self.quiet()
        missing = await self._read(work, place)
        for ahead in range(1, MAX_READS):
            if not missing:
                break
            # The feeder needs the turn: nothing is held while it catches up.
            with trio.move_on_after(CATCH_UP_S):
                await self._feeder.caught_up(missing)
            missing = await self._read(work, None, last=ahead == MAX_READS - 1)

    async def _read(
        self,
        work: Callable[[], Awaitable[Read]],
        place: AbstractAsyncContextManager[None] | None,
        *,
        last: bool = False,
    ) -> list[str]:
        """Run a read once, and send its reply; but where it shows what was not sent yet, return those conversations.

        `last`: send it all the same. Those conversations follow as a catch-up, whose events each have the membership.
        """
        async with self.turn(), place or nullcontext():
            with self.hold() as hold:
                read = await work()
                if read.follows and not last:
                    behind = self.behind
                    missing = [id for id, rev in read.revs.items() if id in behind and behind[id].rev < rev]
                    if missing:
                        return missing
                hold.revs, hold.reply = read.revs, read.reply
        return []

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until the sink is empty, for what may be large; one at a time."""
        async with self._turn:
            await self.sink.drained()
            yield

    # -- catching up --

    def feed(self, revs: Mapping[str, int]) -> None:
        """Have the client told what it missed in these conversations since these revs; 0: all of it."""
        self._feeder.feed(revs)

    async def sync(self, revs: Mapping[str, int], standings: Mapping[str, Standing], re: RequestId | None) -> None:
        """Feed these, then answer the `sync` with this id; waits while too many others are under way."""
        await self._feeder.place()
        self._feeder.feed(revs, standings, re)

    async def run(self) -> None:
        """Feed what the client missed, until cancelled."""
        await self._feeder.run()
