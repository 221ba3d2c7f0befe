"""Processes of `chatd` that are forked from one that has imported it: half a second less for each.

`python -m support.forking` is that process, the template. It has one thread, and forks for each request: a keeper,
which tells how the daemon ended, and of that the daemon, whose arguments, environment, folder and descriptors are those
of the request. With CHATD_TEST_EXEC=1 every daemon of the tests is started from its program.
"""

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TypeAlias

import attrs
import trio

_MAX_BYTES = 1 << 17  # of a request, which is one datagram


@attrs.define
class Forked:
    """A forked process, with what tests use of `trio.Process`. `returncode`: None until `wait` has returned."""

    pid: int
    stdout: trio.abc.ReceiveStream | None
    _status: int
    returncode: int | None = None
    stdin: None = None
    _waited: trio.Lock = attrs.Factory(trio.Lock)

    async def wait(self) -> int:
        """Wait for its end: the exit code, or the number of the signal, negative."""
        async with self._waited:
            if self.returncode is None:
                await trio.lowlevel.wait_readable(self._status)
                self.returncode = self._read()
        return self.returncode

    def wait_within(self, seconds: float) -> int:
        """Block until its end, which comes by SIGKILL after so many seconds. Raises TimeoutError then."""
        is_over = bool(select.select([self._status], [], [], seconds)[0])
        if not is_over:
            self.kill()
        self.returncode = self._read()
        if not is_over:
            raise TimeoutError
        return self.returncode

    def _read(self) -> int:
        code = os.waitstatus_to_exitcode(int(os.read(self._status, 20)))
        os.close(self._status)
        return code

    def send_signal(self, number: signal.Signals | int) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process: TypeAlias = trio.Process | Forked


def can_fork(program: Sequence[str], plain: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether the process may be forked: nothing of its environment counts before Python runs."""
    if os.environ.get("CHATD_TEST_EXEC") == "1" or any(name.startswith(("PYTHON", "LANG", "LC_")) for name in env):
        return False
    return tuple(program) == tuple(plain) or tuple(program[:2]) == ("-m", "support.launch")


def fork(
    argv: Sequence[str], *, stdin: int, stdout: int, stderr: int, cwd: Path, env: Mapping[str, str]
) -> tuple[int, int]:
    """Fork a process of the program: its number, and the descriptor on which its status comes.

    `argv`: the arguments of the interpreter, as `support.process.command` has them behind it.
    """
    template = _template()
    told, status = os.pipe()
    request = json.dumps({"argv": list(argv), "cwd": str(cwd), "env": dict(env)}).encode()
    assert len(request) <= _MAX_BYTES, "the environment is too large"
    try:
        socket.send_fds(template, [request], [stdin, stdout, stderr, status])
    finally:
        os.close(status)
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(told, 1)
        assert data, "the template of processes has ended"
        line += data
    return int(line), told


@functools.cache
def _template() -> socket.socket:
    """The socket of the template, which ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for each in (ours, theirs):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _MAX_BYTES)
    from .process import environment

    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "support.forking", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment(),
            # Pipes: Python's streams on a file can't go on as streams on a pipe.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def end() -> None:
        ours.close()
        process.communicate()

    atexit.register(end)
    return ours


# -- in the template --


def _requests(requests: socket.socket) -> Iterator[tuple[dict[str, object], list[int]]]:
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, _MAX_BYTES, 4)
        if not data:
            return
        yield json.loads(data), descriptors


def _keep(child: int, status: int) -> NoReturn:
    """Tell the child's number, wait for it, and tell its status."""
    os.write(status, f"{child}\n".encode())
    _, code = os.waitpid(child, 0)
    with contextlib.suppress(BrokenPipeError):
        os.write(status, str(code).encode())
    os._exit(0)


def _become(request: dict[str, object], descriptors: list[int]) -> list[str]:
    """Be the process of a request; return its arguments."""
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    env, argv, cwd = request["env"], request["argv"], request["cwd"]
    assert isinstance(env, dict)
    assert isinstance(argv, list)
    assert isinstance(cwd, str)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.chdir(cwd)
    return argv


def template(requests: socket.socket) -> list[str] | None:
    """Fork for each request until there are no more; return the arguments in each child, None in the template."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are not waited for
    for request, descriptors in _requests(requests):
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            child = os.fork()
            if child == 0:
                return _become(request, descriptors)
            for descriptor in descriptors[:3]:
                os.close(descriptor)
            _keep(child, descriptors[3])
        for descriptor in descriptors:
            os.close(descriptor)
    return None


def _main() -> None:
    import gc

    from chatd.cli import main
    from chatd.ops import serve

    from . import launch

    assert serve  # what commands import when they run
    gc.collect()
    gc.freeze()  # its pages stay shared
    argv = template(socket.socket(fileno=int(sys.argv[1])))
    if argv is None:
        return
    if argv[0] == "-m":
        launch.launch(argv[2:])
    else:
        sys.argv = ["-c", *argv[2:]]
        main(prog_name="chatd")


if __name__ == "__main__":
    _main()
