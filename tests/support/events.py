"""Events of the client for programs."""

from collections.abc import Callable
from typing import Any

import trio

from chatd.client import Events


async def next_of(events: Events, kind: type[Any], check: Callable[[Any], bool] = lambda event: True) -> Any:
    """The next event of a kind that fits; others are passed over."""
    with trio.fail_after(120):
        async for event in events:
            if isinstance(event, kind) and check(event):
                return event
    raise AssertionError
