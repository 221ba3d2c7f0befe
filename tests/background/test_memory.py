"""Memory goes back to the system once it has grown, and grows no more."""

import sys

import pytest
import trio
from trio.testing import MockClock

from chatd.background.memory import CALM_BYTES, GROWN_BYTES, TRIM_EVERY_S, Trimmer, resident_bytes, trim_malloc

START = 100 * 1024 * 1024


async def test_trimmer_memory_grown_and_calm_is_trimmed_once(autojump_clock: MockClock) -> None:
    resident, in_use, trims = START, START, 0

    async def trim() -> None:
        nonlocal resident, trims
        await trio.lowlevel.checkpoint()
        trims += 1
        resident = in_use

    async def look(now: int) -> int:
        nonlocal resident
        resident = START + now
        await trio.sleep(TRIM_EVERY_S)
        return trims

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Trimmer(lambda: resident, trim).run)
        await trio.sleep(TRIM_EVERY_S / 2)
        assert [await look(grown) for grown in (GROWN_BYTES - 1, GROWN_BYTES - 1)] == [0, 0]  # too little
        # Still growing.
        assert [await look(grown) for grown in (2 * GROWN_BYTES, 2 * GROWN_BYTES + CALM_BYTES)] == [
            0,
            0,
        ]
        assert [await look(grown) for grown in (2 * GROWN_BYTES + 2 * CALM_BYTES - 1, 0, 0)] == [1, 1, 1]
        in_use = START + 3 * GROWN_BYTES  # it is in use now: looked at once, not every two seconds
        assert [await look(3 * GROWN_BYTES) for _ in range(4)] == [1, 2, 2, 2]
        nursery.cancel_scope.cancel()


async def test_trimmer_memory_that_was_held_is_trimmed_once_it_is_free(autojump_clock: MockClock) -> None:
    """Though the process never had more than when it was trimmed the last time."""
    resident, held, trims = START + 3 * GROWN_BYTES, 2 * GROWN_BYTES, 0

    async def trim() -> None:
        nonlocal resident, trims
        await trio.lowlevel.checkpoint()
        trims += 1
        resident = START + held

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Trimmer(lambda: resident, trim, lambda: held).run)
        await trio.sleep(2.5 * TRIM_EVERY_S)
        assert trims == 0
        held = 0
        await trio.sleep(TRIM_EVERY_S)
        assert (trims, resident) == (1, START)
        nursery.cancel_scope.cancel()


async def test_trimming_works_on_this_system() -> None:
    await trim_malloc()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/statm")
def test_resident_bytes_of_more_memory_is_more() -> None:
    before = resident_bytes()
    held = bytes([1]) * (8 * 1024 * 1024)
    assert resident_bytes() - before > 4 * 1024 * 1024
    del held
