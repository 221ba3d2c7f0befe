"""What strangers share: one read a turn of the loop, and memory for what is not complete."""

import select
import socket

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from chatd.net.inbound import Inbound
from chatd.net.unfinished import MemoryShares, Turnstile, Unfinished, UnfinishedBudget
from support.served import GET, echo, served


async def test_turnstile_lets_one_stranger_through_between_two_turns_of_others() -> None:
    turnstile, passed, most = Turnstile(), 0, 0

    async def stranger() -> None:
        nonlocal passed
        for _ in range(5):
            await turnstile.wait()
            passed += 1

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(stranger)
        while passed < 100:
            before = passed
            await trio.lowlevel.checkpoint()
            most = max(most, passed - before)
    assert most <= 2  # the order within a turn is Trio's


async def test_stranger_who_is_cancelled_leaves_the_turnstile() -> None:
    turnstile = Turnstile()
    with trio.CancelScope() as scope:
        scope.cancel()
        await turnstile.wait()
    with trio.fail_after(1):
        await turnstile.wait()


@pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="only Linux tells that a peer has left")
@pytest.mark.parametrize("stranger", [True, False], ids=["stranger", "signed in"])
async def test_bytes_of_a_stranger_who_left_are_not_read(stranger: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        with theirs:
            theirs.sendall(b"x" * 1_000)
        unfinished = Unfinished(UnfinishedBudget(10_000))
        turns = Turnstile() if stranger else None
        inbound = Inbound(memory_stream_pair()[0], ours, b"", 10_000, unfinished, turns=turns)
        assert await inbound.receive() == (b"" if stranger else b"x" * 1_000)


async def test_unfinished_heads_share_the_budget_of_strangers(autojump_clock: MockClock) -> None:
    shares = MemoryShares(strangers=UnfinishedBudget(5_000))
    half = GET[:-2] + b"x: " + b"y" * 3_000
    async with served(echo, shares=shares) as one, served(echo, shares=shares) as other:
        await one.send(half)
        await wait_all_tasks_blocked()
        assert 3_000 < shares.strangers.held < 5_000
        await other.send(half)
        assert (await other.answer()).status == 503
        assert await other.is_closed()
        await one.send(b"\r\n\r\n")
        assert (await one.answer()).status == 200
        assert shares.strangers.held == 0


async def test_head_of_very_many_lines_is_refused_before_it_is_parsed(autojump_clock: MockClock) -> None:
    for pieces in (1, 7):
        async with served(echo) as client:
            head = GET[:-2] + b"a:b\r\n" * 200 + b"\r\n"
            for start in range(0, len(head), len(head) // pieces):
                await client.send(head[start : start + len(head) // pieces])
                await wait_all_tasks_blocked()
            assert (await client.answer()).status == 431
    async with served(echo) as client:
        await client.send(GET[:-2] + b"a:b\r\n" * 100 + b"\r\n" + b"\r\n" * 200)
        assert (await client.answer()).status == 200
