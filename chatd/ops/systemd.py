"""Notices to a service manager, by sd_notify(3): ready, reloading, stopping; and signs of life for a watchdog."""

import os
import socket
import sys
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress

import trio


class Notifier:
    """Sends to the manager's socket, or nowhere where there is none. Sending never waits and never fails.

    `watchdog`: seconds of silence after which the manager takes us for dead; None: it doesn't watch.
    """

    def __init__(self, address: str | None = None, watchdog: float | None = None) -> None:
        self._address = address
        self.watchdog = watchdog

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> "Notifier":
        """Take what the manager said out of the environment: it concerns this process alone."""
        address = environment.pop("NOTIFY_SOCKET", "")
        usec = environment.pop("WATCHDOG_USEC", "")
        # The one-file binary runs as a child of the process that unpacked it, which is the one that the manager knows.
        us = os.getppid() if getattr(sys, "frozen", False) else os.getpid()
        pid = environment.pop("WATCHDOG_PID", str(us))
        if not address.startswith(("/", "@")):
            return cls()
        watched = usec.isascii() and usec.isdigit() and int(usec) > 0 and pid == str(us)
        return cls(address, int(usec) / 1e6 if watched else None)

    def ready(self, status: str) -> None:
        """We serve, again or for the first time."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """We read the settings again; `ready` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reading the settings")

    def stopping(self) -> None:
        """We shut down."""
        self._tell("STOPPING=1", "STATUS=shutting down")

    async def watch(self, is_alive: Callable[[], bool]) -> None:
        """Tell a watchdog that the event loop turns, twice as often as it asks for, while `is_alive`."""
        if self.watchdog is None:
            return
        while True:
            if is_alive():
                self._tell("WATCHDOG=1")
            await trio.sleep(self.watchdog / 2)

    def _tell(self, *lines: str) -> None:
        if self._address is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            with suppress(OSError):  # a manager that doesn't listen is no reason to stop serving
                sock.sendto("\n".join(lines).encode(), address)
