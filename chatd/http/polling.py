"""Sessions over HTTP requests alone, for networks that break WebSocket: opened, fetched from, given frames, ended."""

from typing import Any, Final

import attrs
import msgspec
import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatd.core.errors import Closing, Refusal
from chatd.core.numbered import Gap, NotSent
from chatd.net.bounds import Bounds
from chatd.net.problem import problem
from chatd.net.unfinished import MESSAGE_S
from chatd.transports.polling.session import Fetch, PollingSession
from chatd.transports.request import HttpCaller
from protocol.codes import CloseCode, ErrorCode

from .answers import JSON, NO_STORE, Failed, json_answer
from .bodies import json_bytes, media_type, whole_number
from .guards import address_of
from .operation import Operation, Query
from .site import Site
from .sse import EventStream, departure

POLL_S: Final = 25.0
"""Seconds that a request for events waits for one."""

POLL_ANSWER_BYTES: Final = 1_048_576
"""Bytes of events in one answer; one event may be as large."""

BODY_FRAMES: Final = 2
"""Times the bytes of the largest frame that a body may have."""

CODES: Final = {
    CloseCode.TOKEN_EXPIRED: ErrorCode.UNAUTHORIZED,
    CloseCode.REFUSED: ErrorCode.UNAUTHORIZED,
    CloseCode.REVOKED: ErrorCode.UNAUTHORIZED,
    CloseCode.TOO_MANY: ErrorCode.RATE_LIMITED,
    CloseCode.TOO_LARGE: ErrorCode.TOO_LARGE,
    CloseCode.BINARY: ErrorCode.BAD_REQUEST,
    CloseCode.NOT_UTF8: ErrorCode.BAD_REQUEST,
    CloseCode.NOT_AN_OBJECT: ErrorCode.BAD_REQUEST,
    CloseCode.DONE: ErrorCode.NOT_FOUND,
}
"""Error code of an answer that says that a session is over; otherwise `unavailable`."""

FRAME: Final = {"type": "object", "description": "A frame of the protocol, as over a WebSocket."}
CLOSED: Final = {
    "description": "The session is over: what its connection would have been closed with.",
    "type": "object",
    "properties": {"code": {"type": "integer"}, "reason": {"type": "string"}},
    "required": ["code", "reason"],
}


@attrs.frozen
class _Body:
    """Frames from a client, numbered from `first`; `after` acknowledges events."""

    first: int
    frames: list[msgspec.Raw]
    after: int | None = None


class _Answer(Response):
    """An answer that counts as a request of the session until it has left. `told`: events up to this number."""

    def __init__(self, session: PollingSession, body: bytes, told: int) -> None:
        super().__init__(body, 200, NO_STORE, JSON)
        self._session = session
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        told = 0
        try:
            await super().__call__(scope, receive, send)
            told = self._told
        finally:
            self._session.finish(told)


@attrs.frozen
class Polling:
    """Answers requests of sessions that are polled."""

    site: Site

    async def begin(self, request: Request, caller: HttpCaller) -> Response:
        """Open a session."""
        if media_type(request.state.head) not in (None, JSON):
            raise Failed(415, ErrorCode.BAD_REQUEST, "no body is needed, and any is JSON")
        carried = self.site.callers.carried(request)
        session = self.site.polling.open(caller.user_id, carried, address_of(request))
        return json_answer(msgspec.json.encode({"session": session.id}), 201)

    async def events(self, request: Request, caller: HttpCaller) -> Response:
        """Answer what came after an event, or stream it."""
        session = self._session_of(request, caller)
        after = _after(request)
        _acknowledge(session, after)
        if session.is_finished():
            return _gone(session.closing)
        session.begin()
        if "text/event-stream" in request.headers.get("accept", ""):
            return EventStream(session, after, heartbeat=self.site.parts.heartbeat)
        try:
            fetch = session.fetch("polling")
            await _wait(request, session, fetch, after)
            if session.is_finished():
                session.finish()
                return _gone(session.closing)
            return _Answer(session, *_events(session, fetch, after))
        except BaseException:
            session.finish()
            raise

    async def frames(self, request: Request, caller: HttpCaller) -> Response:
        """Take frames."""
        session = self._session_of(request, caller)
        session.begin()
        try:
            body = await _body(request, session)
            if body is not None and session.closing is None:
                if body.after is not None:
                    _acknowledge(session, body.after)
                acked = await session.take(body.first, [bytes(frame) for frame in body.frames])
                return json_answer(b'{"acked":%d}' % acked, 202)
            return _gone(session.closing)
        except Gap as gap:
            told = problem(ErrorCode.CONFLICT, str(gap), acked=gap.expected - 1)
            return Response(told, 409, NO_STORE, JSON)
        finally:
            session.finish()

    async def end(self, request: Request, caller: HttpCaller) -> Response:
        """End a session."""
        self._session_of(request, caller).stop(CloseCode.DONE, "ended by its client")
        return Response(status_code=204, headers=NO_STORE)

    def _session_of(self, request: Request, caller: HttpCaller) -> PollingSession:
        return self.site.polling.of(caller.user_id, request.path_params["id"])


