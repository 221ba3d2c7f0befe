"""What others change of users reaches those who are connected."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import trio
import trio.testing
from trio.testing import MockClock

from chatd.core.identity import Identity
from storage.changes import PutUser, SetDisabled
from support.shops import sent, shop
from support.steering import say


async def test_users_that_others_changed(autojump_clock: MockClock) -> None:
    async with shop() as c:
        ada, bo, _ = await c.pair()
        await trio.sleep(3)
        await ada.barrier()
        c.commit(PutUser("den-1", "Dr. Bo", None, 0))
        await ada.expect("user", within=2, user={"id": "den-1", "name": "Dr. Bo"})
        await bo.expect("user", within=2, user={"id": "den-1", "name": "Dr. Bo"})
        await trio.sleep(5)
        assert await ada.barrier() == [], "once"
        c.commit(SetDisabled("den-1", True, 0))
        assert (await bo.closed()).code == 4503
        await ada.expect("user", within=2, user={"id": "den-1", "disabled": True})


async def test_user_deleted_by_others_is_cut_off_within_two_seconds(autojump_clock: MockClock) -> None:
    async with shop() as c:
        ada, bo, conversation = await c.pair()
        del c.store._users["den-1"]
        with trio.fail_after(2):
            closed = await bo.closed()
        assert (closed.code, closed.reason) == (4503, "this account was deleted")
        await say(ada, conversation, "what others say goes on")


async def test_user_deleted_while_signing_in_is_cut_off(autojump_clock: MockClock) -> None:
    async with shop() as c:
        await c.pair()
        stops: list[int] = []
        session: Any = mock.Mock(stop=lambda code, reason: stops.append(code))
        with c.server.daemon.parts.registry.arriving(
            Identity(user="pat-9", method="token", authenticated_at=0), session
        ):
            await trio.sleep(2)
        assert set(stops) == {4503}


async def test_users_are_watched_while_an_import_is_taken_in(autojump_clock: MockClock) -> None:
    async with shop() as c:
        _, bo, conversation = await c.pair()
        gate, steps = c.server.daemon.parts.gate, 0
        maintain = gate.maintain

        async def step(work: Callable[[], bool]) -> bool:
            nonlocal steps
            steps += 1
            await trio.sleep(0.25)
            return await maintain(work) or steps < 100

        with mock.patch.object(gate, "maintain", step):
            c.store.app(conversation, sent(conversation, "pat-1", "imported"))
            await trio.sleep(2)
            assert steps > 1
            c.commit(SetDisabled("den-1", True, 0))
            with trio.fail_after(2):
                assert (await bo.closed()).code == 4503
            assert steps < 50, "the import goes on"


async def test_one_who_is_away_has_another_name(autojump_clock: MockClock) -> None:
    async with shop() as c:
        ada, bo, _ = await c.pair()
        await bo.abort()
        await trio.sleep(10)
        await ada.barrier()
        c.commit(PutUser("den-1", "Dr. Bo", None, 0))
        await ada.expect("user", within=2, user={"id": "den-1", "name": "Dr. Bo"})
        await trio.sleep(5)
        assert await ada.barrier() == []
