"""Accepting: every other task has its turn, and the limit counts what was accepted, served yet or not."""

import errno
import socket
from collections.abc import Callable, Iterator
from typing import cast

import pytest
import structlog
import trio
from trio.testing import MockClock

from chatd.net.listen import CONNECTIONS_PER_TURN, TooMany, accept_from

PEER = ("192.0.2.7", 4711)


class FloodedListener:
    """A listening socket whose backlog never ends: connections made here, or peers that are gone already."""

    def __init__(self, accept: Callable[[], socket.socket]) -> None:
        self._accept = accept
        self.accepts = 0

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        self.accepts += 1
        return self._accept(), PEER


@pytest.fixture
def connection() -> Iterator[Callable[[], socket.socket]]:
    """Makes a connected TCP socket; all are closed at the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    made: list[socket.socket] = [listener]

    def make() -> socket.socket:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        made.extend((client, server))
        return server

    yield make
    for sock in made:
        sock.close()


def gone() -> socket.socket:
    raise ConnectionAbortedError


async def _turns_and_accepts(
    accept: Callable[[], socket.socket], accepted: Callable[[socket.socket, tuple[str, int]], None]
) -> tuple[int, int]:
    """Let another task have 20 turns beside a flooded listener; its turns, and what was accepted meanwhile."""
    listener, turns = FloodedListener(accept), 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept_from, cast(socket.socket, listener), accepted)
        while turns < 20 and listener.accepts < 200:
            await trio.lowlevel.checkpoint()
            turns += 1
        nursery.cancel_scope.cancel()
    return turns, listener.accepts


async def test_accept_flood_leaves_every_other_task_its_turn(connection: Callable[[], socket.socket]) -> None:
    turns, accepts = await _turns_and_accepts(connection, lambda sock, peer: None)
    assert (turns, accepts <= 21 * CONNECTIONS_PER_TURN) == (20, True)


async def test_accept_flood_beyond_the_limit_leaves_every_other_task_its_turn(
    connection: Callable[[], socket.socket],
) -> None:
    def full(sock: socket.socket, peer: tuple[str, int]) -> None:
        raise TooMany

    turns, accepts = await _turns_and_accepts(connection, full)
    assert (turns, accepts <= 21 * CONNECTIONS_PER_TURN) == (20, True)


async def test_accept_flood_of_peers_that_are_gone_leaves_every_other_task_its_turn() -> None:
    turns, accepts = await _turns_and_accepts(gone, lambda sock, peer: None)
    assert (turns, accepts <= 21 * CONNECTIONS_PER_TURN) == (20, True)


async def test_accept_without_descriptors_is_logged_once_a_minute(autojump_clock: MockClock) -> None:
    def exhausted() -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    listener = FloodedListener(exhausted)
    with structlog.testing.capture_logs() as logged, trio.move_on_after(150):
        await accept_from(cast(socket.socket, listener), lambda sock, peer: None)
    assert len(logged) == 3
    assert sum(line["times"] for line in logged) <= listener.accepts
    assert logged[1]["times"] > 500
