"""Feeds a session what it missed, at its own pace, until it is live again."""

from collections import deque
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import attrs
import trio

from protocol.frames import Change, SyncOk
from protocol.objects import RevState
from protocol.types import RequestId
from storage.contract import Unavailable
from storage.records import Standing, gone

from . import view
from .chain import without_watermarks
from .gate import Gate
from .order import Lag, Order

OBJECTS_PER_READ = 100

MAX_JOBS = 8
"""Syncs that may wait on one session before its reader does."""

STORE_RETRY_S = 1.0
"""Seconds until a store that couldn't be read is asked again."""


@attrs.define
class CatchUpJob:
    """Conversations to feed; then the `ok` of a `sync` with this id."""

    revs: Mapping[str, int]
    standings: Mapping[str, Standing] = attrs.Factory(dict)
    re: RequestId | None = None


class FeedTarget(Protocol):
    """A session, as far as its feeder needs it."""

    @property
    def user_id(self) -> str:
        """The id of the signed-in user."""
        ...

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait until something large may leave; one at a time."""
        ...


class Feeder:
    """One session's catch-up: its jobs one after the other, in a task of the session's nursery.

    It only reads; `order` decides what leaves.
    """

    def __init__(self, order: Order, session: FeedTarget, gate: Gate) -> None:
        self._order = order
        self._session = session
        self._gate = gate
        self._jobs: deque[CatchUpJob] = deque()
        self._changed = trio.Event()  # there is a job
        self._room = trio.Event()  # for another job
        self._fed = trio.Event()  # a conversation was fed

    def feed(self, revs: Mapping[str, int], standings: Mapping[str, Standing] | None = None, re: Any = None) -> None:
        """Put the client behind in these: at least one event for each will come, then the `ok`."""
        for conversation, rev in revs.items():
            self._order.fall_behind(conversation, rev)
        self._jobs.append(CatchUpJob(revs, standings or {}, re))
        self._changed.set()

    async def place(self) -> None:
        """Wait until another job may be added."""
        while len(self._jobs) >= MAX_JOBS:
            await self._room.wait()

    async def caught_up(self, conversations: Collection[str]) -> None:
        """Wait until the client is behind in none of these."""
        while any(conversation in self._order.behind for conversation in conversations):
            await self._fed.wait()

    async def run(self) -> None:
        """Feed, until cancelled."""
        while True:
            if not self._jobs:
                self._changed = trio.Event()
                await self._changed.wait()
                continue
            try:
                await self._do(self._jobs[0])
            except Unavailable:
                await trio.sleep(STORE_RETRY_S)
                continue
            self._jobs.popleft()
            self._room.set()
            self._room = trio.Event()

    async def _do(self, job: CatchUpJob) -> None:
        order = self._order
        for conversation, rev in job.revs.items():
            lag = order.behind.get(conversation)
            # A job before this one may have fed it already: it still gets an event of its own.
            again = lag is None
            lag = lag or order.fall_behind(conversation, rev)
            while order.behind.get(conversation) is lag:
                async with self._session.turn():
                    step = self._step if lag.rev else self._begin
                    if not await step(conversation, lag):
                        await self._part(conversation, lag, silently=again)
            self._fed.set()
            self._fed = trio.Event()
        if job.re is not None:
            revs = {id: RevState(rev=s.rev, reset=s.reset) for id, s in job.standings.items()}
            order.send(SyncOk(re=job.re, revs=revs), counts=False)

    async def _step(self, conversation: str, lag: Lag) -> bool:
        """Read some changes and send them; False: the conversation isn't the user's (any more)."""
        user, rev = self._session.user_id, lag.rev
        with lag.being_read():
            since = await self._gate.read(
                lambda: self._gate.store.since(conversation, user, rev, limit=OBJECTS_PER_READ)
            )
        if self._order.behind.get(conversation) is not lag:
            return True  # an event that starts anew, or the last one after leaving, went out meanwhile
        if since is None:
            return False
        if lag.rev != rev:
            return True  # a sync from further back came meanwhile
        if since.room.conversation.kind == "group" and len(since.room.participants) > view.CROWD:
            since = without_watermarks(since, user, lag.moved)
        self._order.read_since(conversation, lag, since)
        return True

    async def _begin(self, conversation: str, lag: Lag) -> bool:
        """Send the whole conversation as of now: the user came in, and nothing else could tell them.

        False: it isn't the user's (any more).
        """
        store, user = self._gate.store, self._session.user_id
        with lag.being_read():
            found = await self._gate.read(lambda: store.summary(conversation, user))
        if self._order.behind.get(conversation) is not lag:
            return True
        if found is None:
            return False
        summary, users = found
        last = summary.last_message
        event = Change(
            conversation=conversation,
            from_rev=0,
            rev=summary.room.conversation.rev,
            info=view.info(summary.room.conversation),
            participants=tuple(map(view.participant, summary.room.participants)),
            messages=None if last is None else (view.message(last),),
            membership=view.membership(summary.membership),
            users=view.users(users.values()),
        )
        self._order.read_whole(conversation, lag, event)
        return True

    async def _part(self, conversation: str, lag: Lag, *, silently: bool) -> None:
        """Tell the user that they left, where nothing else could."""
        store, user = self._gate.store, self._session.user_id
        row = await self._gate.read(lambda: store.room(conversation))
        if self._order.behind.get(conversation) is not lag or (row is not None and row.present(user)):
            return
        self._order.start_anew(conversation)
        own = [p for p in row.participants if p.user == user] if row is not None else []
        if row is not None and not own and user in lag.gone:  # else they may never have been in it
            own = [gone(row.conversation, user)]
        if row is not None and own and not silently:
            self._order.send(
                Change(
                    conversation=conversation,
                    from_rev=min(max(lag.rev, 1), own[0].rev),  # 0 would begin what ends here
                    rev=own[0].rev,
                    info=view.info(row.conversation),
                    participants=(view.participant(own[0]),),
                )
            )
        self._order.release(conversation, lag, lag.rev)
