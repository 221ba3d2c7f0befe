"""Frames in HTTP requests, for networks that break WebSocket: one request waits for events, others bring frames."""

import json
import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import trio

from .http import Dial, Http, JsonAnswer
from .line import FAILURES, QUEUED_ITEMS, LineEnded, LineOver

FETCH_S: Final = 40.0
"""Seconds for an answer with events, for which the server waits 25."""
ASK_S: Final = 15.0
"""Seconds for any other answer."""
LOST_S: Final = 45.0
"""Seconds without any answer after which the session is given up: the server forgets it after 60."""
PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0
"""Seconds before a request is repeated, doubled each time."""
SENT_AT_ONCE: Final = 32
"""Frames in one request."""


class PollingLine:
    """Frames both ways by requests; what gets lost is asked again, and taken once."""

    def __init__(self, http: Http, dial: Dial, session: str) -> None:
        self._session = session
        self._dial = dial
        self._sender = http
        self._fetcher = Http(http.headers["Host"], dial, http.headers)
        self._heard = trio.current_time()
        self._to_send: deque[str] = deque()  # sent or not, but not acknowledged
        self._acked = 0
        self._moved = trio.Event()  # something is to be sent, or was acknowledged
        self._came, self._inbox = trio.open_memory_channel[str](QUEUED_ITEMS)
        self._end: LineEnded | None = None

    @classmethod
    async def open(cls, netloc: str, dial: Dial, headers: Mapping[str, str], nursery: trio.Nursery) -> "PollingLine":
        """Open a session, whose tasks live in the nursery; `headers` sign in. Raises LineOver, or one of `FAILURES`."""
        http = Http(netloc, dial, headers)
        try:
            answer = await http.ask("POST", "/v1/session")
            session = answer.json.get("session")
            if answer.status != 201 or not isinstance(session, str):
                raise _refused(answer, headers)
            line = cls(http, dial, session)
        except BaseException:
            await http.aclose()
            raise
        nursery.start_soon(line._send)
        nursery.start_soon(line._fetch)
        return line

    @property
    def heard(self) -> float:
        """Time at which the last answer came."""
        return self._heard

    async def send(self, text: str) -> None:
        """Queue a frame. Raises LineEnded."""
        while len(self._to_send) >= QUEUED_ITEMS and self._end is None:
            await self._moved.wait()
        if self._end is not None:
            raise self._end
        self._to_send.append(text)
        self._wake()
        await trio.lowlevel.checkpoint()

    async def receive(self) -> str:
        """Return the next frame. Raises LineEnded."""
        try:
            return await self._inbox.receive()
        except trio.EndOfChannel:
            assert self._end is not None
            raise self._end from None

    async def goodbye(self) -> None:
        """End the session, once everything has left."""
        while self._to_send and self._end is None:
            await self._moved.wait()
        http = Http(self._sender.headers["Host"], self._dial, {**self._sender.headers, "Connection": "close"})
        try:
            await http.ask("DELETE", f"/v1/session/{self._session}")
        except FAILURES:
            return

    # -- the tasks --

    async def _send(self) -> None:
        try:
            while self._end is None:
                if not self._to_send:
                    await self._moved.wait()
                    continue
                first, some = self._acked + 1, list(self._to_send)[:SENT_AT_ONCE]
                body = {"first": first, "frames": [json.loads(text) for text in some]}
                answer = await self._repeat(self._sender, "POST", "frames", body, (202, 409), ASK_S)
                acked = answer.json.get("acked")
                if isinstance(acked, int) and first <= acked < first + len(some):
                    for _ in range(acked - self._acked):
                        self._to_send.popleft()
                    self._acked = acked
                    self._wake()
                elif acked != self._acked:
                    raise LineEnded(None, "the server counts otherwise")
                else:
                    await trio.sleep(PAUSE_S)  # there was no room for them
        except LineEnded as ended:
            if ended.code is None:
                self._finish(ended)
            # else the other task hears of it with all that is left
        finally:
            await self._sender.aclose()

    async def _fetch(self) -> None:
        after = 0
        try:
            while True:
                path = f"events?after={after}"
                answer = await self._repeat(self._fetcher, "GET", path, None, (200,), FETCH_S)
                for event in answer.json.get("events", ()):
                    if event["n"] == after + 1:
                        after += 1
                        await self._came.send(json.dumps(event["frame"]))
                closed = answer.json.get("closed")
                if closed is not None:
                    raise LineEnded(closed["code"], closed["reason"])
        except (LookupError, TypeError):
            self._finish(LineEnded(None, "the answer makes no sense: is this a chatd?"))
        except LineEnded as ended:
            self._finish(ended)
        finally:
            await self._fetcher.aclose()

    async def _repeat(
        self, http: Http, method: str, path: str, body: Any, good: tuple[int, ...], patience: float
    ) -> JsonAnswer:
        """Ask until there is one of these answers. Raises LineEnded."""
        pause, why = PAUSE_S, "the connection broke"
        began = trio.current_time()
        while True:
            try:
                with trio.fail_after(patience):
                    answer = await http.ask(method, f"/v1/session/{self._session}/{path}", body)
            except FAILURES:
                answer = None
            if answer is not None:
                why = _words(answer)
                if answer.status in good:
                    self._heard = trio.current_time()
                    return answer
                if answer.status == 410 and isinstance(answer.json.get("close"), int):
                    raise LineEnded(answer.json["close"], why)
                if answer.status in (401, 404) and answer.is_error:
                    raise LineEnded(None, why)
            if self._end is not None:
                raise self._end
            if trio.current_time() - max(began, self._heard) > LOST_S:
                raise LineEnded(None, why)
            wait = _seconds(answer.headers.get("retry-after")) if answer is not None else None
            await trio.sleep(wait or pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _finish(self, ended: LineEnded) -> None:
        if self._end is None:
            self._end = ended
            self._came.close()
            self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = trio.Event()


def _refused(answer: JsonAnswer, headers: Mapping[str, str]) -> LineOver:
    """Return the end that the answer to a session's opening means; where a token is refused, that is the last word."""
    own = answer.status == 401 and answer.is_error and "Authorization" in headers
    final = 400 <= answer.status < 500 and answer.status not in (408, 429)
    return LineOver(_words(answer), wait=_seconds(answer.headers.get("retry-after")), fatal=final, carried=own)


def _words(answer: JsonAnswer) -> str:
    return str(answer.json["message"]) if answer.is_error else f"the server answered {answer.status}"


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return min(seconds, 60.0) if math.isfinite(seconds) and seconds > 0 else None
