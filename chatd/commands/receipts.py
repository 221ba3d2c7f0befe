"""`receipt`: what the caller has got, and read."""

from protocol.requests import Receipt
from storage.changes import AdvanceReceipt

from ..call import Call


def advance(call: Call[Receipt]) -> AdvanceReceipt:
    """Move the caller's watermarks forward."""
    r = call.request
    return AdvanceReceipt(r.conversation, call.user.id, r.delivered, r.read, call.services.now())
