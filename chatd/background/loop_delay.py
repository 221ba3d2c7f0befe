"""The event loop's delay: one task that holds it up delays everybody."""

from collections.abc import Callable
from typing import Final

import trio

LOOP_DELAY_EVERY_S: Final = 0.25


async def watch(observe: Callable[[float], None]) -> None:
    """Give `observe` the seconds by which each timer was late, until cancelled."""
    while True:
        due = trio.current_time() + LOOP_DELAY_EVERY_S
        await trio.sleep_until(due)
        observe(max(0.0, trio.current_time() - due))
