"""What an app writes to its database is taken in, and told to those who are connected."""

from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from chatd.config import Config, Mysql, Timeouts
from chatd.testing.harness import Refused
from storage.changes import DeleteMessage, OpenDirect, PutUser
from storage.memory import MemoryStore
from support.shops import AppStore, sent, shop
from support.steering import clinic, say


async def test_app_write_is_ingested_and_announced(autojump_clock: MockClock) -> None:
    async with shop() as c:
        _, bo, conversation = await c.pair()
        c.store.app(conversation, sent(conversation, "pat-1", "one"))
        c.store.app(conversation, sent(conversation, "pat-1", "two"))
        event = await bo.expect("change", within=2, conversation=conversation)
        assert (event["from"], event["rev"], [m["body"] for m in event["messages"]]) == (1, 3, ["one", "two"])


@pytest.mark.parametrize("idle", [60.0, 0.1])
async def test_a_title_that_the_app_changed(idle: float, autojump_clock: MockClock) -> None:
    """Whether or not the conversation has a room here; and those who come back later hear of it, too."""
    async with shop(config=Config(timeouts=Timeouts(room_idle=idle))) as c:
        ada, bo, conversation = await c.pair()
        epoch = ada.epoch
        await trio.sleep(0.3)
        c.store.retitle(conversation, "Root canal")
        for client in (ada, bo):
            event = await client.expect("change", within=2, conversation=conversation, rev=2)
            assert (event["from"], event["info"]["title"], event["info"]["rev"]) == (1, "Root canal", 2)
            assert not event.get("messages")
        await trio.sleep(5)
        assert await bo.barrier() == [], "once"
        late = await c.server.connect("pat-1", epoch=epoch, revs={conversation: 1})
        event = await late.expect("change", within=1, conversation=conversation, rev=2)
        assert event["info"]["title"] == "Root canal"


async def test_a_title_that_changed_while_nobody_looked(autojump_clock: MockClock) -> None:
    """The first look of a daemon, as good as any."""
    store = AppStore()
    MemoryStore.commit(store, [PutUser("pat-1", None, None, 0), PutUser("den-1", None, "dentist", 0)])
    MemoryStore.commit(store, [OpenDirect("c1", "pat-1", "den-1", 0)])
    store.retitle("c1", "Root canal")
    async with clinic(store=store, config=Config(mysql=Mysql(poll=3600.0))) as c:
        await trio.sleep(1)
        ada = await c.server.connect("pat-1", epoch="epoch-1", revs={"c1": 1})
        event = await ada.expect("change", within=1, conversation="c1", rev=2)
        assert event["info"]["title"] == "Root canal"


async def test_external_deletion_of_a_row_is_told_to_those_who_are_connected(autojump_clock: MockClock) -> None:
    async with shop() as c:
        ada, bo, conversation = await c.pair()
        await say(ada, conversation, "k1")
        for client in (ada, bo):
            await client.barrier()
        await trio.sleep(0.3)
        c.store.deleted.append(
            (conversation, [DeleteMessage(conversation=conversation, user="pat-1", seq=1, at=1, since=None,
                                          by=frozenset({"sender"}))])
        )  # fmt: skip
        for client in (ada, bo):
            event = await client.expect("change", within=2, conversation=conversation, rev=3)
            assert [message["deleted_at"] is not None for message in event["messages"]] == [True]


@pytest.mark.parametrize("idle", [60.0, 0.1])
async def test_participant_whose_row_is_deleted_is_told_and_gone(idle: float, autojump_clock: MockClock) -> None:
    """By whichever of two daemons, once; by the next rev, which everybody hears of."""
    config = Config(mysql=Mysql(poll=1.0), timeouts=Timeouts(room_idle=idle))
    store = AppStore()
    async with clinic(store=store, config=config) as one, clinic(store=store, config=config) as two:
        ada, bo = await one.server.connect("pat-1"), await one.server.connect("den-1", role="dentist")
        made = await ada.ask("conversation.create", title="Team", members=["den-1"])
        group = made["conversation"]
        far_ada, far_bo = await two.server.connect("pat-1"), await two.server.connect("den-1", role="dentist")
        await trio.sleep(2.5)
        for client in (ada, bo, far_ada, far_bo):
            await client.barrier()
        store.take_out(group, "den-1")
        for client in (ada, far_ada, bo, far_bo):
            event = await client.expect("change", within=3, conversation=group, **{"from": 1}, rev=2)
            (left,) = event["participants"]
            assert (left["user"], left["rev"], left["left_at"] is not None) == ("den-1", 2, True)
            if client in (bo, far_bo):
                assert event.keys() == {"type", "conversation", "from", "rev", "info", "participants"}
        await ada.ask("message.send", conversation=group, client_id="k", body="not for bo")
        await trio.sleep(5)
        for client in (bo, far_bo):
            assert await client.barrier() == []
            with pytest.raises(Refused, match="not_found"):
                await client.ask("conversation.get", conversation=group)


@pytest.mark.parametrize(
    ("type", "fields"),
    [
        ("conversation.get", {}),
        ("message.history", {}),
        ("message.send", {"client_id": "k", "body": "hi"}),
        ("receipt", {"delivered": 1}),
        ("typing", {"active": True}),
    ],
)
async def test_an_unknown_conversation_is_looked_up(
    type: str, fields: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with shop(config=Config(mysql=Mysql(poll=3600.0))) as c:
        ada = await c.server.connect("pat-1")
        c.commit(PutUser("den-1", None, "dentist", 0))
        c.store.app("c1", OpenDirect("c1", "den-1", "pat-1", 0), sent("c1", "den-1", "hello"))
        assert (await ada.ask(type, conversation="c1", **fields))["type"] == "ok"
        with pytest.raises(Refused, match="not_found"):
            await ada.ask(type, conversation="c2", **fields)
        bo = await c.server.connect("den-1", role="dentist")
        assert [summary["conversation"] for summary in (await bo.ask("conversation.list"))["conversations"]] == ["c1"]


async def test_foreign_conversation_is_not_found_all_the_same(autojump_clock: MockClock) -> None:
    async with shop() as c:
        ada = await c.server.connect("pat-1")
        c.commit(PutUser("den-1", None, "dentist", 0), PutUser("den-2", None, "dentist", 0))
        c.store.app("c1", OpenDirect("c1", "den-1", "den-2", 0))
        answers = []
        for conversation in ("c1", "c1", "c2"):
            with pytest.raises(Refused) as refused:
                await ada.ask("conversation.get", conversation=conversation)
            answers.append((refused.value.code, refused.value.message))
        assert len(set(answers)) == 1


async def test_a_room_is_looked_at_when_it_is_loaded(autojump_clock: MockClock) -> None:
    async with shop(config=Config(mysql=Mysql(poll=3600.0), timeouts=Timeouts(room_idle=0.1))) as c:
        ada, bo, conversation = await c.pair()
        await trio.sleep(0.3)
        c.store.app(conversation, sent(conversation, "den-1", "the app's"))
        await say(ada, conversation, "mine")
        bodies: list[str] = []
        while len(bodies) < 2:
            event = await bo.expect("change", within=2, conversation=conversation)
            bodies += [m["body"] for m in event.get("messages", [])]
        assert bodies == ["the app's", "mine"]
