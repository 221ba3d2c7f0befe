"""A person's front end with a real socket.io-client, in a process of its own (tests/peers/socketio.mjs)."""

import json
import subprocess
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from .npm_peers import FOLDER, node

ANSWER_TIMEOUT_S = 30
MODES: dict[str, dict[str, Any]] = {
    "default": {},
    "polling": {"transports": ["polling"]},
    "websocket": {"transports": ["websocket"]},
}
"""The ways in which the client connects."""


class Person:
    """One process. `events`: what came, by name and data; `happened`: what became of the connection."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._answers: dict[int, dict[str, Any]] = {}
        self._asked = 0
        self._writing = trio.Lock()
        self._news = trio.Event()
        self.events: list[tuple[str, Any]] = []
        self.happened: deque[dict[str, Any]] = deque()
        self.counts: dict[str, int] = {}

    async def read(self) -> None:
        """Take what the process tells."""
        assert self._process.stdout is not None
        rest = b""
        async for chunk in self._process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, told: dict[str, Any]) -> None:
        if "re" in told:
            self._answers[told["re"]] = told
        elif "event" in told:
            self.events.append((told["event"], told.get("data")))
        else:
            self.happened.append(told)
            self.counts[told["happened"]] = self.counts.get(told["happened"], 0) + 1
        self._news.set()
        self._news = trio.Event()

    async def do(self, what: str, **more: Any) -> Any:
        """Have something done, and return the answer."""
        self._asked += 1
        number = self._asked
        assert self._process.stdin is not None
        async with self._writing:
            await self._process.stdin.send_all(json.dumps({"id": number, "do": what, **more}).encode() + b"\n")
        with trio.fail_after(ANSWER_TIMEOUT_S):
            while number not in self._answers:
                await self._news.wait()
        told = self._answers.pop(number)
        assert "error" not in told, told["error"]
        return told["answer"]

    async def ask(self, event: str, data: Any = None, **more: Any) -> Any:
        """Emit, and return what acknowledges it."""
        return await self.do("ask", event=event, data=data, **more)

    async def next(self, event: str) -> Any:
        """Return the data of the next event of this name, and forget it and those before."""
        with trio.fail_after(ANSWER_TIMEOUT_S):
            while True:
                for at, (name, data) in enumerate(self.events):
                    if name == event:
                        del self.events[: at + 1]
                        return data
                await self._news.wait()

    async def heard(self, event: str, content: str) -> None:
        """Wait for an event with this content; nothing is forgotten."""
        with trio.fail_after(ANSWER_TIMEOUT_S):
            while not any(name == event and data["content"] == content for name, data in self.events):
                await self._news.wait()

    async def until(self, happened: str) -> dict[str, Any]:
        """Wait for something to become of the connection."""
        with trio.fail_after(ANSWER_TIMEOUT_S):
            while True:
                while self.happened:
                    told = self.happened.popleft()
                    if told["happened"] == happened:
                        return told
                await self._news.wait()


@asynccontextmanager
async def person(url: str, **more: Any) -> AsyncIterator[Person]:
    """A person whose front end is connected or, where it is refused, has been told so."""
    process = await trio.lowlevel.open_process(
        (node(), "socketio.mjs"), cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        async with trio.open_nursery() as nursery:
            somebody = Person(process)
            nursery.start_soon(somebody.read)
            await somebody.do("connect", url=url, **more)
            yield somebody
            nursery.cancel_scope.cancel()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
