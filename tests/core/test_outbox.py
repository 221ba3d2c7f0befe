"""The way out of one connection, on a transport that takes as many bytes as the test lets it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.core.outbox import WRITE_BYTES, Cork, Outbox


class Kernel:
    """Takes at most `room` bytes, then none until there is room again."""

    def __init__(self, room: int = 2**30) -> None:
        self.room = room
        self.writes: list[bytes] = []
        self.broken = False
        self.busy = False
        self._space = trio.Event()

    @property
    def taken(self) -> bytes:
        return b"".join(self.writes)

    def give(self, room: int) -> None:
        self.room = room
        self._space.set()

    def blocked(self) -> bool:
        return not self.room

    def try_write(self, data: bytes) -> int:
        if self.broken:
            raise BrokenPipeError
        took = min(len(data), self.room)
        self.room -= took
        if took:
            self.writes.append(bytes(data[:took]))
        return took

    async def writable(self) -> None:
        while not self.room:
            self._space = trio.Event()
            await self._space.wait()
        await trio.lowlevel.checkpoint()


class Ends:
    """How the outbox said that the connection must end."""

    def __init__(self) -> None:
        self.reasons: list[str] = []


@asynccontextmanager
async def running(kernel: Kernel, *, limit: int = 1000, cork: Cork | None = None) -> AsyncIterator[tuple[Outbox, Ends]]:
    ends = Ends()
    outbox = Outbox(kernel, cork or Cork(), limit=limit, stalled=10, on_cut=ends.reasons.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.run)
        yield outbox, ends
        nursery.cancel_scope.cancel()


async def test_straight_to_the_kernel_while_nothing_waits() -> None:
    kernel = Kernel()
    async with running(kernel) as (outbox, _):
        outbox.push(b"one")
        outbox.push(b"two")
        assert kernel.writes == [b"one", b"two"], "without the writer task"
        with trio.fail_after(0):
            await outbox.drained()


async def test_bytes_that_the_kernel_refuses_leave_later_in_order() -> None:
    kernel = Kernel(room=4)
    async with running(kernel) as (outbox, ends):
        for data in (b"first", b"second", b"third"):
            outbox.push(data)
        assert kernel.writes == [b"firs"]
        for _ in range(20):
            kernel.give(1)
            await wait_all_tasks_blocked()
        assert kernel.taken == b"firstsecondthird"
        assert ends.reasons == []


async def test_small_frames_are_joined_and_large_ones_are_not() -> None:
    kernel = Kernel(room=1)
    async with running(kernel, limit=2**20) as (outbox, _):
        large = b"L" * WRITE_BYTES
        for data in (b"x", b"a", b"b", b"c", large, b"d"):
            outbox.push(data)
        outbox.push(b"yz")
        kernel.give(2**20)
        await wait_all_tasks_blocked()
        assert kernel.writes == [b"x", b"abc", large, b"dyz"]


async def test_under_a_cork_each_outbox_writes_once() -> None:
    cork, kernels = Cork(), [Kernel(), Kernel()]
    async with running(kernels[0], cork=cork) as (one, _), running(kernels[1], cork=cork) as (two, _):
        with cork:
            for data in (b"a", b"b"):
                one.push(data)
                two.push(data)
            assert kernels[0].writes == []
        assert [kernel.writes for kernel in kernels] == [[b"ab"], [b"ab"]]
        one.push(b"c")
        assert kernels[0].writes == [b"ab", b"c"]


async def test_a_cork_comes_off_with_an_exception_too() -> None:
    cork, kernel = Cork(), Kernel()
    async with running(kernel, cork=cork) as (outbox, _):
        with pytest.raises(ZeroDivisionError), cork:
            outbox.push(b"a")
            raise ZeroDivisionError
        assert kernel.writes == [b"a"]


async def test_too_much_that_counts_ends_it() -> None:
    kernel = Kernel(room=0)
    async with running(kernel, limit=10) as (outbox, ends):
        outbox.push(b"x" * 10)
        outbox.push(b"y" * 100, counts=False)
        assert ends.reasons == []
        outbox.push(b"z")
        assert ends.reasons == ["too slow"]
        outbox.push(b"more")
        outbox.cut("gone")
        assert ends.reasons == ["too slow"], "once"
        kernel.give(1000)
        await wait_all_tasks_blocked()
        assert kernel.taken == b""


async def test_bytes_that_have_left_make_room() -> None:
    kernel = Kernel(room=0)
    async with running(kernel, limit=10) as (outbox, ends):
        for _ in range(50):
            outbox.push(b"x" * 10)
            kernel.give(10)
            await wait_all_tasks_blocked()
        assert ends.reasons == []
        assert len(kernel.taken) == 500


async def test_a_cut_lets_a_frame_end_that_has_begun() -> None:
    kernel = Kernel(room=3)
    async with running(kernel, limit=10) as (outbox, ends):
        outbox.push(b"frame1")
        outbox.push(b"frame2")
        assert ends.reasons == ["too slow"]
        outbox.say_last(b"close")
        kernel.give(1000)
        await wait_all_tasks_blocked()
        assert kernel.taken == b"frame1close"


async def test_outbox_of_a_lost_peer_sends_nothing_more() -> None:
    kernel = Kernel(room=3)
    async with running(kernel) as (outbox, ends):
        outbox.push(b"frame1")
        kernel.broken = True
        outbox.push(b"frame2")
        outbox.flush()
        assert ends.reasons == ["gone"]
        assert outbox.is_cut
        with trio.fail_after(0):
            await outbox.drained()


async def test_without_progress_it_ends_in_every_state(autojump_clock: MockClock) -> None:
    kernel = Kernel(room=0)
    async with running(kernel) as (outbox, ends):
        outbox.push(b"x" * 100, counts=False)
        for _ in range(5):  # a byte now and then is progress
            await trio.sleep(9)
            kernel.give(1)
        assert ends.reasons == []
        await trio.sleep(9.9)
        assert ends.reasons == []
        await trio.sleep(0.2)
        assert ends.reasons == ["stalled"]


async def test_idle_is_not_stalled(autojump_clock: MockClock) -> None:
    async with running(Kernel()) as (outbox, ends):
        outbox.push(b"x")
        await trio.sleep(1000)
        assert ends.reasons == []


async def test_drained_waits_for_what_the_transport_still_has() -> None:
    kernel = Kernel()
    async with running(kernel) as (outbox, _):
        kernel.busy = True
        kernel.room = 0
        outbox.push(b"x")
        with trio.move_on_after(0) as waiting:
            await outbox.drained()
        assert waiting.cancelled_caught
        kernel.busy = False
        kernel.give(10)
        await outbox.drained()
        assert kernel.taken == b"x"
