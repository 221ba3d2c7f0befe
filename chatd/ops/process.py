"""A daemon as a process: the signals that it obeys, and what the service manager hears of it."""

import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable

import attrs
import structlog
import trio

from chatd import logs
from chatd.admin.control import Control
from chatd.admin.ports import LivePort
from chatd.background import loop_delay
from chatd.config import Config, ConfigError
from chatd.daemon import Daemon
from chatd.net import tls

from . import reload, warnings
from .dump import dump
from .finding import CheckFinding
from .systemd import Notifier

log = structlog.get_logger("chatd.service")

OBEYED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)

FORCED_EXIT_S = 5.0
"""Seconds that the end may take beyond the time that connections and commits have for it."""

STUCK_AFTER_S = 60.0
"""Seconds of one commit after which no watchdog is told any more that we live."""


@attrs.frozen
class Service:
    """`read`: the settings as they are now; raises ConfigError."""

    daemon: Daemon
    listeners: list[socket.socket]
    notifier: Notifier
    read: Callable[[], Config]
    control: Control

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until a signal ends it. `on_ready` is called once it listens."""
        with trio.open_signal_receiver(*OBEYED) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._obey, signals, nursery.cancel_scope)
                nursery.start_soon(self.notifier.watch, lambda: not self.daemon.gate.stuck(STUCK_AFTER_S))
                nursery.start_soon(warnings.watch, self._look)
                nursery.start_soon(loop_delay.watch, self.daemon.metrics.loop_delay.observe)
                nursery.start_soon(self.control.serve, LivePort(self.daemon.parts, self.daemon.tokens))
                async with trio.open_nursery() as running:
                    await running.start(self.daemon.run, self.listeners)
                    on_ready()
                    self.notifier.ready(f"serving {self.url}")
                nursery.cancel_scope.cancel()

    async def _obey(self, signals: AsyncIterator[int], everything: trio.CancelScope) -> None:
        at_terminal = os.isatty(0)
        async for signum in signals:
            # The terminal that we ran in was closed: nobody is there to ask for anything.
            hung_up = at_terminal and not os.isatty(0)
            if signum == signal.SIGUSR1:
                dump(self.daemon)
            elif signum == signal.SIGHUP and not hung_up:
                await self._reload()
            elif self.daemon.stopping:
                _end_for_certain(FORCED_EXIT_S)
                everything.cancel()  # a second one cuts it short
            else:
                self.notifier.stopping()
                config = self.daemon.config
                _end_for_certain(config.server.grace + config.timeouts.commit + FORCED_EXIT_S)
                self.daemon.stop()

    async def _reload(self) -> None:
        """Take what can be taken of the settings and the certificate as they are now; if they are wrong, nothing."""
        if self.daemon.stopping:
            return
        self.notifier.reloading()
        try:
            merged = reload.merge(self.daemon.config, await trio.to_thread.run_sync(self.read))
            encryption = await trio.to_thread.run_sync(tls.load, merged.config.tls)
        except (ConfigError, tls.BadCertificate) as error:
            log.error("settings not reloaded, all is as before", reason=str(error))
            self.notifier.ready("serving with the settings from before: the new ones are wrong (see the log)")
            return
        self.daemon.apply(merged.config, encryption)
        logs.set_level(merged.config.logs.level)
        log.info("settings reloaded", applied=merged.applied, need_restart=merged.waiting)
        warnings.warn(await warnings.on_thread(self._look))
        self.notifier.ready(f"serving {self.url}")

    def _look(self) -> list[CheckFinding]:
        return warnings.doubtful(self.daemon.config, self.daemon.parts.now())

    @property
    def url(self) -> str:
        """The address that it listens on, the first of several."""
        scheme = "https" if self.daemon.server.encrypted else "http"
        host, port = self.listeners[0].getsockname()[:2]
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _end_for_certain(after: float) -> None:
    """End the process in so many seconds, where a call of the store (or anything else) never returns.

    As with kill -9, nothing is lost that was acknowledged. By a thread, as the event loop may be what hangs.
    """

    def end() -> None:
        log.error("ended by force: something does not return; is the disk or the database hanging?")
        logs.flush()
        os._exit(1)

    timer = threading.Timer(after, end)
    timer.daemon = True
    timer.start()
