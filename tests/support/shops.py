"""A daemon on a store that others write to as well: an app, and other daemons."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from storage.changes import Change, SendMessage
from storage.memory import MemoryStore
from storage.records import Room, Scan, ScanPosition, Shrunk

from .steering import Clinic, WatchedStore, clinic


class AppStore(WatchedStore):
    """A store that an app writes to: what it wrote waits, by conversation, until it is taken in."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[str, list[Change]]] = []
        self.deleted: list[tuple[str, list[Change]]] = []  # found by whoever asks for the conversation alone
        self.retitled: dict[str, str | None] = {}
        self.taken_out: dict[str, str] = {}  # conversation -> user; so for everybody, from the next look on
        self.looks = 0
        self.fails: Exception | None = None

    def app(self, conversation: str, *changes: Change) -> None:
        self.written.append((conversation, list(changes)))

    def retitle(self, conversation: str, title: str | None) -> None:
        """In the app's table: that doesn't move the rev."""
        self._conversations[conversation] = attrs.evolve(self._conversations[conversation], title=title)
        self.retitled[conversation] = title

    def take_out(self, conversation: str, user: str) -> None:
        """Delete the participant's row."""
        del self._participants[conversation][user]
        self._of_user[user].remove(conversation)
        self.taken_out[conversation] = user

    def scan(self, since: ScanPosition | None) -> Scan:
        self.looks += 1
        failing, self.fails = self.fails, None
        if failing is not None:
            raise failing
        revs = {} if since is None else {c.id: c.rev for c in self._conversations.values()}
        users = () if since is None else tuple(self._users.values())
        return Scan(
            next=(self.looks, "", 0, ""),
            conversations=revs,
            users=users,
            waiting=bool(self.written),
            retitled=tuple(self.retitled),
        )

    def has_pending(self, conversation: str, user: str | None = None) -> bool:
        return conversation in self.retitled or any(id == conversation for id, _ in self.written)

    def shrunk(self, watched: Mapping[str, Collection[str]]) -> Shrunk:
        found = tuple(id for id, _ in self.deleted if id in watched)
        self.written += [each for each in self.deleted if each[0] in watched]
        self.deleted = [each for each in self.deleted if each[0] not in watched]
        people = tuple(id for id, user in self.taken_out.items() if user in watched.get(id, ()))
        return Shrunk(messages=found, people=people)

    def ingest(self, conversation: str | None, at: int, *, people_gone_at: int | None = None) -> bool:
        if conversation is not None and people_gone_at is not None:
            room = self._conversations[conversation]
            if room.rev == people_gone_at:
                self._conversations[conversation] = attrs.evolve(room, rev=room.rev + 1)
        if conversation in self.retitled:
            del self.retitled[conversation]
            room = self._conversations[conversation]
            self._conversations[conversation] = attrs.evolve(room, rev=room.rev + 1)
        found = next((each for each in self.written if conversation in (None, each[0])), None)
        if found is not None:
            self.written.remove(found)
            MemoryStore.commit(self, found[1])
        return found is not None

    def missing_users(self, ids: Collection[str]) -> list[str]:
        return [id for id in ids if id not in self._users]

    def rooms(self, ids: Collection[str]) -> dict[str, Room]:
        return {id: room for id in ids if (room := self.room(id)) is not None}


class Shop(Clinic):
    """A clinic on a shared store."""

    store: AppStore

    def commit(self, *changes: Change) -> None:
        """As another daemon does."""
        for outcome in MemoryStore.commit(self.store, changes):
            assert type(outcome).__name__ != "Refused", outcome


@asynccontextmanager
async def shop(**parts: Any) -> AsyncIterator[Shop]:
    async with clinic(store=AppStore(), **parts) as c:
        assert isinstance(c.store, AppStore)
        await trio.sleep(1.5)  # the daemon has looked once, and is between two looks
        yield Shop(c.server, c.store, c.writes, c.reads)


def sent(conversation: str, user: str, name: str) -> SendMessage:
    return SendMessage(
        conversation=conversation, user=user, client_id=name, message=name, body=name, reply_to=None, at=0
    )
