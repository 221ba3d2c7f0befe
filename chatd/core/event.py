"""Events on their way to those who are told: in the words of each dialect, put into words once."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from protocol.frames import Change, Frame
from protocol.types import RequestId
from storage.records import ChangesSince, Participant

from . import view


class WaitingOk(Protocol):
    """An `ok` that waits for its turn, in the dialect's words."""

    from_rev: int
    rev: int
    data: bytes


class Dialect(Protocol):
    """Puts what happened, and the answers of one connection, into the words of a kind of client.

    A payload is zero or more packets as the transport carries them, one behind the other; b"" is none. `name` is that
    of dialect and framing together: an event keeps one encoding under it. `ok_is_event`: an `ok` stands for the event
    on the connection that asked; else that gets both.
    """

    name: str
    ok_is_event: bool

    def reply(self, frame: Frame) -> bytes:
        """Return a frame for this connection alone: an answer, or what nobody else is told in the same words."""
        ...

    def sent(self, re: RequestId, conversation: str, from_rev: int, rev: int, seen: "view.Seen") -> bytes:
        """Return the `ok` of a message that was sent, and nothing else with it: the hot path."""
        ...

    def event(self, event: "Event") -> bytes:
        """Return an event for all who see the same; depends on nothing of this connection but `name`."""
        ...

    def missed(
        self, conversation: str, rev: int, seq: int | None, since: ChangesSince, oks: Sequence[WaitingOk]
    ) -> Sequence[bytes]:
        """Return what changed since `rev`, with each of `oks` at its turn.

        `seq`: the newest message at `rev`; None where nobody knows.
        """
        ...


class Event:
    """A frame on its way to many: encoded once per dialect and framing, on first use."""

    __slots__ = ("_encoded", "_frame")

    def __init__(self, frame: Frame | None) -> None:
        self._frame = frame
        self._encoded: dict[str, bytes] = {}

    @property
    def frame(self) -> Frame:
        """The event as the native protocol has it."""
        assert self._frame is not None
        return self._frame

    def bytes_for(self, dialect: Dialect) -> bytes:
        """The event in this dialect's words."""
        data = self._encoded.get(dialect.name)
        if data is None:
            data = self._encoded[dialect.name] = dialect.event(self)
        return data


class ChangeEvent(Event):
    """Neighbouring changes of a conversation as one event, with the outcomes that they came from.

    `viewer`: the user whom alone it is for; None: it is for all whom it doesn't concern. `participants`: everyone's
    rows after it, by user; good only while the event is being told. `seq`: the newest message before it. `fields`:
    those of the `change`, where they are known already.
    """

    __slots__ = ("conversation", "fields", "participants", "seen", "seq", "viewer")

    def __init__(
        self,
        conversation: str,
        seen: Sequence["view.Seen"],
        participants: Mapping[str, Participant],
        seq: int,
        viewer: str | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(None)
        self.conversation = conversation
        self.seen = seen
        self.participants = participants
        self.seq = seq
        self.viewer = viewer
        self.fields = fields

    @property
    def frame(self) -> Frame:
        """The event as the native protocol has it, made on first use."""
        if self._frame is None:
            if self.fields is not None:
                self._frame = Change(conversation=self.conversation, **self.fields)  # type: ignore[arg-type]
            else:
                self._frame = view.merged(self.conversation, self.seen, self.viewer)
        return self._frame
