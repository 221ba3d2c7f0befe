"""A daemon outside development mode, and clients that send one message after the other, over HTTP or WebSocket."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import trio

from bench.servers import TOKEN_SECRET
from chatd.auth.tokens import Tokens
from chatd.client.raw import RawClient, cheap_frame
from chatd.config import Config, Server
from chatd.ids import new_id
from chatd.ops.open_store import open_store
from storage.changes import OpenDirect, PutUser

BODY: Final = "It hurts when I bite on something cold, since yesterday evening. Is there a time tomorrow morning?"


@contextmanager
def daemon(folder: Path, senders: int, settings: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    """A daemon on the first processor, and this process on the others: its process and port.

    It is outside development mode, and has a conversation for each sender.

    `settings`: as environment variables, beside the defaults.
    """
    data = folder / "data"
    data.mkdir(mode=0o700)
    store, _ = open_store(Config(server=Server(data=str(data))), new_epoch=new_id, new=True)
    people = [PutUser("den", "Den", "dentist", 1), *(PutUser(f"pat-{n}", "Pat", "patient", 1) for n in range(senders))]
    store.commit(people)
    store.commit([OpenDirect(f"c-{n}", f"pat-{n}", "den", 1) for n in range(senders)])
    store.close()
    command = [sys.executable, "-m", "chatd", "serve", "--port", "0", "--data", str(data)]
    with subprocess.Popen(
        command,
        env={**os.environ, "CHATD_AUTH_SECRET": TOKEN_SECRET, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as run:
        try:
            os.sched_setaffinity(run.pid, {0})
            os.sched_setaffinity(0, (os.sched_getaffinity(0) - {0}) or {0})
            assert run.stdout is not None
            yield run.pid, int(run.stdout.readline().rsplit(b":", 1)[1])
        finally:
            run.terminate()


class Sender:
    """One connection; `send` sends one message, and returns when it is acknowledged."""

    def __init__(self, number: int, port: int, turn: str, address: str | None = None) -> None:
        self.number, self.port, self.turn, self.address = number, port, turn, address
        now = time.time_ns() // 1_000_000
        self.token = Tokens(TOKEN_SECRET.encode()).issue(f"pat-{number}", new_id(), now, 3600)[0]
        self.sent = 0
        self._rest = b""

    async def open(self) -> None:
        self.stream = await trio.open_tcp_stream("127.0.0.1", self.port, local_address=self.address)

    def message(self) -> dict[str, object]:
        self.sent += 1
        return {"client_id": f"{self.turn}-{self.number}-{self.sent}", "body": BODY}

    async def until(self, end: bytes) -> bytes:
        while end not in self._rest:
            data = bytes(await self.stream.receive_some(65_536))
            if not data:
                raise click.ClickException(f"the daemon closed the connection after {self._rest[:200]!r}")
            self._rest += data
        found, _, self._rest = self._rest.partition(end)
        return found

    async def take(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._rest += bytes(await self.stream.receive_some(65_536))
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    async def send(self) -> None:
        raise NotImplementedError


class HttpSender(Sender):
    """`POST /v1/conversations/ID/messages`, on one connection that is kept alive."""

    async def send(self) -> None:
        body = json.dumps(self.message()).encode()
        await self.stream.send_all(
            f"POST /v1/conversations/c-{self.number}/messages HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await self.until(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 201"):
            raise click.ClickException(head.decode())
        await self.take(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))


class WebSocket(Sender):
    """`message.send`."""

    async def open(self) -> None:
        await super().open()
        self._client = RawClient(self.stream)
        await self._client.upgrade()
        await self.ask({"type": "hello", "token": self.token})

    async def ask(self, request: dict[str, object]) -> None:
        await self._client.send(cheap_frame(json.dumps({"id": self.sent, **request}).encode()))
        while '"re":' not in (text := str(await self._client.message()))[:40]:
            pass
        if not text.startswith('{"type":"ok"'):
            raise click.ClickException(text)

    async def send(self) -> None:
        await self.ask({"type": "message.send", "conversation": f"c-{self.number}", **self.message()})
