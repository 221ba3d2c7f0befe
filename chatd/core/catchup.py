"""Feeding a connection what it missed, at its own pace, until it is live again."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import trio

from protocol.encode import encode_object
from protocol.frames import Change, Frame, SyncOk
from protocol.objects import Encoded, RevState
from protocol.types import RequestId
from storage.contract import Unavailable
from storage.records import Since, Standing

from . import view
from .gate import Gate
from .session import Lag, Session, Waiting

CHUNK = 100
"""Changed objects read at once."""

FRAME_BYTES = 512 * 1024
"""Where a catch-up event is cut: half of what a frame may have."""

MAX_JOBS = 8
"""Syncs that may wait on one connection before its reader does."""

RETRY = 1.0
"""Seconds until a store that couldn't be read is asked again."""


@attrs.define
class Job:
    """Conversations to feed; then the `ok` of a `sync` with this id."""

    revs: Mapping[str, int]
    standings: Mapping[str, Standing] = attrs.Factory(dict)
    re: RequestId | None = None


class Feeder:
    """One connection's catch-up: its jobs one after the other, in a task of the connection's nursery."""

    def __init__(self, session: Session, gate: Gate) -> None:
        self._session = session
        self._gate = gate
        self._jobs: deque[Job] = deque()
        self._changed = trio.Event()

    def feed(self, revs: Mapping[str, int], standings: Mapping[str, Standing] | None = None, re: Any = None) -> None:
        """From now on the client is behind in these: at least one event for each will come, then the `ok`."""
        for conversation, rev in revs.items():
            self._session.fall_behind(conversation, rev)
        self._jobs.append(Job(revs, standings or {}, re))
        self._changed.set()

    async def place(self) -> None:
        """Wait until another job may be added."""
        while len(self._jobs) >= MAX_JOBS:
            await self._changed.wait()

    async def run(self) -> None:
        """Feed, for as long as the connection lives."""
        while True:
            if not self._jobs:
                self._changed = trio.Event()
                await self._changed.wait()
                continue
            try:
                await self._do(self._jobs[0])
            except Unavailable:
                await trio.sleep(RETRY)
                continue
            self._jobs.popleft()
            changed, self._changed = self._changed, trio.Event()
            changed.set()

    async def _do(self, job: Job) -> None:
        for conversation, rev in job.revs.items():
            lag = self._session.behind.get(conversation)
            # A job before this one may have fed it already: it still gets an event of its own.
            again = lag is None
            lag = lag or self._session.fall_behind(conversation, rev)
            while self._session.behind.get(conversation) is lag:
                async with self._session.turn():
                    if not lag.rev:
                        await self._begin(conversation, lag)
                    elif not await self._step(conversation, lag):
                        await self._part(conversation, lag, silently=again)
        if job.re is not None:
            revs = {id: RevState(rev=s.rev, reset=s.reset) for id, s in job.standings.items()}
            self._session.send(SyncOk(re=job.re, revs=revs), counts=False)

    async def _step(self, conversation: str, lag: Lag) -> bool:
        """Read one chunk and send it; live again when nothing is left. False: it isn't the user's (any more)."""
        session = self._session
        user = session.user_id
        rev = lag.rev
        with lag.being_read():
            since = await self._gate.read(lambda: self._gate.store.since(conversation, user, rev, limit=CHUNK))
        if session.behind.get(conversation) is not lag:
            return True  # an event that starts anew, or the last one after leaving, went out meanwhile
        if since is None:
            return False
        if lag.rev != rev:
            return True  # a sync from further back came meanwhile
        if since.room.conversation.kind == "group" and len(since.room.participants) > view.CROWD:
            since = _for_one_in_a_crowd(since, user, lag)
        live = since.through == since.room.conversation.rev and self._may_turn_live(lag, since.through)
        ready = [w for w in lag.waiting if w.is_ok and w.place <= since.through]
        for data in self._chain(conversation, rev, since, ready):
            session.outbox.push(data, counts=False)
        lag.rev = since.through
        lag.waiting = [w for w in lag.waiting if w.place > since.through and (live or w.is_ok)]
        if live:
            self._turn_live(conversation, lag)
        return True

    def _may_turn_live(self, lag: Lag, rev: int) -> bool:
        """Whether all that came while the store was read, as of `rev`, is there and goes on from there.

        Where somebody else wrote in between, on a store that is shared, it does not: another read is needed.
        """
        for waiting in lag.waiting:
            if waiting.place > rev:
                if waiting.from_rev > rev:
                    return False
                rev = max(rev, waiting.rev)
        return lag.size <= self._session.outbox.limit

    def _turn_live(self, conversation: str, lag: Lag) -> None:
        del self._session.behind[conversation]
        for waiting in lag.waiting:
            self._session.outbox.push(waiting.data)

    async def _begin(self, conversation: str, lag: Lag) -> None:
        """The user came in, and nobody could say so: the whole conversation, as of now."""
        session, store = self._session, self._gate.store
        user = session.user_id
        with lag.being_read():
            found = await self._gate.read(lambda: store.summary(conversation, user))
        if session.behind.get(conversation) is not lag:
            return
        if found is None:
            session.start_anew(conversation)
            return
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
        for waiting in lag.waiting:
            if waiting.is_ok and waiting.place <= event.rev:
                session.outbox.push(waiting.data)
        session.outbox.push(session.codec.encode(event), counts=False)
        live = self._may_turn_live(lag, event.rev)
        lag.rev = event.rev
        lag.waiting = [w for w in lag.waiting if w.place > event.rev and (live or w.is_ok)]
        if live:
            self._turn_live(conversation, lag)

    async def _part(self, conversation: str, lag: Lag, *, silently: bool) -> None:
        """The user left, and perhaps nobody could say so."""
        session, store = self._session, self._gate.store
        row = await self._gate.read(lambda: store.room(conversation))
        if session.behind.get(conversation) is not lag or (row is not None and row.present(session.user_id)):
            return
        session.start_anew(conversation)
        own = [p for p in row.participants if p.user == session.user_id] if row is not None else []
        if row is not None and own and not silently:
            session.send(
                Change(
                    conversation=conversation,
                    from_rev=min(lag.rev, own[0].rev),
                    rev=own[0].rev,
                    info=view.info(row.conversation),
                    participants=(view.participant(own[0]),),
                )
            )

    def _chain(self, conversation: str, start: int, since: Since, oks: Sequence[Waiting]) -> list[bytes]:
        """The events from `start` to `since.through`, with the `ok`s at their turn, none of them too large."""
        said = {ok.rev for ok in oks if ok.from_rev < ok.rev}
        objects: list[tuple[int, str, Any]] = [
            *((m.rev, "messages", view.message(m)) for m in since.messages if m.rev not in said),
            *((p.rev, "participants", view.participant(p)) for p in since.participants if p.rev not in said),
        ]
        objects.sort(key=lambda item: item[0])
        turns = deque(sorted(oks, key=lambda ok: (ok.from_rev, ok.rev)))
        frames: list[bytes] = []
        group: list[tuple[str, bytes]] = []
        at = last = start
        size = events = 0

        def emit(rev: int) -> None:
            nonlocal at, size, events
            frames.append(self._session.codec.encode(self._event(conversation, at, rev, group, since)))
            group.clear()
            at, size, events = rev, 0, events + 1

        def give_turns(before: int) -> None:
            nonlocal at
            while turns and turns[0].from_rev < before:
                ok = turns.popleft()
                if at < ok.from_rev:
                    emit(ok.from_rev)
                frames.append(ok.data)
                at = max(at, ok.rev)

        for rev, kind, value in objects:
            give_turns(rev)
            encoded = bytes(encode_object(value))
            if group and size + len(encoded) > FRAME_BYTES and last < rev:
                emit(last)
            group.append((kind, encoded))
            size += len(encoded)
            last = rev
        give_turns(since.through + 1)
        if at < since.through or not events:
            emit(since.through)
        return frames

    def _event(self, conversation: str, at: int, rev: int, group: Sequence[tuple[str, bytes]], since: Since) -> Frame:
        participants: tuple[Any, ...] = tuple(Encoded(value) for kind, value in group if kind == "participants")
        messages: tuple[Any, ...] = tuple(Encoded(value) for kind, value in group if kind == "messages")
        named = {p.user for p in since.participants} if participants else set()
        return Change(
            conversation=conversation,
            from_rev=at,
            rev=rev,
            info=view.info(since.room.conversation) if rev == since.room.conversation.rev else None,
            participants=participants or None,
            messages=messages or None,
            membership=view.membership(since.membership),
            users=view.users(u for id, u in since.users.items() if id in named) or None,
        )


def _for_one_in_a_crowd(since: Since, viewer: str, lag: Lag) -> Since:
    """Without those others of whom only watermarks moved: whoever came or went is named by a message of that change.

    Whose row is newer than that message comes with it or after it. An heir is an owner.
    """
    if sum(p.present for p in since.room.participants) <= view.CROWD:
        return since
    for message in since.messages:
        data = message.data or {}
        if data.get("event") in ("added", "removed", "left"):
            lag.moved.add(data.get("user", data["by"]))
    listed = tuple(p for p in since.participants if p.user == viewer or p.role == "owner" or p.user in lag.moved)
    return attrs.evolve(since, participants=listed)
