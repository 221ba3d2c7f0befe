"""The server under load: one of its own on a disk, or one that runs already."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from chatd.admin import control
from chatd.admin.verbs import AddUser, Answer, DisableUser, IssueToken, Verb, VerbFailed
from chatd.ops import lock

from . import machine
from .figures import Figures, Syncs, Workload
from .members import Conversations, Greeting, NotInDevelopment, by_name, users_of
from .peer import SocketAddress
from .private import CannotStart, chatd_server
from .run import Progress, RunSettings, run

TOKEN_SLACK_S = 600
"""Seconds that a token outlives what is measured: for signing in and for the last deliveries."""


@attrs.define(kw_only=True)
class BenchTarget:
    """A server to be loaded. `folder`: where a private one has its data, which goes away unless `keep` is set."""

    url: str
    private: bool
    greeting: Greeting = by_name
    ca: str | None = None
    pid: int | None = None
    sync_ms: Syncs | None = None
    folder: Path | None = None
    keep: bool = False

    def load(self, workload: Workload, progress: Progress) -> Figures:
        """Load it. Raises PeerLost."""
        crowd = Conversations(SocketAddress.of(self.url, ca=self.ca), workload, self.greeting)
        job = RunSettings(server=self.url, private=self.private, workload=workload, pid=self.pid, sync_ms=self.sync_ms)
        return run(job, crowd, progress)


@contextmanager
def private(disk: Path) -> Iterator[BenchTarget]:
    """A server of its own in a new folder in this one. Raises CannotStart."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=".chatd-bench-", dir=disk)).absolute()
    except OSError as error:
        raise CannotStart(f"cannot make a folder in {disk}: {error.strerror}; choose another by --data-on") from None
    target: BenchTarget | None = None
    try:
        try:
            sync_ms = machine.syncs(folder)
        except OSError as error:
            raise CannotStart(f"cannot write in {disk}: {error.strerror}; choose another by --data-on") from None
        with chatd_server(folder) as server:
            target = BenchTarget(url=server.url, private=True, pid=server.pid, sync_ms=sync_ms, folder=folder)
            yield target
    finally:
        if target is None or not target.keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def by_names(url: str, *, ca: str | None) -> Iterator[BenchTarget]:
    """A running server in development mode. Raises CannotStart."""
    try:
        yield BenchTarget(url=url, private=False, ca=ca)
    except NotInDevelopment as error:
        raise CannotStart(f"{error}: say by --data or --config where the server has its data") from None


@contextmanager
def by_tokens(url: str, folder: Path, workload: Workload, *, ca: str | None) -> Iterator[BenchTarget]:
    """The running server of this data folder: its users are made for the run, and shut out afterwards.

    Raises CannotStart.
    """
    lifetime = round(workload.warm_up + workload.seconds) + TOKEN_SLACK_S
    tokens: dict[str, str] = {}
    try:
        for user in users_of(workload):
            with suppress(VerbFailed):  # where they are there from an earlier run
                _ask(folder, AddUser(user=user, name="chatd bench", role="staff"))
            _ask(folder, DisableUser(user=user, disabled=False))
            tokens[user] = _ask(folder, IssueToken(user=user, lifetime=lifetime))["token"]
        yield BenchTarget(
            url=url,
            private=False,
            greeting=lambda user: {"token": tokens[user]},
            ca=ca,
            pid=_holder(folder),
            sync_ms=machine.syncs(folder),
        )
    except (VerbFailed, OSError) as error:
        raise CannotStart(str(error)) from None
    finally:
        with suppress(VerbFailed, CannotStart):  # their tokens end soon in any case
            for user in tokens:
                _ask(folder, DisableUser(user=user, disabled=True))


def _ask(folder: Path, verb: Verb) -> Answer:
    try:
        return control.ask(folder, verb)
    except control.NoDaemon:
        raise CannotStart(
            f"no chatd runs on {folder}: start it, or name the data folder of the one that runs"
        ) from None
    except control.NoAnswer:
        raise CannotStart(f"the chatd of {folder} ended before it answered") from None


def _holder(folder: Path) -> int | None:
    """The process that keeps a data folder for itself."""
    pid = (folder / lock.LOCK_FILE).read_text().partition(" ")[0]
    return int(pid) if pid.isdecimal() else None
