"""The state of a running daemon, written to the log at SIGUSR1: for whoever wants to know why it hangs.

Nothing in it is of what people write: names of tasks and places in the code, ids of conversations and sessions, sizes.
"""

from collections.abc import Iterator, Sequence
from types import CodeType, FrameType

import structlog
import trio

from chatd.daemon import Daemon

log = structlog.get_logger("chatd.dump")

MAX_LINES_PER_KIND = 1_000


def dump(daemon: Daemon) -> None:
    """Log the gate, jobs, rooms, outboxes and the task tree, a line each, at most `MAX_LINES_PER_KIND` of a kind."""
    log.info("gate", waiting=daemon.gate.waiting, problem=daemon.gate.problem)
    for name, failures in daemon.jobs.failures.items():
        log.info("job", job=name, failures=failures, failing=name in daemon.jobs.failing)
    _each("room", [{"conversation": r.id, "rev": r.rev, "waiting": r.waiting, "idle": r.idle} for r in daemon.rooms])
    outboxes = [{"transport": live.transport, "queued": live.queued} for live in daemon.sessions]
    _each("outbox", outboxes)
    root = trio.lowlevel.current_root_task()
    assert root is not None
    _each("task", [{"depth": depth, "task": task.name, "at": at(task)} for depth, task in tree(root)])


def _each(event: str, lines: Sequence[dict[str, object]]) -> None:
    for line in lines[:MAX_LINES_PER_KIND]:
        log.info(event, **line)
    if len(lines) > MAX_LINES_PER_KIND:
        log.info(event, omitted=len(lines) - MAX_LINES_PER_KIND)


def tree(root: trio.lowlevel.Task) -> Iterator[tuple[int, trio.lowlevel.Task]]:
    """Yield `root` and all tasks below it, parents first, each with its depth; `root` has depth 0."""
    ahead = [(0, root)]
    while ahead:
        depth, task = ahead.pop()
        yield depth, task
        ahead += [(depth + 1, child) for nursery in task.child_nurseries for child in nursery.child_tasks]


def at(task: trio.lowlevel.Task) -> str:
    """Return the innermost place outside Trio where the task waits, as `module.py:line in function`."""
    place = "?"
    waiting: object = task.coro
    while waiting is not None:
        code: CodeType | None = getattr(waiting, "cr_code", None)
        frame: FrameType | None = getattr(waiting, "cr_frame", None)
        if code is not None and frame is not None and "/trio/" not in code.co_filename:
            place = f"{code.co_filename.rpartition('/')[2]}:{frame.f_lineno} in {code.co_name}"
        waiting = getattr(waiting, "cr_await", None)
    return place
