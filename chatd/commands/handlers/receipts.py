"""`receipt`: what the caller has got, and read."""

from chatd.commands.context import Context
from protocol.requests import Receipt
from storage.changes import AdvanceReceipt


def advance(context: Context[Receipt]) -> AdvanceReceipt:
    """Move the caller's watermarks forward."""
    r = context.request
    return AdvanceReceipt(
        conversation=r.conversation, user=context.user.id, delivered=r.delivered, read=r.read, at=context.parts.now()
    )
