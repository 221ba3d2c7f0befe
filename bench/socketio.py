"""Connections of a load that speak Socket.IO 4, as `relay/server.mjs` does."""

import json
from typing import Any

import msgspec

from chatd.bench.figures import Workload
from chatd.bench.load import FIRST, Load, Talker
from chatd.bench.members import text_of
from chatd.bench.peer import Address, Wires, connect, frame

PATH = "/socket.io/?EIO=4&transport=websocket"
HELLO = 0
"""Stands for the number of what has none, but is answered all the same: signing in."""


class Client(Talker):
    """One connection of one user: Engine.IO's packet type, then Socket.IO's, a number, JSON."""

    def __init__(self, load: Load, user: str, *, receives: bool, body: str) -> None:
        super().__init__(load)
        self.user = user
        self._receives = receives
        self._body = body
        self.conversation = ""

    async def open(self, other: str) -> None:
        """Find or make the conversation with another user."""
        (reply,) = json.loads(await self.ask({"with": other}))
        self.conversation = reply["conversation"]

    def message(self, number: int) -> bytes:
        client_id = f"{self.user}.{number}"
        return _emit(number, "send", {"conversation": self.conversation, "clientId": client_id, "body": self._body})

    def request(self, number: int, fields: dict[str, Any]) -> bytes:
        return _emit(number, "open", fields)

    def receive(self, payload: bytes) -> None:
        if payload.startswith(b"42"):  # an event: a message, which the relay sends to its sender, too
            self.load.delivered += self._receives
        elif payload.startswith(b"43"):  # an acknowledgement
            data = payload.index(b"[")
            number = int(payload[2:data])
            if number < FIRST:
                self.answer(number, payload[data:])
            else:
                self.acknowledge(number)
        elif payload.startswith(b"2"):  # a ping
            self.push(frame(b"3"))
        elif payload.startswith(b"0"):  # the transport is open
            self.push(frame(b"40" + msgspec.json.encode({"user": self.user})))
        elif payload.startswith(b"40"):
            self.answer(HELLO, payload)
        else:
            self.load.fail(payload.decode())


def _emit(number: int, event: str, data: dict[str, Any]) -> bytes:
    return frame(b"42%d" % number + msgspec.json.encode((event, data)))


class Pairs:
    """The load of the relay: the `Crowd` of its pairs. There is nothing to check: it numbers nothing, keeps nothing."""

    def __init__(self, address: Address, workload: Workload) -> None:
        self._address = address
        self._workload = workload

    async def gather(self, load: Load, wires: Wires) -> list[Talker]:
        body = text_of(self._workload.body_bytes)
        senders: list[Talker] = []
        for pair in range(self._workload.conversations):
            sender = Client(load, f"p{pair}a", receives=False, body=body)
            receiver = Client(load, f"p{pair}b", receives=True, body=body)
            for client in (receiver, sender):
                await connect(self._address, PATH, client, wires)
                await client.reply_to(HELLO)
            await sender.open(receiver.user)
            senders.append(sender)
        return senders

    def settled(self) -> bool:
        return True

    def discrepancies(self, *, complete: bool) -> list[str]:
        del complete
        return []
