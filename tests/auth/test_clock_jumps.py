"""A clock that is set back or ahead: tokens go on, typing and presence never go by it."""

import pytest
import trio
from trio.testing import MockClock

from chatd.auth.upkeep import Upkeep
from chatd.testing.harness import START, Refused, daemon
from storage.changes import AddToken, PutUser, RevokeTokens
from storage.keyed import SIGNED_IN
from storage.memory import MemoryStore
from support.clinics import clinic

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Wall:
    """A clock on the wall, which is as right as it is set."""

    def __init__(self) -> None:
        self.set_by = 0
        self.began = trio.current_time()

    def __call__(self) -> int:
        return START + round((trio.current_time() - self.began) * 1000) + self.set_by


@pytest.mark.parametrize("jump", [-HOUR_MS, -DAY_MS, HOUR_MS, DAY_MS])
async def test_known_token_signs_in_after_the_clock_was_set(jump: int, autojump_clock: MockClock) -> None:
    wall = Wall()
    async with daemon(development=False, store=MemoryStore(epoch="e"), now=wall) as server:
        server.store.commit([PutUser("pat-1", "Ada", "patient", 1)])
        tokens = server.daemon.tokens
        assert tokens is not None
        text, claims = tokens.issue("pat-1", "t-1", wall(), 30 * 24 * 3600)
        server.store.commit([AddToken(claims.jti, claims.user, claims.issued_at, claims.expires_at)])
        client = await server.connect(token=text)
        wall.set_by = jump
        assert await client.ask("ping")
        assert await server.connect(token=text)
        server.store.commit([RevokeTokens("pat-1", wall())])
        with pytest.raises(Refused, match="not accepted"):
            await server.connect(token=text)


async def test_unknown_token_of_the_future_is_refused_as_before(autojump_clock: MockClock) -> None:
    wall = Wall()
    async with daemon(development=False, store=MemoryStore(epoch="e"), now=wall) as server:
        server.store.commit([PutUser("pat-1", "Ada", "patient", 1)])
        text = server.token("pat-1")
        wall.set_by = -HOUR_MS
        with pytest.raises(Refused, match="ahead of this server"):
            await server.connect(token=text)


@pytest.mark.parametrize("jump", [-HOUR_MS, -DAY_MS, DAY_MS, 400 * DAY_MS])
async def test_typing_and_presence_take_their_time_whatever_the_clock_says(
    jump: int, autojump_clock: MockClock
) -> None:
    wall = Wall()
    async with daemon(now=wall) as server:
        ada = await server.connect("pat-1")
        bo = await server.connect("den-1", role="dentist")
        conversation = (await ada.ask("conversation.open", with_="den-1"))["conversation"]
        await bo.expect("change", within=1, conversation=conversation)
        await ada.ask("typing", conversation=conversation, active=True)
        wall.set_by = jump
        await bo.expect("typing", within=1, active=True)
        with trio.fail_after(7):
            await bo.expect("typing", within=7, active=False)
        await ada.abort()
        await bo.expect("presence", within=6, user="pat-1", online=False)


async def test_sessions_are_not_forgotten_while_the_clock_is_ahead(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        await c.sign_in("pat-1")
        made, wall = c.server.daemon, Wall()
        upkeep = Upkeep(made.gate, made.registry, made.keepers.sessions, wall)
        for wall.set_by in (0, 400 * DAY_MS, 0, -400 * DAY_MS, 0):
            await upkeep()
        assert len(c.server.store.rows(SIGNED_IN, None, None, after="", limit=10)) == 1
