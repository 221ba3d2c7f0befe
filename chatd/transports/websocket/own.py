"""The engine that reads frames by itself: no second task, no channel, a third of the cost per message."""

from collections.abc import Callable

import trio

from chatd.core.errors import Closing
from chatd.core.outbox import Outbox
from chatd.net.head import Head
from chatd.net.inbound import Inbound
from protocol.codes import CloseCode

from .engine import PeerLeft
from .frames import FrameReader, PeerClose, PingFrame
from .framing import close_frame, pong_frame
from .handshake import BadHandshake, accept_key

GOODBYE_BYTES = 65_536
"""Still read as frames after our close frame, to find the peer's."""

STRANGERS_GOODBYE_BYTES = 4_096
"""The same of somebody who is not signed in, what is held of an unfinished frame included."""


class OwnEngine:
    """An `Engine` on `frames.py`. `subprotocol`: chosen where the client proposes it."""

    def __init__(self, head: Head, inbound: Inbound, outbox: Outbox, *, max_message: int, subprotocol: str) -> None:
        self._head = head
        self._inbound = inbound
        self._outbox = outbox
        self._subprotocol = subprotocol
        self._frames = FrameReader(max_message)

    @property
    def heard(self) -> float:
        return self._inbound.heard

    async def shake_hands(self, nursery: trio.Nursery) -> bool:
        # The bytes read so far begin with the handshake's head, which `front` has parsed.
        head, _, rest = (await self._inbound.receive()).partition(b"\r\n\r\n")
        del head, nursery
        self._frames.feed(rest)
        try:
            accept = accept_key(self._head)
        except BadHandshake as error:
            self._outbox.push(error.answer(), counts=False)
            return False
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept}",
        ]
        if self._head.has_token(b"sec-websocket-protocol", self._subprotocol.encode()):
            lines.append(f"Sec-WebSocket-Protocol: {self._subprotocol}")
        self._outbox.push("\r\n".join([*lines, "", ""]).encode(), counts=False)
        return True

    def expect(self, max_message: int) -> None:
        self._frames.max_message = max_message

    def discard(self) -> None:
        self._frames.clear()

    async def receive(self, take: Callable[[str | bytes], bool]) -> None:
        def feed(data: bytes) -> bool:
            if not data:
                raise PeerLeft(clean=False)
            self._frames.feed(data)
            more = self._hand_over(take)
            self._inbound.unfinished.hold(self._frames.held)
            self._inbound.lacking = self._frames.lacking
            return more

        if self._hand_over(take):
            await self._inbound.read(feed)

    def _hand_over(self, take: Callable[[str | bytes], bool]) -> bool:
        """Give what is complete to `take`; whether it wants more."""
        pongs: list[bytes] = []
        more = True
        frames, complete = self._frames, self._inbound.complete
        while more and (found := frames.next()) is not None:
            if isinstance(found, PingFrame):
                pongs.append(pong_frame(found.payload))
                continue
            if pongs or frames.spare:
                self._settle(pongs)
            if isinstance(found, PeerClose):
                self._outbox.push(close_frame(found.code), counts=False)
                raise PeerLeft(clean=True)
            complete()
            more = take(found)
        self._settle(pongs)
        return more

    def _settle(self, pongs: list[bytes]) -> None:
        """Count what was no message of its own, and answer pings: together, as each write costs more than a ping."""
        if self._frames.spare:
            spare, self._frames.spare = self._frames.spare, 0
            self._inbound.take_spare(spare)
        if pongs:
            self._outbox.push(b"".join(pongs))
            pongs.clear()

    async def say_goodbye(self, code: CloseCode, reason: str) -> bool:
        self._outbox.say_last(close_frame(code, reason))
        if code == CloseCode.BROKEN:
            return False  # what follows a broken frame has no meaning
        stranger = self._inbound.of_stranger
        read, limit = 0, GOODBYE_BYTES
        if stranger:
            read, limit = self._frames.held, STRANGERS_GOODBYE_BYTES
        while read < limit:
            try:
                found = self._frames.next()
                if isinstance(found, PeerClose):
                    return True
                if found is not None:
                    self._inbound.complete()
                    continue
                data = await self._inbound.receive()
            except Closing:
                return False
            if not data:
                return False
            self._frames.feed(data)
            read += len(data)
        if stranger:
            # A flood: reading it costs time, and who floods begins anew as soon as the connection ends.
            self._frames.clear()
            self._inbound.unfinished.release()
            await trio.sleep_forever()
        return False
