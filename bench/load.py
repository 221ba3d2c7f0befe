"""Loads one chat server with pairs of users, and prints what each message cost it.

    echo '{"protocol": "chatd", "address": "127.0.0.1:3001", "pid": 4711}' | python -m bench.load

A closed loop: in each pair one user keeps `window` messages unacknowledged, the other receives. It is a program of its
own, so that it shares neither an interpreter nor its lock with anything else.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from typing import ClassVar, Literal

import attrs
import msgspec
import picows
import uvloop

TEXT = picows.WSMsgType.TEXT
BODY = "The temporary filling came out this morning. It doesn't hurt, but can it wait until Thursday?!"
RUN = os.urandom(6).hex()
"""Makes the ids of messages unique: a server that forgets none would take those of an earlier run for repeats."""
WARM_UP = 1.5
PATIENCE = 20
"""s, until all users are connected and every pair has its conversation."""


@attrs.frozen(kw_only=True)
class Job:
    """What to load, how, and for how many seconds. `receipts`: receivers report each message delivered."""

    protocol: Literal["chatd", "relay"]
    address: str
    pid: int
    pairs: int = 20
    window: int = 8
    seconds: float = 4.0
    receipts: bool = False


@attrs.frozen(kw_only=True)
class Measured:
    """What a server did under load."""

    acknowledged: float
    """Messages/s that their sender knows to be taken."""
    received: float
    """Messages/s that reached the other side."""
    cpu: float
    """us of CPU time of the server for each acknowledged message."""
    p50: float
    """ms from sending to the acknowledgement."""
    p99: float
    generator: float
    """CPU time of this program, in % of one core: near 100 it is what limits `acknowledged`."""


class Client(picows.WSListener):
    """One connection of one user; a subclass for each protocol. `on_failure` gets what must not happen."""

    path: ClassVar[str]

    def __init__(self, user: str, receipts: bool, on_failure: Callable[[str], None]) -> None:
        self.user = user
        self.receipts = receipts
        self.fail = on_failure
        self.ready = asyncio.Event()
        self.conversation = ""
        self.received = 0
        self._last = 0
        self._waiting: dict[int, Callable[[bytes], None]] = {}

    def send(self, done: Callable[[bytes], None]) -> None:
        """Send a message to the conversation; `done` gets the acknowledgement."""
        raise NotImplementedError

    async def open(self, other: str) -> None:
        """Find or make the conversation with another user."""
        raise NotImplementedError

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport

    def on_ws_disconnected(self, _: picows.WSTransport) -> None:
        self.fail("the server closed a connection")

    def _expect(self, answered: Callable[[bytes], None]) -> int:
        """The number for a request whose answer goes to `answered`."""
        self._last += 1
        self._waiting[self._last] = answered
        return self._last


class Numbered(msgspec.Struct):
    """Of a message, what the load needs to know."""

    seq: int


class Frame(msgspec.Struct):
    """Of any frame from chatd, what the load needs to know."""

    type: str
    re: int | None = None
    conversation: str = ""
    messages: list[Numbered] | None = None


class Chatd(Client):
    """chatd's own protocol, in development mode."""

    path = "/ws"
    decode = msgspec.json.Decoder(Frame).decode

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        super().on_ws_connected(transport)
        self._ask(lambda _: self.ready.set(), type="hello", user=self.user, role="staff")

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type is not TEXT:
            return
        payload = frame.get_payload_as_bytes()
        said = self.decode(payload)
        if said.type == "ok" and said.re is not None:
            self._waiting.pop(said.re)(payload)
        elif said.type == "change":
            for message in said.messages or ():
                self.received += 1
                if self.receipts:
                    receipt = {"type": "receipt", "conversation": said.conversation, "delivered": message.seq}
                    transport.send(TEXT, msgspec.json.encode(receipt))
        elif said.type == "error":
            self.fail(payload.decode())

    async def open(self, other: str) -> None:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._ask(answer.set_result, type="conversation.open", **{"with": other})
        self.conversation = self.decode(await answer).conversation

    def send(self, done: Callable[[bytes], None]) -> None:
        client_id = f"{RUN}-{self.user}-{self._last}"
        self._ask(done, type="message.send", conversation=self.conversation, client_id=client_id, body=BODY)

    def _ask(self, answered: Callable[[bytes], None], **request: str) -> None:
        self.transport.send(TEXT, msgspec.json.encode({"id": self._expect(answered), **request}))


