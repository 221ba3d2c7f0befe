"""Contract of the WebSocket engines, which make messages of a connection's bytes. All output goes by the outbox."""

from collections.abc import Callable
from typing import Protocol

import trio

from chatd.core.outbox import Outbox
from chatd.net.head import Head
from chatd.net.inbound import Inbound
from protocol.codes import CloseCode


class PeerLeft(Exception):
    """The peer ended the connection. `clean`: both close frames were seen, and nothing more will come."""

    def __init__(self, *, clean: bool) -> None:
        super().__init__("the peer left")
        self.clean = clean


class Engine(Protocol):
    """One connection's engine. Its calls are made by one task, one after the other."""

    @property
    def heard(self) -> float:
        """Time at which the peer last sent anything, by Trio's clock."""
        ...

    async def shake_hands(self, nursery: trio.Nursery) -> bool:
        """Answer the handshake; False: it was refused. May start tasks in the nursery."""
        ...

    def expect(self, max_message: int) -> None:
        """Take messages of at most so many bytes from now on."""
        ...

    def discard(self) -> None:
        """Let go of unfinished input; the connection is over."""
        ...

    async def receive(self, take: Callable[[str | bytes], bool]) -> None:
        """Give each message to `take`, which doesn't wait, until that returns False.

        Raises PeerLeft, Closing (the peer broke the protocol), or what `take` and the stream raise.
        """
        ...

    async def say_goodbye(self, code: CloseCode, reason: str) -> bool:
        """Send a close frame, and read on until the peer's: whether it came. Waits without limit."""
        ...


class MakeEngine(Protocol):
    """Makes a connection's engine.

    `max_message` in bytes, until `expect` says otherwise; `subprotocol`: chosen where the client proposes it.
    """

    def __call__(
        self, head: Head, inbound: Inbound, outbox: Outbox, *, max_message: int, subprotocol: str
    ) -> Engine: ...
