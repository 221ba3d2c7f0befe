"""Catch-up: the changes of a conversation since some rev as a chain of events, with the `ok`s at their turn."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from protocol.encode import encode_object
from protocol.frames import Change, Frame
from protocol.objects import Encoded
from storage.records import ChangesSince

from . import view
from .event import WaitingOk

FRAME_BYTES = 512 * 1024
"""Size at which a catch-up event is cut: half of what a frame may have."""


def chain(
    encode: Callable[[Frame], bytes], conversation: str, start: int, since: ChangesSince, oks: Sequence[WaitingOk]
) -> list[bytes]:
    """Return the events from `start` to `since.through`, with the `ok`s at their turn, none of them too large."""
    links = _Chain(encode, conversation, start, since, oks)
    said = {ok.rev for ok in oks if ok.from_rev < ok.rev}  # an `ok` lists what changed with it
    objects: list[tuple[int, str, Any]] = [
        *((m.rev, "messages", view.message(m)) for m in since.messages if m.rev not in said),
        *((p.rev, "participants", view.participant(p)) for p in since.participants if p.rev not in said),
    ]
    for rev, kind, value in sorted(objects, key=lambda item: item[0]):
        links.give_turns(rev)
        links.add(rev, kind, bytes(encode_object(value)))
    links.give_turns(since.through + 1)
    links.close(since.through)
    return links.frames


class _Chain:
    """Events under construction: `at` is the rev that the frames so far lead to."""

    def __init__(
        self,
        encode: Callable[[Frame], bytes],
        conversation: str,
        start: int,
        since: ChangesSince,
        oks: Sequence[WaitingOk],
    ) -> None:
        self.frames: list[bytes] = []
        self._encode = encode
        self._conversation = conversation
        self._since = since
        self._turns = deque(sorted(oks, key=lambda ok: (ok.from_rev, ok.rev)))
        self._group: list[tuple[str, bytes]] = []  # the objects of the next event, encoded
        self._size = 0  # bytes of the group
        self._at = self._last = start
        self._has_event = False

    def add(self, rev: int, kind: str, encoded: bytes) -> None:
        """Add an object to the next event; begin another one where it would be too large, between two revs only."""
        if self._group and self._size + len(encoded) > FRAME_BYTES and self._last < rev:
            self._emit(self._last)
        self._group.append((kind, encoded))
        self._size += len(encoded)
        self._last = rev

    def give_turns(self, before: int) -> None:
        """Let the `ok`s leave that go on from a rev below `before`, each after an event that leads up to it."""
        while self._turns and self._turns[0].from_rev < before:
            ok = self._turns.popleft()
            if self._at < ok.from_rev:
                self._emit(ok.from_rev)
            self.frames.append(ok.data)
            self._at = max(self._at, ok.rev)

    def close(self, rev: int) -> None:
        """End the chain at `rev`; it has at least one event."""
        if self._at < rev or not self._has_event:
            self._emit(rev)

    def _emit(self, rev: int) -> None:
        event = _event(self._conversation, self._at, rev, self._group, self._since)
        self.frames.append(self._encode(event))
        self._group.clear()
        self._at, self._size, self._has_event = rev, 0, True


def _event(conversation: str, at: int, rev: int, group: Sequence[tuple[str, bytes]], since: ChangesSince) -> Frame:
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


def without_watermarks(since: ChangesSince, viewer: str, moved: set[str]) -> ChangesSince:
    """Leave out participants of whom only watermarks moved; a message of the change names those who came or went.

    Rows newer than the system message are sent with it or later. A promoted owner is kept, because its role is `owner`.
    """
    if sum(p.present for p in since.room.participants) <= view.CROWD:
        return since
    for message in since.messages:
        data = message.data or {}
        if data.get("event") in ("added", "removed", "left"):
            moved.add(data.get("user", data["by"]))
    listed = tuple(p for p in since.participants if p.user == viewer or p.role == "owner" or p.user in moved)
    return attrs.evolve(since, participants=listed)