def operations(site: Site) -> list[Operation]:
    """A session's opening, events, frames and end."""
    polling = Polling(site)
    id_of_event = {"type": "integer", "minimum": 0}
    frame_bytes = site.config().limits.max_frame_bytes
    return [
        Operation(
            method="POST",
            path="/v1/session",
            run=polling.begin,
            text="Opens a session that is polled; its first frame is `hello`.",
            answers={201: _object(session={"type": "string"})},
        ),
        Operation(
            method="DELETE",
            path="/v1/session/{id}",
            run=polling.end,
            carries=True,
            text="Ends a session at once.",
            answers={204: None},
        ),
        Operation(
            method="GET",
            path="/v1/session/{id}/events",
            run=polling.events,
            carries=True,
            text="What came after event `after`, as soon as there is something, within 25 s; or as a stream (SSE).",
            query=(Query(name="after", schema=id_of_event, text="Acknowledges all up to this one; 0 where absent."),),
            answers={
                200: {
                    "type": "object",
                    "properties": {
                        "events": {"type": "array", "items": _object(n=id_of_event, frame=FRAME)},
                        "closed": CLOSED,
                    },
                    "required": ["events"],
                }
            },
        ),
        Operation(
            method="POST",
            path="/v1/session/{id}/frames",
            run=polling.frames,
            carries=True,
            bounds=Bounds(body_bytes=BODY_FRAMES * frame_bytes, body_s=MESSAGE_S),
            text="Gives frames to a session, numbered from `first`; those that it has are ignored.",
            body={
                "type": "object",
                "properties": {
                    "first": {"type": "integer", "minimum": 1},
                    "frames": {"type": "array", "items": FRAME},
                    "after": id_of_event,
                },
                "required": ["first", "frames"],
            },
            answers={202: _object(acked=id_of_event)},
        ),
    ]


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _after(request: Request) -> int:
    """Return the newest event that the client has, by the query or by what EventSource says. Raises Refusal."""
    given = (request.query_params.get("after"), request.headers.get("last-event-id"))
    numbers = [whole_number(text) for text in given if text]
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise Refusal(ErrorCode.BAD_REQUEST, "`after`: expected the number of an event")
    return max((number for number in numbers if isinstance(number, int)), default=0)


def _acknowledge(session: PollingSession, after: int) -> None:
    try:
        session.sink.acknowledge(after)
    except NotSent:
        raise Refusal(ErrorCode.BAD_REQUEST, "`after`: no event has this number yet") from None


async def _wait(request: Request, session: PollingSession, fetch: Fetch, after: int) -> None:
    """Wait for something to answer: an event, the end, another request for events, or that the client leaves."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(departure, request.receive, fetch)
        await fetch.wait(lambda: session.news(after), POLL_S)
        nursery.cancel_scope.cancel()


def _events(session: PollingSession, fetch: Fetch, after: int) -> tuple[bytes, int]:
    """Return the body of an answer, and the number of the last event in it. Nothing is in a superseded one."""
    events, size, last = list[bytes](), 0, after
    if not fetch.superseded:
        for number, data in session.sink.take(after):
            size += len(data)
            if events and size > POLL_ANSWER_BYTES:
                break
            events.append(b'{"n":%d,"frame":%s}' % (number, data))
            last = number
    closed = b""
    if session.over.is_set() and session.closing is not None and not session.sink.behind(last):
        told = {"code": int(session.closing.code), "reason": session.closing.reason}
        closed = b',"closed":' + msgspec.json.encode(told)
    return b'{"events":[%s]%s}' % (b",".join(events), closed), last


async def _body(request: Request, session: PollingSession) -> _Body | None:
    """Return the frames in a body; None where the session ends because it is no JSON. Raises Refusal or Failed."""
    data = await json_bytes(request)
    try:
        data.decode()
        body = msgspec.json.decode(data, type=_Body)
    except UnicodeDecodeError:
        session.stop(CloseCode.NOT_UTF8, "not UTF-8")
        return None
    except msgspec.ValidationError as error:
        raise Refusal(ErrorCode.BAD_REQUEST, f"the body: {error}") from None
    except (msgspec.DecodeError, RecursionError):
        session.stop(CloseCode.NOT_AN_OBJECT, "not a JSON object")
        return None
    if body.first < 1 or (body.after is not None and body.after < 0):
        raise Refusal(ErrorCode.BAD_REQUEST, "the body: frames are numbered from 1")
    return body


def _gone(closing: Closing | None) -> Response:
    """Return the answer that a session is over, and by which code a WebSocket would have been closed."""
    assert closing is not None
    code = CODES.get(closing.code, ErrorCode.UNAVAILABLE)
    body = problem(code, closing.reason, temporary=closing.code.temporary, close=int(closing.code))
    return Response(body, 410, NO_STORE, JSON)
