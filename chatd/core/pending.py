"""A request on its way through a room, and how it is answered."""

from typing import Any

from protocol.codes import ErrorCode
from protocol.frames import ChangeOk
from protocol.types import RequestId
from storage.changes import Changed, CreateGroup, OpenDirect, Refused, RoomChange, SendMessage, SetTitle, Unchanged

from . import view
from .caller import Caller
from .errors import Refusal
from .session import Session


class PendingRequest:
    """A request on its way through a room: a change for the store, or typing (`typist`, `active`)."""

    __slots__ = ("active", "caller", "change", "deadline", "done", "leader", "re", "typist")

    def __init__(
        self,
        caller: Caller,
        re: RequestId | None,
        change: RoomChange | None,
        *,
        typist: Session | None = None,
        active: bool = False,
    ) -> None:
        self.caller = caller
        self.re = re
        self.change = change
        self.typist = typist
        self.active = active
        self.leader: PendingRequest | None = None  # of the same batch, whose change stands for this one's
        self.deadline = float("inf")
        self.done = False

    @property
    def wants_ok(self) -> bool:
        """Return True if the outcome goes to the asker as an `ok` (else as the event that all others get)."""
        return self.re is not None and not self.done

    def finish(self) -> None:
        """The request is answered, or needs no answer."""
        if not self.done:
            self.done = True
            self.caller.answered()

    def refuse(self, refusal: Refusal) -> None:
        """Answer with an error."""
        if not self.done:
            self.caller.send(refusal.frame(self.re))
            self.finish()


def answer(pending: PendingRequest, conversation: str, fields: dict[str, Any], outcome: Changed | Unchanged) -> None:
    """Answer a changing request with its `ok`, where one is wanted."""
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
        pending.caller.answer(ChangeOk(re=pending.re, conversation=conversation, **fields))
    pending.finish()


def refusal(outcome: Refused) -> Refusal:
    """Return the store's refusal as the caller hears it."""
    return Refusal(ErrorCode(outcome.reason), outcome.message)
