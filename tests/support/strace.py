"""The system calls of a real daemon: what it did, in which order; and faults put into them."""

import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import attrs
import pytest
import trio


@cache
def _refusal() -> str | None:
    """Why nothing can be traced here, or None."""
    if shutil.which("strace") is None:
        return "needs strace: install it"
    # The way that `traced` goes needs more rights where ptrace is restricted than starting a program under strace.
    target = subprocess.Popen(["sleep", "60"])
    try:
        tracer = subprocess.Popen(["strace", "-p", str(target.pid)], stderr=subprocess.PIPE, text=True)
        assert tracer.stderr is not None
        first = tracer.stderr.readline()
        tracer.terminate()
        tracer.communicate(timeout=10)
    finally:
        target.kill()
        target.wait()
    return None if "attached" in first else f"strace may not attach: {first.strip()}"


def require() -> None:
    """Skip the test where nothing can be traced."""
    reason = _refusal()
    if reason is not None:
        pytest.skip(reason)


@asynccontextmanager
async def attached(pid: int, *options: str) -> AsyncIterator[None]:
    """With strace on all threads of a running process."""
    require()
    tracer = await trio.lowlevel.open_process(["strace", "-f", "-p", str(pid), *options], stderr=subprocess.PIPE)
    assert tracer.stderr is not None
    try:
        with trio.fail_after(10):
            said = await tracer.stderr.receive_some()
        assert b"attached" in said, said
        yield
    finally:
        with trio.CancelScope(shield=True):
            tracer.terminate()  # it detaches, and the process runs on
            await tracer.wait()
            await tracer.stderr.aclose()


@attrs.frozen
class Call:
    """A system call on a file or socket that began, or ended. `data`: what it was given, and its result, as shown."""

    name: str
    path: str
    data: str
    ended: bool


_LINE = re.compile(
    r"^(?P<pid>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<name>\w+)\(\d+<(?P<path>[^>]*)>)(?P<rest>.*)$"
)


def calls(trace: Path) -> Iterator[Call]:
    """What `strace -f -y -o` wrote, in order; a call that others interrupted comes as its begin and its end."""
    begun: dict[str, Call] = {}
    for line in trace.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        if match["resumed"]:
            if match["pid"] in begun:
                yield attrs.evolve(begun.pop(match["pid"]), data=match["rest"], ended=True)
            continue
        call = Call(match["name"], match["path"], match["rest"], ended=False)
        yield call
        if match["rest"].endswith("<unfinished ...>"):
            begun[match["pid"]] = call
        else:
            yield attrs.evolve(call, ended=True)
