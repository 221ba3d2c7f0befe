"""A request on its way through a room, and how it is answered."""

from typing import Any

from protocol.codes import ErrorCode
from protocol.encode import encode_sent_ok
from protocol.frames import ChangeOk
from protocol.types import RequestId
from storage.changes import Changed, CreateGroup, OpenDirect, Refused, RoomChange, SendMessage, SetTitle, Unchanged

from . import view
from .errors import Refusal
from .session import Session


class PendingRequest:
    """A request on its way through a room: a change for the store, or typing (`active`)."""

    __slots__ = ("active", "change", "deadline", "done", "re", "session")

    def __init__(
        self, session: Session, re: RequestId | None, change: RoomChange | None, *, active: bool = False
    ) -> None:
        self.session = session
        self.re = re
        self.change = change
        self.active = active
        self.deadline = float("inf")
        self.done = False

    @property
    def wants_ok(self) -> bool:
        """Whether the outcome goes to the asker as an `ok` (else as the event that all others get)."""
        return self.re is not None and not self.done

    def finish(self) -> None:
        """The request is answered, or needs no answer."""
        if not self.done:
            self.done = True
            self.session.answered()

    def refuse(self, refusal: Refusal) -> None:
        """Answer with an error."""
        if not self.done:
            self.session.send(refusal.frame(self.re))
            self.finish()


def answer(pending: PendingRequest, conversation: str, fields: dict[str, Any], outcome: Changed | Unchanged) -> None:
    """The `ok` of a changing request, where one is wanted; it stands for the event on the asker's connection."""
    if pending.wants_ok:
        assert pending.re is not None
        match pending.change:
            case SendMessage() | CreateGroup():
                fields["duplicate"] = isinstance(outcome, Unchanged)
            case OpenDirect():
                fields |= view.opened_fields(outcome)
            case SetTitle():
                fields["info"] = view.info(outcome.room)
            case _:
                pass
        session = pending.session
        ok = ChangeOk(re=pending.re, conversation=conversation, **fields)
        session.answer(conversation, ok.from_rev, ok.rev, session.codec.encode(ok))
    pending.finish()


def answer_sent(pending: PendingRequest, conversation: str, seen: view.Seen) -> None:
    """The same for a message that was sent, and nothing else with it: the hot path."""
    if pending.re is not None and not pending.done:
        session, outcome = pending.session, seen.outcome
        from_rev, rev = outcome.from_rev, outcome.rev
        ok = encode_sent_ok(pending.re, conversation, from_rev, rev, seen.messages[0])
        session.answer(conversation, from_rev, rev, session.codec.wrap(ok))
    pending.finish()


def refusal(outcome: Refused) -> Refusal:
    """What the store says no to, as the asker hears it."""
    return Refusal(ErrorCode(outcome.reason), outcome.message)
