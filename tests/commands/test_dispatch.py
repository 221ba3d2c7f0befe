"""Dispatch: what a caller hears of a request that may not be, fails, or finds nothing."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock

from chatd.commands import dispatch
from chatd.commands.context import Context
from chatd.commands.dispatch import Handler, immediate, plain
from chatd.commands.parts import Parts
from chatd.core.errors import Closing, Refusal, not_found
from chatd.testing import daemon
from chatd.transports.request import HttpCaller
from protocol.codes import CloseCode, ErrorCode
from protocol.frames import Error, Frame, Ok, PingOk
from protocol.requests import ConversationGet, Focus, Ping, Request
from storage.changes import PutUser
from storage.contract import Unavailable
from storage.records import User


class Caller(HttpCaller):
    """Keeps all that it hears."""

    def __init__(self, user: User | None) -> None:
        self.user = user  # type: ignore[assignment]
        self.user_id = user.id if user is not None else ""
        self.heard: list[Frame] = []

    def send(self, frame: Frame, *, counts: bool = True) -> None:
        self.heard.append(frame)

    @property
    def error(self) -> Error:
        (error,) = self.heard
        assert isinstance(error, Error)
        return error


@attrs.define
class Desk:
    """Parts, and a caller who is signed in; `handle` puts a handler in the table."""

    parts: Parts
    caller: Caller
    handle: Callable[[str, Handler], None]

    async def ask(self, request: Request, caller: Caller | None = None) -> Caller:
        caller = caller or self.caller
        if not dispatch.dispatch_now(self.parts, caller, request):
            await dispatch.dispatch(self.parts, caller, request)
        return caller


@asynccontextmanager
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with daemon() as server:
        server.store.commit([PutUser("pat-1", "Ada", "patient", 1)])
        yield Desk(
            server.daemon.parts,
            Caller(server.store.user("pat-1")),
            lambda name, handler: monkeypatch.setitem(dispatch.TABLE, name, handler),
        )


def failing(error: Exception) -> Callable[[Context[Any]], Frame | None]:
    def handle(context: Context[Any]) -> Frame | None:
        raise error

    return handle


async def test_stranger_is_told_to_say_hello(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with desk(monkeypatch) as d:
        for request in (Ping(id=1), ConversationGet(id=2, conversation="c"), Focus(id=3)):
            caller = await d.ask(request, Caller(None))
            assert (caller.error.re, caller.error.code, caller.error.temporary) == (request.id, "unauthorized", False)


async def test_daemon_that_drains_takes_nothing_more(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with desk(monkeypatch) as d:
        d.parts = attrs.evolve(d.parts, draining=lambda: True)
        caller = await d.ask(Ping(id=1))
        assert (caller.error.code, caller.error.temporary) == ("unavailable", True)


@pytest.mark.parametrize("at_once", [True, False])
async def test_refusal_is_the_answer(at_once: bool, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with desk(monkeypatch) as d:
        refusal = Refusal(ErrorCode.RATE_LIMITED, "slower", retry_after=1.5)

        async def handle(context: Context[Any]) -> Frame | None:
            raise refusal

        d.handle("ping", immediate(failing(refusal)) if at_once else plain(handle))
        error = (await d.ask(Ping(id=7))).error
        assert (error.re, error.code, error.message, error.temporary, error.retry_after) == (
            7, "rate_limited", "slower", True, 1.5,
        )  # fmt: skip


@pytest.mark.parametrize("at_once", [True, False])
async def test_refusal_that_closes_is_answered_first(
    at_once: bool, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with desk(monkeypatch) as d:
        refusal = Refusal(ErrorCode.UNAUTHORIZED, "go away", close=CloseCode.REFUSED)

        async def handle(context: Context[Any]) -> Frame | None:
            raise refusal

        d.handle("ping", immediate(failing(refusal)) if at_once else plain(handle))
        with pytest.raises(Closing) as closing:
            await d.ask(Ping(id=7))
        assert (closing.value.code, closing.value.reason) == (CloseCode.REFUSED, "go away")
        assert d.caller.error.code == "unauthorized"


async def test_store_that_is_away_is_unavailable_without_its_reason(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with desk(monkeypatch) as d:
        d.handle("ping", immediate(failing(Unavailable("/var/lib/chatd: the disk is full"))))
        error = (await d.ask(Ping(id=7))).error
        assert (error.code, error.temporary, "/var" in error.message) == ("unavailable", True, False)


async def test_bug_is_internal_for_the_caller_and_whole_in_the_log(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with desk(monkeypatch) as d:
        d.handle("ping", immediate(failing(ZeroDivisionError("it hurts"))))
        with capture_logs() as logs:
            error = (await d.ask(Ping(id=7))).error
        assert (error.code, error.temporary, "hurts" in error.message) == ("internal", True, False)
        (line,) = (line for line in logs if line["event"] == "request failed")
        assert (line["request"], line["user"]) == ("ping", "pat-1")
        d.handle("ping", immediate(lambda context: PingOk(re=8, server_time="now")))
        assert isinstance((await d.ask(Ping(id=8))).heard[-1], PingOk), "the next one is served"


async def test_conversation_that_is_not_found_is_looked_for_once_more(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with desk(monkeypatch) as d:
        looked, ran = list[str](), list[int]()
        there = False

        async def look_up(conversation: str, user: str) -> bool:
            looked.append(conversation)
            return there

        async def handle(context: Context[Any]) -> Frame | None:
            ran.append(1)
            if len(ran) < 3:
                raise not_found()
            return Ok(re=context.request.id)

        monkeypatch.setattr(d.parts.rooms, "look_up", look_up)
        d.handle("conversation.get", plain(handle))
        await d.ask(ConversationGet(id=1, conversation="c-1"))
        assert (looked, len(ran), d.caller.error.code) == (["c-1"], 1, "not_found")
        there = True
        await d.ask(ConversationGet(id=2, conversation="c-1"))
        assert (looked, len(ran)) == (["c-1"] * 2, 3)
        assert isinstance(d.caller.heard[-1], Ok)


async def test_request_that_has_to_wait_is_not_run_at_once(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with desk(monkeypatch) as d:
        ran: list[int] = []

        async def handle(context: Context[Any]) -> Frame | None:
            ran.append(1)
            return None

        d.handle("ping", plain(handle, now=lambda context: False))
        assert not dispatch.dispatch_now(d.parts, d.caller, Ping(id=1))
        assert (ran, d.caller.heard) == ([], [])
        await dispatch.dispatch(d.parts, d.caller, Ping(id=1))
        assert ran == [1]
