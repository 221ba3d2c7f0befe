"""The choice between WebSocket and polling. Pure: no clock, no I/O."""

from .line import LineOver

BREAKS = 3
"""Connections in a row that broke soon after they came about, until WebSocket counts as broken here."""


class Ways:
    """Choice of the next connection's way. WebSocket, until the network turns out to break it; `polling`: by now."""

    def __init__(self, *, allowed: bool) -> None:
        self.polling = False
        self._allowed = allowed
        self._breaks = 0
        self._first: LineOver | None = None  # how WebSocket failed

    def back(self) -> None:
        """Note that WebSocket works."""
        self.polling, self._first, self._breaks = False, None, 0

    def ended(self, over: LineOver, *, reached: bool, greeted: bool, steady: bool) -> LineOver:
        """Note how a connection ended; return the end that it is for the client.

        `reached`: there was a network connection; `greeted`: `hello` was answered; `steady`: it held for a while.
        """
        if over.carried or not reached or not self._allowed:
            return over
        if self.polling:
            return over if greeted else self._both_failed(over)
        self._breaks = 0 if steady else self._breaks + 1
        if greeted and self._breaks < BREAKS:
            return over
        self.polling, self._first = True, over
        return LineOver(over.reason, wait=over.wait)

    def _both_failed(self, over: LineOver) -> LineOver:
        """Try WebSocket again; where both were refused for good, that is the end."""
        first = self._first
        self.back()
        return first if first is not None and first.fatal and over.fatal else LineOver(over.reason, wait=over.wait)
