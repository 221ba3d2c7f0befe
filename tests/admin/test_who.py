"""`who` lists the connections that live, by transport and conversation, and nothing that anybody wrote."""

import json

import pytest
from trio.testing import MockClock

from chatd import testing
from chatd.admin.ports import DirectPort, LivePort
from chatd.admin.verbs import VerbFailed
from chatd.admin.who import Who
from chatd.config import Config
from storage.memory import MemoryStore
from support.socketio_chat import sio

DEN = {"userId": "den-1", "name": "Dr Ay", "role": "dentist"}


async def test_who_lists_by_transport_and_conversation(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, sio(server, DEN) as den:
        pat = await server.connect("pat-1")
        await server.connect("staff-1", role="staff")
        opened = await pat.ask("conversation.open", with_="den-1")
        id = opened["conversation"]
        await den.ask("join_conversation", id)
        await pat.ask("message.send", conversation=id, client_id="k", body="canary")
        port = LivePort(server.daemon.parts, server.daemon.tokens)
        everybody = await Who().run(port)
        assert "canary" not in json.dumps(everybody)
        found = {row["user"]: (row["transport"], row["on_screen"]) for row in everybody["connections"]}
        assert found == {
            "den-1": ("socketio over websocket", id), "pat-1": ("websocket", None), "staff-1": ("websocket", None),
        }  # fmt: skip
        within = await Who(conversation=id).run(port)
        assert {row["user"] for row in within["connections"]} == {"den-1", "pat-1"}
        by = await Who(transport="socketio").run(port)
        assert [row["user"] for row in by["connections"]] == ["den-1"]
        with pytest.raises(VerbFailed, match="no conversation"):
            await Who(conversation="unknown").run(port)


async def test_who_leaves_out_clients_that_may_come_back(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server:
        async with sio(server, DEN):
            pass
        assert len(server.daemon.registry.of("den-1")) == 1
        port = LivePort(server.daemon.parts, server.daemon.tokens)
        assert (await Who().run(port))["connections"] == []


async def test_who_without_a_daemon_says_so(autojump_clock: MockClock) -> None:
    with pytest.raises(VerbFailed, match="no daemon"):
        await Who().run(DirectPort(MemoryStore(epoch="e"), Config()))
