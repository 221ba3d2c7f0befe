"""Lines that others can cause at will: some are written, the rest are counted together."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import attrs
import structlog

log = structlog.get_logger("chatd.logs")

LINES_PER_ADDRESS = 120
"""Lines of one address in a window: a clinic of 60 people behind one opens its pages unnoticed."""

LINES_IN_ALL = 1_200
"""Lines of all addresses in a window: a flood may come from so many that none of them has many."""

WINDOW_S = 60.0
MAX_ADDRESSES = 20_000
"""Addresses that are remembered; the oldest is forgotten, and what it left out is told."""


@attrs.define
class _Window:
    began: float
    lines: int = 0
    left_out: int = 0


class Counted:
    """The lines that strangers cause, by address. `clock` in seconds; `source_of`: what stands for an address."""

    def __init__(self, clock: Callable[[], float], source_of: Callable[[str], str] = str) -> None:
        self._clock = clock
        self._source_of = source_of
        self._windows: OrderedDict[str | None, _Window] = OrderedDict()
        self._all = _Window(float("-inf"))  # the clock may not run yet

    def admit(self, address: str | None) -> bool:
        """Return True if this address may cause a line, or several that belong together; else count it."""
        source = None if address is None else self._source_of(address)
        window = self._windows.get(source)
        if window is not None and self._clock() - window.began >= WINDOW_S:
            self._end(source, window)
            window = None
        if window is None:
            if len(self._windows) >= MAX_ADDRESSES:
                self._end(*next(iter(self._windows.items())))
            window = self._windows[source] = _Window(self._clock())
        if window.lines >= LINES_PER_ADDRESS:
            window.left_out += 1
            return False
        self._end_of_all()
        if self._all.lines >= LINES_IN_ALL:
            self._all.left_out += 1
            return False
        self._all.lines += 1
        window.lines += 1
        return True

    def tell(self) -> None:
        """Write one line for each address whose window has ended with lines left out, and one for all of them."""
        self._end_of_all()
        while self._windows:  # in the order in which they began
            source, window = next(iter(self._windows.items()))
            if self._clock() - window.began < WINDOW_S:
                return
            self._end(source, window)

    def _end_of_all(self) -> None:
        if self._clock() - self._all.began >= WINDOW_S:
            if self._all.left_out:
                log.warning("more connections than are logged one by one", address="any", left_out=self._all.left_out)
            self._all = _Window(self._clock())

    def _end(self, source: str | None, window: _Window) -> None:
        del self._windows[source]
        if window.left_out:
            log.warning("more connections than are logged one by one", address=source, left_out=window.left_out)


class LimitedLine:
    """A line that is written at most each `every_s` seconds, with how often it was due."""

    def __init__(self, every_s: float, clock: Callable[[], float]) -> None:
        self._every_s = every_s
        self._clock = clock
        self._said: float | None = None
        self._times = 0

    def say(self, write: Callable[..., Any], event: str, **fields: object) -> None:
        """Write the line by `write`, or count it until the next is due."""
        self._times += 1
        now = self._clock()
        if self._said is None or now - self._said >= self._every_s:
            write(event, times=self._times, **fields)
            self._said, self._times = now, 0
