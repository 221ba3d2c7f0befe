"""Sinks that keep what was pushed."""

from chatd.core.numbered import NumberedSink


class KeepingSink(NumberedSink):
    """Keeps every payload; nobody acknowledges any."""

    def __init__(self, limit: int = 2**20) -> None:
        super().__init__(limit=limit, on_cut=lambda _: None)

    @property
    def payloads(self) -> list[bytes]:
        """What was pushed, in order."""
        return [data for _, data in self.take(0)]
