"""One client's Socket.IO connection: its namespaces, and the packets that go to each."""

from collections.abc import Callable
from typing import Any, Final, Protocol

import structlog
import trio

from chatd.core.identity import Carried
from chatd.transports.engineio.packets import SEPARATOR, BrokenPacket, message
from chatd.transports.engineio.session import EngineSession

from .packets import Incomplete, Packet, SocketioKind, decode, encode

log = structlog.get_logger("chatd.socketio")

MAX_NAMESPACES: Final = 8
"""Namespaces of one connection."""


class ConnectRefused(Exception):
    """A namespace doesn't take the client. `code`: what a program can tell by; None: the message is all."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    def data(self) -> dict[str, Any]:
        """Return the data of the CONNECT_ERROR."""
        if self.code is None:
            return {"message": self.message}
        return {"message": self.message, "data": {"code": self.code}}


class NamespaceMember(Protocol):
    """A client in a namespace: what serves its packets. Its calls come in the order of the packets."""

    def take(self, packet: Packet) -> bool:
        """Serve an EVENT or ACK, if that needs no waiting; else False, and `serve` is called. Raises BrokenPacket."""
        ...

    async def serve(self) -> None:
        """Serve the packet that `take` left."""
        ...

    async def run(self) -> None:
        """Do what the member needs besides, until cancelled."""
        ...

    def left(self, reason: str) -> None:
        """The client is gone from the namespace; called once, synchronously. `reason`: as the reference server's."""
        ...


class Namespace(Protocol):
    """Application that is served under a namespace's name."""

    async def join(self, place: "NamespacePlace", auth: dict[str, Any]) -> NamespaceMember:
        """Take a client. Raises ConnectRefused."""
        ...


class NamespacePlace:
    """A client's place in a namespace: how its member answers."""

    def __init__(self, connection: "SocketioConnection", namespace: str) -> None:
        self.namespace = namespace
        self._connection = connection

    @property
    def session(self) -> EngineSession:
        """The Engine.IO session below."""
        return self._connection.session

    @property
    def carried(self) -> Carried:
        """The credentials of the handshake."""
        return self._connection.carried

    @property
    def query(self) -> dict[str, str]:
        """The handshake's query."""
        return self._connection.query

    @property
    def address(self) -> str | None:
        """The client's address, as far as it is known."""
        return self._connection.address

    def welcome(self, sid: str, pid: str | None = None) -> None:
        """Send the CONNECT that answers the client's."""
        data = {"sid": sid} if pid is None else {"sid": sid, "pid": pid}
        self.send(Packet(SocketioKind.CONNECT, self.namespace, data))

    def send(self, packet: Packet, *, counts: bool = True) -> None:
        """Send a packet, with its attachments."""
        payload = SEPARATOR.join(message(part) for part in encode(packet))
        self.session.push(payload, counts=counts)

    def disconnect(self) -> None:
        """Tell the client that it is out, which doesn't come back by itself then; and close."""
        self.send(Packet(SocketioKind.DISCONNECT, self.namespace), counts=False)
        self.session.close("server namespace disconnect")

    def close(self, reason: str) -> None:
        """Close the transport: the client comes back by itself."""
        self.session.close(reason)


class SocketioConnection:
    """Takes an Engine.IO session's messages. A packet that is out of place ends it.

    `connect_timeout`: seconds that a client may be in no namespace. Namespaces that `find` doesn't know are refused.
    """

    def __init__(
        self,
        session: EngineSession,
        find: Callable[[str], Namespace | None],
        *,
        connect_timeout: float,
        carried: Carried,
        query: dict[str, str],
        address: str | None,
    ) -> None:
        self.session = session
        self.carried = carried
        self.query = query
        self.address = address
        self._find = find
        self._timeout = connect_timeout
        self._members: dict[str, NamespaceMember] = {}
        self._incomplete: Incomplete | None = None
        self._attachments: list[bytes] = []
        self._waiting: Packet | None = None  # left for `serve`
        self._nursery: trio.Nursery | None = None
        self._started = trio.Event()
        self._lonely = trio.Event()  # set when the client left its last namespace
        self._scopes: dict[str, trio.CancelScope] = {}

    def take(self, data: str | bytes) -> bool:
        """Serve a message, if that needs no waiting; else False, and `serve` is called. Raises BrokenPacket."""
        packet = self._packet(data)
        if packet is None:
            return True
        if packet.kind is SocketioKind.CONNECT:
            self._waiting = packet
            return False
        member = self._members.get(packet.namespace)
        if member is None:
            raise BrokenPacket("a packet before CONNECT")
        if packet.kind is SocketioKind.DISCONNECT:
            self._leave(packet.namespace, member)
            return True
        if member.take(packet):
            return True
        self._waiting = packet
        return False

    def _packet(self, data: str | bytes) -> Packet | None:
        """Return the packet that is complete with this message. Raises BrokenPacket."""
        if isinstance(data, bytes):
            if self._incomplete is None:
                raise BrokenPacket("an attachment of no packet")
            self._attachments.append(data)
            if len(self._attachments) < self._incomplete.attachments:
                return None
            packet = self._incomplete.complete(self._attachments)
            self._incomplete, self._attachments = None, []
            return packet
        if self._incomplete is not None:
            raise BrokenPacket("a packet in the place of an attachment")
        found = decode(data)
        if isinstance(found, Packet):
            return found
        self._incomplete = found
        return None

    async def serve(self) -> None:
        """Serve the packet that `take` left."""
        packet, self._waiting = self._waiting, None
        assert packet is not None
        if packet.kind is SocketioKind.CONNECT:
            await self._connect(packet)
        else:
            member = self._members.get(packet.namespace)
            if member is not None:
                await member.serve()

    async def _connect(self, packet: Packet) -> None:
        name = packet.namespace
        place = NamespacePlace(self, name)
        namespace = self._find(name)
        if name in self._members or len(self._members) >= MAX_NAMESPACES:
            raise BrokenPacket("a second CONNECT")
        try:
            if namespace is None:
                raise ConnectRefused("Invalid namespace")
            member = await namespace.join(place, packet.data or {})
        except ConnectRefused as refused:
            place.send(Packet(SocketioKind.CONNECT_ERROR, name, refused.data()), counts=False)
            return
        self._members[name] = member
        if self.session.closed is not None:
            self._leave(name, member, self.session.closed)
            return
        await self._started.wait()
        assert self._nursery is not None
        self._nursery.start_soon(self._run_member, name, member)

    async def _run_member(self, name: str, member: NamespaceMember) -> None:
        with trio.CancelScope() as self._scopes[name]:
            await member.run()

    def _leave(self, name: str, member: NamespaceMember, reason: str = "client namespace disconnect") -> None:
        del self._members[name]
        scope = self._scopes.pop(name, None)
        if scope is not None:
            scope.cancel()
        member.left(reason)
        if not self._members:
            self._lonely.set()

    async def run(self) -> None:
        """Run the members; end a session whose client is in no namespace for too long."""
        async with trio.open_nursery() as self._nursery:
            self._started.set()
            while self._members or not await self._stays_lonely():
                self._lonely = trio.Event()
                await self._lonely.wait()
            self.session.close("connect timeout")

    async def _stays_lonely(self) -> bool:
        """Wait for a client to join a namespace, for as long as it may be in none."""
        await trio.sleep(self._timeout)
        return not self._members

    def left(self, reason: str) -> None:
        """The session is over: so is the client, in every namespace."""
        for name, member in list(self._members.items()):
            self._leave(name, member, reason)
