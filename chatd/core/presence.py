"""Presence: an index of live users' conversations says who is told; nothing is scanned.

A user is online while any session lives, and offline `OFFLINE_DELAY_S` after the last is lost, so that reloading a page
doesn't flap.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping

import trio

from protocol.frames import Presence as PresenceEvent
from protocol.objects import PresenceState
from protocol.times import to_rfc3339
from storage.changes import SeeUser
from storage.contract import Unavailable
from storage.records import User

from .event import Event
from .gate import Gate
from .registry import Registry

OFFLINE_DELAY_S = 5.0
"""Seconds between the loss of the last session and `offline`."""


class PresenceIndex:
    """An index of the conversations of those who are online; filled at `hello`, moved as people come and go."""

    def __init__(self, registry: Registry, gate: Gate, now: Callable[[], int]) -> None:
        self._registry = registry
        self._gate = gate
        self._now = now
        self._conversations: dict[str, set[str]] = {}  # online user -> conversations
        self._members: dict[str, tuple[int, frozenset[str]]] = {}  # conversation -> rev, who is present
        self._leaving: deque[tuple[float, str, int]] = deque()  # when, who, last seen (ms); in order: one delay for all
        self._lost: dict[str, float] = {}  # who -> when offline is due; the newest loss counts
        self._wake = trio.Event()
        self._arrival_listeners: list[Callable[[Mapping[str, int]], None]] = []

    def subscribe_arrivals(self, listener: Callable[[Mapping[str, int]], None]) -> None:
        """Have `listener` called for each user who comes online, with the revs of their conversations."""
        self._arrival_listeners.append(listener)

    async def arrive(self, user: str) -> None:
        """A session of the user was registered: fill the index, tell the peers. Raises Unavailable."""
        if user in self._conversations:
            return
        self._conversations[user] = set()
        try:
            loaded = await self._gate.read(lambda: self._gate.store.memberships(user))
        except BaseException:
            self._forget(user)
            raise
        for listener in self._arrival_listeners:
            listener({conversation: rev for conversation, rev, _ in loaded})
        for conversation, rev, members in loaded:
            self.moved(conversation, rev, members)
        self._gate.submit([SeeUser(user, self._now())])
        self._tell(user, PresenceEvent(user=user, online=True))

    def depart(self, user: str) -> None:
        """The user's last session was lost."""
        if user in self._conversations:
            self._lost[user] = trio.current_time() + OFFLINE_DELAY_S
            self._leaving.append((self._lost[user], user, self._now()))
            self._wake.set()

    def moved(self, conversation: str, rev: int, members: frozenset[str]) -> None:
        """Note the present participants of a conversation, as of `rev`."""
        known = self._members.get(conversation)
        if known is not None and known[0] > rev:
            return
        live = [user for user in members if user in self._conversations]
        for user in known[1] - members if known else ():
            if user in self._conversations:
                self._conversations[user].discard(conversation)
        for user in live:
            self._conversations[user].add(conversation)
        if live:
            self._members[conversation] = (rev, members)
        else:
            self._members.pop(conversation, None)

    def members(self, conversation: str) -> frozenset[str]:
        """Return the participants who are present, as far as anybody online needs to know."""
        known = self._members.get(conversation)
        return known[1] if known is not None else frozenset()

    def snapshot(self) -> dict[str, tuple[int, frozenset[str]]]:
        """Return a copy of what `members` knows: conversation -> as of which rev, and who."""
        return dict(self._members)

    def conversations(self, user: str) -> tuple[str, ...]:
        """Return the conversations of an online user."""
        return tuple(self._conversations.get(user, ()))

    def peers(self, user: str) -> set[str]:
        """Everyone who shares a conversation with an online user."""
        found: set[str] = set()
        for conversation in self._conversations.get(user, ()):
            found |= self._members[conversation][1]
        found.discard(user)
        return found

    def online(self, user: str) -> bool:
        """Return True if others see the user online."""
        return user in self._conversations

    def states(self, users: Collection[User]) -> tuple[PresenceState, ...]:
        """Return the states that `presence.get` lists."""
        return tuple(
            PresenceState(user=u.id, online=True)
            if self.online(u.id)
            else PresenceState(
                user=u.id, online=False, last_seen=None if u.last_seen_at is None else to_rfc3339(u.last_seen_at)
            )
            for u in users
        )

    def user_changed(self, event: Event, user: str) -> None:
        """Tell everyone who shares a conversation, and the user's own sessions."""
        peers = self.peers(user)
        if not self.online(user):  # an operator's change: rare enough to look everywhere
            peers = set().union(*(members for _, members in self._members.values() if user in members)) - {user}
        for peer in (*peers, user):
            for session in self._registry.of(peer):
                session.notify(event)

    async def run(self) -> None:
        """Say `offline` when the time has come."""
        while True:
            if not self._leaving:
                self._wake = trio.Event()
                await self._wake.wait()
                continue
            when, user, seen = self._leaving[0]
            await trio.sleep_until(when)
            self._leaving.popleft()
            if self._lost.get(user) != when:
                continue
            del self._lost[user]
            if user in self._conversations and not self._registry.online(user):
                self._tell(user, PresenceEvent(user=user, online=False, last_seen=to_rfc3339(seen)))
                self._forget(user)
                self._gate.submit([SeeUser(user, seen)])

    async def close(self) -> None:
        """Record, at shutdown, when online users were last seen."""
        if self._conversations:
            try:
                await self._gate.commit([SeeUser(user, self._now()) for user in sorted(self._conversations)])
            except Unavailable:
                return

    def _tell(self, user: str, frame: PresenceEvent) -> None:
        event = Event(frame)
        for peer in self.peers(user):
            for session in self._registry.of(peer):
                session.notify(event)

    def _forget(self, user: str) -> None:
        for conversation in self._conversations.pop(user, ()):
            _, members = self._members[conversation]
            if not any(member in self._conversations for member in members):
                del self._members[conversation]
