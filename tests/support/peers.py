"""Ways into the daemon besides WebSocket, as the people of a dialogue: the seams carry them all."""

import json
import math
from contextlib import suppress
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from chatd.commands.dispatch import TABLE
from chatd.testing.harness import Server
from chatd.transports.request import HttpCaller
from protocol.decode import BadRequest, Malformed, decode_request
from protocol.encode import encode
from storage.changes import PutUser

from .dialogue import Peer
from .polled import Polled


class PollingPeer(Peer):
    """A session that is polled. The client loses every answer once: all is sent and fetched twice."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._who: dict[str, Any] = {"user": "nobody"}
        self._to_say, self._said = trio.open_memory_channel[str](math.inf)

    def expects(self, hello: dict[str, Any]) -> None:
        self._who = hello

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        parts, who = self._server.daemon.parts, self._who
        if parts.store.user(who["user"]) is None:  # so that `hello` finds the user as it would make them
            await parts.accounts.commit([PutUser(who["user"], who.get("name"), who.get("role"), parts.now())])
        self._polled = Polled(self._server.open_local, {"X-Chatd-User": who["user"]})
        opened = await self._polled.open()
        assert opened.status == 201, opened
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send)
            task_status.started()
            await self._fetch()
            nursery.cancel_scope.cancel()

    async def _fetch(self) -> None:
        after = 0
        while self.code is None:
            told = await self._polled.poll(after)
            assert told.status in (200, 410), told
            if told.status == 200 and told.events:
                again = await self._polled.poll(after)
                assert list(again.events.items())[: len(told.events)] == list(told.events.items())
                for number in told.events:
                    assert number == after + 1
                    after = number
                    self.take(json.dumps(told.events[number]))
            self.code = told.closed

    async def say(self, text: str) -> None:
        self.note(text)
        self._to_say.send_nowait(text)

    async def _send(self) -> None:
        """Send what is said, all at once that was said at once, as a socket does."""
        async for text in self._said:
            texts = [text]
            with suppress(trio.WouldBlock):
                while True:
                    texts.append(self._said.receive_nowait())
            first = self._polled.said + 1
            told = await self._polled.say(*texts)
            if told.status == 202:
                again = await self._polled.frames(first, *texts)
                assert again.status == 410 or again.json == told.json

    async def vanish(self) -> None:
        await self._polled.end()
        await wait_all_tasks_blocked()


class StreamPeer(PollingPeer):
    """The same with its events as a stream."""

    async def _fetch(self) -> None:
        after = 0
        while self.code is None:
            async with self._polled.stream(0, last_event_id=after) as stream:
                async for event in stream:
                    if "id" in event:
                        assert int(event["id"]) == after + 1
                        after += 1
                        self.take(event["data"])
                    elif event.get("event") == "closed":
                        self.code = json.loads(event["data"])["code"]
                if stream.refusal is not None:
                    self.code = stream.refusal.closed


class RequestPeer(Peer):
    """A WebSocket for events, and a request of its own for all that needs no connection."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._user: str | None = None

    def take(self, text: str) -> None:
        super().take(text)
        if "session" in (frame := self.came[-1]):
            self._user = frame["user"]["id"]

    async def say(self, text: str) -> None:
        # What is sent behind an unread `hello` is about that connection: its place is within the catch-up.
        if self._user is None or any("session" in frame for frame in self.came):
            await super().say(text)
            return
        await wait_all_tasks_blocked()
        parts = self._server.daemon.parts
        row = parts.store.user(self._user)
        assert row is not None
        try:
            request = decode_request(text, parts.limits)
        except (Malformed, BadRequest):
            await super().say(text)
            return
        if request.id is None or TABLE[request.TYPE].needs_session:
            await super().say(text)
            return
        self.note(text)
        before = len(self.came)
        answer = await HttpCaller(row).ask(parts, request)
        await wait_all_tasks_blocked()
        events = [self.came.pop() for _ in range(len(self.came) - before)][::-1]
        if answer.error is not None:
            self.take(encode(answer.error).decode())
        else:
            assert answer.ok is not None
            self.take(answer.ok.decode())
        # On this user's own connection the change comes as an event, for which the `ok` stands in a dialogue.
        reply = self.came[-1]
        own = ("change", reply.get("conversation"), reply.get("rev"))
        self.came.extend(e for e in events if (e["type"], e.get("conversation"), e.get("rev")) != own)
