"""A message on its way to the server."""

import trio

from protocol.objects import Message
from protocol.requests import MessageSend

from .link import RequestFailed
from .mailbox import Closed


class Sending:
    """A message on its way; it is repeated until the server has answered."""

    def __init__(self, request: MessageSend) -> None:
        self.conversation = request.conversation
        self.client_id = request.client_id
        self.body = request.body
        self.request = request
        self._done = trio.Event()
        self._message: Message | None = None
        self._error: RequestFailed | Closed | None = None

    @property
    def done(self) -> bool:
        """Return True if the server has answered, or never will."""
        return self._done.is_set()

    async def acknowledged(self) -> Message:
        """Wait until the message is kept for good. Raises RequestFailed (it was refused) or Closed."""
        await self._done.wait()
        if self._error is not None:
            raise self._error
        assert self._message is not None
        return self._message

    def succeed(self, message: Message) -> None:
        self._message = message
        self._done.set()

    def fail(self, error: RequestFailed | Closed) -> None:
        self._error = error
        self._done.set()
