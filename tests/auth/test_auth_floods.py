"""Wrong credentials in `hello`, again and again: throttled by address, and logged only so often."""

import itertools

import pytest
import trio
from trio.testing import MockClock

from chatd.auth.throttle import ADDRESS_WINDOW_S, TRIES_PER_ADDRESS
from chatd.logs.counted import LINES_PER_ADDRESS, WINDOW_S
from chatd.testing.harness import Disconnected, Refused, TestClient, daemon
from storage.changes import PutUser


async def refused(client: TestClient, token: str) -> tuple[str, int]:
    """The code of the error, and that of the close."""
    with pytest.raises(Refused) as caught:
        await client.hello(token=token)
    end: Disconnected = await client.closed()
    return caught.value.code, end.code


async def test_wrong_tokens_of_an_address_are_throttled_and_right_ones_let_in(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with daemon(development=False) as server:
        server.store.commit([PutUser(user="pat-1", name="Ada", role="patient", at=1)])
        right = server.token("pat-1")
        wrong = right[:-4] + "AAAA"
        found = [await refused(await server.connect(), wrong) for _ in range(TRIES_PER_ADDRESS + 5)]
        assert found == [("unauthorized", 4501)] * TRIES_PER_ADDRESS + [("rate_limited", 4029)] * 5
        assert capsys.readouterr().out.count("sign-in refused") == TRIES_PER_ADDRESS
        await server.connect(token=right)  # the clinic that shares the address notices nothing
        autojump_clock.jump(ADDRESS_WINDOW_S)
        assert await refused(await server.connect(), wrong) == ("unauthorized", 4501)


async def test_expired_tokens_are_no_guesses(autojump_clock: MockClock) -> None:
    async with daemon(development=False) as server:
        server.store.commit([PutUser(user="pat-1", name="Ada", role="patient", at=1)])
        expired = server.token("pat-1", lifetime=1)
        autojump_clock.jump(5)
        for _ in itertools.repeat(None, TRIES_PER_ADDRESS + 5):
            assert await refused(await server.connect(), expired) == ("unauthorized", 4011)


async def test_connections_of_a_flood_are_counted_and_people_behind_it_logged(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with daemon(development=False) as server:
        server.store.commit([PutUser(user="pat-1", name="Ada", role="patient", at=1)])
        right = server.token("pat-1")
        for _ in range(LINES_PER_ADDRESS + 30):
            await refused(await server.connect(), right[:-4] + "AAAA")
        said = capsys.readouterr().out
        assert said.count(" connected ") == LINES_PER_ADDRESS
        assert said.count(" closed ") == LINES_PER_ADDRESS
        person = await server.connect(token=right)
        await person.aclose()
        await trio.sleep(WINDOW_S + 1)
        said = capsys.readouterr().out
        assert said.count(" signed in ") == said.count(" closed ") == 1
        assert "left_out=31" in said
