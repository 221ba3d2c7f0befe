"""The native dialect: the protocol's own frames as JSON. A transport adds its framing."""

from collections.abc import Sequence

from protocol.encode import encode, encode_sent_ok
from protocol.frames import Frame
from protocol.types import RequestId
from storage.records import ChangesSince

from . import view
from .chain import chain
from .event import Event, WaitingOk


class NativeJson:
    """Frames as JSON, without a transport's own bytes. A subclass overrides `framed`, and has a name of its own."""

    name: str = "json"
    ok_is_event: bool = True

    @staticmethod
    def framed(json: bytes) -> bytes:
        """Return a frame as the transport carries it."""
        return json

    def reply(self, frame: Frame) -> bytes:
        """Return a frame for this connection alone."""
        return self.framed(encode(frame))

    def sent(self, re: RequestId, conversation: str, from_rev: int, rev: int, seen: view.Seen) -> bytes:
        """Return the `ok` of a message that was sent."""
        return self.framed(encode_sent_ok(re, conversation, from_rev, rev, seen.messages[0]))

    def event(self, event: Event) -> bytes:
        """Return an event."""
        return self.framed(encode(event.frame))

    def missed(
        self,
        conversation: str,
        rev: int,
        seq: int | None,  # noqa: ARG002
        since: ChangesSince,
        oks: Sequence[WaitingOk],
    ) -> Sequence[bytes]:
        """Return what changed since `rev` as a chain of `change` events; `ok`s that list a change stand for it."""
        return chain(self.reply, conversation, rev, since, oks)
