"""A session's events as a stream (server-sent events, HTML standard 9.2)."""

from typing import Final

import msgspec
import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatd.transports.polling.session import Fetch, PollingSession

from .answers import NO_STORE

STREAM_S: Final = 60.0
"""Seconds of one stream: whoever lives comes back, and acknowledges by that what came."""

RETRY_MS: Final = 1_000
"""Milliseconds after which EventSource comes back."""


async def departure(receive: Receive, fetch: Fetch) -> None:
    """Wait until the client of a request for events leaves, and end the request."""
    while (await receive())["type"] != "http.disconnect":
        pass
    fetch.superseded = True
    fetch.wake()


class EventStream(Response):
    """The events behind number `after`, until somebody else fetches them, the session ends, or a minute is over.

    It ends earlier where an acknowledgement is wanted: EventSource acknowledges when it comes back. `heartbeat`:
    seconds without an event until a comment.
    """

    def __init__(self, session: PollingSession, after: int, *, heartbeat: float) -> None:
        super().__init__(headers={**NO_STORE, "X-Accel-Buffering": "no"}, media_type="text/event-stream")
        del self.headers["content-length"]
        self._session = session
        self._sent = after
        self._heartbeat = heartbeat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        fetch = self._session.fetch("sse")
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _write(send, b"retry: %d\n\n" % RETRY_MS)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(departure, receive, fetch)
                await self._stream(send, fetch)
                nursery.cancel_scope.cancel()
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._session.finish(self._sent)

    async def _stream(self, send: Send, fetch: Fetch) -> None:
        session, until = self._session, trio.current_time() + STREAM_S
        while not fetch.superseded:
            events = session.sink.behind(self._sent)
            if events:
                await _write(send, b"".join(b"id: %d\ndata: %s\n\n" % event for event in events))
                self._sent = events[-1][0]
                continue
            if session.over.is_set() and session.closing is not None:
                told = {"code": int(session.closing.code), "reason": session.closing.reason}
                await _write(send, b"event: closed\ndata: %s\n\n" % msgspec.json.encode(told))
                return
            now = trio.current_time()
            if session.sink.held_up or now >= until:
                return
            late = await fetch.wait(lambda: session.attention(self._sent), min(self._heartbeat, until - now))
            if late and not fetch.superseded and trio.current_time() < until:
                await _write(send, b":\n\n")


async def _write(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})
