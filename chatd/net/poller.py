"""All plain sockets watched by one task, through an epoll of its own inside Trio's.

Trio's `wait_readable` costs two system calls and a task switch each time. Here a socket is registered once, for as long
as its connection reads, and what has come is taken in the poller's own task.
"""

import select
import socket
from collections.abc import Callable

import attrs
import outcome
import trio

SOCKETS_PER_TURN = 16
"""Sockets served between two turns of all other tasks: each has some 80 messages at most, 2 ms."""


@attrs.frozen
class _Attended:
    task: trio.lowlevel.Task
    on_readable: Callable[[], bool]


class Poller:
    """An epoll that calls the reader of each readable socket. Only where `available()`."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._attended: dict[int, _Attended] = {}

    async def attend(self, sock: socket.socket, on_readable: Callable[[], bool]) -> None:
        """Have `on_readable` called whenever the socket has something to read, until it returns False.

        It must not wait; what it raises is raised here.
        """
        fd = sock.fileno()
        try:
            self._epoll.register(fd, select.EPOLLIN)
        except (OSError, ValueError) as error:  # closed already
            raise trio.BrokenResourceError from error
        self._attended[fd] = _Attended(trio.lowlevel.current_task(), on_readable)

        def abort(_: Callable[[], None]) -> trio.lowlevel.Abort:
            self._forget(fd)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    async def run(self) -> None:
        """Serve those who attend, until cancelled. May be started again after an error."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            for fd, _ in self._epoll.poll(0, SOCKETS_PER_TURN):
                self._serve(fd)

    def close(self) -> None:
        """Close the epoll, after the last of those who attend has ended."""
        self._epoll.close()

    def _serve(self, fd: int) -> None:
        attended = self._attended.get(fd)
        if attended is None:
            return  # served one after the other, and one may end another
        try:
            if attended.on_readable():
                return
        except Exception as error:
            result: outcome.Outcome[None] = outcome.Error(error)
        else:
            result = outcome.Value(None)
        if self._attended.get(fd) is attended:  # else it was cancelled meanwhile
            self._forget(fd)
            trio.lowlevel.reschedule(attended.task, result)

    def _forget(self, fd: int) -> None:
        del self._attended[fd]
        self._epoll.unregister(fd)


def available() -> bool:
    """Return True if this system has epoll."""
    return hasattr(select, "epoll")
