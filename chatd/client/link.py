"""One connection of a client: requests out, frames in, in order."""

import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs
import trio

from protocol.decode import decode_frame
from protocol.encode import encode
from protocol.frames import Error, Frame, GoingAway, Ok
from protocol.requests import Request
from protocol.types import RequestId

from .line import QUEUED_ITEMS, Line, LineEnded


class RequestFailed(Exception):
    """The server said no. `temporary`: the same may succeed later, in `retry_after` s where that is given."""

    def __init__(self, error: Error) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.code = error.code
        self.message = error.message
        self.temporary = error.temporary
        self.retry_after = error.retry_after


class LinkLost(Exception):
    """The connection ended before the answer came."""


@attrs.define(eq=False)
class SentRequest:
    """A request on its way. `reply` is None when the connection was lost."""

    request: Request
    done: trio.Event = attrs.Factory(trio.Event)
    reply: Ok | Error | None = None

    async def answer(self) -> Ok:
        """Raises RequestFailed or LinkLost."""
        await self.done.wait()
        if self.reply is None:
            raise LinkLost
        if isinstance(self.reply, Error):
            raise RequestFailed(self.reply)
        return self.reply


class Link:
    """One connection. `take` gets each frame but errors, an `ok` with its request and before the asker."""

    def __init__(self, line: Line, take: Callable[[Frame, Request | None], None]) -> None:
        self._line = line
        self._take = take
        self._ids = itertools.count(1)
        self._asked: dict[RequestId, SentRequest] = {}
        self._types: dict[RequestId, str] = {}
        self._out, self._queue = trio.open_memory_channel[str](QUEUED_ITEMS)
        self._reconnect_in: float | None = None
        self.ended = trio.Event()

    @property
    def heard(self) -> float:
        """Time at which something came last."""
        return self._line.heard

    async def start(self, request: Request) -> SentRequest:
        """Send a request. Raises LinkLost."""
        id = next(self._ids)
        asked = SentRequest(copy(request, id=id))
        self._asked[id] = asked
        self._types[id] = request.TYPE
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._out.send(encode(asked.request).decode())
            return asked
        await self.ended.wait()  # who repeats at once must find that this link is gone
        raise LinkLost

    async def ask(self, request: Request) -> Ok:
        """Raises RequestFailed or LinkLost."""
        return await (await self.start(request)).answer()

    async def write(self) -> None:
        """Send what is queued; nobody else may, as a send that is cancelled leaves half a frame."""
        async with self._queue:
            async for text in self._queue:
                try:
                    await self._line.send(text)
                except LineEnded:
                    return  # the reader says how

    async def read(self) -> None:
        """Take frames in until the end. Raises LineOver or Malformed."""
        try:
            while True:
                self._receive(decode_frame(await self._line.receive(), self._types))
        except LineEnded as ended:
            raise ended.over(self._reconnect_in) from None
        finally:
            self.ended.set()
            self._out.close()
            for asked in self._asked.values():
                asked.done.set()

    async def goodbye(self) -> None:
        """End it in good order; waits for the peer without limit."""
        await self._line.goodbye()

    def _receive(self, frame: Frame) -> None:
        asked = None
        if isinstance(frame, Ok | Error) and frame.re is not None:
            asked = self._asked.pop(frame.re, None)
            self._types.pop(frame.re, None)
        if isinstance(frame, GoingAway):
            self._reconnect_in = frame.reconnect_in
        if not isinstance(frame, Error):
            self._take(frame, asked.request if asked else None)
        if asked is not None and isinstance(frame, Ok | Error):
            asked.reply = frame
            asked.done.set()


def copy(request: Request, **changed: Any) -> Request:
    """The request with other fields."""
    evolve: Any = attrs.evolve  # mypy doesn't know the protocol's classes as attrs'
    made: Request = evolve(request, **changed)
    return made
