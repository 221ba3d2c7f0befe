"""People at `chatd chat`: against a daemon in virtual time, or as processes of their own."""

import random
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from chatd.cli.chat.terminal import TerminalChat
from chatd.client import connect
from chatd.testing import Server
from support import process


@attrs.define
class Terminal:
    """One person's screen and keyboard, and the cable between them and the daemon."""

    server: Server
    keys: trio.MemorySendChannel[str]
    lines: list[str] = attrs.Factory(list)  # written, and not seen yet
    streams: list[trio.abc.Stream] = attrs.Factory(list)
    down: bool = False
    over: trio.Event = attrs.Factory(trio.Event)

    async def see(self, part: str, *, within: float = 60) -> str:
        """Wait for a line with this text below those seen before; it and those above it are seen now."""
        with trio.move_on_after(within):
            while True:
                for index, line in enumerate(self.lines):
                    if part in line:
                        del self.lines[: index + 1]
                        return line
                await trio.sleep(0.01)
        raise AssertionError(f"{part!r} is not in {self.lines}")

    async def dial(self) -> trio.abc.Stream:
        if self.down:
            raise OSError("no route to host")
        self.streams.append(self.server.dial())
        return self.streams[-1]

    async def cut(self) -> None:
        self.down = True
        await trio.aclose_forcefully(self.streams[-1])


@asynccontextmanager
async def terminal(
    server: Server, user: str, other: str, *, echo: bool = True, awaits: bool = True, **hello: Any
) -> AsyncIterator[Terminal]:
    """A chat of a user with another; `echo`, `awaits` as for `Chat`, `hello` as for `connect`."""
    keys, typed = trio.open_memory_channel[str](1000)
    screen = Terminal(server, keys)

    async with connect("http://127.0.0.1", user=user, dial=screen.dial, rng=random.Random(0), **hello) as client:
        chat = TerminalChat(client, other, "http://127.0.0.1", screen.lines.append, echo=echo, awaits=awaits)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def run() -> None:
                await chat.run(typed)
                screen.over.set()

            yield screen
            nursery.cancel_scope.cancel()


@attrs.define
class Window:
    """A `chatd chat` of its own."""

    process: trio.Process
    output: str = ""

    async def see(self, part: str) -> None:
        """Wait until this is on the screen."""
        assert self.process.stdout is not None
        with trio.fail_after(30):
            while part not in self.output:
                data = await self.process.stdout.receive_some()
                assert data, f"{part!r} is not in {self.output!r}"
                self.output += data.decode()

    async def type(self, text: str) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send_all(text.encode())

    async def end(self) -> int:
        """The end of its input; its exit code."""
        assert self.process.stdin is not None
        await self.process.stdin.aclose()
        return await self.wait()

    async def wait(self) -> int:
        with trio.fail_after(30):
            return await self.process.wait()


@asynccontextmanager
async def window(server: str | None, *flags: str, cwd: Path | None = None) -> AsyncIterator[Window]:
    opened = await trio.lowlevel.open_process(
        process.command("chat", *(("--server", server) if server else ()), *flags),
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=process.environment(PYTHONIOENCODING="utf-8"),
    )
    try:
        yield Window(opened)
    finally:
        with trio.CancelScope(shield=True):
            if opened.returncode is None:
                opened.kill()
            await opened.wait()
