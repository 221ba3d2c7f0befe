"""Sessions that stay connected go on; those that ended unseen are cut; what has expired is forgotten."""

import pytest
import trio
from trio.testing import MockClock

from chatd.auth import sessions
from chatd.auth.upkeep import FORGOTTEN_AFTER_MS, UPKEEP_EVERY_S
from chatd.config import Auth
from storage.changes import DeleteRows
from storage.keyed import SIGNED_IN
from support.clinics import clinic


async def test_session_slides_while_it_is_connected(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "TOUCHED_EVERY_MS", 120_000)
    async with clinic(auth=Auth(session_lifetime=("dentist=4m",))) as c:
        client = await c.connect(await c.sign_in("den-1"))
        await client.ask("hello")
        for _ in range(10):
            await trio.sleep(120)
            await client.ask("ping")


async def test_session_that_ended_unseen_is_cut_by_the_next_look(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        client = await c.connect(await c.sign_in("pat-1"))
        await client.ask("hello")
        c.server.store.commit([DeleteRows(kind=SIGNED_IN)])
        with trio.fail_after(UPKEEP_EVERY_S + 1):
            assert (await client.closed()).code == 4503


async def test_expired_session_is_forgotten_after_a_while(autojump_clock: MockClock) -> None:
    async with clinic(auth=Auth(session_lifetime=("patient=1m",))) as c:
        await c.sign_in("pat-1")
        await trio.sleep(60 + FORGOTTEN_AFTER_MS / 2000)
        assert len(c.server.store.rows(SIGNED_IN, None, None, after="", limit=10)) == 1
        await trio.sleep(FORGOTTEN_AFTER_MS / 1000)
        assert c.server.store.rows(SIGNED_IN, None, None, after="", limit=10) == []
