"""Warns the operator in the log, at the start, each day and after a reload, of what will fail before long."""

from collections.abc import Awaitable, Callable, Iterable

import structlog
import trio

from chatd.config import Config

from . import machine
from .finding import CheckFinding

log = structlog.get_logger("chatd.machine")

WARN_EVERY_S = 86_400.0

Look = Callable[[], list[CheckFinding]]


def doubtful(config: Config, now: int) -> list[CheckFinding]:
    """Return what is wrong or nearly so, as `chatd check` finds it. `now`: ms since 1970."""
    found = [*machine.open_files(config), *machine.space(config)]
    if config.tls.certificate:  # without one, who knows whether a proxy has it
        found += machine.certificate(config, now)
    return [finding for finding in found if finding.level != "ok"]


def warn(findings: Iterable[CheckFinding]) -> None:
    """Write a line for each."""
    for finding in findings:
        write = log.error if finding.level == "wrong" else log.warning
        write("something will fail, or does", what=finding.what, reason=finding.text)


async def on_thread(look: Look) -> list[CheckFinding]:
    """Look on a thread: a disk may take its time."""
    return await trio.to_thread.run_sync(look)


async def watch(look: Look, run: Callable[[Look], Awaitable[list[CheckFinding]]] = on_thread) -> None:
    """Warn now and each day, until cancelled."""
    while True:
        try:
            warn(await run(look))
        except OSError as error:
            log.warning("the machine cannot be looked at", reason=error.strerror)
        await trio.sleep(WARN_EVERY_S)
