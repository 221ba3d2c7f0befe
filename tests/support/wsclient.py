"""A small client that follows the protocol to the letter, asserts what it receives, and keeps a log of it."""

import itertools
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import trio

from chatd.client import raw

from .process import Daemon

ANSWER_TIMEOUT_S = 30
"""Seconds for any answer."""

SUBPROTOCOL = "Sec-WebSocket-Protocol: chat.v1.json"

Frame = dict[str, Any]


class Lost(Exception):
    """The connection ended before the answer came."""


@attrs.define
class Copy:
    """What a client holds of a conversation: whole objects, put in place of the old."""

    rev: int
    participants: dict[str, Frame] = attrs.Factory(dict)
    messages: dict[int, Frame] = attrs.Factory(dict)

    @property
    def last_seq(self) -> int:
        return max(self.messages, default=0)

    def apply(self, frame: Frame) -> None:
        """A change, or the `ok` that stands for one."""
        assert 0 < frame["from"] <= frame["rev"]
        assert frame["from"] <= self.rev, f"a hole: the copy is at {self.rev}, and this is {frame}"
        self.rev = max(self.rev, frame["rev"])
        self.take(frame)

    def take(self, frame: Frame) -> None:
        """Keep the newest of each object."""
        for participant in frame.get("participants") or ():
            known = self.participants.get(participant["user"])
            if known is None or known["rev"] <= participant["rev"]:
                self.participants[participant["user"]] = participant
        for message in frame.get("messages") or ():
            known = self.messages.get(message["seq"])
            if known is None or known["rev"] <= message["rev"]:
                # `status` is as of the reply that has it; otherwise it follows from the watermarks.
                self.messages[message["seq"]] = {key: value for key, value in message.items() if key != "status"}

    def check(self) -> None:
        """Every seq is there once, in the order of revs, but for those that were changed since."""
        assert sorted(self.messages) == list(range(1, len(self.messages) + 1))
        kept = [message for _, message in sorted(self.messages.items())]
        revs = [m["rev"] for m in kept if not (m.get("edited_at") or m.get("deleted_at") or m["reactions"])]
        assert all(low < high for low, high in itertools.pairwise(revs)), "revs don't ascend with seqs"
        ids = {message["id"] for message in self.messages.values()}
        clients = {(m["sender"], m["client_id"]) for m in self.messages.values()}
        assert len(ids) == len(clients) == len(self.messages), "a message is there twice"


class Pending:
    """A request that was sent."""

    def __init__(self, type: str, fields: Frame) -> None:
        self.type = type
        self.fields = fields
        self._reply: Frame | None = None
        self._done = trio.Event()

    def resolve(self, reply: Frame | None) -> None:
        self._reply = reply
        self._done.set()

    async def reply(self) -> Frame:
        """The `ok` or `error`. Raises Lost."""
        with trio.fail_after(ANSWER_TIMEOUT_S):
            await self._done.wait()
        if self._reply is None:
            raise Lost(self.type)
        return self._reply


