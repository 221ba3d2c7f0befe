"""Memory goes back to the system once many connections have left."""

import trio
from trio.testing import MockClock

from chatd.background.memory import INTERVAL_S, MANY_CONNECTIONS, Trimmer, trim_malloc


async def test_memory_is_trimmed_once_when_most_of_many_connections_left(autojump_clock: MockClock) -> None:
    connections, trims = 0, list[float]()

    async def trim() -> None:
        await trio.lowlevel.checkpoint()
        trims.append(trio.current_time())

    async def look(now: int) -> int:
        nonlocal connections
        connections = now
        await trio.sleep(INTERVAL_S)
        return len(trims)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Trimmer(lambda: connections, trim).run)
        await trio.sleep(INTERVAL_S / 2)
        assert [await look(n) for n in (MANY_CONNECTIONS - 1, 0)] == [0, 0]
        assert [await look(n) for n in (1000, 600, 400, 300, 300, 10)] == [0, 0, 1, 1, 1, 2]
        nursery.cancel_scope.cancel()


async def test_trimming_works_on_this_system() -> None:
    await trim_malloc()
