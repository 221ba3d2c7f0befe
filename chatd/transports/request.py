"""One HTTP request as a caller: it asks one thing, and gets the answer as a value."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress

import attrs
import trio

from chatd.commands.dispatch import TABLE, dispatch
from chatd.commands.parts import Parts
from chatd.core.caller import Read
from chatd.core.errors import Closing, Refusal
from chatd.core.identity import Identity
from chatd.core.view import Seen
from protocol.codes import ErrorCode
from protocol.encode import encode, encode_sent_ok
from protocol.frames import ChangeOk, Error, Frame
from protocol.requests import Request
from protocol.types import RequestId
from storage.records import User


@attrs.frozen
class RequestAnswer:
    """The `ok` of a request as JSON, or its error."""

    ok: bytes | None
    error: Error | None


class HttpCaller:
    """A caller without a connection: no events, no order, one answer.

    `user`: the row that the request was authenticated for; `identity`: by what.
    """

    is_gone = False
    ok_is_event = True

    def __init__(self, user: User, identity: Identity | None = None) -> None:
        self.user = user
        self.identity = identity
        self.user_id = user.id
        self._answer: RequestAnswer | None = None
        self._unanswered = 0
        self._quiet = trio.Event()

    async def ask(self, parts: Parts, request: Request) -> RequestAnswer:
        """Run one request, which has an id, and return its answer.

        A request that is about a connection (`sync`, `typing` ...) is refused as `bad_request`.
        """
        if TABLE[request.TYPE].needs_session:
            self.send(Refusal(ErrorCode.BAD_REQUEST, f"`type`: {request.TYPE} needs a connection").frame(request.id))
        else:
            with suppress(Closing):  # the error was answered, and there is no connection to close
                await dispatch(parts, self, request)
            await self.quiet()
        assert self._answer is not None, "every request with an id is answered"
        return self._answer

    def send(self, frame: Frame, *, counts: bool = True) -> None:  # noqa: ARG002
        """Keep the reply or the error; the first one counts."""
        if isinstance(frame, Error):
            self._keep(RequestAnswer(None, frame))
        else:
            self._keep(RequestAnswer(encode(frame), None))

    def answer(self, ok: ChangeOk) -> None:
        """Keep the `ok` of a change."""
        self._keep(RequestAnswer(encode(ok), None))

    def answer_sent(self, re: RequestId, conversation: str, from_rev: int, rev: int, seen: Seen) -> None:
        """Keep the `ok` of a message that was sent."""
        self._keep(RequestAnswer(encode_sent_ok(re, conversation, from_rev, rev, seen.messages[0]), None))

    def asked(self) -> None:
        """Count a request that went to a room."""
        self._unanswered += 1

    def answered(self) -> None:
        """Count it as answered."""
        self._unanswered -= 1
        if not self._unanswered:
            self._quiet.set()

    async def quiet(self) -> None:
        """Wait until the room has answered."""
        if self._unanswered:
            await self._quiet.wait()

    async def read(
        self, work: Callable[[], Awaitable[Read]], place: AbstractAsyncContextManager[None] | None = None
    ) -> None:
        """Run a read; there is no order to keep with anything else."""
        async with place or nullcontext():
            read = await work()
        if read.reply is not None:
            self.send(read.reply)

    def _keep(self, answer: RequestAnswer) -> None:
        if self._answer is None:
            self._answer = answer
