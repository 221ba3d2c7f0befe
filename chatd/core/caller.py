"""The two roles towards the chat: a caller asks, a recipient is told.

A session over a WebSocket is both; an HTTP request is only a caller. Nothing below dispatch knows how somebody is
connected.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import attrs

from protocol.codes import CloseCode
from protocol.frames import Change, ChangeOk, Frame, Ok
from protocol.types import RequestId
from storage.records import User

from . import view
from .event import Event
from .order import Lag


@attrs.frozen
class Read:
    """A reply (None: the request had no id), and the rev of each conversation whose `info` it shows.

    `follows`: others write to the store, too, and a connection that is behind one of these revs is caught up first.
    """

    reply: Ok | None
    revs: Mapping[str, int] = attrs.Factory(dict)
    follows: bool = False


class Caller(Protocol):
    """Somebody who asks, and gets the answers. `ok_is_event`: where it is a recipient, too, an `ok` is all it gets."""

    ok_is_event: bool

    @property
    def user(self) -> User | None:
        """The row of the user who is signed in."""
        ...

    @property
    def user_id(self) -> str:
        """The id of that user; empty before sign-in."""
        ...

    @property
    def is_gone(self) -> bool:
        """Return True if nothing reaches the caller any more."""
        ...

    def send(self, frame: Frame, *, counts: bool = True) -> None:
        """Answer with a frame that has no place in a conversation's order; never waits."""
        ...

    def answer(self, ok: ChangeOk) -> None:
        """Answer with the `ok` of a change, in its conversation's order; never waits."""
        ...

    def answer_sent(self, re: RequestId, conversation: str, from_rev: int, rev: int, seen: view.Seen) -> None:
        """The same for a message that was sent, and nothing else with it: the hot path."""
        ...

    def asked(self) -> None:
        """Count a request that went to a room."""
        ...

    def answered(self) -> None:
        """Count it as answered, or as one that needs no answer."""
        ...

    async def quiet(self) -> None:
        """Wait until every request that went to a room is answered."""
        ...

    async def read(
        self, work: Callable[[], Awaitable[Read]], place: AbstractAsyncContextManager[None] | None = None
    ) -> None:
        """Run a read after all that was asked before it, and answer with its reply in rev order.

        `place`: where it has to wait for others; what happens meanwhile is told as it happens.
        """
        ...


class Recipient(Protocol):
    """A connection that is told what happens."""

    id: str
    focus: str | None

    @property
    def user(self) -> User | None:
        """The row of the user who is signed in."""
        ...

    @property
    def is_gone(self) -> bool:
        """Return True if nothing reaches the recipient any more."""
        ...

    def notify(self, event: Event) -> None:
        """Tell of something that has no place in a conversation's order; never waits."""
        ...

    def deliver(self, conversation: str, from_rev: int, rev: int, event: Event) -> None:
        """Tell of a `change` in its conversation's order; never waits."""
        ...

    def gather(self, change: Change) -> None:
        """Tell of a `change` with nothing in it but its revs, merged with those that follow."""
        ...

    def tell_gathered(self, conversation: str) -> None:
        """Tell what was gathered of the conversation, if anything."""
        ...

    def start_anew(self, conversation: str) -> Lag | None:
        """Have the next event of the conversation stand for all before it; return what the client was behind by."""
        ...

    def release(self, conversation: str, lag: Lag, rev: int) -> None:
        """Send the `ok`s that `start_anew` left over, now that the event as of `rev` was sent."""
        ...

    def fall_behind(self, conversation: str, rev: int, seq: int | None = None) -> Lag:
        """Mark the client as having the conversation up to `rev`, message `seq`; `feed` makes it read on."""
        ...

    def feed(self, revs: Mapping[str, int]) -> None:
        """Have the client told what it missed in these conversations since these revs; 0: all of it."""
        ...

    def stop(self, code: CloseCode, reason: str) -> None:
        """Begin to end the connection, unless it is ending; never waits."""
        ...
