"""Ways into the daemon besides WebSocket, as the people of a dialogue: the seams carry them all."""

import math

import trio
from trio.testing import wait_all_tasks_blocked

from chatd.commands.dispatch import TABLE, dispatch, dispatch_now
from chatd.core.errors import Closing, Refusal
from chatd.core.native import NativeJson
from chatd.core.numbered import NumberedInput, NumberedSink
from chatd.core.session import Session
from chatd.testing.harness import Server
from chatd.transports.request import HttpCaller
from protocol.codes import CloseCode, ErrorCode
from protocol.decode import BadRequest, Malformed, decode_request
from protocol.encode import encode

from .dialogue import Peer

HELLO_S = 10.0


class NumberedPeer(Peer):
    """A transport that numbers both directions. The client loses every answer once: all is sent and fetched twice."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        parts = server.daemon.parts
        self._sink = NumberedSink(limit=2**20, on_cut=lambda _: None)
        self._session = Session(parts.new_id(), self._sink, NativeJson(), gate=parts.gate, stop=self._stop)
        self._input = NumberedInput()
        self._said = 0
        self._frames, self._inbox = trio.open_memory_channel[str](math.inf)
        self._body = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._session.run)
            nursery.start_soon(self._fetch)
            task_status.started()
            with self._body:
                try:
                    await self._serve()
                except Closing as closing:
                    self.code = closing.code
            self._deregister()
            await self._sink.drained()
            nursery.cancel_scope.cancel()
        self._inbox.close()

    async def say(self, text: str) -> None:
        self.note(text)
        self._said += 1
        for _ in range(2):
            for frame in self._input.fresh(self._said, [text]):
                self._frames.send_nowait(frame)
        await trio.lowlevel.checkpoint()

    async def vanish(self) -> None:
        self._sink.cut("gone")
        self._body.cancel()
        await trio.lowlevel.checkpoint()

    def _stop(self, code: CloseCode, _reason: str) -> None:
        self.code = code
        self._body.cancel()

    async def _fetch(self) -> None:
        after = 0
        while True:
            fetched = self._sink.take(after)
            assert self._sink.take(after) == fetched
            for number, data in fetched:
                assert number == after + 1
                after = number
                self.take(data.decode())
            if not fetched:
                await self._sink.news(after)
            await trio.lowlevel.checkpoint()

    async def _serve(self) -> None:
        until = trio.current_time() + HELLO_S
        while True:
            text = None
            with trio.move_on_at(until if self._session.user is None else math.inf):
                text = await self._inbox.receive()
            if text is None:
                raise Closing(CloseCode.NO_HELLO, "no hello")
            await self._ask(text)

    async def _ask(self, text: str) -> None:
        parts, session = self._server.daemon.parts, self._session
        try:
            request = decode_request(text, parts.limits)
        except Malformed as error:
            raise Closing(error.code, error.reason) from None
        except BadRequest as error:
            session.send(Refusal(ErrorCode.BAD_REQUEST, error.message).frame(error.re))
            return
        if not dispatch_now(parts, session, request):
            await dispatch(parts, session, request)

    def _deregister(self) -> None:
        parts, user = self._server.daemon.parts, self._session.user
        if user is not None and self._session in parts.registry.of(user.id):
            last = parts.registry.remove(user.id, self._session)
            parts.rooms.lost(self._session)
            if last:
                parts.presence.depart(user.id)


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
