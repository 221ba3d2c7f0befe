"""`python -m bench.instructions`: machine instructions that the daemon executes for one message, counted by cachegrind.

Unlike CPU time the count hardly depends on who else uses the machine, so it can tell a per cent. Two runs of different
lengths are subtracted, which leaves out start, sign-in and shutdown. The load goes in lockstep: a window of messages is
sent at once, and the next one when all of the last were acknowledged and delivered, so that batches are alike.
"""

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs
import click
import trio

from bench.servers import BODY_BYTES, CHATD, observed
from bench.socketio import crowd_of
from chatd.bench.figures import Workload
from chatd.bench.load import Load
from chatd.bench.peer import PeerLost, SocketAddress, Wires
from chatd.bench.private import CannotStart, environment
from chatd.bench.run import Crowd

HERE = Path(__file__).parents[1]
MESSAGES_AT_ONCE = 8
"""Messages sent at once."""
LENGTHS = {2: (2_000, 6_000), 50: (400, 1_200)}
"""Messages of the short and the long run, by the members of the conversation."""
POLL_S = 0.002
"""Seconds between two looks at whether a window is done; this program isn't what is measured."""

# Everything takes about fifty times as long under valgrind; nothing may time out, nothing may go by the clock.
SLOW = {
    "CHATD_SERVER_HEARTBEAT": "3600",
    "CHATD_TIMEOUTS_HANDSHAKE": "600",
    "CHATD_TIMEOUTS_HELLO": "600",
    "CHATD_TIMEOUTS_WRITE": "600",
    "CHATD_TIMEOUTS_COMMIT": "600",
    "CHATD_TIMEOUTS_ROOM_IDLE": "86400",
    "CHATD_LOGS_LEVEL": "warning",
}


