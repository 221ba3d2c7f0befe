"""What a user sets for themselves at one of two daemons on one store, their connections at the other hear of."""

import pytest
import trio
from trio.testing import MockClock

from chatd.cluster import notices
from chatd.config import Config, Mysql, Timeouts
from support.shops import AppStore
from support.steering import clinic, say


@pytest.mark.parametrize("idle", [60.0, 0.1])
async def test_settings_made_at_another_daemon_are_told_to_their_user_alone(
    idle: float, autojump_clock: MockClock
) -> None:
    """Whether or not the conversation has a room there; once, and without a rev."""
    config = Config(mysql=Mysql(poll=1.0), timeouts=Timeouts(room_idle=idle))
    store = AppStore()
    async with clinic(store=store, config=config) as one, clinic(store=store, config=config) as two:
        ada, bo, conversation = await one.pair()
        await say(bo, conversation, "k1")
        far_ada, far_bo = await two.server.connect("pat-1"), await two.server.connect("den-1", role="dentist")
        await trio.sleep(2.5)
        for client in (ada, bo, far_ada, far_bo):
            await client.barrier()
        done = await ada.ask("membership.set", conversation=conversation, muted=True)
        assert done["from"] == done["rev"] == 2
        event = await far_ada.expect("change", within=2, conversation=conversation)
        assert (event["from"], event["rev"]) == (2, 2)
        assert event["membership"] == {"muted": True, "pinned": False, "archived": False, "unread": 1}
        assert not event.keys() & {"messages", "participants"}
        await trio.sleep(40)  # longer than notices are read again
        for client in (ada, bo, far_ada, far_bo):
            assert await client.barrier() == []
        await far_ada.ask("membership.set", conversation=conversation, pinned=True)
        event = await ada.expect("change", within=2, conversation=conversation)
        assert (event["membership"]["muted"], event["membership"]["pinned"]) == (True, True)


async def test_many_notices_in_one_look_are_read(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    monkeypatch.setattr(notices, "ROWS_PER_LOOK", 2)
    store = AppStore()
    config = Config(mysql=Mysql(poll=1.0))
    async with clinic(store=store, config=config) as one, clinic(store=store, config=config) as two:
        ada, _, first = await one.pair()
        group = (await ada.ask("conversation.create", title="Team", members=["den-1"]))["conversation"]
        far_ada = await two.server.connect("pat-1")
        await trio.sleep(2.5)
        for muted in (True, False, True, False, True):
            await ada.ask("membership.set", conversation=first, muted=muted)
        await ada.ask("membership.set", conversation=group, muted=True)
        for conversation in (first, group):
            event = await far_ada.expect("change", within=2, conversation=conversation)
            assert event["membership"]["muted"]