class Relay(Client):
    """Socket.IO 4 as `relay/server.mjs` speaks it: Engine.IO's packet type, then Socket.IO's, a number, JSON."""

    path = "/socket.io/?EIO=4&transport=websocket"

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type is not TEXT:
            return
        payload = frame.get_payload_as_bytes()
        if payload.startswith(b"42"):  # an event: a message
            self.received += 1
        elif payload.startswith(b"43"):  # an acknowledgement
            data = payload.index(b"[")
            self._waiting.pop(int(payload[2:data]))(payload[data:])
        elif payload.startswith(b"2"):  # a ping
            transport.send(TEXT, b"3")
        elif payload.startswith(b"0"):  # the transport is open
            transport.send(TEXT, b"40" + msgspec.json.encode({"user": self.user}))
        elif payload.startswith(b"40"):
            self.ready.set()
        else:
            self.fail(payload.decode())

    async def open(self, other: str) -> None:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._emit(answer.set_result, "open", {"with": other})
        (reply,) = json.loads(await answer)
        self.conversation = reply["conversation"]

    def send(self, done: Callable[[bytes], None]) -> None:
        client_id = f"{RUN}-{self.user}-{self._last}"
        self._emit(done, "send", {"conversation": self.conversation, "clientId": client_id, "body": BODY})

    def _emit(self, answered: Callable[[bytes], None], event: str, data: dict[str, str]) -> None:
        self.transport.send(TEXT, b"42%d" % self._expect(answered) + msgspec.json.encode((event, data)))


CLIENTS: dict[str, type[Client]] = {"chatd": Chatd, "relay": Relay}


def cpu_time(pid: int) -> float:
    """Seconds of CPU time of a process, all threads, to the nanosecond (Linux: `clock_getcpuclockid(3)`)."""
    return time.clock_gettime(~pid << 3 | 2)


async def connect(job: Job, user: str, on_failure: Callable[[str], None]) -> Client:
    client = CLIENTS[job.protocol](user, job.receipts, on_failure)
    await picows.ws_connect(lambda: client, f"ws://{job.address}{client.path}")
    await client.ready.wait()
    return client


async def measure(job: Job, on_failure: Callable[[str], None]) -> Measured:
    senders, receivers = [], []
    async with asyncio.timeout(PATIENCE):
        for pair in range(job.pairs):
            senders.append(await connect(job, f"p{pair}a", on_failure))
            receivers.append(await connect(job, f"p{pair}b", on_failure))
            await senders[-1].open(receivers[-1].user)

    latencies: list[float] = []

    def keep_sending(client: Client) -> None:
        began = time.perf_counter()

        def done(_: bytes) -> None:
            latencies.append(time.perf_counter() - began)
            keep_sending(client)

        client.send(done)

    for client in senders:
        for _ in range(job.window):
            keep_sending(client)
    await asyncio.sleep(min(WARM_UP, job.seconds))

    def readings() -> tuple[float, float, float, int]:
        return time.perf_counter(), cpu_time(job.pid), time.process_time(), sum(one.received for one in receivers)

    before = readings()
    latencies.clear()
    await asyncio.sleep(job.seconds)
    taken = sorted(latencies)
    seconds, cpu, own, received = (now - then for now, then in zip(readings(), before, strict=True))
    if not taken:
        raise TimeoutError("no message was acknowledged")
    return Measured(
        acknowledged=len(taken) / seconds,
        received=received / seconds,
        cpu=cpu / len(taken) * 1e6,
        p50=taken[len(taken) // 2] * 1e3,
        p99=taken[len(taken) * 99 // 100] * 1e3,
        generator=own / seconds * 100,
    )


async def run(job: Job) -> Measured:
    """Measure, unless something fails first."""
    failure: asyncio.Future[Measured] = asyncio.get_running_loop().create_future()

    def fail(reason: str) -> None:
        if not failure.done():
            failure.set_exception(ConnectionError(reason))

    work = asyncio.create_task(measure(job, fail))
    await asyncio.wait((failure, work), return_when=asyncio.FIRST_COMPLETED)
    return (failure if failure.done() else work).result()


def main() -> None:
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    try:
        measured = uvloop.run(run(job))
    except (OSError, TimeoutError, picows.WSError) as error:
        sys.exit(f"bench.load: {job.protocol} at {job.address}: {error or type(error).__name__}")
    print(msgspec.json.encode(measured).decode())


if __name__ == "__main__":
    main()
