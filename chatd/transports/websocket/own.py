"""The engine that reads frames by itself: no second task, no channel, a third of the cost per message."""

from collections.abc import Callable

import trio

from chatd.core.errors import Closing
from chatd.core.outbox import Outbox
from chatd.net.head import Head
from chatd.net.inbound import Inbound
from chatd.net.problem import plain_answer
from protocol.codes import CloseCode

from .engine import PeerLeft
from .frames import BadHandshake, FrameReader, PeerClose, Ping, accept_key
from .framing import close_frame, pong_frame


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
        # What was read already begins with the handshake's head, which `front` has parsed.
        head, _, rest = (await self._inbound.receive()).partition(b"\r\n\r\n")
        del head, nursery
        self._frames.feed(rest)
        try:
            accept = accept_key(self._head.get(b"sec-websocket-key"), self._head.get(b"sec-websocket-version"))
        except BadHandshake as error:
            self._outbox.push(_refusal(error), counts=False)
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

    async def receive(self, take: Callable[[str | bytes], bool]) -> None:
        def feed(data: bytes) -> bool:
            if not data:
                raise PeerLeft(clean=False)
            self._frames.feed(data)
            return self._hand_over(take)

        if self._hand_over(take):
            await self._inbound.read(feed)

    def _hand_over(self, take: Callable[[str | bytes], bool]) -> bool:
        """Give what is complete to `take`; whether it wants more."""
        while (found := self._frames.next()) is not None:
            if isinstance(found, Ping):
                self._outbox.push(pong_frame(found.payload))
            elif isinstance(found, PeerClose):
                self._outbox.push(close_frame(found.code), counts=False)
                raise PeerLeft(clean=True)
            else:
                self._inbound.complete()
                if not take(found):
                    return False
        return True

    async def say_goodbye(self, code: CloseCode, reason: str) -> bool:
        self._outbox.say_last(close_frame(code, reason))
        if code == CloseCode.BROKEN:
            return False  # what follows a broken frame has no meaning
        while True:
            try:
                found = self._frames.next()
            except Closing:
                return False
            if isinstance(found, PeerClose):
                return True
            if found is not None:
                self._inbound.complete()
                continue
            data = await self._inbound.receive()
            if not data:
                return False
            self._frames.feed(data)


def _refusal(error: BadHandshake) -> bytes:
    headers = [(b"sec-websocket-version", b"13")] if error.status == 426 else []
    return plain_answer(error.status, "bad_request", str(error), headers=headers)
