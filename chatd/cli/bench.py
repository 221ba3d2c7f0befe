"""`chatd bench`."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from chatd.bench import report, target
from chatd.bench.figures import Workload
from chatd.bench.peer import PeerLost
from chatd.bench.private import CannotStart
from chatd.bench.run import WARM_UP_S, Progress
from chatd.config import ConfigError
from chatd.ops import rlimit as files

from .fail import fail
from .options import Settings, settings
from .say import say


@click.command()
@click.option("--server", metavar="URL", help="A running server, instead. The run's users and messages stay in it.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="File of certificates to trust.")
@click.option(
    "--data-on",
    "disk",
    default=".",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder on the disk to measure (.), for a server of its own.",
)
@click.option("--pairs", default=20, show_default=True, type=click.IntRange(1, 10_000), help="Pairs of users.")
@click.option("--group", type=click.IntRange(3, 500), help="One conversation of so many, instead of pairs.")
@click.option("--senders", default=1, show_default=True, type=click.IntRange(1, 500), help="Members who send.")
@click.option("--window", default=8, show_default=True, type=click.IntRange(1, 1000), help="Messages in flight each.")
@click.option("--seconds", default=10.0, show_default=True, type=click.FloatRange(min=0.1), help="How long to measure.")
@click.option("--body-bytes", default=95, show_default=True, type=click.IntRange(1, 100_000), help="Of a message.")
@click.option("--receipts", is_flag=True, help="Receivers report each message delivered.")
@settings("data")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; docs/bench.md describes it.")
def bench(
    settings: Settings,
    server: str | None,
    ca: str | None,
    disk: Path,
    pairs: int,
    group: int | None,
    senders: int,
    window: int,
    seconds: float,
    body_bytes: int,
    receipts: bool,
    as_json: bool,
) -> None:
    """Measure how fast messages are acknowledged and delivered.

    Starts a server of its own, in a new folder that is removed afterwards, unless --server names a running one: in
    development mode or, with its --data or --config, any. Every message is followed: exit code 1 if one is lost,
    doubled or out of order. Ctrl-C ends early, with the figures so far.
    """
    with_tokens = settings.file is not None or any(settings.flags.values())
    if with_tokens and not server:
        raise click.UsageError("--data and --config tell where a running server keeps its data: name it by --server")
    if senders > (group or 2):
        raise click.UsageError(f"--senders: there are {group or 2} members")
    workload = Workload(
        conversations=1 if group else pairs,
        members=group or 2,
        senders=senders,
        window=window,
        body_bytes=body_bytes,
        receipts=receipts,
        seconds=seconds,
        warm_up=min(WARM_UP_S, seconds),
    )
    files.allow()
    for end in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(end, signal.default_int_handler)  # so that the server and its folder end with this program
    try:
        if not server:
            there = target.private(disk)
        elif with_tokens:
            there = target.by_tokens(server, settings.load().data_path(), workload, ca=ca)
        else:
            there = target.by_names(server, ca=ca)
        if server:
            say(f"The users and messages of this run will stay in the store of {server}.", err=True)
        with there as loaded, _shown(seconds) as progress:
            figures = loaded.load(workload, progress)
            loaded.keep = bool(figures.discrepancies)
    except (ConfigError, CannotStart, PeerLost) as error:
        fail(str(error))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    else:
        click.echo("\n".join(report.lines(figures)))
    if loaded.keep and loaded.folder is not None:
        say(f"What the server kept and logged is in {loaded.folder}", err=True)
    sys.exit(0 if figures.good else 1)


@contextmanager
def _shown(seconds: float) -> Iterator[Progress]:
    """A progress bar, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=int(seconds * 10), label="measuring", file=sys.stderr) as bar:
        yield lambda done: bar.update(int(done * 10) - bar.pos)
