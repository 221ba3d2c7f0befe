"""`python -m bench.profile`: where the daemon's time goes while it is under load, as a flame graph.

py-spy looks at the daemon's stacks from outside, 250 times a second; the daemon itself is as always.
"""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import click

from bench.servers import CHATD, observed
from bench.socketio import crowd_of
from chatd.bench.figures import Workload
from chatd.bench.peer import PeerLost, SocketAddress
from chatd.bench.private import CannotStart, environment
from chatd.bench.report import lines
from chatd.bench.run import RunSettings, run

SAMPLES_PER_S = 250
"""Samples a second."""


@click.command()
@click.option("--pairs", default=20, show_default=True, type=click.IntRange(min=1), help="Pairs of users.")
@click.option("--group", type=click.IntRange(3, 500), help="One conversation of so many instead of pairs.")
@click.option("--window", default=8, show_default=True, type=click.IntRange(min=1), help="Messages in flight each.")
@click.option("--receipts", is_flag=True, help="Receivers report each message delivered.")
@click.option("--socketio", is_flag=True, help="The pairs speak Socket.IO.")
@click.option("--seconds", default=10.0, show_default=True, type=click.FloatRange(min=0.1), help="How long.")
@click.option("--native", is_flag=True, help="Stacks of C code, too (SQLite, for example).")
@click.option("--output", default="flame.svg", show_default=True, type=click.Path(dir_okay=False), help="The picture.")
def main(
    pairs: int,
    group: int | None,
    window: int,
    receipts: bool,
    socketio: bool,
    seconds: float,
    native: bool,
    output: str,
) -> None:
    """Profile the daemon under the load of `chatd bench`; open the picture in a browser."""
    spy = shutil.which("py-spy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if spy is None:
        raise click.ClickException("there is no py-spy here: pip install py-spy")
    if socketio and (group or receipts):
        raise click.UsageError("--socketio goes with pairs, and without receipts")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the daemon ends with this program
    workload = Workload(
        conversations=1 if group else pairs,
        members=group or 2,
        senders=1,
        window=window,
        body_bytes=95,
        receipts=receipts,
        seconds=seconds,
        warm_up=0,
    )
    picture = Path(output).resolve()
    flags = ("--native",) if native else ()
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=".") as name:
        folder = Path(name).resolve()
        found = folder / "flame.svg"
        program = (
            spy, "record", "--rate", str(SAMPLES_PER_S), "--output", str(found), "--threads", *flags, "--",
            sys.executable, *CHATD,
        )  # fmt: skip
        try:
            # At Ctrl-C py-spy writes what it has, and the daemon ends in order.
            with observed(program, folder, environment(), signal.SIGINT) as url:
                crowd = crowd_of(SocketAddress.of(url), workload, socketio=socketio)
                figures = run(RunSettings(server=url, private=True, workload=workload), crowd, lambda _: None)
        except (PeerLost, CannotStart) as error:
            raise click.ClickException(str(error)) from None
        if not found.exists():
            said = (folder / "chatd.log").read_text(errors="replace").strip()
            raise click.ClickException(f"py-spy wrote nothing: {said[-500:]}")
        shutil.move(found, picture)
    click.echo("\n".join(lines(figures)))
    click.echo(f"\n{picture}")


if __name__ == "__main__":
    main(prog_name="python -m bench.profile")
