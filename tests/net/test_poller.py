"""The one task that watches all plain sockets."""

import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chatd.net.poller import SOCKETS_PER_TURN, Poller, available

pytestmark = pytest.mark.skipif(not available(), reason="this system has no epoll: connections wait by themselves")


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


@asynccontextmanager
async def polling() -> AsyncIterator[Poller]:
    poller = Poller()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        yield poller
        nursery.cancel_scope.cancel()
    poller.close()


async def test_poller_calls_for_each_arrival_until_told_to_stop() -> None:
    taken: list[bytes] = []

    def take() -> bool:
        taken.append(ours.recv(100))
        return taken[-1] != b"stop"

    with pair() as (ours, theirs):
        async with polling() as poller, trio.open_nursery() as nursery:
            nursery.start_soon(poller.attend, ours, take)
            for data in (b"one", b"two", b"stop"):
                theirs.send(data)
                await wait_all_tasks_blocked(0.01)
            assert taken == [b"one", b"two", b"stop"]
            theirs.send(b"for whoever reads next")
        assert taken[-1] == b"stop"
        assert ours.recv(100) == b"for whoever reads next"


async def test_poller_serves_earlier_bytes_and_the_end_at_once() -> None:
    taken: list[bytes] = []

    def take() -> bool:
        taken.append(ours.recv(3))
        return bool(taken[-1])

    with pair() as (ours, theirs):
        theirs.send(b"one two")
        theirs.shutdown(socket.SHUT_WR)
        async with polling() as poller:
            await poller.attend(ours, take)
    assert taken == [b"one", b" tw", b"o", b""]


async def test_poller_raises_an_error_to_its_waiter_alone() -> None:
    def wrong() -> bool:
        raise ZeroDivisionError("a bug")

    with pair() as (ours, theirs), pair() as (others, their_peer):
        async with polling() as poller, trio.open_nursery() as nursery:
            nursery.start_soon(poller.attend, others, lambda: others.recv(100) != b"end")
            theirs.send(b"x")
            with pytest.raises(ZeroDivisionError, match="a bug"):
                await poller.attend(ours, wrong)
            their_peer.send(b"end")


async def test_poller_does_not_call_a_cancelled_waiter() -> None:
    called = 0

    def call() -> bool:
        nonlocal called
        called += 1
        return False

    with pair() as (ours, theirs):
        async with polling() as poller:
            with trio.move_on_after(0):
                await poller.attend(ours, call)
            theirs.send(b"x")
            await wait_all_tasks_blocked(0.01)
            assert called == 0
            await poller.attend(ours, call)  # and may come again
    assert called == 1


async def test_one_may_end_another_in_the_same_round() -> None:
    """Both are readable at once: whoever is served first ends the other, who must not be called then."""
    called: list[int] = []
    scopes = [trio.CancelScope(), trio.CancelScope()]
    with pair() as (one, its_peer), pair() as (two, her_peer):

        async def attend(number: int, sock: socket.socket, poller: Poller) -> None:
            def take() -> bool:
                called.append(number)
                scopes[1 - number].cancel()
                return False

            with scopes[number]:
                await poller.attend(sock, take)

        poller = Poller()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attend, 0, one, poller)
            nursery.start_soon(attend, 1, two, poller)
            await wait_all_tasks_blocked()
            its_peer.send(b"x")
            her_peer.send(b"x")
            nursery.start_soon(poller.run)
            await wait_all_tasks_blocked(0.01)
            nursery.cancel_scope.cancel()
    assert len(called) == 1


async def test_a_closed_socket_is_broken() -> None:
    with pair() as (ours, _):
        ours.close()
        async with polling() as poller:
            with pytest.raises(trio.BrokenResourceError):
                await poller.attend(ours, lambda: True)


async def test_many_talkers_leave_turns_to_others() -> None:
    """A socket that always has more to say, and more of them than are served in one round."""
    turns = 0
    with pair() as (ours, theirs):
        theirs.send(b"x")  # never read: readable for ever
        copies = [socket.socket(fileno=os.dup(ours.fileno())) for _ in range(SOCKETS_PER_TURN + 1)]
        async with polling() as poller, trio.open_nursery() as nursery:
            for copy in copies:
                nursery.start_soon(poller.attend, copy, lambda: True)
            for _ in range(100):
                await trio.lowlevel.checkpoint()
                turns += 1
            nursery.cancel_scope.cancel()
        for copy in copies:
            copy.close()
    assert turns == 100


async def test_poller_keeps_no_descriptor() -> None:
    """The descriptor that a new one would get is the same as before."""

    def next_descriptor() -> int:
        descriptor = os.dup(0)
        os.close(descriptor)
        return descriptor

    before = next_descriptor()
    for _ in range(5):
        async with polling():
            await wait_all_tasks_blocked()
    assert next_descriptor() == before
