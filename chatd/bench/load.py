"""One connection of a load, in any protocol: keeps messages in flight, and notes what became of them."""

import time
from abc import abstractmethod
from collections import Counter
from typing import Any

import attrs
import trio

from .figures import Durations
from .peer import SET_UP_TIMEOUT_S, Peer, PeerLost

FIRST_NUMBER = 10**12
"""The number of a sender's first message: from here on all have the same number of digits."""

TICK_S = 0.1
"""Seconds after which what goes by the clock is looked at again."""


class Load:
    """The state that all connections of a run share.

    `over` is set when it ends before its time; `failure`: why, if not wanted.

    `setting_up`: the scope of all that comes before the first message.
    """

    def __init__(self, *, receipts: bool = False) -> None:
        self.receipts = receipts
        self.sending = False
        self.acknowledged = 0
        self.delivered = 0
        self.latencies = Durations()
        self.errors: Counter[str] = Counter()
        self.over = trio.Event()
        self.failure: str | None = None
        self.setting_up = trio.CancelScope()
        self.late: list[tuple[float, LoadPeer, int]] = []
        """Messages to be sent again: when (perf_counter), by whom, which."""

    def stop(self) -> None:
        """End the run, as it is wanted."""
        self.over.set()
        self.setting_up.cancel()

    def fail(self, reason: str) -> None:
        """End the run; the first reason counts."""
        self.failure = self.failure or reason
        self.stop()

    def reset(self) -> None:
        """Count anew."""
        self.acknowledged = self.delivered = 0
        self.latencies.clear()

    def tick(self) -> None:
        """Send again what is due."""
        now = time.perf_counter()
        due = [late for late in self.late if late[0] <= now]
        if due:
            self.late = [late for late in self.late if late[0] > now]
            for _, talker, number in due:
                talker.push(talker.message(number))
                talker.flush()


@attrs.define(eq=False)
class LoadAnswer:
    """Answer to a request other than a message; `payload` is there when it is done."""

    done: trio.Event = attrs.Factory(trio.Event)
    payload: bytes = b""


class LoadPeer(Peer):
    """One connection of one user."""

    def __init__(self, load: Load) -> None:
        super().__init__()
        self.load = load
        self._answers: dict[int, LoadAnswer] = {}
        self._began: dict[int, float] = {}
        self._asked = 0
        self._sent = FIRST_NUMBER

    @property
    def sent(self) -> int:
        """Messages sent so far."""
        return self._sent - FIRST_NUMBER

    @property
    def in_flight(self) -> int:
        """Messages that are not acknowledged yet."""
        return len(self._began)

    @abstractmethod
    def message(self, number: int) -> bytes:
        """The frame that sends a message, or sends it again."""

    @abstractmethod
    def request(self, number: int, fields: dict[str, Any]) -> bytes:
        """The frame of any other request."""

    def noted(self, number: int) -> None:
        """A message is about to be sent for the first time."""

    def begin(self, window: int) -> None:
        """Have this many messages in flight from now on, as long as the load is sending."""
        for _ in range(window):
            self._send()
        self.flush()

    def acknowledge(self, number: int) -> None:
        """A message is kept: on with the next."""
        load = self.load
        began = self._began.pop(number, None)
        if began is None:  # not for the first time
            return
        load.acknowledged += 1
        load.latencies.add(time.perf_counter() - began)
        if load.sending:
            self._send()

    def repeat(self, number: int, wait: float) -> None:
        """A message was refused for now: send it again in `wait` seconds."""
        self.load.late.append((time.perf_counter() + wait, self, number))

    async def ask(self, fields: dict[str, Any]) -> bytes:
        """Ask something and wait for the answer. Raises PeerLost."""
        self._asked += 1
        self.push(self.request(self._asked, fields))
        self.flush()
        return await self.reply_to(self._asked)

    async def reply_to(self, number: int) -> bytes:
        """Wait for the answer to what has this number. Raises PeerLost."""
        answer = self._answers[number] = LoadAnswer()
        with trio.move_on_after(SET_UP_TIMEOUT_S):
            await answer.done.wait()
            return answer.payload
        raise PeerLost(f"no answer within {SET_UP_TIMEOUT_S:.0f} s")

    def answer(self, number: int, payload: bytes) -> None:
        """The answer to `ask` has come."""
        answer = self._answers.pop(number, None)
        if answer is not None:
            answer.payload = payload
            answer.done.set()

    def lost(self, reason: str) -> None:
        self.load.fail(reason)

    def _send(self) -> None:
        number = self._sent
        self._sent += 1
        self.noted(number)
        self._began[number] = time.perf_counter()
        self.push(self.message(number))
