"""The client signs in as people do, goes on with its session, and signs in again when that has ended."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd.client import Closed, SignIn, SignInFailed
from chatd.testing import Server
from storage.changes import DeleteRows
from storage.keyed import SIGNED_IN
from support.clinics import API_KEY, PASSWORD, SITE, Clinic, clinic

URL = SITE


def signing_in(server: Server, **given: Any) -> SignIn:
    return SignIn(URL, dial=server.open, **given)


async def sessions_of(c: Clinic, user: str) -> int:
    return len(c.server.store.rows(SIGNED_IN, "user", user, after="", limit=100))


async def test_client_signs_in_by_password_and_keeps_its_session(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        token = signing_in(c.server, user="pat-1", password=PASSWORD)
        async with c.server.client(token=token) as client:
            conversation = (await client.open("den-1")).id
            await client.send(conversation, "hello")
            assert await token() == await token()
        async with c.server.client(token=token) as again:
            await again.open("den-1")
        assert await sessions_of(c, "pat-1") == 1


async def test_client_signs_in_again_when_its_session_has_ended(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        token = signing_in(c.server, user="pat-1", password=PASSWORD)
        first = await token()
        c.server.store.commit([DeleteRows(kind=SIGNED_IN)])
        assert await token() != first


async def test_client_by_ticket_comes_back_with_the_session_it_became(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        key = await c.server.daemon.keepers.tickets.key(API_KEY)
        assert key is not None
        ticket, _ = await c.server.daemon.keepers.tickets.make(key, "pat-1", None, None)
        token = signing_in(c.server, ticket=ticket)
        for _ in range(2):
            async with c.server.client(token=token) as client:
                await client.open("den-1")


async def test_client_with_a_wrong_password_is_closed_with_the_reason(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        token = signing_in(c.server, user="pat-1", password="wrong")
        with pytest.raises(SignInFailed, match="user or password is wrong"):
            await token()
        async with c.server.client(token=token) as client:
            with trio.fail_after(60), pytest.raises(Closed, match="user or password is wrong"):
                await client.open("den-1")
