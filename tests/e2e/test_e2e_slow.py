"""Readers that are slow, stop, or keep coming back: cut at the bound or fed at their pace, and nothing is missing."""

import os
import random
from contextlib import AsyncExitStack
from pathlib import Path

import trio

from support.process import Daemon, running
from support.wsclient import Client, Copy, connected

SETTINGS = """
[limits]
outbox_bytes = 65536
[timeouts]
write = 2
[storage]
durability = "normal"
"""
"""A disk that takes its time is not the subject."""
BODY = "x" * 10_000
MESSAGES = 300
"""Of that size: far more than the bound and all socket buffers hold."""
ABREAST = 5
"""Sent at a time: less than the bound, as a busy machine may queue them for a reader all at once."""


async def flood(client: Client, conversation: str, *, messages: int = MESSAGES, reader: Client | None = None) -> float:
    """Send large messages, several at a time; the longest wait for an acknowledgement, in s.

    `reader`: waited for each time, so that one that reads is never mistaken for slow on a busy machine.
    """
    longest = 0.0
    for start in range(0, messages, ABREAST):
        began = trio.current_time()
        pending = [
            await client.send("message.send", conversation=conversation, client_id=f"{start}-{n}", body=BODY)
            for n in range(ABREAST)
        ]
        for each in pending:
            assert (await each.reply())["type"] == "ok"
        longest = max(longest, trio.current_time() - began)
        if reader is not None:
            await reader.caught_up(conversation, client.copies[conversation].rev)
    return longest


async def fresh_copy(daemon: Daemon, user: str, conversation: str) -> Copy:
    async with connected(daemon, user) as client:
        copy = await client.load(conversation)
    copy.check()
    return copy


async def test_reader_that_stops_is_cut_alone_and_misses_nothing(tmp_path: Path) -> None:
    async with (
        running(tmp_path, settings=SETTINGS) as daemon,
        connected(daemon, "den-1", buffer=4096) as stalled,
        connected(daemon, "den-1") as other,
        connected(daemon, "pat-1") as pat,
    ):
        conversation = await pat.open("den-1")
        await pat.say(conversation, "first")
        await stalled.caught_up(conversation, 2)
        stalled.pause()
        longest = await flood(pat, conversation, reader=other)
        print(f"the longest wait for their acknowledgements: {longest:.3f} s")
        assert longest < 2
        rev = pat.copies[conversation].rev
        await other.caught_up(conversation, rev)
        assert '"reason":"too slow"' in daemon.log
        stalled.go_on()
        with trio.fail_after(10):
            await stalled.closed.wait()
        assert stalled.close_code == 4008
        held = stalled.copies[conversation]
        assert len(BODY) * (MESSAGES - held.last_seq) > 2**20, "too little was missed"

        async with connected(daemon, "den-1", copies=stalled.copies, epoch=stalled.hello["epoch"]) as back:
            assert back.hello["revs"][conversation] == {"rev": rev, "reset": False}
            copy = await back.caught_up(conversation, rev)
            assert copy == await fresh_copy(daemon, "den-1", conversation)
            assert copy.last_seq >= MESSAGES
            await pat.say(conversation, "last")
            await back.caught_up(conversation, rev + 1)
            assert not back.closed.is_set()


async def test_reader_that_is_slow_is_fed_and_not_cut(tmp_path: Path) -> None:
    """The catch-up takes several times as long as a reader may go without any progress, and much goes on meanwhile."""
    async with running(tmp_path, settings=SETTINGS) as daemon, connected(daemon, "pat-1") as pat:
        async with connected(daemon, "den-1") as den:
            conversation = await pat.open("den-1")
            await pat.say(conversation, "first")
            await den.caught_up(conversation, 2)
        await flood(pat, conversation)
        began = trio.current_time()
        epoch = den.hello["epoch"]
        async with connected(
            daemon, "den-1", copies=den.copies, epoch=epoch, buffer=4096, pace=(16_384, 0.008)
        ) as slow:
            for n in range(100):
                await pat.say(conversation, f"meanwhile-{n}")
                await trio.sleep(0.01)
            copy = await slow.caught_up(conversation, pat.copies[conversation].rev)
            took = trio.current_time() - began
            print(f"{len(BODY) * MESSAGES / 2**20:.1f} MiB in {took:.1f} s")
            assert took > 4, "that was not slow"
            assert copy == await fresh_copy(daemon, "den-1", conversation)
            await pat.say(conversation, "last")
            await slow.caught_up(conversation, pat.copies[conversation].rev)
        assert "cut" not in daemon.log


async def test_opens_of_twenty_at_once_make_one_conversation(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon, AsyncExitStack() as stack:
        clients = [
            (await stack.enter_async_context(connected(daemon, user)), other)
            for _ in range(10)
            for user, other in (("pat-1", "den-1"), ("den-1", "pat-1"))
        ]
        pending = [await client.send("conversation.open", **{"with": other}) for client, other in clients]
        replies = [await each.reply() for each in pending]
        assert {reply["type"] for reply in replies} == {"ok"}
        (conversation,) = {reply["conversation"] for reply in replies}
        assert [reply["created"] for reply in replies].count(True) == 1
        assert {reply["rev"] for reply in replies} == {1}
        for client, _ in clients:
            await client.caught_up(conversation, 1)
            (summary,) = (await client.ask("conversation.list"))["conversations"]
            assert summary["conversation"] == conversation


async def test_client_coming_back_again_and_again_misses_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHATD_TEST_SEED") or random.randrange(2**32))
    print(f"CHATD_TEST_SEED={seed}")
    rng = random.Random(seed)
    stop = trio.Event()

    async def talk(client: Client, conversation: str, name: str) -> None:
        number = 0
        while not stop.is_set():
            for _ in range(4):
                number += 1
                await client.say(conversation, f"{name}-{number}")
            if rng.random() < 0.2:
                last = client.copies[conversation].last_seq
                await client.send("receipt", conversation=conversation, read=last)
            await trio.sleep(rng.uniform(0, 0.01))

    async with (
        running(tmp_path, settings=SETTINGS) as daemon,
        connected(daemon, "den-1") as den,
        connected(daemon, "pat-1") as pat,
    ):
        conversation = await pat.open("den-1")
        await den.load(conversation)
        epoch = den.hello["epoch"]
        copies = {conversation: Copy(1)}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, pat, conversation, "pat")
            nursery.start_soon(talk, den, conversation, "den")
            for _ in range(60):
                async with connected(daemon, "den-1", copies=copies, epoch=epoch) as restless:
                    assert restless.hello["revs"][conversation]["reset"] is False
                    await trio.sleep(rng.uniform(0, 0.05))
                    await restless.abort()
            stop.set()
        fresh = await fresh_copy(daemon, "den-1", conversation)
        async with connected(daemon, "den-1", copies=copies, epoch=epoch) as settled:
            copy = await settled.caught_up(conversation, fresh.rev)
        for client in (den, pat):
            await client.caught_up(conversation, fresh.rev)
        assert copy.messages == fresh.messages == den.copies[conversation].messages == pat.copies[conversation].messages
        assert copy.participants == fresh.participants
        print(f"{copy.last_seq} messages")
