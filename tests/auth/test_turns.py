"""Turns: one at a time, the known first, strangers by user in turn."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chatd.auth.turns import Turns

LONG_S = 60.0


class Crowd:
    """People who wait for their turn; `served` in the order in which they got it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.turns = Turns()
        self.served: list[str] = []
        self.refused: list[str] = []
        self._nursery = nursery
        self._done = trio.Event()

    async def hold(self) -> None:
        """Take the turn, until `let_go`."""
        self._nursery.start_soon(self._hold)
        await wait_all_tasks_blocked()

    def let_go(self) -> None:
        self._done.set()

    async def come(self, name: str, user: str, *, known: bool = False, wait_s: float = LONG_S) -> trio.CancelScope:
        scope = trio.CancelScope()
        self._nursery.start_soon(self._wait, scope, name, user, known, wait_s)
        await wait_all_tasks_blocked()
        return scope

    async def _hold(self) -> None:
        async with self.turns.turn("holder", known=False, wait_s=LONG_S):
            await self._done.wait()

    async def _wait(self, scope: trio.CancelScope, name: str, user: str, known: bool, wait_s: float) -> None:
        with scope:
            try:
                async with self.turns.turn(user, known=known, wait_s=wait_s):
                    self.served.append(name)
                    await trio.lowlevel.checkpoint()
            except trio.TooSlowError:
                self.refused.append(name)


async def test_users_take_turns_and_the_known_go_first() -> None:
    async with trio.open_nursery() as nursery:
        crowd = Crowd(nursery)
        await crowd.hold()
        for name in ("guess 1", "guess 2", "guess 3"):
            await crowd.come(name, "den-1")
        await crowd.come("Bo", "den-2")
        await crowd.come("Ada", "pat-1", known=True)
        crowd.let_go()
    assert crowd.served == ["Ada", "guess 1", "Bo", "guess 2", "guess 3"]


async def test_turn_that_does_not_come_in_time(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        crowd = Crowd(nursery)
        await crowd.hold()
        await crowd.come("late", "den-1", wait_s=2.0)
        await trio.sleep(2.1)
        assert crowd.refused == ["late"]
        crowd.let_go()
        await wait_all_tasks_blocked()
        await crowd.come("next", "den-1")
    assert crowd.served == ["next"], "whoever left takes no turn"


@pytest.mark.parametrize("known", [True, False])
async def test_cancelled_wait_loses_no_turn(known: bool) -> None:
    async with trio.open_nursery() as nursery:
        crowd = Crowd(nursery)
        await crowd.hold()
        gone = await crowd.come("gone", "den-1", known=known)
        await crowd.come("stays", "den-2")
        crowd.let_go()
        await trio.lowlevel.checkpoint()
        gone.cancel()
        await wait_all_tasks_blocked()
        await crowd.come("after", "den-1")
    assert crowd.served[-2:] == ["stays", "after"]


async def test_one_at_a_time() -> None:
    turns, inside = Turns(), 0

    async def take(user: str) -> None:
        nonlocal inside
        async with turns.turn(user, known=user == "a", wait_s=LONG_S):
            inside += 1
            assert inside == 1
            await trio.lowlevel.checkpoint()
            inside -= 1

    async with trio.open_nursery() as nursery:
        for user in "abcabcabc":
            nursery.start_soon(take, user)
    assert inside == 0
