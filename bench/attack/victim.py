"""The daemon under attack, with limits of production, and the normal client that talks throughout."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Final

import attrs

from bench.servers import TOKEN_SECRET
from chatd.auth.tokens import Tokens
from chatd.bench.machine import memory
from chatd.config import Config, Server
from chatd.ids import new_id
from chatd.ops.open_store import open_store
from storage.changes import OpenDirect, PutUser, SendMessage

from .floods import AttackTarget
from .wire import Chatter

ATTACKERS: Final = 10
SAY_EVERY_S: Final = 0.06
"""Between two messages of the normal client: as fast as one may, over time."""


@attrs.frozen
class Victim:
    """A running daemon. `token`: the normal client's."""

    pid: int
    log: Path
    token: str
    target: AttackTarget

    def descriptors(self) -> int:
        """Return how many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident(self) -> int:
        """Return its bytes of memory."""
        found = memory(self.pid)
        assert found is not None
        return found[0]


@contextmanager
def victim(folder: Path) -> Iterator[Victim]:
    """A daemon outside development mode, on the first processor; killed at the end."""
    data = folder / "data"
    data.mkdir(mode=0o700)
    store, _ = open_store(Config(server=Server(data=str(data))), new_epoch=new_id, new=True)
    people = [f"pat-{n}" for n in range(ATTACKERS)]
    store.commit([PutUser(user=id, name="Pat", role="patient", at=1) for id in people])
    store.commit([PutUser(user=id, name=id, role=role, at=1) for id, role in (("den", "dentist"), ("ada", "patient"))])
    store.commit(
        [
            OpenDirect(conversation=id, user=user, other="den", at=1)
            for id, user in (("worst", "pat-0"), ("normal", "ada"))
        ]
    )
    for n in range(60):
        message = SendMessage(
            conversation="worst",
            user="pat-0",
            client_id=f"c-{n}",
            message=f"m-{n}",
            body="\ufdfa" * 9990 + "needle",  # a ligature that folds into 18 letters
            reply_to=None,
            at=1,
        )
        store.commit([message])
    store.close()
    tokens, now = Tokens(TOKEN_SECRET.encode()), time.time_ns() // 1_000_000
    issued = [tokens.issue(id, new_id(), now, 86_400)[0] for id in ("ada", *people)]
    log = folder / "log"
    command = [sys.executable, "-m", "chatd", "serve", "--port", "0", "--data", str(data)]
    env = {**os.environ, "CHATD_AUTH_SECRET": TOKEN_SECRET, "CHATD_LIMITS_CONNECTIONS": "1000"}
    with log.open("wb") as lines, subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=lines) as run:
        try:
            os.sched_setaffinity(run.pid, {0})
            assert run.stdout is not None
            port = int(run.stdout.readline().rsplit(b":", 1)[1])
            yield Victim(run.pid, log, issued[0], AttackTarget(port, issued[1:]))
        finally:
            run.kill()


class Witness:
    """The normal client: sends, waits for the acknowledgement, and notes how long that took."""

    def __init__(self, port: int, token: str) -> None:
        self._chatter = Chatter(port, token)
        self._took: list[float] = []
        self._over = Event()
        self._thread = Thread(target=self._talk)
        self._thread.start()

    def p99(self, seconds: float) -> float:
        """Listen so long; milliseconds within which 99 of 100 acknowledgements came. Raises ConnectionError."""
        before = len(self._took)
        time.sleep(seconds)
        while len(self._took) < before + 2 and self._thread.is_alive():
            time.sleep(0.1)  # all that was asked is still waiting: that counts, too
        if not self._thread.is_alive():
            raise ConnectionError("the normal client's connection has ended")
        took = sorted(self._took[before:])
        return took[min(len(took) - 1, int(len(took) * 0.99))] * 1000

    def close(self) -> None:
        """Stop talking."""
        self._over.set()
        self._thread.join()
        self._chatter.close()

    def _talk(self) -> None:
        for number in range(10**9):
            if self._over.wait(SAY_EVERY_S):
                return
            began = time.perf_counter()
            body = f"It still hurts, {number}"
            answer = self._chatter.ask(
                {"type": "message.send", "conversation": "normal", "client_id": f"w-{number}", "body": body}
            )
            if answer["type"] != "ok":
                raise ConnectionError(f"the normal client was refused: {answer['code']}")
            self._took.append(time.perf_counter() - began)