@attrs.frozen
class Checkout:
    """A source tree with its own virtual environment."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / ".venv" / "bin" / "python"

    @property
    def name(self) -> str:
        """The commit, with a + where files differ from it; without git the folder's name."""
        described = subprocess.run(
            ("git", "describe", "--always", "--dirty=+", "--exclude=*"),
            cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return described.stdout.strip() or self.folder.name


def per_message(short: tuple[int, int], long: tuple[int, int]) -> float:
    """Instructions per message, from the (messages, instructions) of two runs."""
    return (long[1] - short[1]) / (long[0] - short[0])


def counted(log: str) -> int:
    """The instructions in what cachegrind says at its end. Raises Lost where it says nothing."""
    found = re.search(r"I\s+refs:\s+([\d,]+)", log)
    if found is None:
        raise PeerLost(f"cachegrind counted nothing: {log.strip().rpartition(chr(10))[2]}")
    return int(found[1].replace(",", ""))


def drive(url: str, members: int, messages: int, *, socketio: bool = False) -> int:
    """Send so many messages, in whole windows; how many were acknowledged and reached everybody. Raises Lost."""
    workload = Workload(
        conversations=1, members=members, senders=1, window=MESSAGES_AT_ONCE, body_bytes=BODY_BYTES, receipts=False,
        seconds=0, warm_up=0,
    )  # fmt: skip
    return trio.run(_drive, crowd_of(SocketAddress.of(url), workload, socketio=socketio), messages)


async def _drive(crowd: Crowd, messages: int) -> int:
    load, wires = Load(), Wires()  # `load.sending` stays off: no acknowledgement sends the next message
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wires.run)
        try:
            senders = await crowd.gather(load, wires)
            for _ in range(messages // MESSAGES_AT_ONCE):
                for sender in senders:
                    sender.begin(MESSAGES_AT_ONCE)
                while not crowd.settled() and load.failure is None:  # noqa: ASYNC110 (the crowd has no event)
                    await trio.sleep(POLL_S)
        except PeerLost as lost:
            load.fail(str(lost))
        nursery.cancel_scope.cancel()
    wires.close()
    for wrong in (load.failure, *crowd.discrepancies(complete=load.failure is None), *load.errors):
        if wrong is not None:
            raise PeerLost(wrong)
    return load.acknowledged


def run(checkout: Checkout, members: int, messages: int, core: int, *, socketio: bool) -> tuple[int, int]:
    """Messages and instructions of one run, start and shutdown included. Raises Lost, CannotStart."""
    with tempfile.TemporaryDirectory(prefix="chatd-instructions-") as name:
        folder = Path(name)
        log = folder / "cachegrind.log"
        program = (
            "taskset", "--cpu-list", str(core),
            "valgrind", "--tool=cachegrind", "--cache-sim=no", f"--log-file={log}", "--cachegrind-out-file=/dev/null",
            str(checkout.python), *CHATD,
        )  # fmt: skip
        env = {**environment(), **SLOW, "PYTHONHASHSEED": "0"}
        with observed(program, folder, env, signal.SIGTERM) as url:
            acknowledged = drive(url, members, messages, socketio=socketio)
        return acknowledged, counted(log.read_text())


@click.command()
@click.option("--fanout", type=click.IntRange(3, 500), help="A group of so many, instead of a direct conversation.")
@click.option("--socketio", is_flag=True, help="The two speak Socket.IO.")
@click.option("--against", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Another checkout.")
@click.option("--checkout", default=HERE, type=click.Path(exists=True, file_okay=False, path_type=Path), help="(here)")
@click.option(
    "--lengths", nargs=2, type=click.IntRange(min=MESSAGES_AT_ONCE), help="Messages of the short and the long run."
)
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(min=1), help="Times that all is counted.")
@click.option("--at-most", type=float, help="Per cent more than the other checkout's that are still good.")
@click.option("--core", default=0, show_default=True, type=click.IntRange(min=0), help="What the daemon is pinned to.")
def main(
    fanout: int | None,
    socketio: bool,
    against: Path | None,
    checkout: Path,
    lengths: tuple[int, int] | None,
    repeat: int,
    at_most: float | None,
    core: int,
) -> None:
    """Count the instructions that one message takes, here and in another checkout."""
    for tool in ("valgrind", "taskset"):
        if shutil.which(tool) is None:
            raise click.ClickException(f"there is no {tool} here: install valgrind and util-linux")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the daemons end with this program
    if fanout and socketio:
        raise click.UsageError("--socketio goes with a direct conversation")
    members = fanout or 2
    lengths = lengths or LENGTHS.get(members) or (400, 1_200)
    checkouts = [Checkout(folder.resolve()) for folder in (against, checkout) if folder is not None]
    click.echo(f"{'a group of ' + str(fanout) if fanout else 'a direct conversation'}, {lengths[0]:,} and "
               f"{lengths[1]:,} messages, {MESSAGES_AT_ONCE} at once, pinned to core {core}")  # fmt: skip
    found: list[list[float]] = [[] for _ in checkouts]
    try:
        for _ in range(repeat):
            for at, one in enumerate(checkouts):
                short, long = (run(one, members, messages, core, socketio=socketio) for messages in lengths)
                found[at].append(per_message(short, long))
                click.echo(f"{one.name:24} {found[at][-1]:14,.0f} instructions per message")
    except (PeerLost, CannotStart) as error:
        raise click.ClickException(str(error)) from None
    _compare(found, at_most)


def _compare(found: Sequence[Sequence[float]], at_most: float | None) -> None:
    for counts in found:
        if len(counts) > 1:
            click.echo(f"spread {(max(counts) / min(counts) - 1) * 100:.2f} %")
    if len(found) == 2:
        more = (min(found[1]) / min(found[0]) - 1) * 100
        click.echo(f"{more:+.2f} %")
        if at_most is not None and more > at_most:
            raise click.ClickException(f"more than {at_most:+g} %")


if __name__ == "__main__":
    main(prog_name="python -m bench.instructions")
