"""The polls of one session: one at a time, and a repeated request gets the answer of the first."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from .session import EngineSession
from .settings import BadQuery, bad_request

STAMPS: Final = 16
"""Requests that a repeat is recognised of."""


class Poll:
    """A GET that waits. `stamp`: the client's own for the request, or None."""

    def __init__(self, stamp: str | None) -> None:
        self.stamp = stamp
        self.done = trio.Event()
        self._answer: bytes | BadQuery = b""

    def finish(self, answer: bytes | BadQuery) -> None:
        """Answer it."""
        if not self.done.is_set():
            self._answer = answer
            self.done.set()

    def result(self) -> bytes:
        """Return the answer. Raises BadQuery where it is none."""
        if isinstance(self._answer, BadQuery):
            raise self._answer
        return self._answer


class Polls:
    """Answers the polls of a session, and takes its posts one at a time. A second one of either ends the session.

    A proxy may repeat a request: then the client's stamp is the same, and nothing is given or taken twice.
    """

    def __init__(self, session: EngineSession) -> None:
        self._session = session
        self._poll: Poll | None = None  # the last one
        self._posting: str | None = None
        self._is_posting = False
        self._posted: deque[str] = deque(maxlen=STAMPS)
        session.on_output = self._answer

    def begin(self, stamp: str | None) -> Poll:
        """Begin a poll, or join the one that it repeats. Raises BadQuery where another one waits."""
        last = self._poll
        if last is not None and stamp is not None and last.stamp == stamp:
            return last
        if last is not None and not last.done.is_set():
            self._session.close("transport error")
            raise bad_request()
        self._poll = Poll(stamp)
        self._answer()
        return self._poll

    @contextmanager
    def posting(self, stamp: str | None) -> Iterator[bool]:
        """Take a post during the block; False: it is a repeat, of which nothing is to be taken. Raises BadQuery."""
        if stamp is not None and (stamp in self._posted or (self._is_posting and stamp == self._posting)):
            yield False
            return
        if self._is_posting:
            self._session.close("transport error")
            raise bad_request()
        self._is_posting, self._posting = True, stamp
        try:
            yield True
            if stamp is not None:
                self._posted.append(stamp)
        finally:
            self._is_posting = False

    def _answer(self) -> None:
        poll = self._poll
        if poll is None or poll.done.is_set():
            return
        if self._session.link is not None:  # a client has no poll under way when it lets a WebSocket take over
            poll.finish(bad_request())
            return
        answer = self._session.answer()
        if answer is not None:
            poll.finish(answer)
