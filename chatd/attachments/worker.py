"""The daemon's side of the process that decodes files (`job`): one at a time, a bounded queue, started on demand."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import structlog
import trio

from .refusal import FileRefused, damaged, too_large, unavailable
from .types import FileType, Handling

log = structlog.get_logger("chatd.attachments")

MAX_WAITING_JOBS = 32
START_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 20.0
"""Seconds, more than a job may take: the worker itself hangs."""

MAX_WORKER_ANSWER_BYTES = 1 << 16


@attrs.frozen(kw_only=True)
class WorkerResult:
    """The worker's answer. `type`: MIME of the result; `thumbnail`: MIME of it, where one was made."""

    type: str
    width: int | None
    height: int | None
    thumbnail: str | None


class _Broken(Exception):
    """The process ended, hangs or talks nonsense."""


class Worker:
    """Runs jobs in one process. `command` starts it."""

    def __init__(self, command: Sequence[str], *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._command = list(command)
        self._answer_timeout_s = answer_timeout_s
        self._process: trio.Process | None = None
        self._one_at_a_time = trio.Lock()
        self.pictures = True
        """False where the worker said that it has no decoder."""

    @property
    def pid(self) -> int | None:
        """Its process, while there is one."""
        return self._process.pid if self._process else None

    @property
    def waiting(self) -> int:
        """Jobs that wait for the one that runs."""
        return self._one_at_a_time.statistics().tasks_waiting

    async def look(self, type: FileType, source: Path, target: Path, thumbnail: Path) -> WorkerResult:
        """Clean and measure `source`: a movie in place, a picture into `target` and `thumbnail`. Raises FileRefused."""
        if self.waiting >= MAX_WAITING_JOBS:
            raise unavailable("many files are being looked at right now; please send this one again in a minute")
        job = {
            "kind": "movie" if type.handling is Handling.MOVIE else "image",
            "type": type.mime,
            "source": str(source),
            "target": str(target),
            "thumbnail": str(thumbnail),
        }
        async with self._one_at_a_time:
            answer = await self._answered(job)
        if why := answer.get("refused"):
            raise _refusal(str(why), type)
        small = answer["thumbnail"]
        return WorkerResult(
            type=answer["type"],
            width=answer["width"],
            height=answer["height"],
            thumbnail=small["type"] if small else None,
        )

    async def aclose(self) -> None:
        """End the process, at once."""
        if self._process is not None:
            process, self._process = self._process, None
            await _kill(process)

    async def _answered(self, job: dict[str, Any]) -> dict[str, Any]:
        # After a cancelled or failed job the process is in the middle of it: no other job may get its answer.
        whole = False
        try:
            process = self._process or await self._start()
            with trio.fail_after(self._answer_timeout_s):
                answer = await _exchange(process, json.dumps(job).encode() + b"\n")
            whole = True
        except (trio.TooSlowError, trio.BrokenResourceError, OSError, _Broken) as error:
            log.error("the process that decodes files was ended", reason=error.__class__.__name__)
            return {"refused": "died"}
        finally:
            if not whole:
                await self.aclose()
        return answer

    async def _start(self) -> trio.Process:
        # A session of its own: Ctrl-C in the terminal is the daemon's alone, and killing it takes its children too.
        # Settings in the environment, secrets among them, aren't for a process that reads files of others.
        self._process = await trio.lowlevel.open_process(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("CHATD_")},
        )
        with trio.fail_after(START_TIMEOUT_S):
            hello = await _exchange(self._process, b"")
        self.pictures = bool(hello["pictures"])
        return self._process


async def _exchange(process: trio.Process, line: bytes) -> dict[str, Any]:
    """Send a line, receive one."""
    assert process.stdin is not None
    assert process.stdout is not None
    if line:
        await process.stdin.send_all(line)
    data = b""
    while not data.endswith(b"\n"):
        part = await process.stdout.receive_some(MAX_WORKER_ANSWER_BYTES)
        data += part
        if not part or len(data) > MAX_WORKER_ANSWER_BYTES:
            raise _Broken
    try:
        answer: dict[str, Any] = json.loads(data)
    except ValueError as error:
        raise _Broken from error
    return answer


async def _kill(process: trio.Process) -> None:
    """Kill it with all that it started, and wait for its end."""
    with trio.CancelScope(shield=True):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                await stream.aclose()
        await process.wait()


def _refusal(why: str, type: FileType) -> FileRefused:
    match why:
        case "too large":
            return too_large(f"this {type.noun} is too large to be looked at; a smaller copy of it can be sent")
        case "disk":
            return unavailable("the file can't be stored right now; please send it again later")
        case "no decoder":
            return unavailable("pictures can't be taken here: what decodes them is not installed")
        case "damaged":
            return damaged(type.noun)
        case _:  # time, died
            return FileRefused(
                f"this {type.noun} could not be looked at; another copy of it, or a screenshot, may work"
            )
