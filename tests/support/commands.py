"""The operator at work: runs commands, and signs people in with what they print."""

import functools
import os
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio
from click.testing import CliRunner

from chatd.cli import main
from chatd.client import Client, Connected, connect
from chatd.ops.program import program

from .process import PLAIN, Daemon, environment, launcher, run

JWT = re.compile(r"eyJ[\w-]*\.[\w-]+\.[\w-]+")


@attrs.define
class Done:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Operator:
    """Runs commands in a folder whose `data` is what they work on.

    Those that work on the store run in this process, which spares the start of another, where `real` doesn't say no.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def run(self, *args: str, env: dict[str, str] | None = None, real: bool = False) -> Done:
        if args[0] in ("user", "token", "message", "db") and not real:
            place = () if "--data" in args else ("--data", str(self.folder / "data"))
            clean = {name: None for name in os.environ if name not in environment()}
            invoke = functools.partial(CliRunner(env=clean).invoke, main, [*args, *place])
            result = await trio.to_thread.run_sync(invoke)
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                raise result.exception
            return Done(result.exit_code, result.stdout, result.stderr)
        program = launcher("--impatient") if args[0] == "serve" else PLAIN
        ended = await trio.to_thread.run_sync(functools.partial(run, *args, cwd=self.folder, env=env, program=program))
        return Done(ended.returncode, ended.stdout, ended.stderr)

    async def say(self, *args: str, real: bool = False) -> str:
        """What a command that succeeds prints."""
        done = await self.run(*args, real=real)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    async def refused(self, *args: str) -> str:
        """The one line of a command that can't do it."""
        done = await self.run(*args)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert done.stderr.startswith("chatd: "), done
        assert done.stderr.count("\n") == 1, done
        return done.stderr

    def next(self, *args: str) -> str:
        """What a message tells to type next."""
        return f"{program()} {shlex.join([*args, '--data', str(self.folder / 'data')])}"

    async def people(self) -> None:
        await self.say("user", "add", "pat-1", "--name", "Ada", "--role", "patient")
        await self.say("user", "add", "den-1", "--name", "Dr. Bo", "--role", "dentist")

    async def token(self, user: str, *args: str) -> str:
        line = await self.say("token", user, *args)
        assert JWT.fullmatch(line.removesuffix("\n")), "the token alone, on a line"
        return line.strip()


def url(daemon: Daemon) -> str:
    return f"http://{daemon.host}:{daemon.port}"


@asynccontextmanager
async def signed_in(daemon: Daemon, token: str) -> AsyncIterator[Client]:
    async with connect(url(daemon), token=token) as client:
        events = client.events()
        with trio.fail_after(20):
            while not isinstance(await anext(events), Connected):
                pass
        yield client
