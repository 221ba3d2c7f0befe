"""A caller without a connection: one request, one answer, and the same for all who are connected."""

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd.testing import Server
from chatd.transports.request import HttpCaller
from protocol.decode import decode_request


class HeldRunner:
    """A runner whose calls wait until `release`."""

    def __init__(self) -> None:
        self._go = trio.Event()

    def release(self) -> None:
        self._go.set()

    async def __call__(self, work: Any) -> Any:
        await self._go.wait()
        return work()


async def ask(server: Server, user: str, request: dict[str, Any]) -> dict[str, Any]:
    """Run one request of this user without a connection; the `ok`, or the error."""
    parts = server.daemon.parts
    row = parts.store.user(user)
    assert row is not None
    decoded = decode_request(json.dumps({"id": 0, **request}), parts.limits)
    answer = await HttpCaller(row).ask(parts, decoded)
    if answer.ok is None:
        assert answer.error is not None
        return {"type": "error", "code": answer.error.code.value, "message": answer.error.message}
    found: dict[str, Any] = json.loads(answer.ok)
    return found


async def test_http_caller_sends_and_all_connections_get_the_event(
    chatd_server: Server, autojump_clock: MockClock
) -> None:
    ada = await chatd_server.connect("pat-1")
    await chatd_server.connect("den-1", role="dentist")
    opened = await ask(chatd_server, "den-1", {"type": "conversation.open", "with": "pat-1"})
    conversation = opened["conversation"]
    assert opened["created"] is True
    await ada.expect("change", conversation=conversation, rev=1)
    send = {"type": "message.send", "conversation": conversation, "client_id": "k", "body": "Please come at 9"}
    sent = await ask(chatd_server, "den-1", send)
    assert (sent["from"], sent["rev"], sent["duplicate"]) == (1, 2, False)
    change = await ada.expect("change", conversation=conversation, rev=2)
    assert change["messages"][0]["body"] == "Please come at 9"
    again = await ask(chatd_server, "den-1", send)
    assert (again["duplicate"], again["messages"][0]["seq"]) == (True, 1)
    read = await ask(chatd_server, "den-1", {"type": "message.history", "conversation": conversation})
    assert [message["body"] for message in read["messages"]] == ["Please come at 9"]


async def test_http_caller_refusals_are_the_errors_of_a_connection(
    chatd_server: Server, autojump_clock: MockClock
) -> None:
    await chatd_server.connect("pat-1")
    history = {"type": "message.history", "conversation": "elsewhere"}
    assert (await ask(chatd_server, "pat-1", history))["code"] == "not_found"
    with_self = {"type": "conversation.open", "with": "pat-1"}
    assert (await ask(chatd_server, "pat-1", with_self))["code"] == "bad_request"
    send = {"type": "message.send", "conversation": "elsewhere", "client_id": "k", "body": "hi"}
    assert (await ask(chatd_server, "pat-1", send))["code"] == "not_found"


@pytest.mark.parametrize(
    "request_",
    [
        {"type": "hello", "user": "pat-1"},
        {"type": "sync", "epoch": "e", "revs": {"c": 1}},
        {"type": "typing", "conversation": "c", "active": True},
        {"type": "focus", "conversation": "c"},
    ],
    ids=lambda request: request["type"],
)
async def test_http_caller_request_about_a_connection_is_refused(
    chatd_server: Server, autojump_clock: MockClock, request_: dict[str, Any]
) -> None:
    await chatd_server.connect("pat-1")
    refused = await ask(chatd_server, "pat-1", request_)
    assert (refused["code"], "needs a connection" in refused["message"]) == ("bad_request", True)


async def test_http_caller_store_that_hangs_is_unavailable_in_time(
    chatd_server: Server, autojump_clock: MockClock
) -> None:
    await chatd_server.connect("pat-1")
    await chatd_server.connect("den-1", role="dentist")
    opened = await ask(chatd_server, "den-1", {"type": "conversation.open", "with": "pat-1"})
    never = HeldRunner()
    chatd_server.daemon.gate._write = never
    send = {"type": "message.send", "conversation": opened["conversation"], "client_id": "k", "body": "hi"}
    assert (await ask(chatd_server, "den-1", send))["code"] == "unavailable"
    never.release()
