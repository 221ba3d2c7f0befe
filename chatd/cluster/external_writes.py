"""External writes to a shared store, by an app or other daemons: looked for every second, then told.

Rooms that are loaded and connections that live read on from the store, as after a failure: `session.feed` does what
there is to do. So it makes no difference who wrote, or whether a change was told already.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import partial

import trio

from chatd.commands.parts import Parts
from storage.contract import SharedStore, Unavailable
from storage.records import Room, Scan, ScanPosition, User

MAX_KNOWN_REVS = 50_000
"""Conversations whose revs are remembered, besides those of users who are online."""

ROOMS_PER_READ = 500
"""Conversations that are read at once."""

ORPHANED_PER_LOOK = 100
"""Conversations of deleted users that one look checks for missing messages."""


class ExternalWrites:
    """Looks for external writes. `interval`: seconds between two looks."""

    def __init__(self, parts: Parts, store: SharedStore, *, interval: float) -> None:
        self._parts = parts
        self._store = store
        self._interval = interval
        self._told: dict[str, int] = {}  # conversation -> the rev that all who are connected have, or are being fed
        self._users: dict[str, User] = {}  # those that the last look found
        self._orphaned: dict[str, None] = {}  # conversations of deleted users: messages may have gone with them
        self._next: ScanPosition | None = None
        parts.rooms.watch(self)
        parts.presence.subscribe_arrivals(self._found)

    async def run(self) -> None:
        """Look, until cancelled or a look fails by a bug."""
        while True:
            try:
                await self.look()
            except Unavailable:
                if self._parts.gate.problem is None:
                    self._parts.gate.submit(())  # an empty batch finds out whether messages can be acknowledged
            await trio.sleep(self._interval)

    async def look(self) -> None:
        """Take in what an app wrote, and tell what is new; of users first, who may be shut out. Raises Unavailable."""
        moves = await self._scan()
        if moves.waiting:
            await self._take_in(None)
        # There may be tens of thousands: put together off the loop.
        told, people, nobody = tuple(self._told), self._parts.presence.snapshot(), (0, frozenset[str]())
        shrunk = await self._parts.gate.read(lambda: self._store.shrunk({id: people.get(id, nobody)[1] for id in told}))
        for conversation in (*moves.retitled, *shrunk.messages):
            await self._take_in(conversation)
        for conversation in shrunk.people:
            await self._take_in(conversation, people_gone_at=self._known(conversation))
        if moves.waiting or moves.retitled or shrunk.messages or shrunk.people:
            moves = await self._scan()
        await self._tell(moves.conversations)
        for conversation in list(self._orphaned)[:ORPHANED_PER_LOOK]:
            await self.look_up(conversation, None)
            del self._orphaned[conversation]
        self._next = moves.next
        self._forget()

    async def look_up(self, conversation: str, user: str | None) -> bool:
        """Take in what the app wrote of one conversation, if it did: whether there was any. Raises Unavailable.

        `user`: who asks for it, None where nobody does.
        """
        store, gate = self._store, self._parts.gate
        if not await gate.read(lambda: store.has_pending(conversation, user)):
            return False
        await self._take_in(conversation)
        found = await gate.read(lambda: store.rooms([conversation]))
        await self._tell({id: room.conversation.rev for id, room in found.items()})
        return True

    async def found(self, revs: Mapping[str, int]) -> None:
        """Tell what somebody has read before the next look found it. Raises Unavailable."""
        newer = {id: rev for id, rev in revs.items() if rev > self._known(id)}
        if newer:
            await self._tell(newer)

    def tell_again(self, conversation: str, user: str) -> None:
        """Have the user's connections told where they stand in a conversation, with their own settings as they are."""
        known = self._known(conversation)
        if known and user in self._parts.presence.members(conversation):
            self._feed([user], {conversation: known})

    def _known(self, conversation: str) -> int:
        room = self._parts.rooms.loaded(conversation)
        return self._told.get(conversation, 0) if room is None else room.rev

    async def _scan(self) -> Scan:
        store, users = self._store, self._parts.registry.user_ids()
        moves = await self._parts.gate.read(lambda: store.scan(self._next))
        self._tell_users(moves.users)
        for user in await self._parts.gate.read(lambda: store.missing_users(users)):
            self._orphaned.update(dict.fromkeys(self._parts.presence.conversations(user)))
            self._parts.accounts.deleted(user)
        return moves

    async def _take_in(self, conversation: str | None, *, people_gone_at: int | None = None) -> None:
        looked, store, now = trio.current_time(), self._store, self._parts.now
        while await self._parts.gate.maintain(lambda: store.ingest(conversation, now(), people_gone_at=people_gone_at)):
            if trio.current_time() - looked >= self._interval:  # an import takes its time, a cut-off must not
                await self._scan()
                looked = trio.current_time()

    def _found(self, revs: Mapping[str, int]) -> None:
        """Somebody signs in, and is about to get their conversations as of these revs, or newer."""
        for conversation, rev in revs.items():
            self._told.setdefault(conversation, rev)

    # -- conversations --

    async def _tell(self, revs: Mapping[str, int]) -> None:
        unloaded: list[str] = []
        for conversation, rev in revs.items():
            room = self._parts.rooms.loaded(conversation)
            if room is not None:
                room.notice(rev)
                self._told[conversation] = max(rev, room.rev)
            elif self._told.get(conversation) != rev:
                unloaded.append(conversation)
        for start in range(0, len(unloaded), ROOMS_PER_READ):
            some = unloaded[start : start + ROOMS_PER_READ]
            rows = await self._parts.gate.read(partial(self._store.rooms, some))
            for id, row in rows.items():
                room = self._parts.rooms.loaded(id)
                if room is None:
                    self.loading(row)
                else:  # by now
                    room.notice(row.conversation.rev)

    def unloaded(self, conversation: str, rev: int) -> None:
        """Remember the rev that the room had told."""
        self._told[conversation] = rev

    def loading(self, row: Room) -> None:
        """Tell the connected participants of a conversation that has no room, or is about to have one."""
        parts, id, rev = self._parts, row.conversation.id, row.conversation.rev
        told = self._told.get(id, 0)
        self._told[id] = rev
        if told >= rev:
            return
        present = frozenset(p.user for p in row.participants if p.present)
        before = parts.presence.members(id)
        parts.presence.moved(id, rev, present)
        gone = before.difference(p.user for p in row.participants)
        self._feed(before - present, {id: max(told, 1)}, gone)  # they hear that they are out
        self._feed(before & present, {id: told}, gone)
        self._feed(present - before, {id: 0})

    def _feed(self, users: Iterable[str], revs: Mapping[str, int], gone: Collection[str] = ()) -> None:
        for user in users:
            for session in self._parts.registry.of(user):
                session.feed(revs)
                for id in revs if gone else ():
                    session.behind[id].gone.update(gone)

    def _forget(self) -> None:
        if len(self._told) > MAX_KNOWN_REVS:
            members = self._parts.presence.members
            for id in [id for id in self._told if not members(id)]:
                del self._told[id]

    # -- users --

    def _tell_users(self, users: Iterable[User]) -> None:
        """Another name, another role, shut out: of those who are connected surely, of others as far as it is told."""
        before, self._users = self._users, {user.id: user for user in users}
        for user in self._users.values():
            sessions = self._parts.registry.of(user.id)
            known = sessions[0].user if sessions else before.get(user.id)
            if known is None or _shown(user) != _shown(known):
                self._parts.accounts.noticed(user)


def _shown(user: User) -> tuple[object, ...]:
    return user.name, user.role, user.avatar_url, user.disabled_at is None
