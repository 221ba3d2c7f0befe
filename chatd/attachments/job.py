"""The process in which files of others are decoded: it forks for each, so that one file never meets another's remains.

Reads one job a line from standard input, answers each with a line, ends when its input does. A job's process has
limits of memory, time, file size and descriptors, and is killed when its time is up.
"""

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from .metadata import movie
from .metadata.errors import TooManyPixels
from .types import BY_MIME, FileType

JOB_TIMEOUT_S = 15.0
MEMORY_BYTES = 1 << 30
CPU_S = 20
IMAGE_FILE_BYTES = 256 << 20
OPEN_FILES = 24
MAX_JOB_ANSWER_BYTES = 1 << 16


def main() -> None:
    """Serve jobs until the input ends."""
    images = _load()
    _write({"pictures": images is not None})
    for line in sys.stdin.buffer:
        job = json.loads(line)
        _write(_forked(partial(_done, job, images), _file_limit(job)))


def _load() -> Callable[..., dict[str, object]] | None:
    """Return the function that decodes pictures; None where its libraries can't be loaded.

    Forked processes have it loaded already.
    """
    try:
        from .images import process
    except Exception as error:
        print(f"chatd: pictures can't be decoded: {error}", file=sys.stderr)
        return None
    return process


def _write(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


def _done(job: dict[str, Any], images: Callable[..., dict[str, object]] | None) -> dict[str, Any]:
    """The answer to a job: what is known of the file, or why it is refused."""
    type: FileType = BY_MIME[job["type"]]
    try:
        if job["kind"] == "movie":
            shown = movie.clean(Path(job["source"])) or (None, None)
            return {"type": type.mime, "width": shown[0], "height": shown[1], "thumbnail": None}
        if images is None:
            return {"refused": "no decoder"}
        return images(type, Path(job["source"]), Path(job["target"]), Path(job["thumbnail"]))
    except MemoryError:
        return {"refused": "too large"}
    except TooManyPixels:
        return {"refused": "too large"}
    except OSError as error:  # Pillow's own have no number
        return {"refused": "damaged" if error.errno is None else "disk"}
    except Exception:  # decoders raise all kinds of errors
        return {"refused": "damaged"}


def _file_limit(job: dict[str, Any]) -> int:
    """Bytes beyond which nothing can be written: a movie, cleaned in place, doesn't grow."""
    return os.path.getsize(job["source"]) if job["kind"] == "movie" else IMAGE_FILE_BYTES


def _forked(work: Callable[[], dict[str, Any]], file_bytes: int) -> dict[str, Any]:
    """Do it in a process of its own, within the limits."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        _child(work, writing, file_bytes)
    os.close(writing)
    try:
        answer = _read(reading, time.monotonic() + JOB_TIMEOUT_S)
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return answer


def _child(work: Callable[[], dict[str, Any]], writing: int, file_bytes: int) -> None:
    """Do the work, answer, and end without running anything of the parent's."""
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)
        os.nice(10)
        for limit, most in (
            (resource.RLIMIT_AS, MEMORY_BYTES),
            (resource.RLIMIT_CPU, CPU_S),
            (resource.RLIMIT_FSIZE, file_bytes),
            (resource.RLIMIT_NOFILE, OPEN_FILES),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(limit, (most, most))
        os.write(writing, json.dumps(work()).encode())
    finally:
        os._exit(0)


def _read(reading: int, deadline: float) -> dict[str, Any]:
    """The child's answer. One that says nothing, or not in time, has met a file that it wasn't made for."""
    data = b""
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    while len(data) <= MAX_JOB_ANSWER_BYTES:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return {"refused": "time"}
        part = os.read(reading, MAX_JOB_ANSWER_BYTES)
        if not part:
            break
        data += part
    try:
        answer: dict[str, Any] = json.loads(data)
    except ValueError:
        return {"refused": "died"}
    return answer
