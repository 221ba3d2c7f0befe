"""Limits against floods: the buckets by themselves, and at a connection outside development mode."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.auth.chain import development_chain
from chatd.config import Config, Limits
from chatd.core.ratelimit import Buckets, TokenBucket
from chatd.testing import Refused, Server, daemon
from chatd.transports.intake import MAX_LIMITED_IN_A_ROW, MAX_TYPING_IN_A_ROW
from support.steering import Runner


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_starts_full_and_fills_up_again() -> None:
    clock = Clock()
    bucket = TokenBucket(2, 3, clock)
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now += 0.25
    assert bucket.take() == pytest.approx(0.25), "asking in vain costs nothing"
    clock.now += 0.25
    assert bucket.take() == 0
    assert not bucket.full
    clock.now += 100
    assert [bucket.full, *map(bool, [bucket.take() for _ in range(4)])] == [True, False, False, False, True]


def test_each_user_has_a_bucket_and_full_ones_are_forgotten() -> None:
    clock = Clock()
    buckets = Buckets(1, 2, clock)
    spent = buckets.of("spent")
    assert [spent.take() for _ in range(3)] == [0, 0, 1]
    assert buckets.of("spent") is spent
    for n in range(3 * Buckets.SWEEP):
        buckets.of(f"u{n}")
    assert len(buckets._buckets) <= Buckets.SWEEP + 1
    assert buckets.of("spent") is spent
    clock.now += 10
    for n in range(3 * Buckets.SWEEP):
        buckets.of(f"v{n}")
    assert buckets.of("spent") is not spent


@asynccontextmanager
async def strict(reads: Runner | None = None, **limits: Any) -> AsyncIterator[Server]:
    """A daemon with the limits of production, where one still signs in by name."""
    runners: dict[str, Any] = {"read": reads} if reads is not None else {}
    async with daemon(development=False, config=Config(limits=Limits(**limits)), **runners) as server:
        parts = server.daemon.parts
        object.__setattr__(parts, "sign_in", development_chain(parts.gate, parts.accounts, parts.now))
        yield server


async def test_requests_over_the_rate_are_refused_and_say_when_to_come_again(autojump_clock: MockClock) -> None:
    async with strict(requests_per_second=2.0, request_burst=5) as server:
        ada = await server.connect("pat-1")
        for _ in range(4):
            await ada.ask("ping")
        with pytest.raises(Refused) as refused:
            await ada.ask("ping")
        assert (refused.value.code, refused.value.temporary) == ("rate_limited", True)
        assert refused.value.retry_after is not None
        assert 0 < refused.value.retry_after <= 0.5
        await trio.sleep(refused.value.retry_after)
        await ada.ask("ping")
        with pytest.raises(Refused, match="rate_limited"):
            await ada.ask("conversation.get", conversation="nowhere")
        await trio.sleep(10)
        for _ in range(5):
            await ada.ask("ping")


async def test_bad_requests_and_those_without_an_id_count_too(autojump_clock: MockClock) -> None:
    async with strict(requests_per_second=1.0, request_burst=4) as server:
        ada = await server.connect("pat-1")
        for _ in range(3):
            await ada.tell("nonsense")
            assert (await ada.expect("error", within=0.1))["code"] == "bad_request"
        await ada.tell("nonsense")
        assert (await ada.expect("error", within=0.1))["code"] == "rate_limited"


async def test_a_refused_request_has_no_effect(autojump_clock: MockClock) -> None:
    async with strict(requests_per_second=1.0, request_burst=3) as server:
        await server.connect("den-1", role="dentist")
        ada = await server.connect("pat-1")
        conversation = (await ada.ask("conversation.open", with_="den-1"))["conversation"]
        await ada.ask("ping")
        with pytest.raises(Refused, match="rate_limited"):
            await ada.ask("message.send", conversation=conversation, client_id="a-1", body="x")
        await trio.sleep(2)
        sent = await ada.ask("message.send", conversation=conversation, client_id="a-1", body="x")
        assert (sent["duplicate"], sent["messages"][0]["seq"]) == (False, 1)


async def test_caller_over_the_limit_for_long_is_closed(autojump_clock: MockClock) -> None:
    async with strict(requests_per_second=0.1, request_burst=1) as server:
        ada = await server.connect("pat-1")
        for _ in range(MAX_LIMITED_IN_A_ROW):
            await ada.tell("ping")
        await trio.sleep(0.1)
        assert len([frame for frame in ada.received if frame["type"] == "error"]) == MAX_LIMITED_IN_A_ROW
        await ada.tell("ping")
        assert (await ada.closed()).code == 4029


async def test_typing_over_the_rate_is_answered_and_not_passed_on(autojump_clock: MockClock) -> None:
    async with strict(requests_per_second=1.0, request_burst=5) as server:
        bo = await server.connect("den-1", role="dentist")
        ada = await server.connect("pat-1")
        conversation = (await ada.ask("conversation.open", with_="den-1"))["conversation"]
        for number in range(MAX_LIMITED_IN_A_ROW + 50):
            assert await ada.ask("typing", conversation=conversation, active=number % 2 == 0)
        await trio.sleep(0.1)
        assert len([frame for frame in bo.received if frame["type"] == "typing"]) <= 4
        await ada.tell("ping")
        assert (await ada.expect("error", within=0.1))["code"] == "rate_limited"
        await trio.sleep(2)
        await ada.ask("ping")  # the connection lives


async def test_typing_without_end_is_closed(autojump_clock: MockClock) -> None:
    async with strict(requests_per_second=0.1, request_burst=3) as server:
        ada = await server.connect("pat-1")
        for _ in range(MAX_TYPING_IN_A_ROW + 3):
            await ada.tell("typing", conversation="c", active=True)
        assert (await ada.closed()).code == 4029


async def test_patience_begins_anew_with_a_request_that_is_served(autojump_clock: MockClock) -> None:
    async with strict(requests_per_second=1.0, request_burst=1) as server:
        ada = await server.connect("pat-1")
        for _ in range(3):
            for _ in range(MAX_LIMITED_IN_A_ROW - 10):
                await ada.tell("ping")
            await trio.sleep(2)
            await ada.ask("ping")


async def test_a_user_has_one_bucket_over_all_connections(autojump_clock: MockClock) -> None:
    async with strict(user_requests_per_second=1.0, user_request_burst=6) as server:
        one, two = await server.connect("pat-1"), await server.connect("pat-1")
        other = await server.connect("pat-2")
        for client in (one, two, one, two, one, two):
            await client.ask("ping")
        with pytest.raises(Refused, match="rate_limited"):
            await two.ask("ping")
        await other.ask("ping")


async def test_connection_before_hello_has_a_limit_too(autojump_clock: MockClock) -> None:
    async with strict(requests_per_second=1.0, request_burst=2) as server:
        nobody = await server.connect()
        for code in ("unauthorized", "unauthorized", "rate_limited"):
            with pytest.raises(Refused, match=code):
                await nobody.ask("ping")


async def test_development_mode_has_no_limit(autojump_clock: MockClock) -> None:
    limits = Limits(requests_per_second=0.1, request_burst=1, user_requests_per_second=0.1, user_request_burst=1)
    async with daemon(config=Config(limits=limits)) as server:
        ada = await server.connect("pat-1")
        for _ in range(50):
            await ada.ask("ping")


async def test_a_user_has_so_many_connections(autojump_clock: MockClock) -> None:
    async with strict(connections_per_user=2) as server:
        one, _ = await server.connect("pat-1"), await server.connect("pat-1")
        await server.connect("pat-2")
        third = await server.connect()
        with pytest.raises(Refused, match="rate_limited") as refused:
            await third.hello("pat-1")
        assert refused.value.temporary
        assert (await third.closed()).code == 4029
        await one.abort()
        await trio.sleep(0.1)
        await server.connect("pat-1")


async def test_connections_that_come_at_once_are_counted_too(autojump_clock: MockClock) -> None:
    reads = Runner()
    async with strict(reads, connections_per_user=2) as server:
        await (await server.connect("pat-1")).abort()
        clients = [await server.connect() for _ in range(10)]
        reads.hold("after")
        for client in clients:
            await client.send("hello", user="pat-1")
        await wait_all_tasks_blocked()
        reads.release()
        await wait_all_tasks_blocked()
        answers = [client.received[0].get("code") for client in clients]
        assert sorted(answers, key=str) == [None] * 2 + ["rate_limited"] * 8
        assert len(server.daemon.registry.of("pat-1")) == 2
