"""All loaded rooms: loaded when somebody asks for one, unloaded when idle, started again after a crash."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Protocol

import attrs
import structlog
import trio

from protocol.types import RequestId
from storage import records
from storage.changes import Changed, CreateGroup, OpenDirect, Outcome, Refused, Unchanged, room_of

from . import view
from .caller import Caller, Read
from .errors import Refusal, internal, not_found, unavailable
from .pending import PendingRequest, answer, refusal
from .room import Room, RoomParts
from .session import Session

log = structlog.get_logger("chatd.rooms")

RESTART_S = 1.0
"""Seconds after a crash until the room serves again: one that crashes at once must not spin."""


Begin = OpenDirect | CreateGroup
Key = tuple[str, str, str | None]
"""Identifies a beginning: the same where it is asked for again."""


def key_of(change: Begin) -> Key:
    """Return the key under which a beginning is recognised when it is asked for again."""
    if isinstance(change, OpenDirect):
        return "open", records.pair_of(change.user, change.other), None
    return "create", change.user, change.client_id


def _before(outcome: Changed) -> records.Room:
    """Return the conversation that was begun again, as others may have left it: before those came in who came in."""
    row = room_of(outcome)
    return attrs.evolve(
        row,
        conversation=attrs.evolve(row.conversation, rev=outcome.from_rev),
        participants=tuple(p for p in row.participants if p.user not in outcome.entered),
    )


class Watcher(Protocol):
    """Somebody who follows which conversations have a room: whoever reads what other programs write to the store."""

    async def look_up(self, conversation: str, user: str | None) -> bool:
        """Take in what other programs wrote to this conversation: whether there was any. Raises Unavailable.

        `user`: who asks for it, None where nobody does.
        """
        ...

    async def found(self, revs: Mapping[str, int]) -> None:
        """Somebody has read these conversations as of these revs, perhaps before anybody was told. Raises Unavailable.

        When it returns, connections that were not sent all of that are behind.
        """
        ...

    def loading(self, row: records.Room) -> None:
        """The conversation is about to have a room."""
        ...

    def unloaded(self, conversation: str, rev: int) -> None:
        """The conversation has no room any more; `rev` was its last one."""
        ...


class Rooms:
    """`limit`: loaded rooms at once."""

    def __init__(self, parts: RoomParts, *, limit: int) -> None:
        self._parts = parts
        self._limit = limit
        self._loaded: dict[str, Room] = {}
        self._loading: dict[str, trio.Event] = {}
        self._nursery: trio.Nursery | None = None
        # Those begun whose outcome was never heard: who asks again tells the other side, too.
        self._doubtful: set[Key] = set()
        self._watchers: list[Watcher] = []
        parts.gate.subscribe_reopened(self._resync_all)

    def __len__(self) -> int:
        return len(self._loaded)

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self._loaded.values()))

    @property
    def waiting(self) -> int:
        """Requests that wait in all rooms."""
        return sum(room.waiting for room in self._loaded.values())

    def watch(self, watcher: Watcher) -> None:
        """Have `watcher` asked for and told of the conversations that are loaded."""
        self._watchers.append(watcher)

    def subscribe_settings(self, listener: Callable[[str, str], None]) -> None:
        """Have `listener` called with conversation and user wherever somebody's own settings changed."""
        self._parts.settings_listeners.append(listener)

    async def look_up(self, conversation: str, user: str) -> bool:
        """Ask the watchers for writes of other programs to a conversation: whether there were any. `user`: who asks.

        For whoever has no place in it nothing is looked for.
        """
        found = [await watcher.look_up(conversation, user) for watcher in self._watchers]
        return any(found)

    async def noticing(self, work: Callable[[], Awaitable[Read]]) -> Read:
        """Run a read that shows conversations; what it saw of others' writes is noticed here. Raises what it raises.

        Where others write, its reply waits for the changes that it shows.
        """
        read = await work()
        for watcher in self._watchers:
            await watcher.found(read.revs)
        return attrs.evolve(read, follows=True) if self._watchers and read.revs else read

    def loaded(self, conversation: str) -> Room | None:
        """The conversation's room, where there is one."""
        return self._loaded.get(conversation)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """The nursery of all rooms, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    async def post(self, conversation: str, pending: PendingRequest) -> None:
        """Put a request into its room's inbox. Raises Refusal: `not_found`, or `unavailable` when there is no place."""
        if self.post_nowait(conversation, pending):
            return
        user = pending.caller.user_id
        room = self._loaded.get(conversation) or await self._load(conversation, user)
        if not room.is_present(user):
            await self._ask_store(room, user)
        await room.put(pending)

    def post_nowait(self, conversation: str, pending: PendingRequest) -> bool:
        """Put a request into its room's inbox; False: something has to be waited for, or looked up."""
        room = self._loaded.get(conversation)
        if room is None or not room.is_present(pending.caller.user_id):
            return False
        return room.put_nowait(pending)

    async def _ask_store(self, room: Room, user: str) -> None:
        """Ask the store whether somebody else brought the user in, unseen by the room. Raises Refusal."""
        row = await self._parts.gate.read(lambda: self._parts.gate.store.room(room.id))
        if row is None or not row.present(user):
            raise not_found()
        room.notice(row.conversation.rev)

    async def present(self, conversation: str, user: str) -> bool:
        """Return True if the user takes part."""
        room = self._loaded.get(conversation)
        if room is not None:
            return room.is_present(user)
        row = await self._parts.gate.read(lambda: self._parts.gate.store.room(conversation))
        return row is not None and row.present(user)

    async def begin(self, caller: Caller, re: RequestId | None, change: Begin) -> None:
        """Find or make a conversation, and answer. Raises Refusal or Unavailable.

        It goes by no room's inbox, as the room isn't known before; its outcome is published in commit order too.
        """
        pending = PendingRequest(caller, re, change)
        caller.asked()
        refused: list[Refused] = []

        def publish(outcomes: Sequence[Outcome]) -> None:
            (outcome,) = outcomes
            if isinstance(outcome, Refused):
                refused.append(outcome)
            else:
                assert isinstance(outcome, Changed | Unchanged)
                self._publish_begun(pending, outcome, key_of(change))

        try:
            ticket = self._parts.gate.submit([change], publish)
            with trio.move_on_after(self._parts.commit_timeout):
                await ticket.done.wait()
            if ticket.error is not None:
                raise ticket.error
            if not ticket.done.is_set():
                raise unavailable()
        except BaseException:
            self._doubt(key_of(change))
            raise
        finally:
            pending.finish()
        if refused:
            raise refusal(refused[0])

    def _doubt(self, key: Key) -> None:
        if len(self._doubtful) < self._limit:
            self._doubtful.add(key)

    def lost(self, session: Session) -> None:
        """A connection is gone."""
        for conversation in list(session.typing_in):
            room = self._loaded.get(conversation)
            if room is not None:
                room.lost(session)

    # -- loading --

    async def _load(self, conversation: str, user: str) -> Room:
        while conversation in self._loading:
            await self._loading[conversation].wait()
        room = self._loaded.get(conversation)
        if room is not None:
            return room
        done = self._loading[conversation] = trio.Event()
        try:
            await self.look_up(conversation, user)
            row = await self._parts.gate.read(lambda: self._parts.gate.store.room(conversation))
        finally:
            del self._loading[conversation]
            done.set()
        room = self._loaded.get(conversation)  # an open may have brought it meanwhile
        if room is not None:
            return room
        if row is None or not row.present(user):
            raise not_found()
        self._tell_watchers(row)
        return self._start(row)

    def _tell_watchers(self, row: records.Room) -> None:
        for watcher in self._watchers:
            watcher.loading(row)

    def _start(self, row: records.Room) -> Room:
        if len(self._loaded) >= self._limit:
            self._make_place()
        assert self._nursery is not None
        room = self._loaded[row.conversation.id] = Room(row, self._parts, self._unload)
        self._nursery.start_soon(self._supervise, room, name=f"room {room.id}")
        log.debug("room loaded", conversation=room.id, rooms=len(self._loaded))
        return room

    def _start_to_tell(self, row: records.Room) -> Room:
        """Return a room that announces a committed conversation, even where there is no place for one more room."""
        try:
            return self._start(row)
        except Refusal:
            return Room(row, self._parts, self._unload)

    def _make_place(self) -> None:
        idle = [room for room in self._loaded.values() if room.idle]
        if not idle:
            raise unavailable()
        for room in sorted(idle, key=lambda room: room.used)[: max(1, self._limit // 100)]:
            room.stop()
            self._unload(room)

    def _unload(self, room: Room) -> bool:
        if self._loaded.get(room.id) is room:
            del self._loaded[room.id]
            for watcher in self._watchers:
                watcher.unloaded(room.id, room.rev)
        log.debug("room unloaded", conversation=room.id, rooms=len(self._loaded))
        return True

    async def _supervise(self, room: Room) -> None:
        while True:
            try:
                await room.run()
                return
            except* Exception as group:
                log.error("room crashed", conversation=room.id, exc_info=group)
                room.crashed()
            await trio.sleep(RESTART_S)

    def _resync_all(self) -> None:
        for room in self._loaded.values():
            room.resync()

    # -- conversations that begin --

    def _publish_begun(self, pending: PendingRequest, outcome: Changed | Unchanged, key: Key) -> None:
        id = outcome.room.id
        if isinstance(outcome, Unchanged):
            if id in self._loaded:
                self._loaded[id].notice(outcome.room.rev)
            else:
                self._tell_watchers(room_of(outcome))
            if key in self._doubtful:
                self._doubtful.discard(key)
                if not outcome.room.last_seq:
                    self._tell_again(outcome)
            answer(pending, id, view.unchanged_fields(outcome, pending.caller.user_id), outcome)
            return
        self._doubtful.discard(key)
        room = self._loaded.get(id)
        if room is None:
            if not outcome.created:
                self._tell_watchers(_before(outcome))
            room = self._start_to_tell(room_of(outcome))
        if outcome.created:
            log.info("conversation created", conversation=id, kind=outcome.room.kind, by=pending.caller.user_id)
        if room.rev not in (outcome.from_rev, outcome.rev):
            room.resync()
        try:
            room.tell(view.Seen(outcome, crowd=False), pending)
        except Exception:
            log.exception("telling failed", conversation=id)
            pending.refuse(internal())
            room.resync((outcome.from_rev, outcome.room.last_seq - len(outcome.messages)))
            if id not in self._loaded:  # it has no task that would see to it
                room.read_on()
            for user in outcome.entered:
                for session in self._parts.registry.of(user):
                    session.feed({id: 0})

    def _tell_again(self, outcome: Unchanged) -> None:
        """Tell of a beginning that seemed to fail but had happened, as if it happened now."""
        room = self._loaded.get(outcome.room.id) or self._start_to_tell(room_of(outcome))
        present = tuple(p.user for p in outcome.everyone if p.present)
        again = Changed(
            room=outcome.room,
            from_rev=outcome.room.rev,
            rev=outcome.room.rev,
            participants=outcome.everyone,
            memberships=tuple(
                records.Membership(user=user, muted=False, pinned=False, archived=False, unread=0) for user in present
            ),
            entered=present,
            everyone=outcome.everyone,
            users=outcome.users,
        )
        room.tell(view.Seen(again, crowd=False), None)
