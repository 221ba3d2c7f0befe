"""Standby: what a daemon is until its database server can be reached, after a reboot say.

It takes connections: `/healthz` is 200, `/readyz` 503 with the reason, and everything else `unavailable`.
"""

import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import msgspec
import structlog
import trio
from starlette.types import Receive, Scope, Send

from chatd.config import Config
from chatd.http.answers import NO_STORE, json_answer
from chatd.logs.counted import Counted
from chatd.net.addresses import source_of
from chatd.net.asgi import PEER_GONE, write
from chatd.net.bounds import Bounds
from chatd.net.linger import linger
from chatd.net.problem import plain_answer, problem
from chatd.net.server import NetServer, Upgrade
from chatd.net.unfinished import MemoryShares
from storage.contract import Store, StoreUnreachable

from .systemd import Notifier

log = structlog.get_logger("chatd.standby")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0
"""Seconds between two attempts to open the store; they double with each, up to the longest."""

ENDING = (signal.SIGTERM, signal.SIGINT)
PASSED_OVER = (signal.SIGHUP, signal.SIGUSR1)
"""Signals that have nothing to act on yet, and must not end the process."""

RETRY = [(b"retry-after", b"1")]


class Standby:
    """Waits for the store. `attempt` opens it, on a thread; raises StoreUnreachable while there is none."""

    def __init__(
        self,
        config: Config,
        attempt: Callable[[], Store],
        reason: str,
        *,
        encryption: ssl.SSLContext | None,
        development: bool,
        exposed: bool,
    ) -> None:
        self._attempt = attempt
        self._reason = reason
        self._write_timeout = config.timeouts.write
        self._server = NetServer(
            self._answer,
            self._refuse,
            bounds=lambda head: Bounds(),
            accepting=lambda: True,
            dropped=lambda reason: None,
            development=development,
            exposed=exposed,
            shares=MemoryShares(),
            lines=Counted(trio.current_time, source_of),
        )
        self._server.apply(config, encryption)

    async def wait(self, listeners: list[socket.socket], notifier: Notifier) -> Store | None:
        """Return the store once it is open; None where a signal ends it before. Raises what `attempt` raises else."""
        log.warning("waiting for the database", reason=self._reason)
        found: Store | None = None
        failed: Exception | None = None
        with trio.open_signal_receiver(*ENDING, *PASSED_OVER) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_end, signals, nursery.cancel_scope)
                nursery.start_soon(notifier.watch, lambda: True)
                await nursery.start(self._server.accept, listeners, nursery)
                notifier.ready(f"waiting for the database: {self._reason}")
                try:
                    found = await self._opened()
                except Exception as error:  # to be raised as it is, not in a group
                    failed = error
                nursery.cancel_scope.cancel()
        if failed is not None:
            raise failed
        return found

    async def _opened(self) -> Store:
        pause = FIRST_PAUSE_S
        while True:
            await trio.sleep(pause)
            pause = min(LONGEST_PAUSE_S, 2 * pause)
            try:
                return await trio.to_thread.run_sync(self._attempt, abandon_on_cancel=True)
            except StoreUnreachable as error:
                if str(error) != self._reason:
                    self._reason = str(error)
                    log.warning("waiting for the database", reason=self._reason)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/healthz":
            answer = json_answer(b'{"status":"ok"}')
        elif scope["path"] == "/readyz":
            answer = json_answer(msgspec.json.encode({"status": "unavailable", "reason": self._reason}), 503)
        else:
            answer = json_answer(problem("unavailable", "not ready yet", temporary=True), 503)
            answer.headers["retry-after"] = "1"
        answer.headers.update(NO_STORE)
        await answer(scope, receive, send)

    async def _refuse(self, upgrade: Upgrade) -> None:
        with suppress(trio.TooSlowError, *PEER_GONE):
            refusal = plain_answer(503, "unavailable", "not ready yet", temporary=True, headers=RETRY)
            await write(upgrade.stream, refusal, self._write_timeout)
            await linger(upgrade.stream)


async def _end(signals: AsyncIterator[int], everything: trio.CancelScope) -> None:
    async for signum in signals:
        if signum in ENDING:
            everything.cancel()
