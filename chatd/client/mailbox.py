"""Events of a client for its program, merged while the program is busy."""

import attrs
import trio

from protocol.objects import Message, User

MAX_REPORTED_MESSAGES = 1000
"""Messages that wait for a slow consumer of events, of one conversation; after that it is told to look itself."""


class Closed(Exception):
    """The client is over and does not come back: refused, or told not to. `code`: of the close frame, if any came."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code

    def again(self) -> "Closed":
        """The same, for one more who must hear it."""
        return Closed(self.reason, self.code)


@attrs.frozen
class Connected:
    """The server said hello; what was missed is on its way."""

    user: User


@attrs.frozen
class Disconnected:
    """The connection was lost, or there was none to be had; the next attempt is in `retry_in` s.

    `cause`: what kept it from being made, of TLS or of the network.
    """

    reason: str
    retry_in: float
    cause: BaseException | None = attrs.field(default=None, eq=False, repr=False)


@attrs.frozen
class ConversationChanged:
    """Something durable changed since the last event of this conversation, however much that was.

    `messages`: those new or changed, by seq. `reload`: they are not all, or the conversation began anew: what is held
    is in the replica, and older messages come by `history`. `dropped`: it is not the user's any more.
    """

    conversation: str
    messages: tuple[Message, ...] = ()
    reload: bool = False
    dropped: bool = False


@attrs.frozen
class TypingChanged:
    """Start or end of a user's typing."""

    conversation: str
    user: str
    active: bool


@attrs.frozen
class PresenceChanged:
    """Change of a user's presence."""

    user: str
    online: bool


@attrs.frozen
class UserChanged:
    """User who is new to this client, or has another name, role or picture."""

    user: User


Event = Connected | Disconnected | ConversationChanged | TypingChanged | PresenceChanged | UserChanged


@attrs.define
class _Gathered:
    """The contents of a `ConversationChanged` until it is taken."""

    messages: dict[int, Message] = attrs.Factory(dict)
    reload: bool = False
    dropped: bool = False

    def add(self, messages: dict[int, Message], *, restarted: bool) -> None:
        if restarted:
            self.messages.clear()
        self.dropped = False
        self.messages |= messages
        self.reload = self.reload or restarted or len(self.messages) > MAX_REPORTED_MESSAGES
        if len(self.messages) > MAX_REPORTED_MESSAGES:
            self.messages.clear()

    def event(self, conversation: str) -> ConversationChanged:
        messages = tuple(self.messages[seq] for seq in sorted(self.messages))
        return ConversationChanged(conversation, messages, self.reload, self.dropped)


class Events:
    """Events, oldest first, for one consumer. Where it is slow, those that belong together become one.

    So it holds no more than one event for each thing that can change, and nothing durable is lost.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, ...], Event | _Gathered] = {}
        self._news = trio.Event()
        self._closed: Closed | None = None

    def __aiter__(self) -> "Events":
        return self

    async def __anext__(self) -> Event:
        """Raises Closed after the last one."""
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            if self._closed is not None:
                raise self._closed.again()
            self._news = trio.Event()
            await self._news.wait()
        key = next(iter(self._waiting))
        event = self._waiting.pop(key)
        return event.event(key[1]) if isinstance(event, _Gathered) else event

    def put(self, event: Event, *about: str) -> None:
        self._waiting[type(event).__name__ if about else "connection", *about] = event
        self._news.set()

    def gather(self, conversation: str) -> _Gathered:
        gathered = self._waiting.setdefault(("conversation", conversation), _Gathered())
        assert isinstance(gathered, _Gathered)
        self._news.set()
        return gathered

    def close(self, closed: Closed) -> None:
        self._closed = closed
        self._news.set()