class Paced(trio.abc.Stream):
    """A stream that is read slowly but steadily: at most `chunk` bytes every `pause` seconds."""

    def __init__(self, stream: trio.abc.Stream, chunk: int, pause: float) -> None:
        self._stream = stream
        self._chunk = chunk
        self._pause = pause

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep(self._pause)
        return bytes(await self._stream.receive_some(self._chunk))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class Client:
    """A signed-in connection. `copies`: the conversations that it keeps up to date, by the protocol's rules."""

    def __init__(
        self,
        websocket: raw.RawClient,
        sock: trio.socket.SocketType,
        copies: dict[str, Copy],
        *,
        shared: bool = False,
    ) -> None:
        self.log: list[Frame] = []
        self.copies = copies
        self.hello: Frame = {}
        self.shared = shared
        self.closed = trio.Event()
        self.close_code: int | None = None
        self._websocket = websocket
        self._socket = sock
        self._ids = itertools.count(1)
        self._pending: dict[int, Pending] = {}
        self._news = trio.Event()
        self._reading = trio.Event()
        self._reading.set()
        self._seen: set[tuple[str, int, int]] = set()

    # -- asking --

    async def send(self, type: str, **fields: Any) -> Pending:
        """Send a request, without waiting for its reply. Raises Lost."""
        pending = Pending(type, fields)
        id = next(self._ids)
        self._pending[id] = pending
        if self.closed.is_set():
            raise Lost(type)
        try:
            await self._websocket.send(raw.frame(json.dumps({"type": type, "id": id, **fields}).encode()))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Lost(type) from None
        return pending

    async def ask(self, type: str, **fields: Any) -> Frame:
        """The `ok` of a request. Raises Lost."""
        reply = await (await self.send(type, **fields)).reply()
        assert reply["type"] == "ok", reply
        return reply

    async def refused(self, type: str, **fields: Any) -> Frame:
        """The `error` of a request. Raises Lost."""
        reply = await (await self.send(type, **fields)).reply()
        assert reply["type"] == "error", reply
        return reply

    async def open(self, other: str) -> str:
        """The id of the direct conversation with `other`; from now on there is a copy of it."""
        opened = await self.ask("conversation.open", **{"with": other})
        id: str = opened["conversation"]
        if id not in self.copies:
            await self.load(id)
        return id

    async def say(self, conversation: str, client_id: str, body: str | None = None) -> Frame:
        """Send a message; the `ok`."""
        return await self.ask(
            "message.send", conversation=conversation, client_id=client_id, body=client_id if body is None else body
        )

    async def load(self, conversation: str) -> Copy:
        """A copy from plain reads: `get`, then the whole history."""
        got = await self.ask("conversation.get", conversation=conversation)
        copy = self.copies[conversation]
        after = 0
        while True:
            page = await self.ask("message.history", conversation=conversation, after=after, limit=200)
            copy.take(page)
            if not page["more"]:
                break
            after = page["messages"][-1]["seq"]
        assert copy.last_seq >= got["info"]["last_seq"]
        return copy

    async def caught_up(self, conversation: str, rev: int) -> Copy:
        """Wait until the copy has come to `rev`."""
        with trio.fail_after(ANSWER_TIMEOUT_S):
            while conversation not in self.copies or self.copies[conversation].rev < rev:
                if self.closed.is_set():
                    raise Lost(f"before rev {rev}")
                await self._news.wait()
        return self.copies[conversation]

    async def heard(self, matches: Callable[[Frame], Any]) -> Frame:
        """The first frame since the beginning that is like that; waits for it. Raises Lost."""
        looked = 0
        with trio.fail_after(ANSWER_TIMEOUT_S):
            while True:
                for frame in self.log[looked:]:
                    if matches(frame):
                        return frame
                looked = len(self.log)
                if self.closed.is_set():
                    raise Lost("before it was heard")
                await self._news.wait()

    def events(self, type: str) -> Iterator[Frame]:
        """The events of one type that came so far."""
        return (frame for frame in self.log if frame["type"] == type)

    # -- reading --

    def pause(self) -> None:
        """Stop reading, so that the sockets' buffers fill up."""
        self._reading = trio.Event()

    def go_on(self) -> None:
        """Read again."""
        self._reading.set()

    async def run(self) -> None:
        """Read until the connection ends."""
        try:
            while True:
                text = await self._websocket.message()
                assert isinstance(text, str)
                self._receive(json.loads(text))
                await self._reading.wait()
        except raw.Ended as ended:
            self.close_code = ended.code
        finally:
            self.closed.set()
            self._news.set()
            for pending in self._pending.values():
                pending.resolve(None)

    def _receive(self, frame: Frame) -> None:
        self.log.append(frame)
        pending = self._pending.pop(frame["re"]) if "re" in frame else None
        if frame["type"] == "change" or (frame["type"] == "ok" and "from" in frame):
            self._apply(frame)
        if pending is not None:
            if pending.type == "conversation.get" and frame["type"] == "ok":
                self.copies.setdefault(frame["conversation"], Copy(frame["info"]["rev"])).take(frame)
            pending.resolve(frame)
        self._news.set()
        self._news = trio.Event()

    def _apply(self, frame: Frame) -> None:
        conversation = frame["conversation"]
        if frame["from"] == 0:
            self.copies[conversation] = Copy(frame["rev"])
            self.copies[conversation].take(frame)
        elif conversation in self.copies:
            self.copies[conversation].apply(frame)
        for message in frame.get("messages") or () if not frame.get("duplicate") else ():
            key = (conversation, message["seq"], message["rev"])
            again = self.shared and "membership" in frame  # a catch-up begins where the daemon itself was surely told
            assert key not in self._seen or again, f"told twice on one connection: {key}"
            self._seen.add(key)

    # -- leaving --

    async def abort(self) -> None:
        """Vanish: the daemon gets a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        await self.closed.wait()

    async def aclose(self) -> None:
        """Leave as one should."""
        if not self.closed.is_set():
            with trio.move_on_after(2), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._websocket.close()
                await self.closed.wait()


@asynccontextmanager
async def connected(
    daemon: Daemon,
    user: str,
    *,
    role: str = "dentist",
    copies: dict[str, Copy] | None = None,
    epoch: str | None = None,
    buffer: int | None = None,
    pace: tuple[int, float] | None = None,
    shared: bool = False,
) -> AsyncIterator[Client]:
    """A connection that has said hello. With `epoch` it resumes the `copies`.

    `buffer`: bytes that the kernel keeps for it; `pace`: it reads so many bytes every so many seconds. `shared`: other
    daemons write to the same conversations, or what came of a COMMIT may be unknown for a while. Raises Lost.
    """
    copies = {} if copies is None else copies
    sock = trio.socket.socket()
    if buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    with sock:
        try:
            await sock.connect((daemon.host, daemon.port))
        except OSError:
            raise Lost("connect") from None
        stream: trio.abc.Stream = trio.SocketStream(sock)
        if daemon.tls is not None:
            secure = trio.SSLStream(stream, daemon.tls, server_hostname=daemon.host, https_compatible=True)
            try:
                await secure.do_handshake()
            except trio.BrokenResourceError:
                raise Lost("TLS handshake") from None
            stream = secure
        if pace is not None:
            stream = Paced(stream, *pace)
        websocket = raw.RawClient(stream)
        try:
            head = await websocket.upgrade(raw.upgrade("/ws", SUBPROTOCOL, host=f"{daemon.host}:{daemon.port}"))
        except (raw.HandshakeRefused, raw.Ended, trio.BrokenResourceError):
            raise Lost("handshake") from None
        assert SUBPROTOCOL.lower().encode() in head.lower().split(b"\r\n")
        async with trio.open_nursery() as nursery:
            client = Client(websocket, sock, copies, shared=shared)
            nursery.start_soon(client.run)
            fields: Frame = {"user": user, "role": role}
            if epoch is not None:
                fields |= {"epoch": epoch, "revs": {id: copy.rev for id, copy in copies.items()}}
            client.hello = await client.ask("hello", **fields)
            yield client
            await client.aclose()
            nursery.cancel_scope.cancel()
