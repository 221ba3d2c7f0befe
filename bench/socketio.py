"""Connections of a load that speak Socket.IO 4: to `relay/server.mjs`, and with the same load to chatd."""

import json
import secrets
from typing import Any

import msgspec

from chatd.bench.figures import Workload
from chatd.bench.load import FIRST_NUMBER, Load, LoadPeer
from chatd.bench.members import Conversations, by_name, text_of
from chatd.bench.peer import SocketAddress, Wires, connect
from chatd.bench.run import Crowd
from chatd.client.raw import cheap_frame

SOCKETIO_PATH = "/socket.io/?EIO=4&transport=websocket"
HELLO = 0
"""Stands for the number of what has none, but is answered all the same: signing in."""


class Client(LoadPeer):
    """One connection of one user: Engine.IO's packet type, then Socket.IO's, a number, JSON."""

    def __init__(self, load: Load, user: str, *, receives: bool, body: str) -> None:
        super().__init__(load)
        self.user = user
        self._receives = receives
        self.received = 0  # messages, its own left out
        self._body = body
        self.conversation = ""

    def who(self) -> dict[str, str]:
        """Return what says who it is."""
        return {"user": self.user}

    def is_message(self, event: bytes) -> bool:
        """Return True if an event is a message; nothing else comes from the relay."""
        return bool(event)

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
        if payload.startswith(b"42"):  # an event: a message, which its sender gets, too
            if self._receives and self.is_message(payload):
                self.received += 1
                self.load.delivered += 1
        elif payload.startswith(b"43"):  # an acknowledgement
            data = payload.index(b"[")
            number = int(payload[2:data])
            if number < FIRST_NUMBER:
                self.answer(number, payload[data:])
            else:
                self.acknowledge(number)
        elif payload.startswith(b"2"):  # a ping
            self.push(cheap_frame(b"3"))
        elif payload.startswith(b"0"):  # the transport is open
            self.push(cheap_frame(b"40" + msgspec.json.encode(self.who())))
        elif payload.startswith(b"40"):
            self.answer(HELLO, payload)
        else:
            self.load.fail(payload.decode())


def _emit(number: int, event: str, data: dict[str, Any]) -> bytes:
    return cheap_frame(b"42%d" % number + msgspec.json.encode((event, data)))


class ChatClient(Client):
    """The same towards chatd, in the words of docs/socketio.md."""

    run = secrets.token_hex(4)  # a client id counts for good, over all runs

    def who(self) -> dict[str, str]:
        return {"userId": self.user, "role": "staff"}

    def is_message(self, event: bytes) -> bool:
        return event.startswith(b'42["new_message"')

    async def open(self, other: str) -> None:
        (reply,) = json.loads(await self.ask({"targetUserId": other}))
        self.conversation = reply["conversationId"]
        type(self).run = secrets.token_hex(4)

    def message(self, number: int) -> bytes:
        client_id = f"{self.run}.{self.user}.{number}"
        fields = {"conversationId": self.conversation, "clientId": client_id, "content": self._body}
        return _emit(number, "send_message", fields)

    def request(self, number: int, fields: dict[str, Any]) -> bytes:
        return _emit(number, "create_conversation", fields)


class Pairs:
    """The load of Socket.IO servers: the `Crowd` of pairs. There is nothing to check: the relay keeps nothing."""

    def __init__(self, address: SocketAddress, workload: Workload, client: type[Client] = Client) -> None:
        self._address = address
        self._workload = workload
        self._client = client
        self._pairs: list[tuple[Client, Client]] = []

    async def gather(self, load: Load, wires: Wires) -> list[LoadPeer]:
        body = text_of(self._workload.body_bytes)
        senders: list[LoadPeer] = []
        for pair in range(self._workload.conversations):
            sender = self._client(load, f"p{pair}a", receives=False, body=body)
            receiver = self._client(load, f"p{pair}b", receives=True, body=body)
            for client in (receiver, sender):
                await connect(self._address, SOCKETIO_PATH, client, wires)
                await client.reply_to(HELLO)
            await sender.open(receiver.user)
            senders.append(sender)
            self._pairs.append((sender, receiver))
        return senders

    def settled(self) -> bool:
        return not any(sender.in_flight or receiver.received < sender.sent for sender, receiver in self._pairs)

    def discrepancies(self, *, complete: bool) -> list[str]:
        del complete
        return []


def crowd_of(address: SocketAddress, workload: Workload, *, socketio: bool) -> Crowd:
    """Return the load of a daemon, in the native protocol or in pairs that speak Socket.IO."""
    return Pairs(address, workload, ChatClient) if socketio else Conversations(address, workload, by_name)
